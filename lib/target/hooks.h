/*
 * What surrounds the swap of files: ask the server whether it likes its new
 * configuration, have it reload, and look at what it serves.
 */
#ifndef CERTCTL_TARGET_HOOKS_H
#define CERTCTL_TARGET_HOOKS_H

#include <stdint.h>

#include "base/field.h"

struct arena;
struct err;

/* The members every file target's configuration shares. */
struct hooks_conf {
	const char *reload_command, *validate_command;
	const char *post_deploy_verify;	/* object: enabled, endpoint, timeout */
	int64_t post_deploy_verify_attempts;	/* <= 0: 3 */
	int64_t post_deploy_verify_backoff;	/* seconds; 0: 1 */
	int64_t post_deploy_verify_max_backoff;	/* seconds; 0: 16 */
	int64_t backup_retention;	/* see target/files.h */
	const char *host, *hostname, *target, *address;	/* first one counts */
	int64_t port;			/* 0: 443 */
};

#define HOOKS_FIELDS(s, m, validate_flags)				\
	FIELD_AS(s, m.reload_command, "reload_command",			\
	    TEXT, F_REQ, 1024),						\
	FIELD_AS(s, m.validate_command, "validate_command",		\
	    TEXT, validate_flags, 1024),				\
	FIELD_AS(s, m.post_deploy_verify, "post_deploy_verify",		\
	    JSON, F_OMIT),						\
	FIELD_AS(s, m.post_deploy_verify_attempts,			\
	    "post_deploy_verify_attempts", INT, F_OMIT, 20, -1),	\
	FIELD_AS(s, m.post_deploy_verify_backoff,			\
	    "post_deploy_verify_backoff", DURATION, F_OMIT, 300),	\
	FIELD_AS(s, m.post_deploy_verify_max_backoff,			\
	    "post_deploy_verify_max_backoff", DURATION, F_OMIT, 300),	\
	FIELD_AS(s, m.backup_retention, "backup_retention",		\
	    INT, F_OMIT, 1000, -1),					\
	FIELD_AS(s, m.host, "host", TEXT, F_OMIT, 253),			\
	FIELD_AS(s, m.hostname, "hostname", TEXT, F_OMIT, 253),		\
	FIELD_AS(s, m.target, "target", TEXT, F_OMIT, 253),		\
	FIELD_AS(s, m.address, "address", TEXT, F_OMIT, 253),		\
	FIELD_AS(s, m.port, "port", INT, F_OMIT, 65535, 1)

/* What one deployment runs; flat, so that a mark can hold it. */
struct hooks {
	const char *reload, *validate;	/* commands; VALIDATE may be blank */
	const char *endpoint;		/* "host:port"; blank: do not verify */
	const char *fingerprint;	/* what the endpoint must present */
	int64_t chain_min;		/* certificates it must present */
	int64_t timeout, attempts, backoff, max_backoff; /* seconds */
};

extern const struct field hooks_fields[];

/* E_INVALID if a command breaks the rule or the verification is nonsense. */
int hooks_check(const struct hooks_conf *c, struct err *e);

/* The hooks of a configuration that hooks_check() passed. */
void hooks_make(struct arena *a, const struct hooks_conf *c,
    const char *fingerprint, struct hooks *out);

/* "host:port" from host, hostname, target or address; NULL if all are blank. */
const char *hooks_address(struct arena *a, const struct hooks_conf *c);

/*
 * Each fails with E_UPSTREAM or E_TIMEOUT and what the server said.  A hook
 * that is not configured succeeds.
 */
int hooks_validate(struct arena *a, const struct hooks *h, struct err *e);
int hooks_reload(struct arena *a, const struct hooks *h, struct err *e);
int hooks_verify(const struct hooks *h, struct err *e);

#endif
