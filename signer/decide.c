#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "sign/sign.h"
#include "sign/wire.h"
#include "signer.h"

/* What a request meets on its way to an answer. */
struct hearing {
	struct keyring *keys;
	struct audit *log;
	struct arena *a;
	const struct peer *peer;
	struct wire_request rq;
	struct held_key *key;
	const struct ca_grant *grant;	/* NULL: the CA is not bound yet */
	struct wire_answer answer;
	bool recorded;
};

static int
check_algorithm(const struct hearing *h, struct bytes named, struct err *e)
{
	if (bytes_eq(named, held_algorithm(h->key)))
		return 0;
	return err_set(e, E_INVALID, "what is to be signed names another "
	    "signature algorithm than the CA key's");
}

static int
check_issuer(const struct hearing *h, struct bytes issuer, struct err *e)
{
	if (h->grant == NULL)
		return err_set(e, E_FORBIDDEN,
		    "the CA certificate to sign under is not named");
	if (bytes_eq(issuer, h->grant->subject))
		return 0;
	return err_set(e, E_FORBIDDEN,
	    "what is to be signed names another issuer than this CA");
}

/* A CA's certificate for this very key, signed with it: where a CA begins. */
static bool
is_own(const struct hearing *h, const struct tbs_info *t)
{
	return t->ca && bytes_eq(t->spki, held_spki(h->key)) &&
	    bytes_eq(t->issuer, t->subject);
}

static int
check_validity(const struct hearing *h, const struct tbs_info *t,
    struct err *e)
{
	if (t->not_after <= t->not_before)
		return err_set(e, E_INVALID,
		    "the certificate would end before it begins");
	if (h->grant != NULL && (t->not_before < h->grant->not_before ||
	    t->not_after > h->grant->not_after))
		return err_set(e, E_FORBIDDEN,
		    "the certificate would outlive the CA's own");
	return 0;
}

/* May the peer have KIND signed at all? */
static int
check_peer(const struct hearing *h, enum kind kind, struct err *e)
{
	if ((h->peer->may & 1u << kind) != 0)
		return 0;
	return err_set(e, E_FORBIDDEN, "user %u may not ask the signer for "
	    "\"%s\" (CERTCTL_SIGNER_ALLOW)", (unsigned)h->peer->uid,
	    kind_name(kind));
}

/* What a certificate is beyond an end entity's has to be meant, too. */
static int
check_kind(const struct hearing *h, const struct tbs_info *t, struct err *e)
{
	unsigned allow = h->rq.allow;

	if (t->ca && (allow & SIGN_CA) == 0)
		return err_set(e, E_FORBIDDEN,
		    "the CA key does not sign a CA certificate here");
	if (t->ocsp && (allow & SIGN_OCSP) == 0)
		return err_set(e, E_FORBIDDEN, "the CA key does not sign an "
		    "OCSP responder's certificate here");
	if ((t->ca && check_peer(h, KIND_CA, e) < 0) ||
	    (t->ocsp && check_peer(h, KIND_OCSP, e) < 0) ||
	    (!t->ca && !t->ocsp && check_peer(h, KIND_CERTIFICATE, e) < 0))
		return -1;
	if (t->unknown)
		return err_set(e, E_FORBIDDEN,
		    "the certificate has an extension the signer forbids");
	return 0;
}

/* Sign and have it recorded; the answer waits for the record. */
static int
sign(struct hearing *h, enum kind kind, const char *number, struct err *e)
{
	struct record r = {
		.peer = *h->peer,
		.key_id = held_id(h->key),
		.kind = kind,
		.number = number,
		.tbs = h->rq.tbs,
	};

	if (audit_ready(h->log, e) < 0 || held_sign(h->keys, h->key, h->a,
	    h->rq.tbs, &h->answer.signature, e) < 0)
		return -1;
	audit_add(h->log, &r);
	h->recorded = true;
	return 0;
}

static int
sign_certificate(struct hearing *h, struct err *e)
{
	struct tbs_info t;

	if (tbs_read(h->a, h->rq.tbs, &t, e) < 0 ||
	    check_algorithm(h, t.algorithm, e) < 0 ||
	    check_kind(h, &t, e) < 0 ||
	    (!(h->grant == NULL && is_own(h, &t)) &&
	    check_issuer(h, t.issuer, e) < 0) ||
	    check_validity(h, &t, e) < 0)
		return -1;
	return sign(h, t.ca ? KIND_CA : t.ocsp ? KIND_OCSP : KIND_CERTIFICATE,
	    t.serial, e);
}

