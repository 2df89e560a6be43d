/*
 * What the clock asks for.
 *
 * Each sweep is set-based: the number of its statements does not grow with the
 * number of rows, but for rounds of SWEEP_ROWS where there is more to do.  It
 * holds an advisory lock while it runs; while another process is at the same
 * sweep it does nothing.  *N counts the rows it changed.
 */
#ifndef CERTCTL_DOMAIN_SWEEP_H
#define CERTCTL_DOMAIN_SWEEP_H

#include <stdint.h>

#include "domain/ctx.h"

enum { SWEEP_ROWS = 5000 };

/* Warn of what expires, and make jobs for what is inside its window. */
int sweep_renewals(struct ctx *c, int64_t *n, struct err *e);

/* The same for lives so short that they might be over between two checks. */
int sweep_short_renewals(struct ctx *c, int64_t *n, struct err *e);

/* Give up jobs that were begun too often; begin failed ones again. */
int sweep_retry(struct ctx *c, int64_t *n, struct err *e);

/* Fail what waits too long, and what silent agents hold. */
int sweep_reap(struct ctx *c, int64_t *n, struct err *e);

/* Agents that miss three beats are Offline; the fleet's pace. */
int sweep_agents(struct ctx *c, int64_t *n, struct err *e);

int sweep_short_lived(struct ctx *c, int64_t *n, struct err *e);

/* Add up the changes of the totals that lists show. */
int sweep_counts(struct ctx *c, int64_t *n, struct err *e);

#endif
