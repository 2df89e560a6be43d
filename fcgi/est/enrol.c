/* simpleenroll, simplereenroll, serverkeygen; cacerts and csrattrs. */
#include "base/text.h"
#include "fcgi/est/est.h"
#include "x509/cms.h"
#include "x509/csr_attrs.h"
#include "x509/key.h"

enum { COME_BACK_S = 5 };	/* what waits is looked at often */

/* One request for a certificate. */
struct request {
	struct web_req *rq;
	struct web_res *rs;
	struct est_profile *p;
	const struct est_op *op;
	struct est_client client;
	struct bytes csr_der;
	struct csr *csr;
	/* serverkeygen */
	const struct key *key;
	struct key_wish wish;
	struct bytes old_spki;		/* of the request as it came */
};

static int
send_base64(struct web_res *rs, const char *type, struct bytes p)
{
	char *text = base64_encode(rs->a, p.p, p.len);

	return web_send_bytes(rs, 200, type, (struct bytes){
	    (unsigned char *)text, strlen(text) });
}

static int
bad_csr(struct request *r, struct err *e)
{
	est_count(r->p, streq(e->msg, csr_bad_signature) ?
	    EST_CSR_SIGNATURE_MISMATCH : EST_CSR_INVALID);
	est_note(r->rq, r->p, arena_printf(r->rq->a, "%s_failed",
	    r->op->action), NULL, e->msg);
	return -1;
}

/* A new key for the client, and its request with that in place of its own. */
static int
make_key(struct request *r, struct err *e)
{
	struct key_type types[ENROL_KEYS_MAX];
	struct arena *a = r->rq->a;

	if (enroller_ready(r->rq->ctx, r->p->enroller, e) < 0)
		return -1;
	if (enroller_key_types(r->p->enroller, types) == 0)
		types[0] = (struct key_type){ "ECDSA", 256 };
	if (csr_key_wish(r->csr_der, &r->wish, e) < 0 ||
	    csr_spki_of(r->csr_der, &r->old_spki, e) < 0)
		return bad_csr(r, e);
	r->key = key_generate(a, types[0], e);
	return r->key == NULL ? -1 :
	    csr_rekey(a, r->csr_der, r->key, &r->csr_der, e);
}

static int
read_request(struct request *r, struct err *e)
{
	struct web_req *rq = r->rq;

	if (est_read_csr(rq->a, rq->content_type, rq->body, rq->body_len,
	    &r->csr_der, e) < 0)
		return bad_csr(r, e);
	if (r->op->keygen && make_key(r, e) < 0)
		return -1;
	r->csr = csr_from_der(rq->a, r->csr_der.p, r->csr_der.len, e);
	return r->csr != NULL ? 0 : bad_csr(r, e);
}

/* Count and record a refusal by whose fault it is. */
static int
failed(struct request *r, enum enrol_fault fault, struct err *e)
{
	static const struct {
		enum est_counter counter;
		const char *action;	/* NULL: the operation's, failed */
	} faults[] = {
		[ENROL_FAULT_NONE] = { EST_INTERNAL_ERROR, NULL },
		[ENROL_FAULT_POLICY] = { EST_CSR_POLICY_VIOLATION,
		    "est_csr_policy_violation" },
		[ENROL_FAULT_CLIENT] = { EST_AUTH_FAILED_MTLS,
		    "est_auth_failed_mtls" },
		[ENROL_FAULT_ISSUER] = { EST_ISSUER_ERROR, NULL },
		[ENROL_FAULT_INTERNAL] = { EST_INTERNAL_ERROR, NULL },
	};
	const char *action = faults[fault].action;

	est_count(r->p, faults[fault].counter);
	est_note(r->rq, r->p, action != NULL ? action :
	    arena_printf(r->rq->a, "%s_failed", r->op->action), r->csr,
	    e->msg);
	return -1;
}

/* Whose key the client wants the new one encrypted to; E_INVALID if we do not
 * know it, as RFC 7030 section 4.4.1 has it. */
static int
find_recipient(const struct request *r, struct cms_recipient *out,
    struct err *e)
{
	const struct trusted *t = &r->client.trusted;
	struct bytes id = r->wish.asymmetric_id;

	*out = (struct cms_recipient){
		.key_id = id, .capabilities = r->wish.capabilities,
	};
	if (key_id_is(r->old_spki, id)) {
		out->spki = r->old_spki;
		return 0;
	}
	if (r->client.by_cert && (key_id_is(t->spki, id) ||
	    (t->key_id.len == id.len && id.len > 0 &&
	    memcmp(t->key_id.p, id.p, id.len) == 0))) {
		out->spki = t->spki;
		return 0;
	}
	return err_set(e, E_INVALID, "the request names a key to encrypt the "
	    "new one to that is not known here");
}

/* Whether the key can be sent must be known before there is a certificate. */
static int
check_wish(const struct request *r, struct err *e)
{
	struct cms_recipient to;

	if (r->wish.symmetric_id.len > 0)
		return err_set(e, E_INVALID, "no key is shared with this "
		    "client that the new one could be encrypted with");
	if (r->wish.asymmetric_id.len == 0)
		return 0;
	return find_recipient(r, &to, e) < 0 ? -1 :
	    cms_can_seal_key(r->key, &to, e);
}

