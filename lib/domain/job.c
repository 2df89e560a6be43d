#include "domain/job.h"

#include <strings.h>

#include "base/buf.h"
#include "codec/json.h"

const struct field job_fields[] = {
	FIELD(struct job, id, TEXT, F_RO),
	FIELD(struct job, type, TEXT, F_RO),
	FIELD(struct job, certificate_id, TEXT, F_RO),
	FIELD(struct job, target_id, TEXT, F_RO | F_OMIT),
	FIELD(struct job, agent_id, TEXT, F_RO | F_OMIT),
	FIELD(struct job, status, TEXT, F_RO),
	FIELD(struct job, attempts, INT, F_RO),
	FIELD(struct job, max_attempts, INT, F_RO),
	FIELD(struct job, last_error, TEXT, F_RO | F_OMIT),
	FIELD(struct job, scheduled_at, TIME, F_RO),
	FIELD(struct job, started_at, TIME, F_RO | F_OMIT),
	FIELD(struct job, completed_at, TIME, F_RO | F_OMIT),
	FIELD(struct job, created_at, TIME, F_RO),
	FIELD(struct job, verification_status, TEXT, F_RO),
	FIELD(struct job, verified_at, TIME, F_RO | F_OMIT),
	FIELD(struct job, verification_error, TEXT, F_RO | F_OMIT),
	FIELD(struct job, verification_fingerprint, TEXT, F_RO | F_OMIT),
	FIELD_END
};

const struct view job_view = { &list_jobs, job_fields, sizeof(struct job) };

const struct field job_verification_fields[] = {
	FIELD(struct job_verification, job_id, TEXT, F_RO),
	FIELD(struct job_verification, target_id, TEXT, F_REQ, 255),
	FIELD(struct job_verification, expected_fingerprint, TEXT, 0, 128),
	FIELD(struct job_verification, actual_fingerprint, TEXT, 0, 128),
	FIELD(struct job_verification, verified, BOOL, 0),
	FIELD(struct job_verification, verified_at, TIME, F_RO),
	FIELD(struct job_verification, error, TEXT, F_OMIT, 65536),
	FIELD_END
};

static int
not_found(const char *id, struct err *e)
{
	return err_set(e, E_NOT_FOUND, "job \"%s\" does not exist", id);
}

int
job_get(struct ctx *c, const char *id, struct job *out, struct err *e)
{
	struct db_batch *b;

	*out = (struct job){ 0 };
	if (ctx_read(c, Q_JOB_GET, &b, e, db_text(id)) < 0)
		return -1;
	return db_take(b, 0, job_fields, out) ? 0 : not_found(id, e);
}

int
job_cancel(struct ctx *c, const char *id, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct job j = { 0 };

	db_begin(c->db);
	db_add(b, Q_JOB_CANCEL, db_text(id));
	db_add(b, Q_JOB_GET, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (db_count(b, 0) == 0) {
		if (!db_take(b, 1, job_fields, &j)) {
			not_found(id, e);
			goto fail;
		}
		err_set(e, E_CONFLICT, "a job that is %s cannot be cancelled",
		    j.status);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "job_cancelled", "job", id, NULL);
	if (ctx_commit(c, b, 200, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}

static char *
verification_details(struct ctx *c, const struct job_verification *v)
{
	struct buf b = BUF(c->a);

	json_write(&b, job_verification_fields, v, NULL);
	return buf_str(&b);
}

int
job_verify(struct ctx *c, struct job_verification *v, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	bool agent = c->actor.kind == ACTOR_AGENT;

	/* A probe that failed, or saw another certificate, is a failure even
	 * if its sender says otherwise. */
	v->verified &= blank(v->error) && !blank(v->actual_fingerprint) &&
	    !blank(v->expected_fingerprint) && strcasecmp(
	    v->actual_fingerprint, v->expected_fingerprint) == 0;
	db_begin(c->db);
	db_add(b, Q_JOB_VERIFY, db_text(v->job_id), db_bool(v->verified),
	    db_str(v->expected_fingerprint), db_str(v->actual_fingerprint),
	    db_str(v->error), db_text(agent ? c->actor.id : NULL),
	    db_text(v->target_id));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, job_verification_fields, v)) {
		err_set(e, E_NOT_FOUND, "job \"%s\" is no deployment to "
		    "target \"%s\"", v->job_id, v->target_id);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, v->verified ? "job_verification_success" :
	    "job_verification_failed", "job", v->job_id,
	    verification_details(c, v));
	if (ctx_commit(c, b, 200, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
job_verification(struct ctx *c, const char *id, struct job_verification *out,
    struct err *e)
{
	struct db_batch *b;

	*out = (struct job_verification){ 0 };
	if (ctx_read(c, Q_JOB_VERIFICATION, &b, e, db_text(id)) < 0)
		return -1;
	return db_take(b, 0, job_verification_fields, out) ? 0 :
	    not_found(id, e);
}
