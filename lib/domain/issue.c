#include "domain/issue.h"

#include "base/clock.h"
#include "base/text.h"
#include "domain/ca_key.h"
#include "domain/directory.h"
#include "domain/opened.h"
#include "domain/work.h"
#include "issuer/issuer.h"
#include "x509/cert.h"
#include "x509/csr.h"

enum { INTENTS_AT_ONCE = 100 };

/* A job or a forgotten intent with all there is to know about it. */
struct issuance {
	const char *job_id, *type, *csr_pem, *agent_id;
	const char *certificate_id, *certificate_status, *common_name;
	struct texts sans;
	struct issuer_row issuer;
	bool issuer_enabled;
	struct profile profile;		/* no id: none */
	int64_t profile_revision;
	const char *intent_serial, *intent_csr_pem, *intent_agent_id;
	struct bytes tbs;		/* of the open intent, or none */
};

static const struct field issuance_fields[] = {
	FIELD(struct issuance, job_id, TEXT, 0),
	FIELD(struct issuance, type, TEXT, 0),
	FIELD(struct issuance, csr_pem, TEXT, 0),
	FIELD(struct issuance, agent_id, TEXT, 0),
	FIELD(struct issuance, certificate_id, TEXT, 0),
	FIELD(struct issuance, certificate_status, TEXT, 0),
	FIELD(struct issuance, common_name, TEXT, 0),
	FIELD(struct issuance, sans, TEXTS, 0),
	ISSUER_FIELDS(struct issuance, issuer),
	FIELD(struct issuance, issuer_enabled, BOOL, 0),
	FIELD_AS(struct issuance, profile.id, "profile_id", TEXT, 0),
	FIELD(struct issuance, profile_revision, INT, 0),
	PROFILE_RULE_FIELDS(struct issuance, profile),
	FIELD(struct issuance, intent_serial, TEXT, 0),
	FIELD(struct issuance, intent_csr_pem, TEXT, 0),
	FIELD(struct issuance, intent_agent_id, TEXT, 0),
	FIELD_END
};

static void
read_issuance(const struct db_batch *b, const struct db_rows *rows, int n,
    struct issuance *out)
{
	*out = (struct issuance){ 0 };
	db_row(rows, n, out);
	out->issuer.encrypted_config = db_bytes_at(b, 0, n,
	    "encrypted_config");
	out->tbs = db_bytes_at(b, 0, n, "tbs");
}

/* *FOUND is false if the job is not WORKER's.  The FIRST look counts as an
 * attempt. */
static int
begin(struct ctx *c, const char *id, const char *worker, bool first,
    struct issuance *out, bool *found, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct db_rows rows;

	db_add(b, Q_ISSUE_BEGIN, db_text(id), db_text(worker), db_int(LEASE_S),
	    db_int(first));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, issuance_fields);
	*found = rows.n > 0;
	if (*found)
		read_issuance(b, &rows, 0, out);
	return 0;
}

static const char *
full_chain(struct arena *a, const struct issued *i)
{
	const char *leaf = i->cert_pem, *rest = or_empty(i->chain_pem);
	size_t n = strlen(leaf);

	return arena_printf(a, "%s%s%s", leaf,
	    n > 0 && leaf[n - 1] == '\n' ? "" : "\n", rest);
}

/*
 * Store what came of the intent in W.  WORKER NULL: no job is to be completed
 * by it.  *COMPLETED tells whether one was.
 */
static int
store(struct ctx *c, const struct issuance *w, const struct issued *issued,
    const char *ca_key_id, const char *worker, bool *completed,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct x509_cert *certs, *leaf;
	size_t n;

	if (certs_from_pem(c->a, issued->cert_pem, &certs, &n, e) < 0)
		return err_prefix(e, "the issued certificate");
	leaf = &certs[0];
	if (!streq(leaf->serial, w->intent_serial))
		return err_set(e, E_UPSTREAM, "the issued certificate has "
		    "serial %s instead of %s", leaf->serial,
		    w->intent_serial);
	db_add(b, Q_ISSUE_STORE, db_text(w->job_id), db_text(worker),
	    db_text(w->certificate_id), db_text(w->issuer.issuer_id),
	    db_text(leaf->serial), db_text(id_new(c->a, "certver")),
	    db_text(w->intent_agent_id), db_time(leaf->not_before),
	    db_time(leaf->not_after), db_text(leaf->fingerprint),
	    db_text(leaf->spki_hash), db_text(full_chain(c->a, issued)),
	    db_text(w->intent_csr_pem), db_text(leaf->key.algorithm),
	    db_int(leaf->key.bits), db_text(id_new(c->a, "job")),
	    db_str(c->actor.id), db_text(actor_type(&c->actor)),
	    db_text(ca_key_id), db_text(id_new(c->a, "rev")));
	if (db_run(b, e) < 0)
		return -1;
	*completed = db_scalar(b, 0) > 0;
	return 0;
}

