#include "domain/publish.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/stash.h"
#include "domain/revoke.h"
#include "x509/ca.h"
#include "x509/digest.h"
#include "x509/key.h"
#include "x509/seal.h"

enum {
	RELOAD_S = 10,		/* keys and responders are looked at again */
	STEP_S = 300,		/* thisUpdate moves in such steps */
	VALID_S = 3600,
};

struct ca_key {
	const char *id, *name, *issuer_id, *cert_pem;
	const char *responder_id, *responder_pem;
	int64_t not_after;		/* of the responder */
	/* not columns of text */
	struct bytes hash[OCSP_HASH_UNKNOWN][2];	/* of name and key */
	struct bytes sealed_key, cert_der;
	struct ocsp_signer signer;	/* no key: none usable */
};

static const struct field ca_key_fields[] = {
	FIELD(struct ca_key, id, TEXT, 0),
	FIELD(struct ca_key, name, TEXT, 0),
	FIELD(struct ca_key, issuer_id, TEXT, 0),
	FIELD(struct ca_key, cert_pem, TEXT, 0),
	FIELD(struct ca_key, responder_id, TEXT, 0),
	FIELD(struct ca_key, responder_pem, TEXT, 0),
	FIELD(struct ca_key, not_after, TIME, 0),
	FIELD_END
};

struct publisher {
	struct arena *a;		/* keys; made anew at each reload */
	struct ca_key *keys;
	size_t n;
	int64_t loaded_at, news;
	struct stash *stash;		/* signatures */
};

struct publisher *
publisher_new(struct stash *stash)
{
	struct publisher *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->a = arena_new();
	p->stash = stash;
	return p;
}

void
publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	arena_free(p->a);
	free(p);
}

/* A responder whose key cannot be opened does not sign; the others do. */
static int
open_responder(struct ctx *c, struct arena *a, struct ca_key *k,
    struct err *e)
{
	struct seal *seal;
	struct bytes pem;
	struct x509_cert *certs;
	struct bytes bits;
	struct key *key;
	size_t n;

	if (k->responder_id == NULL)
		return 0;
	seal = ctx_seal(c, e);
	if (seal == NULL || seal_open(seal, a, k->sealed_key, &pem, e) < 0 ||
	    (key = key_from_pem(a, (const char *)pem.p, e)) == NULL ||
	    spki_bits(key_spki(key), &bits, e) < 0 ||
	    certs_from_pem(a, k->responder_pem, &certs, &n, e) < 0)
		return err_prefix(e, "OCSP responder of %s", k->issuer_id);
	k->signer = (struct ocsp_signer){
		.key = key, .cert_der = certs[0].der,
		.key_hash = ocsp_hash(a, OCSP_SHA1, bits),
	};
	return 0;
}

static int
read_key(struct ctx *c, struct arena *a, const struct db_batch *b, int row,
    struct ca_key *k, struct err *e)
{
	struct ca *ca = ca_from_pem(a, k->cert_pem, e);
	struct bytes bits;

	if (ca == NULL || spki_bits(ca_spki_der(ca), &bits, e) < 0)
		return err_prefix(e, "CA key %s", k->id);
	for (enum ocsp_hash h = 0; h < OCSP_HASH_UNKNOWN; h++) {
		k->hash[h][0] = ocsp_hash(a, h, ca_subject_der(ca));
		k->hash[h][1] = ocsp_hash(a, h, bits);
	}
	k->sealed_key = db_bytes_at(b, 1, row, "sealed_key");
	k->cert_der = ca_cert(ca)->der;
	return open_responder(c, a, k, e);
}

