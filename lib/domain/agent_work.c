/* What an agent pulls and reports: work, CSRs, certificates, outcomes. */
#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "db/queries.h"
#include "domain/agent.h"
#include "domain/connector.h"
#include "domain/directory.h"
#include "issuer/issuer.h"
#include "x509/csr.h"

/* An agent that took a deployment and died loses it after this long. */
enum { LEASE_S = 300 };

struct work_item {
	int64_t part;		/* 0: the agent has nothing to do */
	const char *id, *type, *certificate_id, *status;
	const char *common_name;
	struct texts sans;
	const char *key_algorithm;
	int64_t key_size;
	const char *target_id, *target_type, *target_config, *fingerprint;
	/* not sent */
	const char *allowed_key_algorithms, *agent_id;
	int64_t retired_at, poll_seconds;
};

static const struct field work_row_fields[] = {
	FIELD(struct work_item, part, INT, 0),
	FIELD(struct work_item, id, TEXT, 0),
	FIELD(struct work_item, type, TEXT, 0),
	FIELD(struct work_item, certificate_id, TEXT, 0),
	FIELD(struct work_item, status, TEXT, 0),
	FIELD(struct work_item, common_name, TEXT, 0),
	FIELD(struct work_item, sans, TEXTS, 0),
	FIELD(struct work_item, target_id, TEXT, 0),
	FIELD(struct work_item, target_type, TEXT, 0),
	FIELD(struct work_item, fingerprint, TEXT, 0),
	FIELD(struct work_item, allowed_key_algorithms, JSONS, 0),
	FIELD(struct work_item, agent_id, TEXT, 0),
	FIELD(struct work_item, retired_at, TIME, 0),
	FIELD(struct work_item, poll_seconds, INT, 0),
	FIELD_END
};

static const struct field work_item_fields[] = {
	FIELD(struct work_item, id, TEXT, 0),
	FIELD(struct work_item, type, TEXT, 0),
	FIELD(struct work_item, certificate_id, TEXT, 0),
	FIELD(struct work_item, status, TEXT, 0),
	FIELD(struct work_item, common_name, TEXT, F_OMIT),
	FIELD(struct work_item, sans, TEXTS, F_OMIT),
	FIELD(struct work_item, key_algorithm, TEXT, F_OMIT),
	FIELD(struct work_item, key_size, INT, F_OMIT),
	FIELD(struct work_item, target_id, TEXT, F_OMIT),
	FIELD(struct work_item, target_type, TEXT, F_OMIT),
	FIELD(struct work_item, target_config, JSON, F_OMIT),
	FIELD(struct work_item, fingerprint, TEXT, F_OMIT),
	FIELD_END
};

/* The first key type of the profile that agents make, at a size they make. */
static void
choose_key(struct ctx *c, struct work_item *w)
{
	static const struct key_type made[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "RSA", 2048 },
		{ "RSA", 3072 }, { "RSA", 4096 },
	};
	struct profile p = {
		.allowed_key_algorithms = w->allowed_key_algorithms,
	};
	struct profile_rules rules;
	struct err ignored;

	w->key_algorithm = made[0].algorithm;
	w->key_size = made[0].bits;
	if (profile_rules(c->a, &p, &rules, &ignored) < 0)
		return;
	for (size_t i = 0; i < rules.n_keys; i++)
		for (size_t k = 0; k < NELEM(made); k++)
			if (streq(made[k].algorithm, rules.keys[i].algorithm) &&
			    made[k].bits >= rules.keys[i].min_size) {
				w->key_algorithm = made[k].algorithm;
				w->key_size = made[k].bits;
				return;
			}
}

static int
write_item(struct ctx *c, struct work_item *w, struct bytes sealed,
    struct buf *out, struct err *e)
{
	if (streq(w->status, "AwaitingCSR"))
		choose_key(c, w);
	if (!blank(w->target_id)) {
		w->target_config = config_open(c, sealed, NULL, e);
		if (w->target_config == NULL)
			return -1;
	}
	json_write(out, work_item_fields, w, NULL);
	return 0;
}