/* Sign the intent in W, once more if need be, and store the certificate. */
static int
finish(struct ctx *c, struct issuer *issuer, const struct issuance *w,
    const char *worker, bool *completed, struct err *e)
{
	struct issued issued = { 0 };

	if (issuer_finish(issuer, c->a, w->tbs, &issued, e) < 0)
		return -1;
	return store(c, w, &issued, opened_ca_key(issuer), worker, completed,
	    e);
}

static int
read_rules(struct ctx *c, const struct issuance *w, struct profile_rules *out,
    struct err *e)
{
	const struct profile *p = &w->profile;

	if (!p->enabled)
		return err_set(e, E_CONFLICT, "profile \"%s\" is disabled",
		    p->id);
	if (profile_rules(c->a, p, out, e) < 0) {
		e->code = E_CONFLICT;
		return err_prefix(e, "profile \"%s\"", p->id);
	}
	return 0;
}

/* What forbids issuing, whatever the CSR says. */
static int
may_issue(const struct issuance *w, struct err *e)
{
	if (streq(w->certificate_status, "Archived") ||
	    streq(w->certificate_status, "Revoked"))
		return err_set(e, E_CONFLICT, "the certificate is %s",
		    streq(w->certificate_status, "Revoked") ? "revoked" :
		    "archived");
	if (!w->issuer_enabled)
		return err_set(e, E_CONFLICT, "issuer \"%s\" is disabled",
		    w->issuer.issuer_id);
	return 0;
}

/* Decide the certificate; *BAD_CSR tells that another CSR is needed. */
static int
prepare(struct ctx *c, struct issuer *issuer, const struct issuance *w,
    struct issue_intent *out, bool *bad_csr, struct err *e)
{
	struct profile_rules rules;
	struct issue_args args = {
		.common_name = w->common_name,
		.sans = w->sans,
		.now = now_s(),
	};

	ca_key_locations(c, opened_ca_key(issuer), &args);
	if (w->profile.id != NULL) {
		if (read_rules(c, w, &rules, e) < 0)
			return -1;
		args.profile = &rules;
	}
	args.csr = csr_from_pem(c->a, w->csr_pem, e);
	if (args.csr != NULL && issuer_check_csr(args.csr, args.profile,
	    e) == 0 && issuer_prepare(issuer, c->a, &args, out, e) == 0)
		return 0;
	*bad_csr = e->code == E_INVALID;
	return -1;
}

/* Make the intent durable.  *OURS is false if the job is no longer WORKER's. */
static int
promise(struct ctx *c, const struct issuance *w, const char *worker,
    const struct issue_intent *intent, bool *ours, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_INTENT_INSERT, db_text(w->job_id), db_text(worker),
	    db_text(w->issuer.issuer_id), db_text(intent->serial),
	    db_text(w->profile.id), w->profile.id != NULL ?
	    db_int(w->profile_revision) : db_text(NULL),
	    db_bytes(intent->tbs), db_text(intent->tbs_hash),
	    db_text(w->csr_pem));
	if (db_run(b, e) == 0) {
		*ours = db_count(b, 0) > 0;
		return 0;
	}
	/* An intent that another holder of the job opened a moment ago. */
	*ours = false;
	return e->code == E_CONFLICT ? 0 : -1;
}

/* A new certificate for the job in W. */
static int
issue_new(struct ctx *c, struct issuance *w, const char *worker,
    struct issue_outcome *out, bool *bad_csr, struct err *e)
{
	struct issue_intent intent = { 0 };
	struct issuer *issuer;
	bool ours = false;

