/* certctl-api: /api/v1, /health and /ready behind the web server. */
#include "auth/keys.h"
#include "auth/permission.h"
#include "base/log.h"
#include "base/shared.h"
#include "fcgi/api/api.h"
#include "x509/digest.h"
#include "x509/seal.h"

static struct {
	const struct settings *set;
	struct db *db;
	struct keys *keys;
	struct shared *shared;
	struct seal *seal;
} self;

static struct keys *
open_keys(const struct settings *set, struct err *e)
{
	struct keys_conf keys = {
		.auth_type = set->auth_type,
		.named = set->api_keys_named,
		.secrets = set->auth_secret,
	};

	return keys_new(&keys, e);
}

static int
check(const struct settings *set, struct err *e)
{
	struct keys *keys;

	if (blank(set->agent_bootstrap_token) &&
	    set->agent_bootstrap_token_deny_empty)
		return err_set(e, E_INVALID, "CERTCTL_AGENT_BOOTSTRAP_TOKEN is "
		    "not set: set it, or let anyone register agents with "
		    "CERTCTL_AGENT_BOOTSTRAP_TOKEN_DENY_EMPTY=false");
	keys = open_keys(set, e);
	if (keys == NULL)
		return -1;
	keys_free(keys);
	return 0;
}

static int
start(const struct settings *set, struct err *e)
{
	self.set = set;
	self.keys = open_keys(set, e);
	if (self.keys == NULL)
		return -1;
	self.shared = shared_open(set->run_dir, e);
	if (self.shared == NULL)
		return -1;
	self.db = db_new(set->database_url, "certctl-api");
	if (streq(set->auth_type, "none"))
		log_warn("CERTCTL_AUTH_TYPE is none: anyone may do anything "
		    "but what is reserved to admins", NULL);
	if (blank(set->config_encryption_key))
		log_warn("CERTCTL_CONFIG_ENCRYPTION_KEY is not set: issuers "
		    "and targets cannot be stored", NULL);
	return 0;
}

static void
stop(void)
{
	db_free(self.db);
	keys_free(self.keys);
	seal_free(self.seal);
	shared_close(self.shared);
}

/* The bucket of who asks: the key's own, or the address without a valid one. */
struct bucket {
	uint64_t key;
	double rps;
	int64_t burst;
};

static struct bucket
bucket_of(const struct web_req *rq, const struct actor *actor)
{
	const struct settings *s = self.set;
	struct bucket b = {
		.rps = s->rate_limit_rps, .burst = s->rate_limit_burst,
	};

	if (actor->kind != ACTOR_OPERATOR && actor->kind != ACTOR_AGENT) {
		b.key = shared_key("addr",
		    or_empty(web_env(rq, "REMOTE_ADDR")));
		return b;
	}
	b.key = shared_key(actor_type(actor), actor->id);
	if (s->rate_limit_per_user_rps > 0)
		b.rps = s->rate_limit_per_user_rps;
	if (s->rate_limit_per_user_burst > 0)
		b.burst = s->rate_limit_per_user_burst;
	return b;
}

static int
take_token(const struct web_req *rq, const struct actor *actor,
    struct err *e)
{
	struct bucket b = bucket_of(rq, actor);

	if (!self.set->rate_limit_enabled ||
	    shared_take(self.shared, b.key, b.rps, b.burst))
		return 0;
	shared_count(self.shared, COUNT_RATE_LIMITED);
	return err_set(e, E_RATE_LIMITED, "Rate limit exceeded");
}

/* Who asks; nobody, with the reason in E, if that does not show. */
static int
authenticate(struct web_req *rq, struct actor *actor, struct err *e)
{
	const struct actor nobody = { .kind = ACTOR_NOBODY };
	struct bucket b = bucket_of(rq, &nobody);
	bool may_ask = !self.set->rate_limit_enabled ||
	    shared_has(self.shared, b.key, b.rps, b.burst);

	if (keys_find(self.keys, rq->a, self.db,
	    web_env(rq, "HTTP_AUTHORIZATION"), may_ask, actor, e) == 0)
		return 0;
	*actor = nobody;
	return -1;
}

