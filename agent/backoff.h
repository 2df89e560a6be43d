/* How long to wait between tries and beats. */
#ifndef CERTCTL_AGENT_BACKOFF_H
#define CERTCTL_AGENT_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_MAX_MS = 5 * 60 * 1000 };

/*
 * Milliseconds before the try after FAILURES in a row (at least 1): 1 s,
 * doubled each time up to MAX_MS, a quarter more or less so that a fleet does
 * not come back in step.
 */
int64_t backoff_ms(int failures, int64_t max_ms);

/* MS, PERCENT more or less. */
int64_t jitter_ms(int64_t ms, int percent);

#endif
