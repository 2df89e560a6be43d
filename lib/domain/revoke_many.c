#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "domain/revoke.h"

enum {
	AT_ONCE = 500,
	IDS_MAX = 10000,
};

const struct field revoke_criteria_fields[] = {
	FIELD(struct revoke_criteria, reason, TEXT, 0, 64),
	FIELD(struct revoke_criteria, profile_id, TEXT, 0, 255),
	FIELD(struct revoke_criteria, owner_id, TEXT, 0, 255),
	FIELD(struct revoke_criteria, agent_id, TEXT, 0, 255),
	FIELD(struct revoke_criteria, issuer_id, TEXT, 0, 255),
	FIELD(struct revoke_criteria, team_id, TEXT, 0, 255),
	FIELD(struct revoke_criteria, certificate_ids, TEXTS, 0, IDS_MAX),
	FIELD_END
};

struct match {
	const char *id, *status;
	bool alive;
};

static const struct field match_fields[] = {
	FIELD(struct match, id, TEXT, 0),
	FIELD(struct match, status, TEXT, 0),
	FIELD(struct match, alive, BOOL, 0),
	FIELD_END
};

static void
count(struct ctx *c, const struct match *m, struct revoke_totals *out)
{
	out->matched++;
	if (streq(m->status, "Revoked") || streq(m->status, "Archived")) {
		out->skipped++;
	} else if (m->alive) {
		out->revoked++;
	} else {
		texts_add(c->a, &out->failed, m->id);
	}
}

static const struct field id_fields[] = {
	FIELD(struct match, id, TEXT, 0),
	FIELD_END
};

/* The next of them after AFTER, locked until the transaction ends. */
static int
lock(struct ctx *c, const struct revoke_criteria *in, const char *after,
    struct texts *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct match m = { 0 };
	struct db_rows rows;

	db_add(b, Q_REVOKE_MANY_LOCK, db_text("EST"), db_opt(in->profile_id),
	    db_opt(in->owner_id), db_opt(in->issuer_id), db_opt(in->team_id),
	    db_opt(in->agent_id), in->certificate_ids.n > 0 ?
	    db_texts(&in->certificate_ids) : db_text(NULL), db_text(after),
	    db_int(AT_ONCE));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, id_fields);
	for (int i = 0; i < rows.n; i++) {
		db_row(&rows, i, &m);
		texts_add(c->a, out, m.id);
	}
	return 0;
}

/* One transaction: the next of them after *AFTER; how many there were. */
static int
step(struct ctx *c, const struct revoke_criteria *in, int64_t debounce_s,
    const char **after, struct revoke_totals *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct texts ids = { 0 };
	struct match m;
	struct db_rows rows;

	db_begin(c->db);
	if (lock(c, in, *after, &ids, e) < 0)
		goto fail;
	db_add(b, Q_REVOKE_MANY, db_texts(&ids), db_text(in->reason),
	    db_str(c->actor.id), db_int(debounce_s),
	    db_text(id_new(c->a, "rev")), db_text(actor_type(&c->actor)));
	if (db_run_commit(b, e) < 0)
		goto fail;
	rows = db_rows(b, 0, match_fields);
	for (int i = 0; i < rows.n; i++) {
		m = (struct match){ 0 };
		db_row(&rows, i, &m);
		count(c, &m, out);
		*after = m.id;
	}
	return rows.n;
fail:
	db_rollback(c->db);
	return -1;
}

static void
put(struct buf *b, const char *name, const char *value)
{
	if (blank(value))
		return;
	buf_printf(b, "\"%s\":", name);
	json_write_text(b, value);
	buf_putc(b, ',');
}

static const char *
details(struct ctx *c, const struct revoke_criteria *in,
    const struct revoke_totals *t)
{
	struct buf b = BUF(c->a), ids = BUF(c->a);

	for (size_t i = 0; i < in->certificate_ids.n; i++)
		buf_printf(&ids, "%s%s", i > 0 ? "," : "",
		    in->certificate_ids.v[i]);
	buf_putc(&b, '{');
	put(&b, "reason", in->reason);
	put(&b, "profile_id", in->profile_id);
	put(&b, "owner_id", in->owner_id);
	put(&b, "agent_id", in->agent_id);
	put(&b, "issuer_id", in->issuer_id);
	put(&b, "team_id", in->team_id);
	put(&b, "certificate_ids", buf_str(&ids));
	buf_printf(&b, "\"source\":\"EST\",\"total_matched\":%lld,"
	    "\"total_revoked\":%lld,\"total_skipped\":%lld,"
	    "\"total_failed\":%zu}", (long long)t->matched,
	    (long long)t->revoked, (long long)t->skipped, t->failed.n);
	return buf_str(&b);
}

int
enrolled_revoke(struct ctx *c, const struct revoke_criteria *in,
    struct revoke_totals *out, struct err *e)
{
	int64_t debounce_s = blank(in->reason) ? -1 :
	    revocation_debounce_s(c, in->reason);
	struct revoke_totals t = { 0 };
	struct db_batch *b;
	const char *after = "";
	int n;

	if (debounce_s < 0)
		return err_set(e, E_INVALID, "a reason of RFC 5280 is needed "
		    "to revoke for");
	if (blank(in->profile_id) && blank(in->owner_id) &&
	    blank(in->agent_id) && blank(in->issuer_id) &&
	    blank(in->team_id) && in->certificate_ids.n == 0)
		return err_set(e, E_INVALID, "at least one criterion is "
		    "needed");
	do {
		n = step(c, in, debounce_s, &after, &t, e);
	} while (n == AT_ONCE);
	if (n < 0)
		return -1;
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "est_bulk_revoke", "certificate", "bulk",
	    details(c, in, &t));
	if (ctx_commit(c, b, 200, e) < 0)
		return -1;
	*out = t;
	return 0;
}
