/* certctl-est: EST (RFC 7030) below /.well-known/est and est-mtls. */
#include <strings.h>

#include "base/log.h"
#include "base/shared.h"
#include "base/text.h"
#include "domain/opened.h"
#include "fcgi/est/est.h"
#include "sign/sign.h"
#include "x509/key.h"
#include "x509/seal.h"

/* A busy or broken server is asked again after so many seconds. */
#define AGAIN_S "5"

static struct {
	const struct settings *set;
	struct db *db;
	struct shared *shared;
	struct seal *seal;
} self;

static const char too_fast[] = "Rate limit exceeded";

struct shared *
est_shared(void)
{
	return self.shared;
}

static struct ctx *
make_ctx(struct arena *a)
{
	struct ctx *c = arena_zalloc(a, sizeof(*c));

	*c = (struct ctx){
		.a = a, .db = self.db, .set = self.set, .seal = &self.seal,
		.actor = { .kind = ACTOR_SYSTEM, .id = "est-client" },
	};
	return c;
}

static int
start(const struct settings *set, struct err *e)
{
	struct arena *a;
	int rc;

	self.set = set;
	self.shared = shared_open(set->run_dir, e);
	if (self.shared == NULL)
		return -1;
	self.db = db_new(set->database_url, "certctl-est");
	sign_use(set->signer_socket);
	/* Those that are made for clients, for as long as that takes. */
	key_guard_memory();
	a = arena_new();
	rc = profiles_open(set, make_ctx(a), e);
	arena_free(a);
	return rc;
}

static void
stop(void)
{
	profiles_close();
	opened_close();
	db_free(self.db);
	seal_free(self.seal);
	shared_close(self.shared);
}

static int
begin(struct web_req *rq, struct web_res *rs, const struct route *r,
    struct err *e)
{
	const struct settings *s = self.set;
	uint64_t key = shared_key("est",
	    or_empty(web_env(rq, "REMOTE_ADDR")));

	(void)rs;
	(void)r;
	rq->ctx = make_ctx(rq->a);
	shared_count(self.shared, COUNT_REQUESTS);
	if (!s->rate_limit_enabled || shared_take(self.shared, key,
	    s->rate_limit_rps, s->rate_limit_burst))
		return 0;
	shared_count(self.shared, COUNT_RATE_LIMITED);
	return err_set(e, E_RATE_LIMITED, "%s", too_fast);
}

static void
end(struct web_req *rq, const struct web_res *rs)
{
	(void)rq;
	(void)rs;
}

static bool
has_header(const struct web_res *rs, const char *name)
{
	for (size_t i = 0; i < rs->n_headers; i++)
		if (streq(rs->header[i].name, name))
			return true;
	return false;
}

/* A line a person can read, or JSON for who asks for it. */
static void
fail(struct web_req *rq, struct web_res *rs, const struct err *e)
{
	const char *accept = or_empty(web_env(rq, "HTTP_ACCEPT"));

	if (e->code == E_RATE_LIMITED && streq(e->msg, too_fast)) {
		web_send_refusal(rs, e);
		return;
	}
	if (strcasestr(accept, "application/json") != NULL) {
		web_send_err(rq, rs, e);
		rs->status = est_status(e->code);
		return;
	}
	if (e->code == E_UNAVAILABLE && !has_header(rs, "Retry-After"))
		web_header(rs, "Retry-After", AGAIN_S);
	web_send_text(rs, est_status(e->code), arena_printf(rs->a, "%s\n",
	    e->msg));
}

int
main(int argc, char **argv)
{
	static const struct route *const tables[] = { est_routes, NULL };
	static const struct responder est = {
		.name = "certctl-est",
		.help = "Answers /.well-known/est and /.well-known/est-mtls: "
		    "EST (RFC 7030).",
		.routes = tables,
		/* Some clients read a reply's head into 1024 octets. */
		.headers = "Cache-Control: no-store\r\n"
		    "X-Content-Type-Options: nosniff\r\n",
		.check = profiles_check,
		.start = start,
		.begin = begin,
		.fail = fail,
		.end = end,
		.stop = stop,
	};

	return web_main(argc, argv, &est);
}
