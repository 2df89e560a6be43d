#include "domain/connector.h"

#include "base/buf.h"
#include "codec/json.h"
#include "domain/resource.h"
#include "issuer/issuer.h"
#include "target/target.h"
#include "x509/seal.h"

#define MASK "********"

/* Both kinds begin like this; what differs stands behind. */
struct connector {
	const char *id, *name, *type, *config;
	bool enabled;
	int64_t last_tested_at;
	const char *test_status, *source;
	int64_t created_at, updated_at;
	struct bytes sealed;		/* the new one, on its way in */
	const char *masked;
	/* targets */
	const char *agent_id, *retired_reason;
	int64_t retired_at;
	/* issuers */
	const char *hierarchy_mode;
};

#define CONNECTOR_HEAD							\
	FIELD(struct connector, id, TEXT, F_RO),			\
	FIELD(struct connector, name, TEXT, F_REQ | F_LINE, 255),		\
	FIELD(struct connector, type, TEXT, F_REQ, 64)
#define CONNECTOR_TAIL							\
	FIELD(struct connector, config, JSON, 0),			\
	FIELD(struct connector, enabled, BOOL, 0),			\
	FIELD(struct connector, last_tested_at, TIME, F_RO | F_OMIT),	\
	FIELD(struct connector, test_status, TEXT, F_RO | F_OMIT),	\
	FIELD(struct connector, source, TEXT, F_RO | F_OMIT),		\
	FIELD(struct connector, created_at, TIME, F_RO),		\
	FIELD(struct connector, updated_at, TIME, F_RO)

static const struct field issuer_fields[] = {
	CONNECTOR_HEAD,
	CONNECTOR_TAIL,
	FIELD(struct connector, hierarchy_mode, TEXT, F_RO | F_OMIT),
	FIELD_END
};

static const struct field target_fields[] = {
	CONNECTOR_HEAD,
	FIELD(struct connector, agent_id, TEXT, F_REQ, 255),
	CONNECTOR_TAIL,
	FIELD(struct connector, retired_at, TIME, F_RO | F_OMIT),
	FIELD(struct connector, retired_reason, TEXT, F_RO | F_OMIT),
	FIELD_END
};

const char *
config_open(struct ctx *c, struct bytes sealed, const char *plain,
    struct err *e)
{
	struct seal *seal;
	struct bytes text;

	if (sealed.len == 0)
		return blank(plain) ? "{}" : plain;
	seal = ctx_seal(c, e);
	if (seal == NULL || seal_open(seal, c->a, sealed, &text, e) < 0)
		return NULL;
	return (const char *)text.p;
}

static int
config_seal(struct ctx *c, struct connector *k, struct err *e)
{
	struct seal *seal = ctx_seal(c, e);

	if (seal == NULL)
		return -1;
	return seal_close(seal, c->a, k->config, strlen(k->config),
	    &k->sealed, e);
}

/*
 * NEW with every member that reads MASK as STORED has it: what a client that
 * shows the masked copy sends back.
 */
static const char *
unmask(struct ctx *c, const char *new, const char *stored, struct err *e)
{
	struct json *j = json_parse(c->a, new, strlen(new), e);
	struct json *old = json_parse(c->a, stored, strlen(stored), e);
	struct buf b = BUF(c->a);
	const char *name, *text;
	struct json *v;
	bool first = true;

	if (j == NULL || old == NULL)
		return NULL;
	buf_putc(&b, '{');
	for (const void *at = NULL; json_next(j, &at, &name, &v); ) {
		text = json_text(v);
		if (text != NULL && streq(text, MASK))
			v = json_member(c->a, old, name);
		if (v == NULL)
			continue;
		if (!first)
			buf_putc(&b, ',');
		first = false;
		json_write_text(&b, name);
		buf_putc(&b, ':');
		buf_puts(&b, json_print(c->a, v));
	}
	buf_putc(&b, '}');
	return buf_str(&b);
}

/* The stored configuration of the row that is being changed. */
static const char *
stored_config(struct ctx *c, enum query lock, const struct connector *old,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, lock, db_text(old->id));
	if (db_run(b, e) < 0)
		return NULL;
	return config_open(c, db_bytes_at(b, 0, 0, "encrypted_config"),
	    old->config, e);
}

/* A new configuration replaces the stored one but for what is masked in it. */
static int
take_config(struct ctx *c, enum query lock, struct connector *k,
    const struct connector *old, struct err *e)
{
	const char *stored;

	if (blank(k->config))
		k->config = "{}";
	if (old == NULL)
		return 0;
	stored = stored_config(c, lock, old, e);
	if (stored == NULL)
		return -1;
	k->config = k->config == old->config ? stored :
	    unmask(c, k->config, stored, e);
	return k->config == NULL ? -1 : 0;
}

static void
connector_defaults(struct ctx *c, void *obj)
{
	struct connector *k = obj;

	(void)c;
	k->enabled = true;
	k->config = "{}";
}

static int
issuer_check(struct ctx *c, void *obj, const void *old, struct err *e)
{
	struct connector *k = obj;
	const struct connector *was = old;
	const struct issuer_type *t = issuer_type_find(k->type);

	if (t == NULL)
		return err_set(e, E_INVALID, "unsupported issuer type "
		    "\"%.64s\"", k->type);
	k->type = t->name;
	if (was != NULL && !streq(was->type, k->type))
		return err_set(e, E_INVALID,
		    "type of an issuer cannot be changed");
	if (!issuer_type_available(t))
		return err_set(e, E_INVALID, "issuer type %s is not available "
		    "yet", t->name);
	if (take_config(c, Q_ISSUER_LOCK, k, was, e) < 0 ||
	    issuer_check_conf(t, k->config, e) < 0 ||
	    config_seal(c, k, e) < 0)
		return -1;
	k->masked = issuer_redact_conf(c->a, t, k->config);
	k->config = k->masked;
	return 0;
}

