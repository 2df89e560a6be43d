/* What the settings say of the installation itself, put into the database. */
#ifndef CERTCTL_DOMAIN_SEED_H
#define CERTCTL_DOMAIN_SEED_H

#include "domain/ctx.h"

/*
 * CERTCTL_CA_CERT_PATH and CERTCTL_CA_KEY_PATH, if set, become the
 * configuration of iss-local, unless somebody has edited it since.  *CHANGED
 * tells whether it was another.
 */
int seed_local_issuer(struct ctx *c, bool *changed, struct err *e);

#endif
