#include "domain/ctx.h"

#include "base/clock.h"
#include "base/log.h"
#include "db/list.h"
#include "x509/digest.h"
#include "x509/seal.h"

enum { CALL_ARGS = 7 };

/* In the order of audited_form() in build-aux/queries.awk. */
static void
call_args(const struct ctx *c, struct db_arg out[CALL_ARGS])
{
	static const struct {
		const char *method, *action;
	} actions[] = {
		{ "GET", "api_get" }, { "POST", "api_post" },
		{ "PUT", "api_put" }, { "DELETE", "api_delete" },
		{ "PATCH", "api_patch" }, { "HEAD", "api_head" },
	};
	const char *action = "api_other";

	for (size_t i = 0; i < NELEM(actions); i++)
		if (streq(c->call.method, actions[i].method))
			action = actions[i].action;
	out[0] = db_str(c->actor.id);
	out[1] = db_text(actor_type(&c->actor));
	out[2] = db_text(action);
	out[3] = db_text(c->call.path);
	out[4] = db_text(c->call.method);
	out[5] = db_text(*c->call.body_len == 0 ? "" : sha256_hex(*c->call.body,
	    *c->call.body_len, arena_alloc(c->a, SHA256_HEX + 1)));
	out[6] = db_int(c->call.started_us / 1000);
}

static bool
to_record(const struct ctx *c)
{
	return c->call.method != NULL && !c->call.recorded && !c->call.quiet;
}

int
ctx_read_args(struct ctx *c, enum query q, struct db_batch **out,
    struct err *e, const struct db_arg *args, size_t n)
{
	struct db_arg call[CALL_ARGS];

	*out = db_batch(c->db, c->a);
	if (to_record(c)) {
		call_args(c, call);
		db_add_audited(*out, q, args, n, call, CALL_ARGS);
	} else {
		db_add_args(*out, q, args, n);
	}
	if (db_run(*out, e) < 0)
		return -1;
	c->call.recorded = true;
	return 0;
}

static void
add_call(struct ctx *c, struct db_batch *b, enum query q, int status)
{
	struct db_arg args[CALL_ARGS + 1];

	call_args(c, args);
	args[CALL_ARGS] = db_int(status);
	db_add_args(b, q, args, CALL_ARGS + 1);
}

int
ctx_read_list(struct ctx *c, const struct list_query *q,
    struct db_batch **out, struct err *e)
{
	*out = db_batch(c->db, c->a);
	db_add_list(*out, q);
	if (to_record(c))
		add_call(c, *out, Q_AUDIT_CALL_LAZY, 200);
	if (db_run(*out, e) < 0)
		return -1;
	c->call.recorded = true;
	return 0;
}

void
ctx_audit(struct ctx *c, struct db_batch *b, const char *action,
    const char *resource_type, const char *resource_id,
    const char *details_json)
{
	static const char *const config_types[] = {
		"issuer", "target", "team", "owner", "certificate_profile",
		"renewal_policy",
	};
	const char *category = "cert_lifecycle";

	for (size_t i = 0; i < NELEM(config_types); i++)
		if (streq(resource_type, config_types[i]))
			category = "config";
	db_add(b, Q_AUDIT_ADD, db_str(c->actor.id),
	    db_text(actor_type(&c->actor)), db_text(action),
	    db_text(resource_type), db_text(resource_id),
	    db_text(details_json != NULL ? details_json : "{}"),
	    db_text(category));
}

int
ctx_commit(struct ctx *c, struct db_batch *b, int status, struct err *e)
{
	if (to_record(c))
		add_call(c, b, Q_AUDIT_CALL, status);
	if (db_run_commit(b, e) < 0)
		return -1;
	c->call.recorded = true;
	return 0;
}

void
ctx_record_call(struct ctx *c, int status)
{
	struct db_batch *b;
	struct err e;

	if (!to_record(c))
		return;
	b = db_batch(c->db, c->a);
	add_call(c, b, Q_AUDIT_CALL_LAZY, status);
	if (db_run(b, &e) < 0)
		log_err(LOG_DEBUG, "a call could not be recorded", &e, "path",
		    c->call.path);
	else
		c->call.recorded = true;
}

struct seal *
ctx_seal(struct ctx *c, struct err *e)
{
	struct db_batch *b;

	if (*c->seal != NULL)
		return *c->seal;
	if (blank(c->set->config_encryption_key)) {
		err_set(e, E_INVALID, "CERTCTL_CONFIG_ENCRYPTION_KEY is not "
		    "set: a configuration cannot be stored");
		return NULL;
	}
	b = db_batch(c->db, c->a);
	db_add_args(b, Q_INSTALLATION_GET, NULL, 0);
	if (db_run(b, e) < 0)
		return NULL;
	*c->seal = seal_new(c->set->config_encryption_key, e);
	if (*c->seal != NULL)
		seal_use_salt(*c->seal, db_bytes_at(b, 0, 0, "seal_salt"));
	return *c->seal;
}
