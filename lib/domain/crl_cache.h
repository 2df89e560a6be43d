/* What operators are told of CRLs. */
#ifndef CERTCTL_DOMAIN_CRL_CACHE_H
#define CERTCTL_DOMAIN_CRL_CACHE_H

#include "domain/ctx.h"

struct crl_cache_row {
	const char *issuer_id;
	bool cache_present, is_stale;
	int64_t crl_number, revoked_count, size_bytes;
	int64_t this_update, next_update, generated_at;
	int64_t generation_duration_ms;
	const char *recent_events;	/* JSON, the five newest */
};

extern const struct field crl_cache_fields[];

/* A row for each issuer, also for those without a CRL; *ROWS in C's arena.
 * Records the call. */
int crl_cache_read(struct ctx *c, struct crl_cache_row **rows, size_t *n,
    struct err *e);

#endif
