/*
 * OpenSSL, met in this room only, made to fit the house: objects that free
 * themselves, errors that are struct err, octets that live in an arena.
 *
 *	AUTO(X509) x = NULL;	freed when it leaves scope
 */
#ifndef CERTCTL_X509_OSSL_H
#define CERTCTL_X509_OSSL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "base/util.h"

struct arena;

#define AUTO(type) __attribute__((cleanup(auto_##type))) type *
#define AUTO_FREE(type, fn)						\
	static inline void						\
	auto_##type(type **p)						\
	{								\
		fn(*p);							\
	}

AUTO_FREE(BIO, BIO_free_all)
AUTO_FREE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
AUTO_FREE(EVP_MD_CTX, EVP_MD_CTX_free)
AUTO_FREE(EVP_PKEY, EVP_PKEY_free)
AUTO_FREE(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
AUTO_FREE(X509, X509_free)
AUTO_FREE(X509_ALGOR, X509_ALGOR_free)
AUTO_FREE(X509_NAME, X509_NAME_free)
AUTO_FREE(X509_PUBKEY, X509_PUBKEY_free)
AUTO_FREE(X509_REQ, X509_REQ_free)
AUTO_FREE(GENERAL_NAMES, GENERAL_NAMES_free)
AUTO_FREE(EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)
AUTO_FREE(BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free)

/* err_set() with OpenSSL's error queue as the detail; the queue is emptied. */
int ossl_err(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Move what an i2d function made (LEN octets at P) into A and free P.
 * Out of memory, the one way such a call fails, ends the process.
 */
struct bytes ossl_take(struct arena *a, unsigned char *p, int len);

/* S as UTF-8 in A, or NULL if it cannot be text or holds NUL. */
const char *ossl_text(struct arena *a, const ASN1_STRING *s);

/* The last commonName of N as ossl_text() reads it, or "". */
const char *ossl_common_name(struct arena *a, const X509_NAME *n);

/* Text of an object identifier: a short name if there is one, else dotted. */
const char *ossl_oid(struct arena *a, const ASN1_OBJECT *o);

/* T in UTC seconds; E_INVALID if it is none. */
int ossl_time(const ASN1_TIME *t, int64_t *at, struct err *e);

/* The one certificate in LEN octets at DER and nothing more, or NULL. */
X509 *ossl_cert(const void *der, size_t len);

#endif
