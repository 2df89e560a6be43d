/*
 * Issuers and targets as stored: a configuration that is sealed whole, and a
 * copy with its secrets masked that anyone may read.
 */
#ifndef CERTCTL_DOMAIN_CONNECTOR_H
#define CERTCTL_DOMAIN_CONNECTOR_H

#include "base/util.h"
#include "domain/ctx.h"

struct target_test {
	const char *status;	/* "success", "failed" */
	const char *message;
	const char *type, *agent_id;
};

/* Check the stored configuration; its outcome is kept.  E_INVALID says what
 * is wrong with it. */
int issuer_test(struct ctx *c, const char *id, struct err *e);

/* Ask whether the target's agent can be reached; its outcome is kept. */
int target_test(struct ctx *c, const char *id, struct target_test *out,
    struct err *e);

/*
 * The configuration behind SEALED, NUL terminated, in the arena and wiped
 * with it; PLAIN if nothing is sealed.  NULL with the reason.
 */
const char *config_open(struct ctx *c, struct bytes sealed, const char *plain,
    struct err *e);

#endif