static size_t
issuer_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct connector *k = obj;

	(void)c;
	out[0] = db_text(k->id);
	out[1] = db_text(k->name);
	out[2] = db_text(k->type);
	out[3] = db_text(k->masked);
	out[4] = db_bytes(k->sealed);
	out[5] = db_bool(k->enabled);
	return 6;
}

const struct resource resource_issuer = {
	.name = "issuer",
	.verb_name = "issuer",
	.id_prefix = "issuer",
	.view = { &list_issuers, issuer_fields, sizeof(struct connector) },
	.get = Q_ISSUER_GET,
	.lock = Q_ISSUER_LOCK,
	.insert = Q_ISSUER_INSERT,
	.update = Q_ISSUER_UPDATE,
	.delete = Q_ISSUER_DELETE,
	.defaults = connector_defaults,
	.check = issuer_check,
	.args = issuer_args,
};

/* The agent is there and stays until the target is. */
static int
agent_usable(struct ctx *c, const char *id, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_AGENT_USABLE, db_text(id));
	if (db_run(b, e) < 0)
		return -1;
	if (db_count(b, 0) == 0)
		return err_set(e, E_INVALID,
		    "agent_id names no agent, or a retired one");
	return 0;
}

static int
target_check(struct ctx *c, void *obj, const void *old, struct err *e)
{
	struct connector *k = obj;
	const struct connector *was = old;
	const struct target_type *t = target_type_find(k->type);

	if (t == NULL)
		return err_set(e, E_INVALID, "unsupported target type "
		    "\"%.64s\"", k->type);
	if (was != NULL && was->retired_at != 0)
		return err_set(e, E_CONFLICT, "the target is retired");
	if (agent_usable(c, k->agent_id, e) < 0 ||
	    take_config(c, Q_TARGET_LOCK, k, was, e) < 0 ||
	    target_check_conf(t, k->config, e) < 0 ||
	    config_seal(c, k, e) < 0)
		return -1;
	k->masked = target_redact_conf(c->a, t, k->config);
	k->config = k->masked;
	return 0;
}

static size_t
target_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct connector *k = obj;

	(void)c;
	out[0] = db_text(k->id);
	out[1] = db_text(k->name);
	out[2] = db_text(k->type);
	out[3] = db_text(k->agent_id);
	out[4] = db_text(k->masked);
	out[5] = db_bytes(k->sealed);
	out[6] = db_bool(k->enabled);
	return 7;
}

const struct resource resource_target = {
	.name = "target",
	.verb_name = "target",
	.id_prefix = "target",
	.view = { &list_targets, target_fields, sizeof(struct connector) },
	.get = Q_TARGET_GET,
	.lock = Q_TARGET_LOCK,
	.insert = Q_TARGET_INSERT,
	.update = Q_TARGET_UPDATE,
	.delete = Q_TARGET_DELETE,
	.defaults = connector_defaults,
	.check = target_check,
	.args = target_args,
};

int
issuer_test(struct ctx *c, const char *id, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct connector k = { 0 };
	const struct issuer_type *t;
	const char *conf;
	struct err bad;
	bool ok;

	db_begin(c->db);
	db_add(b, Q_ISSUER_LOCK, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, issuer_fields, &k)) {
		err_set(e, E_NOT_FOUND, "issuer \"%s\" does not exist", id);
		goto fail;
	}
	conf = config_open(c, db_bytes_at(b, 0, 0, "encrypted_config"),
	    k.config, e);
	if (conf == NULL)
		goto fail;
	t = issuer_type_find(k.type);
	ok = t != NULL && issuer_check_conf(t, conf, &bad) == 0;
	if (t == NULL)
		err_set(&bad, E_INVALID, "unsupported issuer type");
	b = db_batch(c->db, c->a);
	db_add(b, Q_ISSUER_TESTED, db_text(id),
	    db_text(ok ? "success" : "failed"));
	ctx_audit(c, b, ok ? "issuer_test_connection_success" :
	    "issuer_test_connection_failed", "issuer", id,
	    arena_printf(c->a, "{\"issuer_type\":\"%s\",\"result\":\"%s\"}",
	    t != NULL ? t->name : "", ok ? "success" : "failed"));
	if (ctx_commit(c, b, ok ? 200 : 400, e) < 0)
		goto fail;
	if (!ok)
		*e = bad;
	return ok ? 0 : -1;
fail:
	db_rollback(c->db);
	return -1;
}

static const struct field target_test_fields[] = {
	FIELD(struct target_test, status, TEXT, 0),
	FIELD(struct target_test, message, TEXT, 0),
	FIELD(struct target_test, type, TEXT, 0),
	FIELD(struct target_test, agent_id, TEXT, 0),
	FIELD_END
};

int
target_test(struct ctx *c, const char *id, struct target_test *out,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_begin(c->db);
	db_add(b, Q_TARGET_TESTED, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, target_test_fields, out)) {
		err_set(e, E_NOT_FOUND, "target \"%s\" does not exist", id);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, arena_printf(c->a, "target_test_connection_%s",
	    out->status), "target", id, arena_printf(c->a,
	    "{\"target_type\":\"%s\",\"result\":\"%s\",\"agent_id\":\"%s\"}",
	    out->type, out->status, out->agent_id));
	if (ctx_commit(c, b, 200, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}
