/*
 * A CA key with its certificate: what signs lists of revoked certificates and
 * names the OCSP responder, for as long as something it signed is valid.
 */
#ifndef CERTCTL_ISSUER_AUTHORITY_H
#define CERTCTL_ISSUER_AUTHORITY_H

#include <stdint.h>

#include "base/util.h"

struct arena;
struct err;
struct authority;
struct key;

/* What is stored of a CA: it is a name with a key, whatever certificates there
 * are for it (RFC 5280 section 5). */
struct authority_id {
	const char *id;		/* SHA-256 of subject and public key info */
	struct bytes subject;	/* Name, DER */
	int64_t not_after;
};

/* Read it from the first certificate of CERT_PEM, in A. */
int authority_identify(struct arena *a, const char *cert_pem,
    struct authority_id *out, struct err *e);

/* KEY_REF is the key holder's name of the key. */
struct authority *authority_open(const char *cert_pem, const char *key_ref,
    struct err *e);
void authority_close(struct authority *t);

/* What a CRL of it begins with; borrowed. */
struct bytes authority_algorithm(const struct authority *t);
struct bytes authority_subject(const struct authority *t);
struct bytes authority_key_id(const struct authority *t);

/* The signature of a TBSCertList, in A. */
int authority_sign_crl(struct authority *t, struct arena *a,
    struct bytes tbs, struct bytes *signature, struct err *e);

struct responder_cert {
	const char *pem, *serial;
	int64_t not_before, not_after;
};

/*
 * A certificate that lets KEY sign OCSP responses for this CA for LIFE_S
 * seconds (RFC 6960 section 4.2.2.2), which nobody has to check further
 * (id-pkix-ocsp-nocheck).
 */
int authority_certify_responder(struct authority *t, struct arena *a,
    const struct key *key, int64_t life_s, struct responder_cert *out,
    struct err *e);

#endif
