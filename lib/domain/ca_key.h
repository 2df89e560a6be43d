/* CA keys: what of them has to be known to revoke and to publish. */
#ifndef CERTCTL_DOMAIN_CA_KEY_H
#define CERTCTL_DOMAIN_CA_KEY_H

#include "domain/ctx.h"

struct issuer;
struct issue_args;

/*
 * Note the CA key ISSUER signs with as the active one of ISSUER_ID, and as the
 * one of every version of it that has none yet.  *ID, in C's arena, names it;
 * NULL if this issuer signs elsewhere.  Other issuers may sign with it too.
 */
int ca_key_keep(struct ctx *c, const char *issuer_id,
    const struct issuer *issuer, const char **id, struct err *e);

/* Where a certificate of CA key ID (NULL: none known here) tells to look for
 * its CRL, its status and its issuer; each key has its own. */
void ca_key_locations(struct ctx *c, const char *id, struct issue_args *args);

/* Open every issuer that is enabled, so that its CA key is known before it
 * signs; *N counts those that could not be. */
int ca_key_sweep(struct ctx *c, int64_t *n, struct err *e);

/*
 * Make the CRLs that are wanted or due, one CA key after the other, for about
 * a second; *N counts them.  Revocations never wait for it.  Those that were
 * long when last made are the other's, in a process of its own.
 */
int crl_sweep(struct ctx *c, int64_t *n, struct err *e);
int crl_sweep_long(struct ctx *c, int64_t *n, struct err *e);

/* Write the newest CRLs to CERTCTL_CRL_DIR; *N counts them. */
int crl_files_sweep(struct ctx *c, int64_t *n, struct err *e);
int crl_files_sweep_long(struct ctx *c, int64_t *n, struct err *e);

/* See that every CA key has an OCSP responder that lasts; *N counts new ones. */
int responder_sweep(struct ctx *c, int64_t *n, struct err *e);

/* Delete responders that no cache can hold an answer of, and old notes of how
 * CRLs were made. */
int publication_forget(struct ctx *c, int64_t *n, struct err *e);

#endif
