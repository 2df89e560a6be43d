/* Issued certificates (RFC 5280): parsed once, when they enter. */
#ifndef CERTCTL_X509_CERT_H
#define CERTCTL_X509_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "x509/key.h"
#include "x509/san.h"

struct arena;
struct err;

/* All that lists, deployment and revocation need, as plain values. */
struct x509_cert {
	struct bytes der;
	const char *pem;		/* one block, newline at its end */
	const char *serial;		/* lower-case hex, even length */
	const char *fingerprint;	/* SHA-256 of the DER, lower-case hex */
	const char *spki_hash;		/* SHA-256 of the public key info */
	const char *common_name;
	const char *subject, *issuer;	/* RFC 2253 text */
	struct sans sans;
	struct key_type key;
	int64_t not_before, not_after;
	bool is_ca;
};

/*
 * The serial number TEXT spells, as struct x509_cert has it: hex in any case,
 * colons, blanks, a 0x and zeros in front.  NULL if it is none of at most 20
 * octets.
 */
const char *serial_parse(struct arena *a, const char *text);

int cert_from_der(struct arena *a, const void *der, size_t len,
    struct x509_cert *out, struct err *e);

/*
 * The certificates of PEM text, in order: the leaf first by convention.
 * Other blocks are skipped.  E_INVALID if there is none or one is damaged.
 */
int certs_from_pem(struct arena *a, const char *pem, struct x509_cert **out,
    size_t *n, struct err *e);

/*
 * Check that KEY_PEM belongs to the first certificate of CERT_PEM and that
 * every certificate of CHAIN_PEM (may be blank) issued the one before it.
 */
int cert_check_pair(struct arena *a, const char *cert_pem,
    const char *chain_pem, const char *key_pem, struct err *e);

#endif
