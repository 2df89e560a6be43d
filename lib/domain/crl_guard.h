/* What no new CRL may lack. */
#ifndef CERTCTL_DOMAIN_CRL_GUARD_H
#define CERTCTL_DOMAIN_CRL_GUARD_H

#include "domain/ctx.h"

/* Serial numbers of a list, all of one width, in order. */
struct serials {
	unsigned char *p;
	size_t n;
};

/* Those of the list DER, in A; no octets are no list. */
int crl_serials(struct arena *a, struct bytes der, struct serials *out,
    struct err *e);

/*
 * Every one of BEFORE, of the list before, stands on the list NOW too, unless
 * its certificate has expired and was listed since, or it was taken off hold:
 * a revocation that gets lost makes a certificate good again.  E_INTERNAL
 * names one that is missing.
 */
int crl_guard(struct ctx *c, const char *ca_key_id,
    const struct serials *before, struct bytes now, struct err *e);

#endif