/* Look at the keys again: into an arena of their own, swapped in whole. */
static int
reload(struct ctx *c, struct publisher *p, struct err *e)
{
	struct arena *a = arena_new(), *was = c->a;
	struct db_batch *b;
	struct db_rows rows;
	struct ca_key *keys;
	struct err why = { 0 };

	c->a = a;
	b = db_batch(c->db, a);
	db_add_args(b, Q_PUBLISH_NEWS, NULL, 0);
	db_add_args(b, Q_PUBLISH_KEYS, NULL, 0);
	if (db_run(b, e) < 0) {
		c->a = was;
		arena_free(a);
		return -1;
	}
	rows = db_rows(b, 1, ca_key_fields);
	keys = arena_zalloc(a, (size_t)rows.n * sizeof(*keys) + 1);
	for (int i = 0; i < rows.n; i++) {
		db_row(&rows, i, &keys[i]);
		if (read_key(c, a, b, i, &keys[i], &why) < 0)
			*e = why;
	}
	c->a = was;
	arena_free(p->a);
	p->a = a;
	p->keys = keys;
	p->n = (size_t)rows.n;
	p->loaded_at = mono_us();
	p->news = db_scalar(b, 0);
	return 0;
}

static int
refresh(struct ctx *c, struct publisher *p, struct err *e)
{
	int64_t age = mono_us() - p->loaded_at;

	return p->keys != NULL && age < (int64_t)RELOAD_S * 1000000 ? 0 :
	    reload(c, p, e);
}

/* What is missing may be new; anyone can ask for what never was. */
static int
refresh_missing(struct ctx *c, struct publisher *p, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add_args(b, Q_PUBLISH_NEWS, NULL, 0);
	if (db_run(b, e) < 0)
		return -1;
	return db_scalar(b, 0) == p->news ? 0 : reload(c, p, e);
}

static struct ca_key *
find(struct publisher *p, const struct ocsp_id *id)
{
	if (id->hash == OCSP_HASH_UNKNOWN)
		return NULL;
	for (size_t i = 0; i < p->n; i++)
		if (bytes_eq(p->keys[i].hash[id->hash][0], id->name_hash) &&
		    bytes_eq(p->keys[i].hash[id->hash][1], id->key_hash))
			return &p->keys[i];
	return NULL;
}

/* The CA all of RQ's ids are of that are ours; NULL if none is, or several. */
static struct ca_key *
find_ca(struct publisher *p, const struct ocsp_request *rq)
{
	struct ca_key *ca = NULL, *k;

	for (size_t i = 0; i < rq->n; i++) {
		k = find(p, &rq->id[i]);
		if (k != NULL && ca != NULL && k != ca)
			return NULL;
		if (k != NULL)
			ca = k;
	}
	return ca;
}

struct status_row {
	int64_t revoked_at, released_at;
	const char *reason;
};

static const struct field status_fields[] = {
	FIELD(struct status_row, revoked_at, TIME, 0),
	FIELD(struct status_row, released_at, TIME, 0),
	FIELD(struct status_row, reason, TEXT, 0),
	FIELD_END
};

/* What the database says of a certificate that there is.  An answer is news
 * of its last change at least: what was said before that is older. */
static void
take_status(const struct status_row *row, struct ocsp_answer *out)
{
	int64_t changed_at = row->released_at > 0 ? row->released_at :
	    row->revoked_at;

	out->status = OCSP_GOOD;
	if (changed_at > out->this_update)
		out->this_update = changed_at;
	if (row->reason == NULL || row->released_at > 0)
		return;
	out->status = OCSP_REVOKED;
	out->reason = revocation_code(row->reason);
	out->revoked_at = row->revoked_at;
}

/* The status of each id now, in one flight. */
static int
look_up(struct ctx *c, struct publisher *p, const struct ca_key *ca,
    const struct ocsp_request *rq, int64_t now, struct ocsp_answer *out,
    struct err *e)
{
	int64_t this_update = now - now % STEP_S;
	int64_t next_update = this_update + VALID_S;
	struct db_batch *b = db_batch(c->db, c->a);
	struct status_row row;
	size_t asked = 0;

	for (size_t i = 0; i < rq->n; i++)
		if (find(p, &rq->id[i]) == ca)
			db_add(b, Q_OCSP_STATUS, db_text(ca->id),
			    db_text(rq->id[i].serial_hex));
	if (db_run(b, e) < 0)
		return -1;
	/* Nobody believes the responder any longer. */
	if (next_update > ca->not_after)
		next_update = ca->not_after;
	for (size_t i = 0; i < rq->n; i++) {
		out[i] = (struct ocsp_answer){
			.id_der = rq->id[i].der, .status = OCSP_UNKNOWN,
			.this_update = this_update, .next_update = next_update,
		};
		row = (struct status_row){ 0 };
		if (find(p, &rq->id[i]) == ca &&
		    db_take(b, asked++, status_fields, &row))
			take_status(&row, &out[i]);
	}
	return 0;
}

