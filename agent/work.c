#include "agent/work.h"

#include "agent/api.h"
#include "agent/conf.h"
#include "agent/deploy.h"
#include "agent/keys.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "x509/csr.h"

const char *
desk_target_dir(struct arena *a, const struct conf *c)
{
	return arena_printf(a, "%s/targets", c->state_dir);
}

static struct key_type
wanted_type(const struct job *job)
{
	struct key_type t = {
		blank(job->key_algorithm) ? "ECDSA" : job->key_algorithm,
		(int)job->key_size,
	};

	if (t.bits == 0)
		t.bits = streq(t.algorithm, "RSA") ? 2048 : 256;
	return t;
}

/* Key, CSR, submission; E carries the contract's prefix for what failed. */
static int
answer_csr(struct desk *d, struct arena *a, const struct job *job,
    struct err *e)
{
	struct key *k;
	char *pem;

	if (!safe_id(or_empty(job->certificate_id)))
		return err_set(e, E_INVALID, "key path validation failed: "
		    "the certificate id is not valid");
	if (blank(job->common_name))
		return err_set(e, E_INVALID, "empty common name");
	k = keys_pending(a, d->conf->key_dir, job->certificate_id, job->id,
	    wanted_type(job), e);
	if (k == NULL) {
		e->code = E_INVALID;	/* nothing the server could mend */
		return -1;
	}
	pem = csr_make(a, k, job->common_name, &job->sans, e);
	if (pem == NULL) {
		e->code = E_INVALID;
		return err_prefix(e, "CSR creation failed");
	}
	if (api_csr(d->api, a, job->certificate_id, pem, e) < 0)
		return err_prefix(e, api_final(e) ? "CSR rejected" :
		    "CSR submission failed");
	return 0;
}

int
work_csr(struct desk *d, struct arena *a, const struct job *job,
    struct err *e)
{
	struct job failed = *job;

	if (answer_csr(d, a, job, e) == 0) {
		log_info("CSR submitted", "job_id", job->id,
		    "certificate_id", job->certificate_id, NULL);
		return 0;
	}
	if (!api_final(e))
		return -1;
	/* Answered already: by us before a reply was lost, or by another. */
	if (e->code == E_CONFLICT) {
		log_err(LOG_WARN, "CSR not wanted", e, "job_id", job->id);
		return 0;
	}
	log_err(LOG_ERROR, "CSR failed", e, "job_id", job->id);
	failed.result = "Failed";
	failed.error = e->msg;
	return journal_add(&d->journal, &failed, e) != NULL ? 0 : -1;
}

/* The previous key goes when nothing can ask for it any more. */
static void
settle_keys(struct desk *d, const struct entry *en, int64_t pending)
{
	const char *id = or_empty(en->job.certificate_id);
	struct err e;

	if (!streq(en->job.result, "Completed") || !safe_id(id) ||
	    pending > 0 || (pending == PENDING_UNKNOWN &&
	    journal_has_certificate(&d->journal, id, en)))
		return;
	if (keys_forget_previous(d->conf->key_dir, id, &e) < 0)
		log_err(LOG_WARN, "the previous key stays", &e,
		    "certificate_id", id);
}

/* Send what is owed for EN; 0 when the server has answered for good. */
static int
report(struct desk *d, struct arena *a, struct entry *en, int64_t *pending,
    struct err *e)
{
	if (en->job.verify) {
		if (api_verify(d->api, a, &en->job, e) < 0) {
			if (!api_final(e))
				return err_prefix(e, "verification report");
			log_err(LOG_WARN, "verification report refused", e,
			    "job_id", en->job.id);
		}
		en->job.verify = false;
	}
	*pending = PENDING_UNKNOWN;
	if (api_status(d->api, a, en->job.id, en->job.result, en->job.error,
	    pending, e) < 0) {
		if (!api_final(e))
			return err_prefix(e, "status report");
		log_err(LOG_WARN, "status report refused", e, "job_id",
		    en->job.id);
	}
	return 0;
}

int
work_entry(struct desk *d, struct arena *a, struct entry *en, struct err *e)
{
	int64_t pending;

	if (blank(en->job.result) && deploy_entry(d, a, en, e) < 0)
		return -1;
	if (report(d, a, en, &pending, e) < 0)
		return -1;
	settle_keys(d, en, pending);
	return journal_remove(&d->journal, en, e) < 0 ? -1 : 1;
}
