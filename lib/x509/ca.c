#include "x509/ca.h"

#include <openssl/err.h>

#include "base/arena.h"
#include "base/clock.h"
#include "x509/certs.h"
#include "x509/der.h"
#include "x509/pkey.h"
#include "x509/tbs.h"

struct ca {
	X509 **x;			/* the issuing one first */
	NAME_CONSTRAINTS **limits;	/* of each; NULL: none */
	struct x509_cert *certs;
	size_t n;
	const char *pem;
	struct bytes subject, spki, key_id;
	const char *digest;		/* what its key signs; NULL: its own */
};

static int
check_one(const struct ca *c, size_t i, struct err *e)
{
	const char *name = c->certs[i].subject;
	long below = X509_get_pathlen(c->x[i]);

	if ((X509_get_extension_flags(c->x[i]) & EXFLAG_CA) == 0)
		return err_set(e, E_INVALID,
		    "certificate \"%.256s\" is not a CA (CA:TRUE)", name);
	if ((X509_get_key_usage(c->x[i]) & KU_KEY_CERT_SIGN) == 0)
		return err_set(e, E_INVALID, "CA certificate \"%.256s\" may "
		    "not sign certificates (keyCertSign)", name);
	if (i == 0 && (X509_get_key_usage(c->x[i]) & KU_CRL_SIGN) == 0)
		return err_set(e, E_INVALID, "CA certificate \"%.256s\" may "
		    "not sign CRLs (cRLSign)", name);
	if (below >= 0 && (size_t)below < i)
		return err_set(e, E_INVALID, "CA certificate \"%.256s\" "
		    "allows only %ld CAs below it", name, below);
	if (i > 0 && cert_check_issued(c->x[i], c->x[i - 1], e) < 0)
		return err_set(e, E_INVALID, "certificate \"%.256s\" did not "
		    "issue the one before it", name);
	return 0;
}

static void
free_limits(void *p)
{
	NAME_CONSTRAINTS_free(p);
}

static int
read_limits(struct arena *a, struct ca *c, size_t i, struct err *e)
{
	int found;

	c->limits[i] = X509_get_ext_d2i(c->x[i], NID_name_constraints, &found,
	    NULL);
	if (c->limits[i] != NULL)
		arena_defer(a, free_limits, c->limits[i]);
	else if (found != -1)
		return ossl_err(e, E_INVALID, "the name constraints of CA "
		    "certificate \"%.256s\" are damaged", c->certs[i].subject);
	return 0;
}

/* The issuing CA's own identifier, or the one we would give its key. */
static int
read_key_id(struct arena *a, struct ca *c, struct err *e)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(c->x[0]);
	unsigned char made[KEY_ID_LEN];

	if (id != NULL) {
		c->key_id.len = (size_t)ASN1_STRING_length(id);
		c->key_id.p = ASN1_STRING_get0_data(id);
		return 0;
	}
	if (spki_key_id(c->spki, made, e) < 0)
		return -1;
	c->key_id.len = sizeof(made);
	c->key_id.p = arena_memdup(a, made, sizeof(made));
	return 0;
}

static int
read_issuing(struct arena *a, struct ca *c, struct err *e)
{
	struct key_scheme scheme;
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(X509_get_subject_name(c->x[0]), &der);

	c->subject = ossl_take(a, der, n);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x[0]), &der);
	c->spki = ossl_take(a, der, n);
	if (X509_NAME_entry_count(X509_get_subject_name(c->x[0])) == 0)
		return err_set(e, E_INVALID, "the CA certificate has no name");
	if (key_scheme_of(c->spki, &scheme, e) < 0)
		return err_prefix(e, "CA certificate");
	c->digest = scheme.digest;
	return read_key_id(a, c, e);
}

