/*
 * Signals arrive only where the agent says so: while it waits, and in calls
 * that may be given up.  So a deployment is never torn by a request to stop.
 */
#ifndef CERTCTL_AGENT_SIGNALS_H
#define CERTCTL_AGENT_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

struct http;

/* Take over SIGTERM, SIGINT and SIGCHLD, held back from here on. */
void signals_init(void);

/* True once SIGTERM or SIGINT arrived. */
bool signals_stopping(void);

/* Let them arrive between these two; a request to stop cancels H's calls. */
void signals_allow(struct http *h);
void signals_hold(void);

/* Wait MS milliseconds, or less if a signal arrives. */
void signals_wait(int64_t ms);

#endif
