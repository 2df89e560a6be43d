#include "agent/deploy.h"

#include "agent/api.h"
#include "agent/conf.h"
#include "agent/keys.h"
#include "agent/work.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "target/target.h"
#include "x509/cert.h"
#include "x509/probe.h"

enum {
	VERIFY_MS = 10 * 1000,	/* how long the new certificate may take */
	LOOK_MS = 200,		/* between two looks */
};

/* The certificate to deploy, taken apart. */
struct bundle {
	const struct x509_cert *leaf;
	const char *chain_pem;
	const char *key_pem;
};

static int
fetch(struct desk *d, struct arena *a, const struct job *job,
    struct bundle *out, struct err *e)
{
	struct buf chain = BUF(a);
	struct x509_cert *certs;
	const char *pem;
	size_t n;

	if (api_certificate(d->api, a, job->certificate_id, &pem, e) < 0 ||
	    certs_from_pem(a, pem, &certs, &n, e) < 0)
		return err_prefix(e, "cert fetch failed");
	for (size_t i = 1; i < n; i++)
		buf_puts(&chain, certs[i].pem);
	out->leaf = &certs[0];
	out->chain_pem = buf_str(&chain);
	if (!blank(job->fingerprint) &&
	    !streq(job->fingerprint, out->leaf->fingerprint))
		log_info("a newer version than the job's is deployed",
		    "job_id", job->id, "fingerprint", out->leaf->fingerprint,
		    NULL);
	return 0;
}

/* Look until the leaf is served or the time is over; JOB gets what was seen. */
static void
look(const char *endpoint, struct job *job, struct arena *a)
{
	int64_t until = mono_us() + VERIFY_MS * 1000, left;
	char host[256];
	struct probe seen;
	struct err e;
	int port;

	job->actual_fingerprint = "";
	if (probe_endpoint(endpoint, host, sizeof(host), &port, &e) < 0) {
		job->verify_error = arena_strdup(a, e.msg);
		return;
	}
	while (!job->verified && (left = (until - mono_us()) / 1000) > 0) {
		if (probe_tls(host, port, left, &seen, &e) < 0) {
			job->verify_error = arena_strdup(a, e.msg);
		} else {
			job->actual_fingerprint = arena_strdup(a,
			    seen.fingerprint);
			job->verified = streq(seen.fingerprint,
			    job->expected_fingerprint);
			job->verify_error = job->verified ? "" :
			    arena_printf(a, "%s serves another certificate",
			    endpoint);
		}
		if (!job->verified)
			sleep_ms(LOOK_MS);
	}
}

/*
 * See for ourselves what is served now.  Another certificate fails the job; a
 * server that cannot be reached from here does not, but is reported.
 */
static int
verify(struct arena *a, const struct target_type *t, struct entry *en,
    const struct bundle *b, struct err *e)
{
	struct job *job = &en->job;
	const char *endpoint = target_endpoint(a, t, job->target_config);

	if (endpoint == NULL) {
		log_info("no host in the target's configuration: "
		    "what is served was not verified", "job_id", job->id,
		    NULL);
		return 0;
	}
	job->expected_fingerprint = arena_strdup(en->a, b->leaf->fingerprint);
	job->verify = true;
	look(endpoint, job, en->a);
	if (job->verified)
		return 0;
	log_warn("the served certificate could not be verified", "job_id",
	    job->id, "endpoint", endpoint, "error", job->verify_error, NULL);
	if (blank(job->actual_fingerprint))
		return 0;
	return err_set(e, E_UPSTREAM, "verification failed: %s",
	    job->verify_error);
}

static int
install(struct desk *d, struct arena *a, struct entry *en,
    const struct bundle *b, struct err *e)
{
	const struct job *job = &en->job;
	const struct target_type *t = target_type_find(job->target_type);
	const struct deploy_args args = {
		.cert_pem = b->leaf->pem, .chain_pem = b->chain_pem,
		.key_pem = b->key_pem, .fingerprint = b->leaf->fingerprint,
		.state_dir = desk_target_dir(a, d->conf),
	};
	enum deploy_outcome outcome;
	int rc;

	if (t == NULL || t->deploy == NULL)
		return err_set(e, E_INVALID, "connector init failed: "
		    "unsupported target type: %s", job->target_type);
	if (blank(job->target_config))
		return err_set(e, E_INVALID, "connector init failed: "
		    "the target has no configuration");
	if (target_check_conf(t, job->target_config, e) < 0)
		return err_prefix(e, "%s config validation failed", t->name);
	api_give_up_early(d->api, false);
	rc = target_deploy(a, t, job->target_config, &args, &outcome, e);
	if (rc == 0) {
		log_info("certificate deployed", "job_id", job->id,
		    "certificate_id", job->certificate_id, "target_type",
		    t->name, "outcome", deploy_outcome_name(outcome),
		    "fingerprint", b->leaf->fingerprint, NULL);
		rc = verify(a, t, en, b, e);
	}
	return rc < 0 ? err_prefix(e, "deployment failed") : 0;
}

static int
carry_out(struct desk *d, struct arena *a, struct entry *en, struct err *e)
{
	const struct job *job = &en->job;
	struct bundle b = { 0 };

	if (!safe_id(or_empty(job->certificate_id)))
		return err_set(e, E_INVALID, "key path validation failed: "
		    "the certificate id is not valid");
	if (fetch(d, a, job, &b, e) < 0)
		return -1;
	b.key_pem = keys_for(a, d->conf->key_dir, job->certificate_id,
	    b.leaf->spki_hash, e);
	if (b.key_pem == NULL) {
		e->code = E_INVALID;
		return err_prefix(e, "key read failed");
	}
	if (blank(job->target_type))
		return 0;
	if (install(d, a, en, &b, e) < 0) {
		e->code = E_INVALID;
		return -1;
	}
	return 0;
}

int
deploy_entry(struct desk *d, struct arena *a, struct entry *en, struct err *e)
{
	struct err unreported;

	if (api_status(d->api, a, en->job.id, "Running", NULL, NULL,
	    &unreported) < 0)
		log_err(LOG_WARN, "start not reported", &unreported, "job_id",
		    en->job.id);
	if (carry_out(d, a, en, e) == 0) {
		en->job.result = "Completed";
	} else if (api_final(e)) {
		log_err(LOG_ERROR, "deployment job failed", e, "job_id",
		    en->job.id);
		en->job.result = "Failed";
		en->job.error = arena_strdup(en->a, e->msg);
	} else {
		return -1;
	}
	/* What the connector was told is not needed for a report. */
	en->job.target_config = NULL;
	return journal_store(&d->journal, en, e);
}