int
agent_work(struct ctx *c, const char *id, char **json, size_t *n,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct buf out = BUF(c->a);
	struct work_item w;
	struct db_rows rows;

	*n = 0;
	db_add(b, Q_AGENT_WORK, db_text(id), db_int(LEASE_S));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, work_row_fields);
	if (rows.n == 0)
		return err_set(e, E_NOT_FOUND, "agent \"%s\" does not exist",
		    id);
	buf_puts(&out, "{\"jobs\":[");
	for (int i = 0; i < rows.n; i++) {
		w = (struct work_item){ 0 };
		db_row(&rows, i, &w);
		if (w.retired_at != 0)
			return err_set(e, E_GONE, "Agent has been retired");
		if (w.part == 0)
			break;
		if (i > 0)
			buf_putc(&out, ',');
		if (write_item(c, &w, db_bytes_at(b, 0, i,
		    "encrypted_config"), &out, e) < 0)
			return -1;
		(*n)++;
	}
	buf_printf(&out, "],\"count\":%zu,\"poll_seconds\":%lld}", *n,
	    (long long)w.poll_seconds);
	*json = buf_str(&out);
	return 0;
}

struct csr_row {
	int64_t retired_at;
	const char *hostname, *certificate_id, *job_id;
	const char *certificate_profile_id, *common_name;
	struct texts sans;
	struct profile profile;
};

static const struct field csr_row_fields[] = {
	FIELD(struct csr_row, retired_at, TIME, 0),
	FIELD(struct csr_row, hostname, TEXT, 0),
	FIELD(struct csr_row, certificate_id, TEXT, 0),
	FIELD(struct csr_row, job_id, TEXT, 0),
	FIELD(struct csr_row, certificate_profile_id, TEXT, 0),
	FIELD(struct csr_row, common_name, TEXT, 0),
	FIELD(struct csr_row, sans, TEXTS, 0),
	PROFILE_RULE_FIELDS(struct csr_row, profile),
	FIELD_END
};

/* The job a CSR of this agent answers, or why there is none. */
static int
find_csr_job(struct ctx *c, const char *id, const char *certificate_id,
    struct csr_row *row, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	*row = (struct csr_row){ 0 };
	db_add(b, Q_AGENT_CSR_JOB, db_text(id), db_text(certificate_id));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, csr_row_fields, row))
		return err_set(e, E_NOT_FOUND, "agent \"%s\" does not exist",
		    id);
	if (row->retired_at != 0)
		return err_set(e, E_GONE, "Agent has been retired");
	if (blank(certificate_id))
		return 0;
	if (row->certificate_id == NULL)
		return err_set(e, E_NOT_FOUND, "certificate \"%s\" is none of "
		    "this agent's", certificate_id);
	if (row->job_id == NULL)
		return err_set(e, E_CONFLICT,
		    "no job of this agent waits for a CSR of \"%s\"",
		    certificate_id);
	return 0;
}

/* Fails closed: a disabled profile or one with broken rules allows nothing. */
static int
check_csr(struct ctx *c, const struct csr_row *row, const char *pem,
    struct err *e)
{
	struct csr *csr = csr_from_pem(c->a, pem, e);
	struct profile_rules rules;

	if (csr == NULL || (row->certificate_id != NULL &&
	    issuer_check_names(c->a, csr, row->common_name, &row->sans,
	    e) < 0))
		return -1;
	if (blank(row->certificate_profile_id))
		return issuer_check_csr(csr, NULL, e);
	if (!row->profile.enabled)
		return err_set(e, E_INVALID, "profile \"%s\" is disabled",
		    row->certificate_profile_id);
	if (profile_rules(c->a, &row->profile, &rules, e) < 0)
		return -1;
	return issuer_check_csr(csr, &rules, e);
}

static char *
csr_details(struct ctx *c, const struct csr_row *row)
{
	struct buf b = BUF(c->a);

	buf_puts(&b, "{\"agent_hostname\":");
	json_write_text(&b, or_empty(row->hostname));
	buf_puts(&b, ",\"keygen_mode\":\"agent\",\"job_id\":");
	json_write_text(&b, or_empty(row->job_id));
	buf_putc(&b, '}');
	return buf_str(&b);
}

