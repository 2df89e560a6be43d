#include "x509/key.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "x509/digest.h"
#include "x509/pkey.h"

enum {
	PEM_MAX = 64 * 1024,
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 4096,
	GUARDED = 1 << 20,	/* octets for private numbers */
	GUARDED_LEAST = 32,
};

/* What a key signs with; the identifiers are whole DER elements. */
struct scheme {
	const char *algorithm;
	int bits;			/* 0: any */
	const char *curve;		/* EC only */
	const EVP_MD *(*md)(void);	/* NULL: the scheme has its own */
	const char *id;
	size_t id_len;
};

#define ID(s) (s), sizeof(s) - 1
#define ECDSA_WITH(n) \
	ID("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03" n)

static const struct scheme schemes[] = {
	{ "RSA", 0, NULL, EVP_sha256, ID("\x30\x0d\x06\x09\x2a\x86\x48\x86"
	    "\xf7\x0d\x01\x01\x0b\x05\x00") },
	{ "ECDSA", 256, "P-256", EVP_sha256, ECDSA_WITH("\x02") },
	{ "ECDSA", 384, "P-384", EVP_sha384, ECDSA_WITH("\x03") },
	{ "ECDSA", 521, "P-521", EVP_sha512, ECDSA_WITH("\x04") },
	{ "Ed25519", 256, NULL, NULL, ID("\x30\x05\x06\x03\x2b\x65\x70") },
};

struct key {
	EVP_PKEY *pkey;
	const struct scheme *scheme;
	struct bytes spki;
};

void
key_guard_memory(void)
{
	CRYPTO_secure_malloc_init(GUARDED, GUARDED_LEAST);
}

EVP_PKEY *
key_pkey(const struct key *k)
{
	return k->pkey;
}

static const struct scheme *
find_scheme(struct key_type type)
{
	for (size_t i = 0; i < NELEM(schemes); i++)
		if (streq(schemes[i].algorithm, type.algorithm) &&
		    (schemes[i].bits == 0 || schemes[i].bits == type.bits))
			return &schemes[i];
	return NULL;
}

/* Clears the private numbers too. */
static void
free_pkey(void *p)
{
	EVP_PKEY_free(p);
}

/* Tie PKEY to A. */
static struct key *
wrap(struct arena *a, EVP_PKEY *pkey, const struct scheme *scheme)
{
	struct key *k = arena_alloc(a, sizeof(*k));
	unsigned char *spki = NULL;
	int len;

	arena_defer(a, free_pkey, pkey);
	k->pkey = pkey;
	k->scheme = scheme;
	len = i2d_PUBKEY(pkey, &spki);
	k->spki = ossl_take(a, spki, len);
	return k;
}

static int
check_type(struct key_type type, const struct scheme *scheme, struct err *e)
{
	if (scheme != NULL && (scheme->bits != 0 ||
	    (type.bits >= RSA_BITS_MIN && type.bits <= RSA_BITS_MAX)))
		return 0;
	return err_set(e, E_INVALID, "a key of type %s %d is not supported; "
	    "ECDSA 256, 384, 521, RSA 2048 to 4096 and Ed25519 are",
	    type.algorithm, type.bits);
}

struct key *
key_generate(struct arena *a, struct key_type type, struct err *e)
{
	const struct scheme *scheme = find_scheme(type);
	EVP_PKEY *pkey;

	if (check_type(type, scheme, e) < 0)
		return NULL;
	if (scheme->curve != NULL)
		pkey = EVP_EC_gen(scheme->curve);
	else if (scheme->bits == 0)
		pkey = EVP_RSA_gen((unsigned)type.bits);
	else
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, scheme->algorithm);
	if (pkey == NULL) {
		ossl_err(e, E_INTERNAL, "cannot make a key");
		return NULL;
	}
	return wrap(a, pkey, scheme);
}

/* There is nobody to ask for a password. */
static int
no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

struct key *
key_from_pem(struct arena *a, const char *pem, struct err *e)
{
	AUTO(BIO) in = NULL;
	AUTO(EVP_PKEY) pkey = NULL;
	AUTO(X509_PUBKEY) pub = NULL;
	const struct scheme *scheme;
	struct key_type type;
	size_t len = strlen(pem);
	struct key *k;

	if (len > PEM_MAX) {
		err_set(e, E_INVALID, "the private key is too large");
		return NULL;
	}
	in = BIO_new_mem_buf(pem, (int)len);
	if (in != NULL)
		pkey = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
	if (pkey == NULL || X509_PUBKEY_set(&pub, pkey) != 1) {
		ossl_err(e, E_INVALID, "the text holds no unencrypted private "
		    "key in PEM");
		return NULL;
	}
	/* A size alone does not tell P-256 from other curves. */
	if (pkey_check(pub, &type, e) < 0)
		return NULL;
	scheme = find_scheme(type);
	if (check_type(type, scheme, e) < 0)
		return NULL;
	k = wrap(a, pkey, scheme);
	pkey = NULL;
	return k;
}

