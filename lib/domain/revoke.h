/* Revocation (RFC 5280 section 5.3.1): at once in OCSP, soon on the CRL. */
#ifndef CERTCTL_DOMAIN_REVOKE_H
#define CERTCTL_DOMAIN_REVOKE_H

#include "domain/ctx.h"

/*
 * The CRLReason code of REASON as it is spelt in RFC 5280, or -1.  A leaf can
 * have 0 to 6, 9 and 10; 8, removeFromCRL, takes one off hold.
 */
int revocation_code(const char *reason);

/*
 * Revoke every unexpired version of certificate ID, or SERIAL alone (lower-case
 * hex; NULL: all), for REASON (blank: unspecified).  "removeFromCRL" takes what
 * is on hold off it; *RELEASED tells.  Records the call.
 *
 * E_INVALID: unknown reason, archived, already revoked, nothing on hold.
 * E_NOT_FOUND: unknown id, or never issued.
 */
int certificate_revoke(struct ctx *c, const char *id, const char *serial,
    const char *reason, bool *released, struct err *e);

/* Which certificates; blank or empty: whichever. */
struct revoke_criteria {
	const char *reason;
	const char *profile_id, *owner_id, *agent_id, *issuer_id, *team_id;
	struct texts certificate_ids;
};

extern const struct field revoke_criteria_fields[];

struct revoke_totals {
	int64_t matched, revoked;
	int64_t skipped;		/* revoked or archived before */
	struct texts failed;		/* ids of which nothing is unexpired */
};

/*
 * Revoke all that was enrolled over EST and meets every one of IN.  Done in
 * steps, each a transaction; records the call, and the whole as
 * est_bulk_revoke.  E_INVALID: no criterion, or no reason to revoke for.
 */
int enrolled_revoke(struct ctx *c, const struct revoke_criteria *in,
    struct revoke_totals *out, struct err *e);

/* How soon the CRL is wanted after REASON, in seconds; -1 if nothing can be
 * revoked for it. */
int64_t revocation_debounce_s(const struct ctx *c, const char *reason);

#endif
