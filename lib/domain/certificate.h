/* Managed certificates: the records that survive renewals. */
#ifndef CERTCTL_DOMAIN_CERTIFICATE_H
#define CERTCTL_DOMAIN_CERTIFICATE_H

#include "domain/ctx.h"
#include "domain/page.h"

struct json;

struct certificate {
	const char *id, *name, *common_name, *environment;
	struct texts sans, target_ids;
	const char *owner_id, *team_id, *issuer_id, *renewal_policy_id;
	const char *certificate_profile_id, *status, *revocation_reason;
	const char *source, *tags;		/* tags: JSON */
	int64_t expires_at, created_at, updated_at;
	int64_t last_renewal_at, last_deployment_at, revoked_at;
};

extern const struct field certificate_fields[];
extern const struct view certificate_view, certificate_version_view;

/* What a status allows. */
enum {
	MAY_RENEW = 1 << 0,
	MAY_RENEW_FORCED = 1 << 1,
	MAY_DEPLOY = 1 << 2,
	MAY_SET = 1 << 3,	/* by create and update */
	MAY_LEAVE = 1 << 4,	/* by update */
};
unsigned certificate_allows(const char *status);

/* Lock ID in the transaction that is open; E_NOT_FOUND. */
int certificate_lock(struct ctx *c, const char *id, struct certificate *out,
    struct err *e);

int certificate_not_found(const char *id, struct err *e);

/* {"common_name":"..."}: what most events of a certificate tell. */
char *certificate_details(struct ctx *c, const struct certificate *cert);

/*
 * Each records the call.  E_NOT_FOUND, E_INVALID (a value, a reference),
 * E_CONFLICT (name or id taken, a state that forbids it).
 */
int certificate_get(struct ctx *c, const char *id, struct certificate *out,
    struct err *e);
int certificate_create(struct ctx *c, const struct json *body,
    struct certificate *out, struct err *e);
/* Members that are absent or empty keep what is stored; target_ids and tags
 * replace. */
int certificate_update(struct ctx *c, const char *id,
    const struct json *body, struct certificate *out, struct err *e);
int certificate_archive(struct ctx *c, const char *id, struct err *e);

/*
 * Ask for a new version; agents make the keys and workers the certificate.
 * One job for each agent that has a target of it: *JOB_ID is the first.  With
 * FORCE also while a renewal is under way (whose job is returned) and after
 * expiry.
 */
int certificate_renew(struct ctx *c, const char *id, bool force,
    const char **job_id, struct err *e);

/* Ask for the newest version to be installed on TARGET_ID, NULL for all its
 * targets. */
int certificate_deploy(struct ctx *c, const char *id, const char *target_id,
    struct err *e);

/* The targets it is mapped to, as a page of the target view without paging. */
int certificate_deployments(struct ctx *c, const char *id, struct page *out,
    struct err *e);

#endif
