/* The queue of issuance jobs, as workers see it. */
#ifndef CERTCTL_DOMAIN_WORK_H
#define CERTCTL_DOMAIN_WORK_H

#include <stdint.h>

#include "base/util.h"
#include "domain/ctx.h"

/*
 * Take due jobs for WORKER, at most MAX and as many whose worker died, and
 * hold them for LEASE_S (domain/issue.h).  *IDS lives in C's arena.
 */
int work_claim(struct ctx *c, const char *worker, int64_t max,
    struct texts *ids, struct err *e);

/*
 * Let others have at once what is held by workers whose names begin with
 * PLACE, where only one can be at a time: it ends, or those before it died.
 * UNHARMED, if not NULL, is a job that was begun but could not be run: that
 * does not count as an attempt.
 */
int work_release(struct ctx *c, const char *place, const char *unharmed,
    struct err *e);

/* Let job ID of WORKER wait for a moment, at no cost: what it needs is not
 * there. */
int work_postpone(struct ctx *c, const char *id, const char *worker,
    struct err *e);

#endif