char *
key_to_pem(struct arena *a, const struct key *k, struct err *e)
{
	AUTO(BIO) out = BIO_new(BIO_s_mem());
	char *p, *pem;
	long len;

	if (out == NULL || PEM_write_bio_PKCS8PrivateKey(out, k->pkey, NULL,
	    NULL, 0, NULL, NULL) != 1) {
		ossl_err(e, E_INTERNAL, "cannot write the private key");
		return NULL;
	}
	len = BIO_get_mem_data(out, &p);
	pem = arena_strndup(a, p, (size_t)len);
	arena_wipe(a, pem, (size_t)len);
	wipe(p, (size_t)len);
	return pem;
}

char *
key_spki_hash(struct arena *a, const struct key *k)
{
	return sha256_hex(k->spki.p, k->spki.len,
	    arena_alloc(a, SHA256_HEX + 1));
}

struct key_type
key_type_of(const struct key *k)
{
	return pkey_type(k->pkey);
}

struct bytes
key_spki(const struct key *k)
{
	return k->spki;
}

struct bytes
key_algorithm(const struct key *k)
{
	return (struct bytes){ (const unsigned char *)k->scheme->id,
	    k->scheme->id_len };
}

struct bytes
key_algorithm_for(const struct key *k, struct bytes oid)
{
	const struct scheme *s;

	for (size_t i = 0; i < NELEM(schemes); i++) {
		s = &schemes[i];
		/* Behind the headers of SEQUENCE and OID. */
		if (streq(s->algorithm, k->scheme->algorithm) &&
		    oid.len == (unsigned char)s->id[3] &&
		    memcmp(s->id + 4, oid.p, oid.len) == 0)
			return (struct bytes){ (const unsigned char *)s->id,
			    s->id_len };
	}
	return (struct bytes){ 0 };
}

static int
sign(const struct key *k, const struct scheme *scheme, struct arena *a,
    struct bytes text, struct bytes *signature, struct err *e)
{
	AUTO(EVP_MD_CTX) c = EVP_MD_CTX_new();
	const EVP_MD *md = scheme->md != NULL ? scheme->md() : NULL;
	unsigned char *out;
	size_t len = (size_t)EVP_PKEY_get_size(k->pkey);

	out = arena_alloc(a, len);
	if (c == NULL ||
	    EVP_DigestSignInit(c, NULL, md, NULL, k->pkey) != 1 ||
	    EVP_DigestSign(c, out, &len, text.p, text.len) != 1)
		return ossl_err(e, E_INTERNAL, "cannot sign");
	signature->p = out;
	signature->len = len;
	return 0;
}

int
key_sign(const struct key *k, struct arena *a, struct bytes text,
    struct bytes *signature, struct err *e)
{
	return sign(k, k->scheme, a, text, signature, e);
}

int
key_sign_as(const struct key *k, struct bytes algorithm, struct arena *a,
    struct bytes text, struct bytes *signature, struct err *e)
{
	for (size_t i = 0; i < NELEM(schemes); i++)
		if ((const unsigned char *)schemes[i].id == algorithm.p)
			return sign(k, &schemes[i], a, text, signature, e);
	return err_set(e, E_INTERNAL, "no such signature algorithm");
}

int
key_scheme_of(struct bytes spki, struct key_scheme *out, struct err *e)
{
	const unsigned char *p = spki.p;
	AUTO(X509_PUBKEY) pub = spki.len > PEM_MAX ? NULL :
	    d2i_X509_PUBKEY(NULL, &p, (long)spki.len);
	const struct scheme *scheme;
	struct key_type type;

	if (pub == NULL || p != spki.p + spki.len)
		return ossl_err(e, E_INVALID, "the public key is damaged");
	if (pkey_check(pub, &type, e) < 0)
		return -1;
	scheme = find_scheme(type);
	if (check_type(type, scheme, e) < 0)
		return -1;
	out->type = type;
	out->algorithm = (struct bytes){ (const unsigned char *)scheme->id,
	    scheme->id_len };
	out->digest = scheme->md != NULL ? EVP_MD_get0_name(scheme->md()) :
	    NULL;
	return 0;
}

size_t
key_digest(const struct key_scheme *s, struct bytes text,
    unsigned char out[KEY_DIGEST_MAX])
{
	size_t len;

	if (EVP_Q_digest(NULL, s->digest, NULL, text.p, text.len, out,
	    &len) != 1)
		abort();
	return len;
}
