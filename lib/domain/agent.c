#include "domain/agent.h"

#include "auth/keys.h"
#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"

const struct field agent_fields[] = {
	FIELD(struct agent, id, TEXT, F_RO),
	FIELD(struct agent, name, TEXT, F_REQ | F_LINE, 128),
	FIELD(struct agent, hostname, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct agent, status, TEXT, F_RO),
	FIELD(struct agent, last_heartbeat_at, TIME, F_RO | F_OMIT),
	FIELD(struct agent, registered_at, TIME, F_RO),
	FIELD(struct agent, os, TEXT, F_LINE, 100),
	FIELD(struct agent, architecture, TEXT, F_LINE, 100),
	FIELD(struct agent, ip_address, TEXT, F_LINE, 45),
	FIELD(struct agent, version, TEXT, F_LINE, 50),
	FIELD(struct agent, api_key, TEXT, F_RO | F_OMIT),
	FIELD(struct agent, retired_at, TIME, F_RO | F_OMIT),
	FIELD(struct agent, retired_reason, TEXT, F_RO | F_OMIT),
	FIELD_END
};

const struct view agent_view = {
	&list_agents, agent_fields, sizeof(struct agent),
};

const struct view agent_retired_view = {
	&list_agents_retired, agent_fields, sizeof(struct agent),
};

const struct field pulse_fields[] = {
	FIELD(struct pulse, version, TEXT, F_LINE, 50),
	FIELD(struct pulse, hostname, TEXT, F_LINE, 255),
	FIELD(struct pulse, os, TEXT, F_LINE, 100),
	FIELD(struct pulse, architecture, TEXT, F_LINE, 100),
	FIELD(struct pulse, ip_address, TEXT, F_LINE, 45),
	FIELD_END
};

/* Known before an agent exists, and used once. */
static const struct field key_fields[] = {
	FIELD(struct agent, api_key_sha256, TEXT, 0, 64),
	FIELD_END
};

static int
not_found(const char *id, struct err *e)
{
	return err_set(e, E_NOT_FOUND, "agent \"%s\" does not exist", id);
}

static int
gone(struct err *e)
{
	return err_set(e, E_GONE, "Agent has been retired");
}

/* The hash of the agent's key, and the key itself if it is made here. */
static int
choose_key(struct ctx *c, const struct json *body, struct agent *g,
    const char **hash, struct err *e)
{
	if (json_read(c->a, body, key_fields, 0, g, e) < 0)
		return -1;
	if (blank(g->api_key_sha256)) {
		g->api_key = key_make(c->a);
		*hash = key_hash(c->a, g->api_key);
		return 0;
	}
	*hash = lower(c->a, g->api_key_sha256);
	if (strlen(*hash) != 64 || strspn(*hash, "0123456789abcdef") != 64)
		return err_set(e, E_INVALID,
		    "api_key_sha256 must be 64 hex digits");
	return 0;
}

int
agent_register(struct ctx *c, const struct json *body, struct agent *out,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct agent g = { 0 };
	const char *hash;

	if (json_read(c->a, body, agent_fields, 0, &g, e) < 0 ||
	    choose_key(c, body, &g, &hash, e) < 0)
		return -1;
	db_begin(c->db);
	db_add(b, Q_AGENT_INSERT, db_text(id_new(c->a, "agent")),
	    db_text(g.name), db_text(g.hostname), db_str(g.os),
	    db_str(g.architecture), db_str(g.ip_address), db_str(g.version),
	    db_text(hash));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, agent_fields, &g)) {
		err_set(e, E_CONFLICT,
		    "an agent of the name \"%s\" already exists", g.name);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "agent_registered", "agent", g.id, NULL);
	if (ctx_commit(c, b, 201, e) < 0)
		goto fail;
	*out = g;
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
agent_get(struct ctx *c, const char *id, struct agent *out, struct err *e)
{
	struct db_batch *b;

	*out = (struct agent){ 0 };
	if (ctx_read(c, Q_AGENT_GET, &b, e, db_text(id)) < 0)
		return -1;
	return db_take(b, 0, agent_fields, out) ? 0 : not_found(id, e);
}

