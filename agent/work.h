/*
 * The two kinds of work: make a key and a CSR, install a certificate.
 */
#ifndef CERTCTL_AGENT_WORK_H
#define CERTCTL_AGENT_WORK_H

#include "agent/journal.h"

struct api;
struct arena;
struct conf;
struct err;

struct desk {
	const struct conf *conf;
	struct api *api;
	struct journal journal;
};

/* Where the connectors keep their locks, copies and marks. */
const char *desk_target_dir(struct arena *a, const struct conf *c);

/*
 * Answer an AwaitingCSR job.  -1 only if the server could not be reached, so
 * that the job, offered again, is tried again; a failure that is final becomes
 * a result in the journal.
 */
int work_csr(struct desk *d, struct arena *a, const struct job *job,
    struct err *e);

/*
 * Bring EN one step on: deploy unless it has a result, then report that.
 * 1 when the entry is done and gone, -1 if it must be tried again later.
 */
int work_entry(struct desk *d, struct arena *a, struct entry *en,
    struct err *e);

#endif