struct ca *
ca_from_pem(struct arena *a, const char *pem, struct err *e)
{
	struct ca *c = arena_zalloc(a, sizeof(*c));
	size_t len = strlen(pem);

	if (certs_read_pem(a, pem, &c->x, &c->n, e) < 0)
		return NULL;
	c->pem = arena_printf(a, "%s%s", pem,
	    len > 0 && pem[len - 1] == '\n' ? "" : "\n");
	c->certs = arena_alloc(a, c->n * sizeof(*c->certs));
	c->limits = arena_zalloc(a, c->n * sizeof(*c->limits));
	for (size_t i = 0; i < c->n; i++)
		if (cert_read(a, c->x[i], &c->certs[i], e) < 0 ||
		    check_one(c, i, e) < 0 || read_limits(a, c, i, e) < 0)
			return NULL;
	if (read_issuing(a, c, e) < 0)
		return NULL;
	ERR_clear_error();
	return c;
}

const struct x509_cert *
ca_cert(const struct ca *c)
{
	return &c->certs[0];
}

struct bytes
ca_subject_der(const struct ca *c)
{
	return c->subject;
}

struct bytes
ca_spki_der(const struct ca *c)
{
	return c->spki;
}

struct bytes
ca_key_id(const struct ca *c)
{
	return c->key_id;
}

const char *
ca_pem(const struct ca *c)
{
	return c->pem;
}

int
ca_check_valid(const struct ca *c, int64_t at, struct err *e)
{
	char from[RFC3339_LEN + 1], to[RFC3339_LEN + 1];
	const struct x509_cert *x;

	for (x = c->certs; x < c->certs + c->n; x++)
		if (at < x->not_before || at > x->not_after)
			return err_set(e, E_INVALID, "CA certificate "
			    "\"%.256s\" is valid from %s to %s", x->subject,
			    rfc3339(x->not_before, from),
			    rfc3339(x->not_after, to));
	return 0;
}

/* TBS as OpenSSL's certificate, without a signature. */
static X509 *
unsigned_cert(struct arena *a, struct bytes tbs)
{
	static const unsigned char none[] = { DER_SEQUENCE, 5, DER_OID, 3,
	    0x2b, 0x65, 0x70 };
	struct bytes der = cert_assemble(a, tbs,
	    (struct bytes){ none, sizeof(none) }, (struct bytes){ none, 0 });

	return ossl_cert(der.p, der.len);
}

int
ca_check_names(const struct ca *c, struct arena *a, struct bytes tbs,
    struct err *e)
{
	AUTO(X509) x = NULL;
	int why;

	for (size_t i = 0; i < c->n; i++) {
		if (c->limits[i] == NULL)
			continue;
		if (x == NULL)
			x = unsigned_cert(a, tbs);
		/* Before this call OpenSSL does not see the names of X. */
		if (x == NULL || X509_check_purpose(x, -1, 0) != 1)
			return ossl_err(e, E_INVALID,
			    "the names of the certificate are damaged");
		why = NAME_CONSTRAINTS_check(x, c->limits[i]);
		if (why == X509_V_OK)
			why = NAME_CONSTRAINTS_check_CN(x, c->limits[i]);
		if (why != X509_V_OK)
			return ossl_err(e, E_INVALID, "a name lies outside "
			    "what CA \"%.256s\" may certify: %s",
			    c->certs[i].subject,
			    X509_verify_cert_error_string(why));
	}
	return 0;
}

int
ca_check_signature(const struct ca *c, struct bytes tbs,
    struct bytes signature, struct err *e)
{
	AUTO(EVP_MD_CTX) m = EVP_MD_CTX_new();

	if (m == NULL || EVP_DigestVerifyInit_ex(m, NULL, c->digest, NULL,
	    NULL, X509_get0_pubkey(c->x[0]), NULL) != 1 ||
	    EVP_DigestVerify(m, signature.p, signature.len, tbs.p,
	    tbs.len) != 1)
		return ossl_err(e, E_INVALID, "the signature does not verify");
	return 0;
}

int
ca_read_issued(const struct ca *c, struct arena *a, struct bytes der,
    struct x509_cert *out, struct err *e)
{
	AUTO(X509) x = ossl_cert(der.p, der.len);

	if (x == NULL)
		return ossl_err(e, E_INVALID, "not a DER certificate");
	if (cert_check_issued(c->x[0], x, e) < 0)
		return -1;
	return cert_read(a, x, out, e);
}