int
agent_heartbeat(struct ctx *c, const char *id, const struct pulse *p,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct agent g = { 0 };

	db_add(b, Q_AGENT_HEARTBEAT, db_text(id), db_opt(p->version),
	    db_opt(p->hostname), db_opt(p->os), db_opt(p->architecture),
	    db_opt(p->ip_address));
	if (db_run(b, e) < 0)
		return -1;
	if (db_count(b, 0) > 0)
		return 0;
	b = db_batch(c->db, c->a);
	db_add(b, Q_AGENT_GET, db_text(id));
	if (db_run(b, e) < 0)
		return -1;
	return db_take(b, 0, agent_fields, &g) ? gone(e) :
	    not_found(id, e);
}

static const struct field retirement_fields[] = {
	FIELD(struct retirement, retired_at, TIME, 0),
	FIELD(struct retirement, active_targets, INT, 0),
	FIELD(struct retirement, active_certificates, INT, 0),
	FIELD(struct retirement, pending_jobs, INT, 0),
	FIELD_END
};

static int
may_retire(const char *id, bool force, const char *reason,
    const struct retirement *r, struct err *e)
{
	static const char *const reserved[] = { "server-scanner",
	    "cloud-aws-sm", "cloud-azure-kv", "cloud-gcp-sm" };

	for (size_t i = 0; i < NELEM(reserved); i++)
		if (streq(id, reserved[i]))
			return err_set(e, E_FORBIDDEN,
			    "agent \"%s\" is reserved", id);
	if (r->already_retired)
		return 0;
	if (force && blank(reason))
		return err_set(e, E_INVALID, "force needs a reason");
	if (!force && (r->active_targets > 0 || r->active_certificates > 0 ||
	    r->pending_jobs > 0))
		return err_set(e, E_CONFLICT, "the agent has %lld targets, "
		    "%lld certificates and %lld open jobs: retire it with "
		    "force", (long long)r->active_targets,
		    (long long)r->active_certificates,
		    (long long)r->pending_jobs);
	return 0;
}

static char *
retirement_details(struct ctx *c, const struct retirement *r, bool force,
    const char *reason)
{
	struct buf b = BUF(c->a);

	buf_puts(&b, "{\"actor\":");
	json_write_text(&b, or_empty(c->actor.id));
	buf_puts(&b, ",\"reason\":");
	json_write_text(&b, or_empty(reason));
	buf_printf(&b, ",\"force\":%s,\"active_targets\":%lld,"
	    "\"active_certificates\":%lld,\"pending_jobs\":%lld}",
	    force ? "true" : "false", (long long)r->active_targets,
	    (long long)r->active_certificates, (long long)r->pending_jobs);
	return buf_str(&b);
}

int
agent_retire(struct ctx *c, const char *id, bool force, const char *reason,
    struct retirement *out, struct err *e)
{
	struct retirement r = { 0 };
	struct db_batch *b = db_batch(c->db, c->a);
	bool found;

	*out = r;
	db_begin(c->db);
	db_add(b, Q_AGENT_LOCK, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	found = db_take(b, 0, retirement_fields, &r);
	r.already_retired = r.retired_at != 0;
	*out = r;
	if (may_retire(id, force, reason, &r, e) < 0)
		goto fail;
	if (!found) {
		not_found(id, e);
		goto fail;
	}
	if (r.already_retired) {
		db_rollback(c->db);
		return 0;
	}
	b = db_batch(c->db, c->a);
	db_add(b, Q_AGENT_RETIRE, db_text(id), db_str(reason));
	ctx_audit(c, b, "agent_retired", "agent", id,
	    retirement_details(c, &r, force, reason));
	out->cascade = force && (r.active_targets > 0 ||
	    r.active_certificates > 0 || r.pending_jobs > 0);
	if (out->cascade)
		ctx_audit(c, b, "agent_retirement_cascaded", "agent", id,
		    retirement_details(c, &r, force, reason));
	if (ctx_commit(c, b, 200, e) < 0)
		goto fail;
	db_take(b, 0, retirement_fields, out);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}
