/* certctl-pki: CRLs, OCSP and CA certificates below /.well-known/pki. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/shared.h"
#include "base/stash.h"
#include "base/text.h"
#include "domain/publish.h"
#include "web/web.h"
#include "x509/seal.h"

enum {
	FRONT_S = 60,
	TAG_LEN = 16,		/* octets of a signature, which is longer */
};

static struct {
	const struct settings *set;
	struct db *db;
	struct shared *shared;
	struct stash *stash;
	struct seal *seal;
	struct publisher *publisher;
} self;

static int
check(const struct settings *set, struct err *e)
{
	if (blank(set->config_encryption_key))
		return err_set(e, E_INVALID, "CERTCTL_CONFIG_ENCRYPTION_KEY is "
		    "not set: it opens the keys of the OCSP responders");
	return 0;
}

static int
start(const struct settings *set, struct err *e)
{
	self.set = set;
	self.shared = shared_open(set->run_dir, e);
	if (self.shared == NULL)
		return -1;
	self.stash = stash_open(set->run_dir, e);
	if (self.stash == NULL)
		return -1;
	self.db = db_new(set->database_url, "certctl-pki");
	self.publisher = publisher_new(self.stash);
	return 0;
}

static void
stop(void)
{
	publisher_free(self.publisher);
	db_free(self.db);
	seal_free(self.seal);
	stash_close(self.stash);
	shared_close(self.shared);
}

static const char *
address(const struct web_req *rq)
{
	return or_empty(web_env(rq, "REMOTE_ADDR"));
}

static int
begin(struct web_req *rq, struct web_res *rs, const struct route *r,
    struct err *e)
{
	struct ctx *c = arena_zalloc(rq->a, sizeof(*c));
	const struct settings *s = self.set;

	(void)rs;
	(void)r;
	*c = (struct ctx){
		.a = rq->a, .db = self.db, .set = s, .seal = &self.seal,
	};
	rq->ctx = c;
	shared_count(self.shared, COUNT_REQUESTS);
	if (!s->rate_limit_enabled || shared_take(self.shared,
	    shared_key("addr", address(rq)), s->rate_limit_rps,
	    s->rate_limit_burst))
		return 0;
	shared_count(self.shared, COUNT_RATE_LIMITED);
	return err_set(e, E_RATE_LIMITED, "Rate limit exceeded");
}

static void
end(struct web_req *rq, const struct web_res *rs)
{
	(void)rq;
	(void)rs;
}

/* The label of certctl_ocsp_counter_total. */
static void
count(const char *label)
{
	shared_tally(self.shared, shared_key("ocsp", label));
}

/* May this address ask once more this minute? */
static bool
may_ask(const struct web_req *rq)
{
	int64_t per_min = self.set->ocsp_rate_limit_per_ip_min;

	count(rq->method == WEB_POST ? "request_post" : "request_get");
	if (per_min <= 0 || shared_take(self.shared, shared_key("ocsp",
	    address(rq)), (double)per_min / 60, per_min))
		return true;
	count("rate_limited");
	return false;
}

static const char ocsp_type[] = "application/ocsp-response";

static const char *const by_status[] = {
	[OCSP_SUCCESSFUL] = "request_success",
	[OCSP_MALFORMED] = "request_invalid",
	[OCSP_INTERNAL_ERROR] = "signing_failed",
	[OCSP_TRY_LATER] = "try_later",
	[OCSP_UNAUTHORIZED] = "issuer_not_found",
};

static int
send_fault(struct web_res *rs, enum ocsp_status status)
{
	count(by_status[status]);
	web_header(rs, "Cache-Control", "no-store");
	return web_send_bytes(rs, 200, ocsp_type, ocsp_error(status));
}

static void
count_reply(const struct ocsp_reply *reply)
{
	const struct {
		bool happened;
		const char *label;
	} counts[] = {
		{ true, by_status[reply->status] },
		{ reply->n[OCSP_GOOD] > 0, "answer_good" },
		{ reply->n[OCSP_REVOKED] > 0, "answer_revoked" },
		{ reply->n[OCSP_UNKNOWN] > 0, "cert_not_found" },
		{ reply->nonce_echoed, "nonce_echoed" },
		{ reply->nonce_malformed, "nonce_malformed" },
		{ reply->signature_kept, "cache_hit" },
	};

	for (size_t i = 0; i < NELEM(counts); i++)
		if (counts[i].happened)
			count(counts[i].label);
}

/* The client is told no more than that. */
static void
log_fault(const struct web_req *rq, const struct err *e)
{
	if (e->code != E_OK)
		log_err(LOG_ERROR, "OCSP", e, "request_id", rq->request_id);
}

static void
ask(struct web_req *rq, struct bytes request, struct ocsp_reply *out)
{
	struct err e = { 0 };

	publish_ocsp(rq->ctx, self.publisher, request, out, &e);
	count_reply(out);
	log_fault(rq, &e);
}

