/*
 * Private keys: made, written and read here; wiped when freed.
 *
 * Key types are spelt "ECDSA", "RSA" and "Ed25519" with a size in bits, as in
 * profiles.
 */
#ifndef CERTCTL_X509_KEY_H
#define CERTCTL_X509_KEY_H

#include "base/util.h"

struct arena;
struct err;
struct key;	/* opaque; wiped and freed with the arena it was made in */

struct key_type {
	const char *algorithm;	/* "ECDSA", "RSA", "Ed25519" */
	int bits;		/* 256, 384, 521; 2048, 3072, 4096; 256 */
};

/* E_INVALID for a type outside P-256, P-384, P-521, RSA 2048..4096, Ed25519. */
struct key *key_generate(struct arena *a, struct key_type type, struct err *e);

/*
 * Any unencrypted private key PEM (PKCS#8, SEC1, PKCS#1) of a type that
 * key_generate() makes.
 */
struct key *key_from_pem(struct arena *a, const char *pem, struct err *e);

/* PKCS#8 PEM; the text is wiped with A. */
char *key_to_pem(struct arena *a, const struct key *k, struct err *e);

/*
 * SHA-256 hex of the SubjectPublicKeyInfo: equal for a key, its CSR and its
 * certificate.
 */
char *key_spki_hash(struct arena *a, const struct key *k);

/*
 * Keep private numbers in memory that is neither swapped nor dumped, as far
 * as the system lets us.  Once, before the first key.
 */
void key_guard_memory(void);

struct key_type key_type_of(const struct key *k);

/* SubjectPublicKeyInfo, DER, borrowed from K. */
struct bytes key_spki(const struct key *k);

/*
 * Sign TEXT: SHA-256 for RSA (PKCS#1 v1.5) and P-256, SHA-384
 * for P-384, SHA-512 for P-521.  key_algorithm() is the AlgorithmIdentifier
 * that names this, DER, static.
 */
int key_sign(const struct key *k, struct arena *a, struct bytes text,
    struct bytes *signature, struct err *e);
struct bytes key_algorithm(const struct key *k);

/*
 * The same with the digest that OID (content octets of a signature algorithm)
 * names, for whoever prefers it: its AlgorithmIdentifier, without octets if a
 * key of K's type does not sign so here.
 */
struct bytes key_algorithm_for(const struct key *k, struct bytes oid);
int key_sign_as(const struct key *k, struct bytes algorithm, struct arena *a,
    struct bytes text, struct bytes *signature, struct err *e);

/* What signing with the private half of a public key takes. */
struct key_scheme {
	struct key_type type;
	struct bytes algorithm;		/* as key_algorithm() */
	const char *digest;		/* OpenSSL's name; NULL: its own */
};

enum { KEY_DIGEST_MAX = 64 };

/* E_INVALID for a key that key_generate() would not make. */
int key_scheme_of(struct bytes spki, struct key_scheme *out, struct err *e);

/* The digest of TEXT that S signs; its length. */
size_t key_digest(const struct key_scheme *s, struct bytes text,
    unsigned char out[KEY_DIGEST_MAX]);

/*
 * The octets of the public key in SPKI, without its algorithm: what key hashes
 * in OCSP are of (RFC 6960 section 4.1.1).  E_INVALID if SPKI is damaged.
 */
int spki_bits(struct bytes spki, struct bytes *bits, struct err *e);

#endif
