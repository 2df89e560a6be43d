/* CRLs as they are stored. */
#ifndef CERTCTL_DOMAIN_CRL_READ_H
#define CERTCTL_DOMAIN_CRL_READ_H

#include "domain/ctx.h"

/* Lists of more entries are made apart from the others, which would have to
 * wait for them, in a process whose memory goes with them. */
enum { CRL_LONG = 20000 };

/* A row of the table. */
struct crl_key {
	const char *ca_key_id, *scope;
	int64_t number, size;	/* octets */
};

/* Read it into A, part by part, as nothing on the way holds it whole.
 * E_CONFLICT if there is a newer one by now. */
int crl_read(struct ctx *c, struct arena *a, const struct crl_key *key,
    struct bytes *der, struct err *e);

#endif
