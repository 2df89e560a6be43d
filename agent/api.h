/*
 * The calls to the server, one function each.
 *
 * All fail with a code that says what to do about it: E_GONE if this agent is
 * retired; api_final() tells answers that no repetition will change from those
 * that one may (no connection, 5xx, 401, 429).  Messages carry the server's.
 */
#ifndef CERTCTL_AGENT_API_H
#define CERTCTL_AGENT_API_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/job.h"

struct api;
struct arena;
struct conf;
struct err;

enum { PENDING_UNKNOWN = -1 };

/* KEY and AGENT_ID are copied; both blank before the registration. */
struct api *api_new(const struct conf *c, const char *agent_id,
    const char *key, struct err *e);
void api_free(struct api *api);

/* With false, a request to stop waits for the end of a call.  True at first. */
void api_give_up_early(struct api *api, bool yes);

bool api_final(const struct err *e);

/* What POST /agents answers; API_KEY only if the server chose one. */
struct registered {
	const char *id, *api_key;
};
int api_register(struct api *api, struct arena *a, const char *token,
    const char *name, const char *key_hash, struct registered *out,
    struct err *e);

int api_heartbeat(struct api *api, struct arena *a, struct err *e);

struct work {
	struct job *jobs;
	size_t n;
	int64_t poll_seconds;		/* 0: the server did not say */
};
int api_work(struct api *api, struct arena *a, struct work *out,
    struct err *e);

int api_csr(struct api *api, struct arena *a, const char *certificate_id,
    const char *csr_pem, struct err *e);

/* The newest version: leaf, then chain. */
int api_certificate(struct api *api, struct arena *a,
    const char *certificate_id, const char **pem, struct err *e);

/*
 * *PENDING, unless it is NULL, becomes the number of targets of this agent
 * that lack the newest version of the job's certificate, or PENDING_UNKNOWN.
 */
int api_status(struct api *api, struct arena *a, const char *job_id,
    const char *status, const char *error, int64_t *pending, struct err *e);

/* Report the verification that JOB holds. */
int api_verify(struct api *api, struct arena *a, const struct job *job,
    struct err *e);

#endif