	if (may_issue(w, e) < 0)
		return -1;
	issuer = opened_get(c, &w->issuer, e);
	if (issuer == NULL ||
	    prepare(c, issuer, w, &intent, bad_csr, e) < 0 ||
	    promise(c, w, worker, &intent, &ours, e) < 0)
		return -1;
	if (!ours)
		return 0;
	w->tbs = intent.tbs;
	w->intent_serial = intent.serial;
	w->intent_csr_pem = w->csr_pem;
	w->intent_agent_id = w->agent_id;
	out->serial = intent.serial;
	if (finish(c, issuer, w, worker, &ours, e) < 0)
		return -1;
	if (ours)
		out->end = ISSUE_DONE;
	return 0;
}

/*
 * What an earlier holder of the job promised.  If it was for another CSR, its
 * key is given up by now: the certificate is stored, the job goes on.
 */
static int
issue_promised(struct ctx *c, const struct issuance *w, const char *worker,
    struct issue_outcome *out, bool *go_on, struct err *e)
{
	struct issuer *issuer = opened_get(c, &w->issuer, e);
	bool same = streq(w->intent_csr_pem, w->csr_pem), completed;

	if (issuer == NULL || finish(c, issuer, w, same ? worker : NULL,
	    &completed, e) < 0)
		return -1;
	if (completed) {
		out->serial = w->intent_serial;
		out->end = ISSUE_DONE;
	}
	*go_on = !same;
	return 0;
}

/* Record the failure, if the job is still WORKER's. */
static int
fail(struct ctx *c, const char *id, const char *worker, bool bad_csr,
    struct issue_outcome *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_begin(c->db);
	db_add(b, Q_ISSUE_FAILING, db_text(id), db_text(worker),
	    db_bool(bad_csr));
	if (db_run(b, e) < 0)
		goto out;
	if (db_count(b, 0) == 0) {
		db_rollback(c->db);
		return 0;
	}
	b = db_batch(c->db, c->a);
	db_add(b, Q_JOB_REPORT_FAILED, db_text(id), db_text(out->why.msg));
	db_add(b, Q_ISSUE_FAILED, db_text(id), db_str(c->actor.id),
	    db_text(actor_type(&c->actor)));
	if (db_run_commit(b, e) < 0)
		goto out;
	out->end = ISSUE_FAILED;
	return 0;
out:
	db_rollback(c->db);
	return -1;
}

int
issue_job(struct ctx *c, const char *id, const char *worker,
    struct issue_outcome *out, struct err *e)
{
	bool found, first = true, bad_csr = false, go_on = true;
	struct issuance w;
	int rc = 0;

	*out = (struct issue_outcome){ .end = ISSUE_GONE };
	while (rc == 0 && go_on) {
		if (begin(c, id, worker, first, &w, &found, e) < 0)
			return -1;
		first = false;
		if (!found)
			return 0;
		out->certificate_id = w.certificate_id;
		go_on = false;
		rc = w.tbs.len > 0 ?
		    issue_promised(c, &w, worker, out, &go_on, &out->why) :
		    issue_new(c, &w, worker, out, &bad_csr, &out->why);
	}
	if (rc == 0)
		return 0;
	/* If it is the database, this fails too. */
	if (out->why.code == E_UNAVAILABLE) {
		if (work_postpone(c, id, worker, e) < 0)
			return -1;
		out->end = ISSUE_WAITS;
		return 0;
	}
	return fail(c, id, worker, bad_csr, out, e);
}

int
issue_open_intents(struct ctx *c, int64_t age_s, int64_t *n, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct issuer *issuer;
	struct issuance w;
	struct db_rows rows;
	bool completed;
	int rc = 0;

	*n = 0;
	db_add(b, Q_INTENTS_OPEN, db_int(age_s), db_int(INTENTS_AT_ONCE));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, issuance_fields);
	for (int i = 0; i < rows.n; i++) {
		read_issuance(b, &rows, i, &w);
		issuer = opened_get(c, &w.issuer, e);
		if (issuer != NULL && finish(c, issuer, &w, NULL, &completed,
		    e) == 0) {
			(*n)++;
			continue;
		}
		rc = err_prefix(e, "serial %s", w.intent_serial);
		if (e->code == E_UNAVAILABLE)
			break;
	}
	return rc;
}
