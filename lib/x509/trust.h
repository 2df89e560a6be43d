/*
 * A bundle of CA certificates, and the clients' certificates below them.
 *
 * Every certificate of the bundle is an anchor, self-signed or not; those
 * between it and a client's may stand in the bundle beside it, because a web
 * server hands on the client's alone.
 */
#ifndef CERTCTL_X509_TRUST_H
#define CERTCTL_X509_TRUST_H

#include <stdint.h>

#include "x509/cert.h"

struct trust;	/* opaque; dies with the arena it was read into */

/*
 * Read the CAs of PEM; other blocks are skipped.  E_INVALID if there is none,
 * one is damaged or is no CA, or one has expired at NOW.
 */
struct trust *trust_from_pem(struct arena *a, const char *pem, int64_t now,
    struct err *e);

/* The same from the file PATH. */
struct trust *trust_from_file(struct arena *a, const char *path, int64_t now,
    struct err *e);

/* The N certificates of the bundle, borrowed. */
const struct x509_cert *trust_certs(const struct trust *t, size_t *n);

struct trusted {
	struct x509_cert cert;
	struct bytes subject, spki;	/* DER */
	struct bytes key_id;		/* its own word; empty: none */
};

/*
 * Read the certificate in PEM; E_UNAUTHORIZED with the reason unless it is
 * valid at NOW and leads to T.  Its extended key usage does not matter.
 */
int trust_check(const struct trust *t, struct arena *a, const char *pem,
    int64_t now, struct trusted *out, struct err *e);

/* Are the Names A and B, DER, the same (RFC 5280 section 7.1)? */
bool name_same(struct bytes a, struct bytes b);

#endif
