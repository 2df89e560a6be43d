/*
 * certctl-workers: one parent that keeps its children alive, one child that
 * runs the sweeps by the clock, and some that issue.
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

/* What the processes of one host are called in jobs.worker. */
const char *worker_name(char *out, size_t size, int pid);

/* A wait that doubles from LEAST to MOST milliseconds. */
struct backoff {
	int64_t least, most, now;
};
int64_t backoff_next(struct backoff *b);

/* Run the sweeps until asked to end. */
int schedule(struct ctx *c);

/* Issue until asked to end.  BEFORE is the pid of a child that died in this
 * one's place, or 0. */
int issuing(struct ctx *c, int before);

/* Keep the children alive until asked to end; the exit status. */
int supervise(const struct settings *set);

#endif
