/* The worker: polls for work and does it, in a process of its own. */
#ifndef CERTCTL_AGENT_WORKER_H
#define CERTCTL_AGENT_WORKER_H

struct conf;
struct identity;

enum { WORKER_RETIRED = 3 };	/* exit status: the server answered 410 */

/* Until told to stop; the exit status. */
int worker_run(const struct conf *c, const struct identity *id);

#endif
