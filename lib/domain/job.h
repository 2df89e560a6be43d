/* Jobs: asked for by verbs, run by workers and agents, watched by operators. */
#ifndef CERTCTL_DOMAIN_JOB_H
#define CERTCTL_DOMAIN_JOB_H

#include "domain/ctx.h"
#include "domain/page.h"

struct job {
	const char *id, *type, *certificate_id, *target_id, *agent_id;
	const char *status, *last_error;
	int64_t attempts, max_attempts;
	int64_t scheduled_at, started_at, completed_at, created_at;
	const char *verification_status, *verification_error;
	const char *verification_fingerprint;
	int64_t verified_at;
};

struct job_verification {
	const char *job_id, *target_id;
	const char *expected_fingerprint, *actual_fingerprint, *error;
	bool verified;
	int64_t verified_at;
};

extern const struct field job_fields[], job_verification_fields[];
extern const struct view job_view;

/* Each records the call. */
int job_get(struct ctx *c, const char *id, struct job *out, struct err *e);

/* E_CONFLICT if it has ended already. */
int job_cancel(struct ctx *c, const char *id, struct err *e);

/* What a TLS handshake with the target showed, as its agent reports it.  V's
 * times are filled. */
int job_verify(struct ctx *c, struct job_verification *v, struct err *e);
int job_verification(struct ctx *c, const char *id,
    struct job_verification *out, struct err *e);

#endif
