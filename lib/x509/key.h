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

#endif