/* Only a GET is cached, and only what holds for the next one who asks. */
static int
send_answer(struct web_req *rq, struct web_res *rs,
    const struct ocsp_reply *reply)
{
	struct web_validity v = {
		.last_modified = reply->this_update,
		.expires = reply->next_update,
		.cache_control = "public, no-transform, must-revalidate",
		/* The web server in front may have kept it for a while. */
		.max_age = reply->next_update - now_s() - FRONT_S,
	};

	if (v.max_age <= 0 || rq->method == WEB_POST) {
		web_header(rs, "Cache-Control", "no-store");
		return web_send_bytes(rs, 200, ocsp_type, reply->der);
	}
	/* No two signatures are alike, not even of the same octets. */
	v.etag = arena_printf(rs->a, "\"%s\"", hex_encode(rs->a,
	    reply->signature.p + reply->signature.len - TAG_LEN, TAG_LEN));
	return web_send_cached(rq, rs, ocsp_type, reply->der, &v);
}

static int
ocsp_post(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct bytes request = {
		(const unsigned char *)rq->body, rq->body_len,
	};
	struct ocsp_reply reply;

	if (!blank(rq->content_type) &&
	    strcasestr(rq->content_type, "ocsp-request") == NULL)
		return err_set(e, E_UNSUPPORTED,
		    "the body must be application/ocsp-request");
	if (!may_ask(rq))
		return send_fault(rs, OCSP_TRY_LATER);
	ask(rq, request, &reply);
	return send_answer(rq, rs, &reply);
}

/*
 * The request itself in base64 (RFC 6960 appendix A.1), escaped or not; or a
 * serial number in hex.  DER of a SEQUENCE begins with "M", which is no hex.
 */
static int
ocsp_get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	char *text = web_decode(rq, rq->tail);
	struct bytes request;
	struct ocsp_reply reply;
	enum ocsp_status bad = OCSP_SUCCESSFUL;

	if (!may_ask(rq))
		return send_fault(rs, OCSP_TRY_LATER);
	if (text == NULL)
		bad = OCSP_MALFORMED;
	else if (*text != 'M')
		bad = publish_request_for(rq->ctx, self.publisher,
		    rq->param[0], text, &request, e);
	else if (!base64_decode(rq->a, text, strlen(text), &request))
		bad = OCSP_MALFORMED;
	if (bad != OCSP_SUCCESSFUL) {
		log_fault(rq, e);
		return send_fault(rs, bad);
	}
	ask(rq, request, &reply);
	return send_answer(rq, rs, &reply);
}

static int
send_crl(struct web_req *rq, struct web_res *rs, const char *scope,
    struct err *e)
{
	struct web_validity v = { .cache_control = "public, must-revalidate" };
	struct crl_reply crl;
	int64_t left;

	if (publish_crl(rq->ctx, rq->param[0], scope, &crl, e) < 0)
		return -1;
	left = crl.next_update - now_s();
	v.etag = arena_printf(rs->a, "\"%s\"", crl.sha256);
	v.last_modified = crl.this_update;
	v.expires = crl.next_update;
	v.max_age = left < 0 ? 0 : left < 3600 ? left : 3600;
	return web_send_cached(rq, rs, "application/pkix-crl", crl.der, &v);
}

static int
crl_full(struct web_req *rq, struct web_res *rs, struct err *e)
{
	return send_crl(rq, rs, "full", e);
}

static int
crl_part(struct web_req *rq, struct web_res *rs, struct err *e)
{
	return send_crl(rq, rs, rq->param[1], e);
}

static int
ca_certificate(struct web_req *rq, struct web_res *rs, struct err *e)
{
	size_t n = strlen(rq->param[0]);
	const char *id = n > 4 && streq(rq->param[0] + n - 4, ".cer") ?
	    arena_strndup(rq->a, rq->param[0], n - 4) : rq->param[0];
	struct bytes der;

	if (publish_ca(rq->ctx, self.publisher, id, &der, e) < 0)
		return -1;
	web_header(rs, "Cache-Control", "public, max-age=3600");
	return web_send_bytes(rs, 200, "application/pkix-cert", der);
}

#define P "/.well-known/pki"

static const struct route routes[] = {
	{ WEB_GET, P "/crl/{id}", NULL, crl_full, NULL },
	{ WEB_HEAD, P "/crl/{id}", NULL, crl_full, NULL },
	{ WEB_GET, P "/crl/{id}/{scope}", NULL, crl_part, NULL },
	{ WEB_HEAD, P "/crl/{id}/{scope}", NULL, crl_part, NULL },
	{ WEB_POST, P "/ocsp/{id}", NULL, ocsp_post, NULL },
	{ WEB_GET, P "/ocsp/{id}/{*}", NULL, ocsp_get, NULL },
	{ WEB_HEAD, P "/ocsp/{id}/{*}", NULL, ocsp_get, NULL },
	{ WEB_GET, P "/ca/{id}", NULL, ca_certificate, NULL },
	{ WEB_HEAD, P "/ca/{id}", NULL, ca_certificate, NULL },
	ROUTE_END
};

int
main(int argc, char **argv)
{
	static const struct route *const tables[] = { routes, NULL };
	static const struct responder pki = {
		.name = "certctl-pki",
		.help = "Serves /.well-known/pki: CRLs, OCSP, CA certificates.",
		.routes = tables,
		.max_body = OCSP_MAX_REQUEST,
		.headers = "X-Content-Type-Options: nosniff\r\n",
		.check = check,
		.start = start,
		.begin = begin,
		.end = end,
		.stop = stop,
	};

	return web_main(argc, argv, &pki);
}
