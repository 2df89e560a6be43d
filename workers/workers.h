/*
 * certctl-workers: one parent that keeps its children alive, one child that
 * runs the sweeps by the clock, two that publish, and some that issue.
 */
#ifndef CERTCTL_WORKERS_WORKERS_H
#define CERTCTL_WORKERS_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "domain/ctx.h"

/* Let SIGTERM and SIGINT ask this process to end; true once one did. */
void catch_stop(void);
bool stopping(void);

/*
 * Wait MS milliseconds, a tenth more or less, so that processes started
 * together drift apart; less if asked to end.
 */
void pause_ms(int64_t ms);

/* A wait that doubles from LEAST to MOST milliseconds. */
struct backoff {
	int64_t least, most, now;
};
int64_t backoff_next(struct backoff *b);

/*
 * Run the sweeps until asked to end; publish() those of CRLs and OCSP, which
 * must not delay the others; publish_long() makes the CRLs that take seconds
 * and much memory, and ends when it made one.
 */
int schedule(struct ctx *c, const char *place);
int publish(struct ctx *c, const char *place);
int publish_long(struct ctx *c, const char *place);

/* Issue until asked to end, at PLACE, where no other process is. */
int issuing(struct ctx *c, const char *place);

/* Keep the children alive until asked to end; the exit status. */
int supervise(const struct settings *set);

#endif
