/* Agents: registration, the pulse, the work they pull and what they report. */
#ifndef CERTCTL_DOMAIN_AGENT_H
#define CERTCTL_DOMAIN_AGENT_H

#include "domain/ctx.h"
#include "domain/page.h"

struct json;

struct agent {
	const char *id, *name, *hostname, *status;
	const char *os, *architecture, *ip_address, *version;
	int64_t last_heartbeat_at, registered_at;
	const char *api_key;		/* shown once, at registration */
	const char *api_key_sha256;	/* sent by an agent that made its own */
	int64_t retired_at;
	const char *retired_reason;
};

/* What an agent tells of itself with each heartbeat; blank keeps. */
struct pulse {
	const char *version, *hostname, *os, *architecture, *ip_address;
};

struct retirement {
	int64_t retired_at;
	bool already_retired;		/* then nothing else is filled */
	bool cascade;
	int64_t active_targets, active_certificates, pending_jobs;
};

struct job_report {
	const char *status, *error;
	int64_t pending_deployments;	/* out: targets still on an older pair */
};

extern const struct field agent_fields[], pulse_fields[], job_report_fields[];
extern const struct view agent_view, agent_retired_view;

/*
 * Register the agent BODY describes.  Its own key is made here and returned
 * in out->api_key, unless the body has api_key_sha256: the agent then made it,
 * and may ask again if the reply was lost.  E_CONFLICT for a name in use.
 */
int agent_register(struct ctx *c, const struct json *body, struct agent *out,
    struct err *e);

int agent_get(struct ctx *c, const char *id, struct agent *out,
    struct err *e);

/* E_NOT_FOUND, or E_GONE once it is retired. */
int agent_heartbeat(struct ctx *c, const char *id, const struct pulse *p,
    struct err *e);

/*
 * What ID is to do now, as the JSON of the reply; *N counts the items.
 * Deployments are leased to it.  E_NOT_FOUND, E_GONE.
 */
int agent_work(struct ctx *c, const char *id, char **json, size_t *n,
    struct err *e);

/*
 * Take a CSR for CERTIFICATE_ID.  It is checked against the profile and
 * stored; a worker has it signed, so that no CA keeps the agent waiting.
 * E_INVALID (the job goes on waiting), E_NOT_FOUND, E_CONFLICT if no job of
 * this agent waits for a CSR, E_GONE.
 */
int agent_csr(struct ctx *c, const char *id, const char *certificate_id,
    const char *csr_pem, struct err *e);

/* The certificate ID is to install, leaf first.  E_NOT_FOUND. */
int agent_certificate(struct ctx *c, const char *id,
    const char *certificate_id, const char **pem, struct err *e);

/*
 * The outcome of a job of ID.  The same report twice is no error; a job in
 * another state is E_CONFLICT.
 */
int agent_report(struct ctx *c, const char *id, const char *job_id,
    struct job_report *r, struct err *e);

/*
 * Retire ID.  E_CONFLICT, with the counts in OUT, if something depends on it
 * and FORCE is not set; with FORCE a REASON is needed, and its targets and
 * open jobs end with it.
 */
int agent_retire(struct ctx *c, const char *id, bool force,
    const char *reason, struct retirement *out, struct err *e);

#endif
