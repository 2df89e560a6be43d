/*
 * Issuing: from a CSR to a certificate in the inventory.
 *
 * Serial and TBS are stored before the signature exists (an intent), and the
 * certificate with all that follows from it after.  Whoever finds an intent
 * without its certificate finishes the same TBS, so that no crash leaves a
 * certificate that the inventory does not know.
 */
#ifndef CERTCTL_DOMAIN_ISSUE_H
#define CERTCTL_DOMAIN_ISSUE_H

#include <stdint.h>

#include "domain/ctx.h"

enum {
	LEASE_S = 120,		/* a job is its worker's for so long */
	INTENT_AGE_S = 300,	/* before anyone looks after an intent */
};

enum issue_end {
	ISSUE_DONE,	/* stored, the job is completed */
	ISSUE_FAILED,	/* the job failed, its reason is recorded */
	ISSUE_WAITS,	/* the signer or a CA is not there; tried again soon */
	ISSUE_GONE,	/* not ours: cancelled, or another worker's by now */
};

struct issue_outcome {
	enum issue_end end;
	const char *certificate_id, *serial;	/* in C's arena, or NULL */
	struct err why;			/* ISSUE_FAILED, ISSUE_WAITS */
};

/*
 * Run the issuance job ID, which is Running and WORKER's (see
 * domain/work.h): finish what an earlier holder began, else check the CSR,
 * prepare, store the intent, sign, store.  A certificate whose job was
 * cancelled meanwhile is stored, but not deployed.
 *
 * -1 with E_UNAVAILABLE if the database cannot be reached: nothing is lost,
 * the job stays as it is until it is released or its lease runs out.
 */
int issue_job(struct ctx *c, const char *id, const char *worker,
    struct issue_outcome *out, struct err *e);

/*
 * Finish the intents that are older than AGE_S and that no job will finish.
 * *N counts them.  Those that cannot be finished now stay open; E then says
 * why of the last one.
 */
int issue_open_intents(struct ctx *c, int64_t age_s, int64_t *n,
    struct err *e);

#endif
