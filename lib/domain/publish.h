/*
 * What relying parties fetch: OCSP answers, CRLs, CA certificates.
 *
 * Nobody authenticates here, and anyone may ask.  An answer never contradicts
 * the database at the moment of the request: the status is looked up each
 * time, only its signature may be one made a moment ago.
 */
#ifndef CERTCTL_DOMAIN_PUBLISH_H
#define CERTCTL_DOMAIN_PUBLISH_H

#include "domain/ctx.h"
#include "x509/ocsp.h"

struct publisher;	/* CA keys and responders as of a moment ago */
struct stash;

/* Signatures are kept in STASH, which is the caller's. */
struct publisher *publisher_new(struct stash *stash);
void publisher_free(struct publisher *p);

struct ocsp_reply {
	struct bytes der, signature;		/* no signature: an error */
	int64_t this_update, next_update;	/* 0: not to be cached */
	/* for the counters */
	enum ocsp_status status;
	size_t n[OCSP_UNKNOWN + 1];	/* answers by enum ocsp_cert_status */
	bool signature_kept, nonce_echoed, nonce_malformed;
};

/* Answer REQUEST, which may be anything.  A fault is an OCSP error response;
 * E then says what the log should know, E_OK if nothing. */
void publish_ocsp(struct ctx *c, struct publisher *p, struct bytes request,
    struct ocsp_reply *out, struct err *e);

/* A request for serial SERIAL_HEX of issuer ID, as DER: OCSP_SUCCESSFUL, or
 * the status to answer with. */
enum ocsp_status publish_request_for(struct ctx *c, struct publisher *p,
    const char *id, const char *serial_hex, struct bytes *request,
    struct err *e);

struct crl_reply {
	struct bytes der;
	const char *sha256;
	int64_t this_update, next_update;
};

/* The CRL of an issuer, or of one CA key; SCOPE "full", "delta", "shard-<n>".
 * E_NOT_FOUND, or E_NOT_IMPLEMENTED if that issuer publishes none here. */
int publish_crl(struct ctx *c, const char *id, const char *scope,
    struct crl_reply *out, struct err *e);

/* DER of the CA certificate of an issuer, or of one CA key. */
int publish_ca(struct ctx *c, struct publisher *p, const char *id,
    struct bytes *der, struct err *e);

#endif