static int64_t
newest(const struct ocsp_answer *answers, size_t n)
{
	int64_t at = 0;

	for (size_t i = 0; i < n; i++)
		if (answers[i].this_update > at)
			at = answers[i].this_update;
	return at;
}

/*
 * The signature of DATA: one made a moment ago, by any process, if it is of
 * these very octets.  It is kept for what many may ask: not with a nonce, not
 * by an algorithm of the client's choice, nor about a serial number that
 * anyone may have made up.
 */
static int
add_signature(struct ctx *c, struct publisher *p, const struct ca_key *ca,
    struct bytes data, struct bytes algorithm, struct ocsp_reply *out,
    struct err *e)
{
	unsigned char hash[SHA256_LEN], *kept = arena_alloc(c->a, STASH_MAX);
	struct bytes *signature = &out->signature;

	if (out->nonce_echoed || out->n[OCSP_UNKNOWN] > 0 ||
	    algorithm.p != key_algorithm(ca->signer.key).p)
		return key_sign_as(ca->signer.key, algorithm, c->a, data,
		    signature, e);
	sha256(data.p, data.len, hash);
	out->signature_kept = stash_get(p->stash, hash, kept,
	    &signature->len);
	if (out->signature_kept) {
		signature->p = kept;
		return 0;
	}
	if (key_sign(ca->signer.key, c->a, data, signature, e) < 0)
		return -1;
	stash_put(p->stash, hash, signature->p, signature->len);
	return 0;
}

static int
sign(struct ctx *c, struct publisher *p, const struct ca_key *ca,
    const struct ocsp_request *rq, const struct ocsp_answer *answers,
    int64_t now, struct ocsp_reply *out, struct err *e)
{
	struct bytes algorithm = ocsp_algorithm(&ca->signer, rq), data;
	int64_t changed_at = newest(answers, rq->n);

	out->nonce_echoed = rq->nonce.len > 0;
	for (size_t i = 0; i < rq->n; i++)
		out->n[answers[i].status]++;
	data = ocsp_data(c->a, &ca->signer, answers, rq->n,
	    out->nonce_echoed && now > changed_at ? now : changed_at,
	    rq->nonce);
	if (add_signature(c, p, ca, data, algorithm, out, e) < 0)
		return -1;
	out->der = ocsp_assemble(c->a, &ca->signer, data, algorithm,
	    out->signature);
	/* What is unknown may be issued the next moment. */
	if (!out->nonce_echoed && out->n[OCSP_UNKNOWN] == 0) {
		out->this_update = changed_at;
		out->next_update = answers[0].next_update;
	}
	return 0;
}

static enum ocsp_status
answer(struct ctx *c, struct publisher *p, struct bytes request,
    struct ocsp_reply *out, struct err *e)
{
	struct ocsp_answer answers[OCSP_MAX_IDS];
	struct ocsp_request rq;
	enum ocsp_status bad = ocsp_request_read(c->a, request, &rq);
	struct ca_key *ca;
	int64_t now = now_s();

	out->nonce_malformed = rq.nonce_malformed;
	if (bad != OCSP_SUCCESSFUL)
		return bad;
	if (refresh(c, p, e) < 0)
		return OCSP_TRY_LATER;
	ca = find_ca(p, &rq);
	if (ca == NULL || ca->signer.key == NULL) {
		if (refresh_missing(c, p, e) < 0)
			return OCSP_TRY_LATER;
		ca = find_ca(p, &rq);
	}
	if (ca == NULL)
		return OCSP_UNAUTHORIZED;
	if (ca->signer.key == NULL || ca->not_after <= now) {
		err_set(e, E_UNAVAILABLE, "issuer \"%s\" has no OCSP "
		    "responder that is valid now", ca->issuer_id);
		return OCSP_TRY_LATER;
	}
	if (look_up(c, p, ca, &rq, now, answers, e) < 0)
		return e->code == E_UNAVAILABLE ? OCSP_TRY_LATER :
		    OCSP_INTERNAL_ERROR;
	return sign(c, p, ca, &rq, answers, now, out, e) < 0 ?
	    OCSP_INTERNAL_ERROR : OCSP_SUCCESSFUL;
}