static struct ctx *
make_ctx(struct web_req *rq)
{
	struct ctx *c = arena_zalloc(rq->a, sizeof(*c));

	*c = (struct ctx){
		.a = rq->a,
		.db = self.db,
		.set = self.set,
		.seal = &self.seal,
		.call = {
			.method = rq->method_name,
			.path = rq->path,
			.body = &rq->body,
			.body_len = &rq->body_len,
			.started_us = rq->started_us,
			.quiet = true,	/* until it passed the door */
		},
	};
	return c;
}

static int
begin(struct web_req *rq, struct web_res *rs, const struct route *r,
    struct err *e)
{
	struct ctx *c = rq->ctx = make_ctx(rq);
	struct err why = { 0 };
	bool open = r != NULL && r->permission == NULL;
	int rc = 0;

	(void)rs;
	shared_count(self.shared, COUNT_REQUESTS);
	if (!open || web_env(rq, "HTTP_AUTHORIZATION") != NULL)
		rc = authenticate(rq, &c->actor, &why);
	if ((rc == 0 || why.code == E_UNAUTHORIZED) &&
	    take_token(rq, &c->actor, e) < 0)
		return -1;
	if (open)
		return 0;
	if (rc < 0) {
		*e = why;
		return -1;
	}
	c->call.quiet = false;
	if (r != NULL && r->permission != web_any_actor &&
	    !permission_held(&c->actor, r->permission))
		return err_set(e, E_FORBIDDEN, "Insufficient permissions");
	return 0;
}

static void
end(struct web_req *rq, const struct web_res *rs)
{
	struct ctx *c = rq->ctx;

	if (!c->call.recorded)
		ctx_record_call(c, rs->status);
}

int
api_is_agent(const struct web_req *rq, const char *id, struct err *e)
{
	const struct actor *actor = &rq->ctx->actor;

	if (actor->admin ||
	    (actor->kind == ACTOR_AGENT && streq(actor->id, id)))
		return 0;
	return err_set(e, E_FORBIDDEN, "this key does not act for agent "
	    "\"%s\"", id);
}

/* Equal by digest, so that neither length nor content shows in the time. */
static bool
same_secret(const char *a, const char *b)
{
	unsigned char x[SHA256_LEN], y[SHA256_LEN];

	sha256(a, strlen(a), x);
	sha256(b, strlen(b), y);
	return const_time_eq(x, y, SHA256_LEN);
}

int
api_may_register(const struct web_req *rq, struct err *e)
{
	static const char scheme[] = "Bearer ";
	const char *want = self.set->agent_bootstrap_token;
	const char *got = web_env(rq, "HTTP_X_CERTCTL_BOOTSTRAP_TOKEN");
	const char *authorization = web_env(rq, "HTTP_AUTHORIZATION");
	struct ctx *c = rq->ctx;

	if (c->actor.admin)
		goto yes;
	if (blank(got) && !blank(authorization) &&
	    strncmp(authorization, scheme, strlen(scheme)) == 0)
		got = authorization + strlen(scheme);
	if (!blank(want) && (blank(got) || !same_secret(want, got)))
		return err_set(e, E_UNAUTHORIZED,
		    "invalid_or_missing_bootstrap_token");
	c->actor = (struct actor){ .kind = ACTOR_SYSTEM, .id = "bootstrap" };
yes:
	c->call.quiet = false;
	return 0;
}

void
api_count_heartbeat(void)
{
	shared_count(self.shared, COUNT_HEARTBEATS);
}

void
api_count_empty_poll(void)
{
	shared_count(self.shared, COUNT_EMPTY_POLLS);
}

int64_t
api_tallied(uint64_t key)
{
	return shared_tallied(self.shared, key);
}

int
api_database_ready(struct err *e)
{
	return db_ready(self.db, e);
}

int
main(int argc, char **argv)
{
	static const struct route *const tables[] = {
		system_routes, certificate_routes, agent_routes, job_routes,
		directory_routes, audit_routes, publication_routes,
		est_admin_routes, NULL,
	};
	static const struct responder api = {
		.name = "certctl-api",
		.help = "Answers /api/v1, /health and /ready.",
		.routes = tables,
		.check = check,
		.start = start,
		.begin = begin,
		.end = end,
		.stop = stop,
	};

	return web_main(argc, argv, &api);
}
