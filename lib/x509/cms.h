/*
 * Cryptographic Message Syntax (RFC 5652), as EST speaks it: certificates
 * alone, and private keys on their way to their owners.
 */
#ifndef CERTCTL_X509_CMS_H
#define CERTCTL_X509_CMS_H

#include <stdbool.h>

#include "base/util.h"

struct arena;
struct err;
struct key;

/* SignedData without content or signers that holds the N certificates CERTS,
 * DER; its octets live in A. */
struct bytes cms_certs_only(struct arena *a, const struct bytes *certs,
    size_t n);

/* K as PKCS#8 (RFC 5958), unencrypted, wiped with A. */
int cms_private_key(struct arena *a, const struct key *k, struct bytes *out,
    struct err *e);

/* Whom a key is encrypted to. */
struct cms_recipient {
	struct bytes spki;		/* RSA or elliptic curve */
	struct bytes key_id;		/* as the recipient calls that key */
	struct bytes capabilities;	/* content of SMIMECapabilities */
};

/*
 * K in the form of RFC 7030 section 4.4.2: a key package, signed with K itself
 * under its certificate CERT_DER, encrypted to TO with the first cipher of its
 * capabilities that we have; AES-256-CBC if it names none.  E_INVALID if there
 * is no such cipher, or K cannot sign or TO's key cannot decrypt, all of which
 * cms_can_seal_key() tells before there is a certificate.
 */
int cms_can_seal_key(const struct key *k, const struct cms_recipient *to,
    struct err *e);
int cms_seal_key(struct arena *a, const struct key *k, struct bytes cert_der,
    const struct cms_recipient *to, struct bytes *out, struct err *e);

/*
 * Is ID the key identifier of SPKI: SHA-1 of its bits (RFC 5280 section
 * 4.2.1.2), the first 160 bits of SHA-256 of them, or SHA-256 of all of it?
 */
bool key_id_is(struct bytes spki, struct bytes id);

#endif
