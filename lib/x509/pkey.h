/* Public keys and signatures as this room sees them. */
#ifndef CERTCTL_X509_PKEY_H
#define CERTCTL_X509_PKEY_H

#include "x509/key.h"
#include "x509/ossl.h"

enum { KEY_ID_LEN = 20 };

/* The type of any public key; algorithms unknown to us by OpenSSL's name. */
struct key_type pkey_type(const EVP_PKEY *k);

/*
 * The type of a key a certificate may be made for: RSA of 2048 to 8192 bits
 * with an odd exponent of 17 to 256 bits, P-256, P-384, P-521 by name, or
 * Ed25519, encoded as RFC 3279, 5480 and 8410 say.  E_INVALID otherwise.
 */
int pkey_check(X509_PUBKEY *p, struct key_type *out, struct err *e);

/*
 * The key in SPKI, its TYPE checked as pkey_check() does, and in *SPKI its DER
 * as it is to stand in a certificate, in A.  NULL with E_INVALID.
 */
EVP_PKEY *pkey_read(struct arena *a, struct bytes *spki,
    struct key_type *type, struct err *e);

/* Key identifier: the first 160 bits of SHA-256 (RFC 7093 section 2). */
int spki_key_id(struct bytes spki, unsigned char id[KEY_ID_LEN],
    struct err *e);

/* The OpenSSL key, borrowed. */
EVP_PKEY *key_pkey(const struct key *k);

#endif
