#include "x509/trust.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "x509/certs.h"

enum {
	DEPTH_MAX = 8,
	FILE_MAX = 1024 * 1024,
	LEVEL = 2,	/* 112 bits: neither SHA-1 nor RSA 1024 in a chain */
};

AUTO_FREE(X509_STORE_CTX, X509_STORE_CTX_free)

struct trust {
	X509_STORE *store;
	struct x509_cert *certs;
	size_t n;
};

static void
free_store(void *p)
{
	X509_STORE_free(p);
}

static int
add(struct arena *a, struct trust *t, X509 *x, int64_t now, struct err *e)
{
	struct x509_cert *c = &t->certs[t->n];
	char at[RFC3339_LEN + 1];

	if (cert_read(a, x, c, e) < 0)
		return -1;
	if (!c->is_ca)
		return err_set(e, E_INVALID,
		    "certificate \"%.256s\" is not a CA", c->subject);
	if (c->not_after <= now)
		return err_set(e, E_INVALID, "CA certificate \"%.256s\" "
		    "expired at %s", c->subject, rfc3339(c->not_after, at));
	if (X509_STORE_add_cert(t->store, x) != 1)
		return ossl_err(e, E_INTERNAL, "cannot use the bundle");
	t->n++;
	return 0;
}

struct trust *
trust_from_pem(struct arena *a, const char *pem, int64_t now, struct err *e)
{
	struct trust *t = arena_zalloc(a, sizeof(*t));
	X509 **x;
	size_t n;

	if (certs_read_pem(a, pem, &x, &n, e) < 0)
		return NULL;
	t->store = X509_STORE_new();
	if (t->store == NULL)
		abort();
	arena_defer(a, free_store, t->store);
	t->certs = arena_zalloc(a, n * sizeof(*t->certs));
	for (size_t i = 0; i < n; i++)
		if (add(a, t, x[i], now, e) < 0)
			return NULL;
	ERR_clear_error();
	return t;
}

struct trust *
trust_from_file(struct arena *a, const char *path, int64_t now,
    struct err *e)
{
	struct trust *t = NULL;
	struct bytes text;

	if (file_read(a, path, FILE_MAX, &text, e) == 0)
		t = trust_from_pem(a, (const char *)text.p, now, e);
	if (t == NULL) {
		e->code = E_INVALID;
		err_prefix(e, "trust bundle %s", path);
	}
	return t;
}

const struct x509_cert *
trust_certs(const struct trust *t, size_t *n)
{
	*n = t->n;
	return t->certs;
}

static int
verify(const struct trust *t, X509 *x, int64_t now, struct err *e)
{
	AUTO(X509_STORE_CTX) c = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *p;
	int why;

	if (c == NULL || X509_STORE_CTX_init(c, t->store, x, NULL) != 1)
		return ossl_err(e, E_INTERNAL, "cannot verify");
	p = X509_STORE_CTX_get0_param(c);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(p, DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(p, LEVEL);
	X509_VERIFY_PARAM_set_time(p, (time_t)now);
	if (X509_verify_cert(c) == 1)
		return 0;
	why = X509_STORE_CTX_get_error(c);
	return ossl_err(e, E_UNAUTHORIZED, "the client certificate is not "
	    "accepted: %s", X509_verify_cert_error_string(why));
}

static void
read_names(struct arena *a, X509 *x, struct trusted *out)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(x);
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(X509_get_subject_name(x), &der);

	out->subject = ossl_take(a, der, n);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	out->spki = ossl_take(a, der, n);
	if (id != NULL) {
		out->key_id.len = (size_t)ASN1_STRING_length(id);
		out->key_id.p = arena_memdup(a, ASN1_STRING_get0_data(id),
		    out->key_id.len);
	}
}

int
trust_check(const struct trust *t, struct arena *a, const char *pem,
    int64_t now, struct trusted *out, struct err *e)
{
	X509 **x;
	size_t n;

	*out = (struct trusted){ 0 };
	if (certs_read_pem(a, pem, &x, &n, e) < 0 ||
	    cert_read(a, x[0], &out->cert, e) < 0) {
		e->code = E_UNAUTHORIZED;
		return err_prefix(e, "the client certificate");
	}
	if (verify(t, x[0], now, e) < 0)
		return -1;
	read_names(a, x[0], out);
	ERR_clear_error();
	return 0;
}

static X509_NAME *
read_name(struct bytes der)
{
	const unsigned char *p = der.p;

	return der.len > LONG_MAX ? NULL :
	    d2i_X509_NAME(NULL, &p, (long)der.len);
}

bool
name_same(struct bytes a, struct bytes b)
{
	AUTO(X509_NAME) x = read_name(a);
	AUTO(X509_NAME) y = read_name(b);

	return x != NULL && y != NULL && X509_NAME_cmp(x, y) == 0;
}