static int
sign_list(struct hearing *h, struct err *e)
{
	struct tbs_list_info t;

	if (check_peer(h, KIND_CRL, e) < 0 ||
	    tbs_list_read(h->a, h->rq.tbs, &t, e) < 0 ||
	    check_algorithm(h, t.algorithm, e) < 0 ||
	    check_issuer(h, t.issuer, e) < 0)
		return -1;
	if (t.next_update <= t.this_update)
		return err_set(e, E_INVALID,
		    "the CRL would end before it begins");
	return sign(h, KIND_CRL, t.number, e);
}

static int
info(struct hearing *h, struct err *e)
{
	(void)e;
	h->answer.spki = held_spki(h->key);
	h->answer.algorithm = held_algorithm(h->key);
	return 0;
}

static int
create(struct hearing *h, struct err *e)
{
	const struct wire_request *rq = &h->rq;
	struct key_type type = {
		arena_strndup(h->a, (const char *)rq->algorithm.p,
		    rq->algorithm.len), rq->bits,
	};
	const char *ref = arena_strndup(h->a, (const char *)rq->key_ref.p,
	    rq->key_ref.len);

	if (check_peer(h, KIND_CA, e) < 0 ||
	    keyring_create(h->keys, ref, type, &h->answer.made, e) < 0)
		return -1;
	if (h->answer.made)
		log_info("CA key made", "key", ref, NULL);
	return 0;
}

/* What each request is, and what it must come with. */
static const struct {
	bool key, tbs;
	int (*run)(struct hearing *h, struct err *e);
} ops[WIRE__MAX] = {
	[WIRE_INFO]        = { true,  false, info },
	[WIRE_CREATE]      = { false, false, create },
	[WIRE_CERTIFICATE] = { true,  true,  sign_certificate },
	[WIRE_CRL]         = { true,  true,  sign_list },
};

static int
find_key(struct hearing *h, struct err *e)
{
	struct bytes ref = h->rq.key_ref;

	h->key = keyring_get(h->keys, arena_strndup(h->a,
	    (const char *)ref.p, ref.len), e);
	if (h->key == NULL)
		return -1;
	return h->rq.ca.len == 0 ? 0 :
	    held_grant(h->key, h->rq.ca, &h->grant, e);
}

static int
hear(struct hearing *h, struct bytes request, int beside, struct err *e)
{
	int rc;

	if (!wire_get_request(request, &h->rq) || h->rq.key_ref.len == 0 ||
	    memchr(h->rq.key_ref.p, '\0', h->rq.key_ref.len) != NULL ||
	    h->rq.tbs_beside != (beside >= 0))
		return err_set(e, E_INVALID,
		    "the request to the signer is malformed");
	if (ops[h->rq.op].key && find_key(h, e) < 0)
		return -1;
	if (!ops[h->rq.op].tbs || beside < 0)
		return ops[h->rq.op].run(h, e);
	if (wire_map(beside, &h->rq.tbs, e) < 0)
		return -1;
	rc = ops[h->rq.op].run(h, e);
	wire_unmap(h->rq.tbs);
	return rc;
}

struct bytes
answer_err(struct arena *a, const struct err *e)
{
	const struct wire_answer w = {
		.code = e->code,
		.msg = { (const unsigned char *)e->msg, strlen(e->msg) },
	};

	return wire_put_answer(a, &w);
}

static void
complain(const struct hearing *h, const struct err *e)
{
	char uid[16], pid[16];

	snprintf(uid, sizeof(uid), "%u", (unsigned)h->peer->uid);
	snprintf(pid, sizeof(pid), "%d", (int)h->peer->pid);
	log_line(e->code == E_UNAVAILABLE || e->code == E_INTERNAL ?
	    LOG_ERROR : LOG_WARN, "request refused", "error", e->msg,
	    "detail", e->detail[0] != '\0' ? e->detail : NULL, "uid", uid,
	    "pid", pid, NULL);
}

void
decide(struct keyring *r, struct audit *log, struct arena *a,
    const struct peer *peer, struct bytes request, int beside,
    struct decision *out)
{
	struct hearing h = {
		.keys = r, .log = log, .a = a, .peer = peer,
	};
	struct err e = { 0 };

	if (hear(&h, request, beside, &e) < 0) {
		complain(&h, &e);
		out->answer = answer_err(a, &e);
		out->recorded = false;
		return;
	}
	out->answer = wire_put_answer(a, &h.answer);
	out->recorded = h.recorded;
}