int
agent_csr(struct ctx *c, const char *id, const char *certificate_id,
    const char *csr_pem, struct err *e)
{
	struct csr_row row;
	struct db_batch *b;

	if (find_csr_job(c, id, certificate_id, &row, e) < 0 ||
	    check_csr(c, &row, csr_pem, e) < 0)
		return -1;
	b = db_batch(c->db, c->a);
	db_begin(c->db);
	if (row.job_id != NULL) {
		db_add(b, Q_AGENT_CSR_STORE, db_text(row.job_id),
		    db_text(csr_pem), db_text(id));
		if (db_run(b, e) < 0)
			goto fail;
		if (db_count(b, 0) == 0) {
			err_set(e, E_CONFLICT, "another CSR came first");
			goto fail;
		}
		b = db_batch(c->db, c->a);
	}
	ctx_audit(c, b, "csr_submitted", "certificate",
	    or_empty(certificate_id), csr_details(c, &row));
	if (ctx_commit(c, b, 202, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}

struct pickup {
	const char *pem_chain, *serial_number;
};

static const struct field pickup_fields[] = {
	FIELD(struct pickup, pem_chain, TEXT, 0),
	FIELD(struct pickup, serial_number, TEXT, 0),
	FIELD_END
};

int
agent_certificate(struct ctx *c, const char *id, const char *certificate_id,
    const char **pem, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct pickup row;

	db_add(b, Q_AGENT_CERTIFICATE, db_text(id), db_text(certificate_id));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, pickup_fields, &row))
		return err_set(e, E_NOT_FOUND,
		    "certificate \"%s\" has nothing for this agent",
		    certificate_id);
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "certificate_retrieved", "certificate",
	    certificate_id, arena_printf(c->a, "{\"version\":\"%s\"}",
	    row.serial_number));
	if (ctx_commit(c, b, 200, e) < 0)
		return -1;
	*pem = row.pem_chain;
	return 0;
}

const struct field job_report_fields[] = {
	FIELD(struct job_report, status, TEXT, F_REQ, 32),
	FIELD(struct job_report, error, TEXT, 0, 65536),
	FIELD_END
};

struct reported_job {
	const char *id, *type, *certificate_id, *status;
};

static const struct field reported_job_fields[] = {
	FIELD(struct reported_job, id, TEXT, 0),
	FIELD(struct reported_job, type, TEXT, 0),
	FIELD(struct reported_job, certificate_id, TEXT, 0),
	FIELD(struct reported_job, status, TEXT, 0),
	FIELD_END
};

/* What a report does to a job in the state it was found in. */
static const struct transition {
	const char *report, *from;
	enum query query;
	bool with_error, with_lease;
} transitions[] = {
	{ "Running", "Running", Q_JOB_REPORT_RUNNING, false, true },
	{ "Completed", "Running", Q_JOB_REPORT_COMPLETED, false, false },
	{ "Failed", "Running", Q_JOB_REPORT_FAILED, true, false },
	{ "Failed", "AwaitingCSR", Q_JOB_REPORT_FAILED, true, false },
};

static const struct transition *
transition_of(const char *report, const char *from)
{
	for (size_t i = 0; i < NELEM(transitions); i++)
		if (streq(transitions[i].report, report) &&
		    (from == NULL || streq(transitions[i].from, from)))
			return &transitions[i];
	return NULL;
}

static void
add_transition(struct db_batch *b, const struct transition *t,
    const char *job_id, const struct job_report *r)
{
	if (t->with_error)
		db_add(b, t->query, db_text(job_id), db_str(r->error));
	else if (t->with_lease)
		db_add(b, t->query, db_text(job_id), db_int(LEASE_S));
	else
		db_add(b, t->query, db_text(job_id));
}

static char *
report_details(struct ctx *c, const struct job_report *r)
{
	struct buf b = BUF(c->a);

	json_write(&b, job_report_fields, r, NULL);
	return buf_str(&b);
}

int
agent_report(struct ctx *c, const char *id, const char *job_id,
    struct job_report *r, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	const struct transition *t;
	struct reported_job j;

	if (transition_of(r->status, NULL) == NULL)
		return err_set(e, E_INVALID,
		    "status must be Running, Completed or Failed");
	db_begin(c->db);
	db_add(b, Q_JOB_REPORT_LOCK, db_text(job_id), db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, reported_job_fields, &j)) {
		err_set(e, E_NOT_FOUND, "job \"%s\" is none of this agent's",
		    job_id);
		goto fail;
	}
	t = transition_of(r->status, j.status);
	if (t == NULL && !streq(r->status, j.status)) {
		err_set(e, E_CONFLICT, "a job that is %s cannot become %s",
		    j.status, r->status);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	if (t != NULL)
		add_transition(b, t, job_id, r);
	ctx_audit(c, b, "job_status_reported", "job", job_id,
	    report_details(c, r));
	db_add(b, Q_DEPLOYMENTS_OUTSTANDING, db_text(j.certificate_id),
	    db_text(id));
	if (ctx_commit(c, b, 200, e) < 0)
		goto fail;
	r->pending_deployments = db_scalar(b, t != NULL ? 2 : 1);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}
