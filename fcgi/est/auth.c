/* Who is asking, and how often: HTTP Basic, client certificates, limits. */
#include "base/log.h"
#include "base/shared.h"
#include "base/clock.h"
#include "fcgi/est/est.h"

enum {
	FAILURES_PER_HOUR = 10,		/* wrong passwords of one address */
	NOTES_PER_MINUTE = 100,		/* recorded refusals of one address */
};

static const double hour = 3600, day = 86400;

static const char *
address(const struct web_req *rq)
{
	return or_empty(web_env(rq, "REMOTE_ADDR"));
}

void
est_count(const struct est_profile *p, enum est_counter c)
{
	shared_tally(est_shared(), est_counter_key(p->set->label, c));
}

void
est_note(struct web_req *rq, const struct est_profile *p, const char *action,
    const struct csr *csr, const char *reason)
{
	log_info("EST request refused", "request_id", rq->request_id,
	    "profile", p->set->label, "action", action, "remote_addr",
	    address(rq), "error", reason, NULL);
	if (shared_take(est_shared(), shared_key("est-note", address(rq)),
	    NOTES_PER_MINUTE / 60.0, NOTES_PER_MINUTE))
		enrol_note(rq->ctx, p->enroller, action, csr, reason);
}

static int
limited(struct web_req *rq, struct web_res *rs, struct est_profile *p,
    int64_t wait_s, const struct csr *csr, const char *why, struct err *e)
{
	web_header(rs, "Retry-After", arena_printf(rs->a, "%lld",
	    (long long)(wait_s > 0 ? wait_s : 1)));
	est_count(p, EST_RATE_LIMITED);
	est_note(rq, p, "est_rate_limited", csr, why);
	return err_set(e, E_RATE_LIMITED, "%s", why);
}

static int
refuse(struct web_req *rq, struct est_profile *p, enum est_counter c,
    const char *action, struct err *e)
{
	est_count(p, c);
	est_note(rq, p, action, NULL, e->msg);
	return -1;
}

/* The web server saw the key to this certificate; all else is for us to see:
 * E_UNAUTHORIZED unless it leads to the profile's bundle. */
static int
by_certificate(struct web_req *rq, struct est_profile *p,
    struct est_client *out, struct err *e)
{
	const char *sent = web_env(rq, "SSL_CLIENT_CERT");
	const struct trust *trust = profile_trust(p);
	char *pem;

	if (blank(sent))
		return err_set(e, E_UNAUTHORIZED,
		    "a client certificate is needed");
	if (trust == NULL)
		return err_set(e, E_INTERNAL, "the trust bundle is missing");
	/* NGINX sends it percent-encoded, Apache as it is. */
	pem = web_decode(rq, sent);
	if (pem == NULL || trust_check(trust, rq->a, pem, now_s(),
	    &out->trusted, e) < 0)
		return pem != NULL ? -1 : err_set(e, E_UNAUTHORIZED,
		    "the client certificate is not PEM");
	out->by_cert = true;
	out->client = (struct enrol_client){
		.fingerprint = out->trusted.cert.fingerprint,
		.subject = out->trusted.subject,
		.sans = out->trusted.cert.sans,
	};
	return 0;
}

static int
by_password(struct web_req *rq, struct web_res *rs, struct est_profile *p,
    struct err *e)
{
	uint64_t key = shared_key("est-basic", address(rq));
	int64_t wait_s = shared_wait_s(est_shared(), key,
	    FAILURES_PER_HOUR / hour, FAILURES_PER_HOUR);
	const char *header = web_env(rq, "HTTP_AUTHORIZATION");
	const char *user, *password;
	unsigned char hash[SHA256_LEN];

	if (!blank(header) && wait_s > 0)
		return limited(rq, rs, p, wait_s, NULL,
		    "too many wrong passwords from this address", e);
	if (est_basic(rq->a, header, &user, &password)) {
		sha256(password, strlen(password), hash);
		if (const_time_eq(hash, p->password, SHA256_LEN))
			return 0;
	}
	web_header(rs, "WWW-Authenticate", "Basic realm=\"est-enrollment\"");
	/* Who shows nothing yet is told how, as HTTP has it. */
	if (blank(header))
		return err_set(e, E_UNAUTHORIZED, "user and password are "
		    "needed");
	shared_take(est_shared(), key, FAILURES_PER_HOUR / hour,
	    FAILURES_PER_HOUR);
	err_set(e, E_UNAUTHORIZED, "wrong user or password");
	return refuse(rq, p, EST_AUTH_FAILED_BASIC, "est_auth_failed_basic",
	    e);
}

int
est_authenticate(struct web_req *rq, struct web_res *rs,
    struct est_profile *p, const struct est_op *op, struct est_client *out,
    struct err *e)
{
	struct err why = { 0 };

	*out = (struct est_client){ 0 };
	if (p->mtls && by_certificate(rq, p, out, &why) == 0)
		return 0;
	if (!op->mtls && p->none)
		return 0;
	if (!op->mtls && p->basic)
		return by_password(rq, rs, p, e);
	*e = why;
	if (e->code != E_UNAUTHORIZED)
		return -1;
	return refuse(rq, p, EST_AUTH_FAILED_MTLS, "est_auth_failed_mtls", e);
}

int
est_may_enrol(struct web_req *rq, struct web_res *rs, struct est_profile *p,
    const struct est_op *op, const struct csr *csr, struct err *e)
{
	int64_t limit = p->set->rate_limit_per_principal_24h;
	const char *cn = csr_common_name(csr);
	struct sans names = csr_sans(csr);
	const char *who, *space;
	uint64_t key;

	if (limit <= 0)
		return 0;
	if (blank(cn) && names.n > 0)
		cn = names.v[0].text;
	who = arena_printf(rq->a, "%s|%s", cn, address(rq));
	space = arena_printf(rq->a, "est-day/%s/%s", op->mtls ? "mtls" : "",
	    p->set->label);
	key = shared_key(space, who);
	if (shared_take(est_shared(), key, (double)limit / day, limit))
		return 0;
	return limited(rq, rs, p, shared_wait_s(est_shared(), key,
	    (double)limit / day, limit), csr,
	    "too many enrolments of this name today", e);
}