static int
send_key(struct request *r, struct bytes cert, struct err *e)
{
	struct arena *a = r->rq->a;
	bool sealed = r->wish.asymmetric_id.len > 0;
	struct cms_recipient to;
	struct bytes key;
	const char *type;

	if (sealed ? find_recipient(r, &to, e) < 0 ||
	    cms_seal_key(a, r->key, cert, &to, &key, e) < 0 :
	    cms_private_key(a, r->key, &key, e) < 0)
		return -1;
	r->rs->body.len = 0;
	type = est_key_reply(a, &r->rs->body, key, sealed,
	    cms_certs_only(a, &cert, 1));
	r->rs->status = 200;
	r->rs->content_type = type;
	return 0;
}

static int
send_result(struct request *r, const struct enrolled *got, struct err *e)
{
	if (got->pending) {
		web_header(r->rs, "Retry-After", arena_printf(r->rs->a, "%d",
		    COME_BACK_S));
		return web_send_text(r->rs, 202, "not ready yet: send the "
		    "same request again\n");
	}
	est_count(r->p, r->op->success);
	if (r->op->keygen)
		return send_key(r, got->der, e);
	return send_base64(r->rs, est_certs_type,
	    cms_certs_only(r->rq->a, &got->der, 1));
}

static int
certificate(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct request r = { .rq = rq, .rs = rs, .op = rq->about };
	struct enrol_args args = { 0 };
	struct enrolled got = { 0 };

	r.p = profile_of(rq, r.op, e);
	if (r.p == NULL || est_authenticate(rq, rs, r.p, r.op, &r.client,
	    e) < 0 || read_request(&r, e) < 0 || est_may_enrol(rq, rs, r.p,
	    r.op, r.csr, e) < 0)
		return -1;
	if (r.op->keygen && check_wish(&r, e) < 0)
		return bad_csr(&r, e);
	args = (struct enrol_args){
		.action = r.op->action,
		.csr_der = r.csr_der,
		.csr = r.csr,
		.client = r.client.by_cert ? &r.client.client : NULL,
		.renew = r.op->renew,
		.at_once = r.op->keygen,
	};
	if (enrol(rq->ctx, r.p->enroller, &args, &got, e) < 0)
		return failed(&r, got.fault, e);
	return send_result(&r, &got, e);
}

/* What is handed out is for anyone, but below est-mtls. */
static struct est_profile *
enter(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct est_op *op = rq->about;
	struct est_profile *p = profile_of(rq, op, e);
	struct est_client client;
	bool ours;

	if (p == NULL || (op->mtls && est_authenticate(rq, rs, p, op, &client,
	    e) < 0) || enroller_ready(rq->ctx, p->enroller, e) < 0)
		return NULL;
	if (op->mtls && enrol_check_client(rq->ctx, p->enroller,
	    &client.client, &ours, e) < 0) {
		est_count(p, EST_AUTH_FAILED_MTLS);
		est_note(rq, p, "est_auth_failed_mtls", NULL, e->msg);
		return NULL;
	}
	return p;
}

static int
cacerts(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct est_profile *p = enter(rq, rs, e);
	const struct bytes *certs;
	bool rooted;
	size_t n;

	if (p == NULL)
		return -1;
	certs = enroller_ca_certs(p->enroller, &n, &rooted);
	return send_base64(rs, est_certs_type, cms_certs_only(rq->a, certs,
	    n));
}

static int
csrattrs(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct est_profile *p = enter(rq, rs, e);
	struct est_attrs attrs;
	struct bytes der;

	if (p == NULL)
		return -1;
	attrs = (struct est_attrs){
		.ekus = enroller_ekus(p->enroller),
		.required = enroller_required(p->enroller),
		.template = p->set->csrattrs_template,
	};
	attrs.n_keys = enroller_key_types(p->enroller, attrs.keys);
	if (est_csrattrs(rq->a, &attrs, &der, e) < 0)
		return -1;
	if (der.len == 0)
		return web_send_empty(rs, 204);
	return send_base64(rs, est_csrattrs_type, der);
}

#define OPS(tree, below_mtls)						\
static const struct est_op tree##_open = { .mtls = (below_mtls) };	\
static const struct est_op tree##_enroll = {				\
	.action = "est_simple_enroll", .mtls = (below_mtls),		\
	.success = EST_SUCCESS_SIMPLEENROLL,				\
};									\
static const struct est_op tree##_reenroll = {				\
	.action = "est_simple_reenroll", .mtls = (below_mtls),		\
	.success = EST_SUCCESS_SIMPLEREENROLL, .renew = true,		\
};									\
static const struct est_op tree##_keygen = {				\
	.action = "est_server_keygen", .mtls = (below_mtls),		\
	.success = EST_SUCCESS_SERVERKEYGEN, .keygen = true,		\
}

OPS(plain, false);
OPS(mtls, true);

#define ROUTES(path, tree)						\
	{ WEB_GET, path "/cacerts", NULL, cacerts, &tree##_open },	\
	{ WEB_HEAD, path "/cacerts", NULL, cacerts, &tree##_open },	\
	{ WEB_GET, path "/csrattrs", NULL, csrattrs, &tree##_open },	\
	{ WEB_HEAD, path "/csrattrs", NULL, csrattrs, &tree##_open },	\
	{ WEB_POST, path "/simpleenroll", NULL, certificate,		\
	    &tree##_enroll },						\
	{ WEB_POST, path "/simplereenroll", NULL, certificate,		\
	    &tree##_reenroll },						\
	{ WEB_POST, path "/serverkeygen", NULL, certificate,		\
	    &tree##_keygen }

#define EST "/.well-known/est"

/* The third is for clients that know no labels but put a path in front. */
const struct route est_routes[] = {
	ROUTES(EST, plain),
	ROUTES(EST "/{label}", plain),
	ROUTES("/{label}" EST, plain),
	ROUTES(EST "-mtls/{label}", mtls),
	ROUTE_END
};