void
publish_ocsp(struct ctx *c, struct publisher *p, struct bytes request,
    struct ocsp_reply *out, struct err *e)
{
	*out = (struct ocsp_reply){ 0 };
	out->status = answer(c, p, request, out, e);
	if (out->status != OCSP_SUCCESSFUL)
		out->der = ocsp_error(out->status);
}

/* By its own name, or the newest of an issuer's: active ones stand first. */
static const struct ca_key *
named(const struct publisher *p, const char *id)
{
	for (size_t i = 0; i < p->n; i++)
		if (streq(p->keys[i].name, id) || streq(p->keys[i].id, id))
			return &p->keys[i];
	for (size_t i = 0; i < p->n; i++)
		if (streq(p->keys[i].issuer_id, id))
			return &p->keys[i];
	return NULL;
}

/* The CA key that ID means, as of now; NULL and E untouched if none. */
static int
look_for(struct ctx *c, struct publisher *p, const char *id,
    const struct ca_key **out, struct err *e)
{
	if (refresh(c, p, e) < 0)
		return -1;
	*out = named(p, id);
	if (*out != NULL)
		return 0;
	if (refresh_missing(c, p, e) < 0)
		return -1;
	*out = named(p, id);
	return 0;
}

enum ocsp_status
publish_request_for(struct ctx *c, struct publisher *p, const char *id,
    const char *serial_hex, struct bytes *request, struct err *e)
{
	const struct ca_key *k;

	if (look_for(c, p, id, &k, e) < 0)
		return OCSP_TRY_LATER;
	if (k == NULL)
		return OCSP_UNAUTHORIZED;
	return ocsp_request_make(c->a, k->hash[OCSP_SHA256][0],
	    k->hash[OCSP_SHA256][1], serial_hex, request) ?
	    OCSP_SUCCESSFUL : OCSP_MALFORMED;
}

static const struct field crl_fields[] = {
	FIELD(struct crl_reply, sha256, TEXT, 0),
	FIELD(struct crl_reply, this_update, TIME, 0),
	FIELD(struct crl_reply, next_update, TIME, 0),
	FIELD_END
};

struct known_row {
	const char *id;
	bool publishes;
};

static const struct field known_fields[] = {
	FIELD(struct known_row, id, TEXT, 0),
	FIELD(struct known_row, publishes, BOOL, 0),
	FIELD_END
};

/* Why there is no CRL. */
static int
no_crl(const struct db_batch *b, const char *id, const char *scope,
    struct err *e)
{
	struct known_row row = { 0 };

	if (!db_take(b, 1, known_fields, &row))
		return err_set(e, E_NOT_FOUND, "issuer \"%s\" does not exist",
		    id);
	if (row.publishes && !streq(scope, "full"))
		return err_set(e, E_NOT_FOUND, "issuer \"%s\" has no such CRL",
		    id);
	if (!row.publishes)
		return err_set(e, E_NOT_IMPLEMENTED,
		    "issuer \"%s\" publishes no CRL here", id);
	return err_set(e, E_UNAVAILABLE, "the CRL of \"%s\" is not made yet",
	    id);
}

int
publish_crl(struct ctx *c, const char *id, const char *scope,
    struct crl_reply *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	*out = (struct crl_reply){ 0 };
	db_add(b, Q_CRL_GET, db_text(id), db_text(scope));
	db_add(b, Q_ISSUER_KNOWN, db_text(id));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, crl_fields, out))
		return no_crl(b, id, scope, e);
	out->der = db_bytes_at(b, 0, 0, "der");
	return 0;
}

int
publish_ca(struct ctx *c, struct publisher *p, const char *id,
    struct bytes *der, struct err *e)
{
	const struct ca_key *k;

	if (look_for(c, p, id, &k, e) < 0)
		return -1;
	if (k == NULL)
		return err_set(e, E_NOT_FOUND, "issuer \"%s\" has no CA "
		    "certificate here", id);
	*der = k->cert_der;
	return 0;
}
