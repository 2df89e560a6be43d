/*
 * Targets: where a certificate is installed, one const descriptor each.
 *
 * A connector turns its configuration into files and hooks; one engine
 * (target/files.h) installs them for all of them.
 */
#ifndef CERTCTL_TARGET_TARGET_H
#define CERTCTL_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/field.h"
#include "base/util.h"

struct arena;

struct deploy_args {
	const char *cert_pem;	/* leaf */
	const char *chain_pem;	/* issuers above it; may be blank */
	const char *key_pem;
	const char *fingerprint; /* of the leaf: what verification must see */
	/* The agent's private directory for locks, backups and the marks of
	 * deployments under way; made 0700 if missing. */
	const char *state_dir;
};

/* How a deployment ended; the four failures must stay distinguishable. */
enum deploy_outcome {
	DEPLOY_DONE,
	DEPLOY_UNCHANGED,	/* the same files were live already */
	DEPLOY_PLAN_INVALID,	/* nothing touched */
	DEPLOY_VALIDATE_FAILED,	/* restored, the server was never reloaded */
	DEPLOY_ROLLED_BACK,	/* reload or verify failed; the old is live */
	DEPLOY_ROLLBACK_FAILED,	/* an operator must look */
};

struct target_type {
	const char *name;		/* exact, case-sensitive: "NGINX" */
	const struct field *conf;
	size_t conf_size;
	void (*defaults)(void *conf);
	int (*check)(const void *conf, struct err *e);
	/* NULL: not built yet; CONF then names the secret members only. */
	int (*deploy)(struct arena *a, const void *conf,
	    const struct deploy_args *args, enum deploy_outcome *outcome,
	    struct err *e);
};

/* The registry, NULL terminated: every name of the wire contract. */
extern const struct target_type *const target_types[];
const struct target_type *target_type_find(const char *name);

/*
 * Read CONF_JSON by T's table: defaults, types, the command rule, unknown keys
 * refused.  For a type that is not built yet any object passes.  Nothing on
 * this host is looked at, so the server may ask.
 */
int target_check_conf(const struct target_type *t, const char *conf_json,
    struct err *e);

/* CONF_JSON with every F_SECRET member shown as "********", in A. */
char *target_redact_conf(struct arena *a, const struct target_type *t,
    const char *conf_json);

/*
 * Where CONF_JSON says the certificate is served: post_deploy_verify.endpoint
 * if that is enabled, else host:port.  "host:port" in A, or NULL.
 */
const char *target_endpoint(struct arena *a, const struct target_type *t,
    const char *conf_json);

/*
 * Deploy; *OUTCOME is always set.  The key must belong to the leaf, which must
 * have the fingerprint given, and the chain must issue it.  Fails with a
 * message fit for a job's error.
 *
 * Not to be interrupted: a crash is repaired by the next deployment of any of
 * the files or by target_recover(); signals are the caller's to block.
 * SIGPIPE must be ignored.
 */
int target_deploy(struct arena *a, const struct target_type *t,
    const char *conf_json, const struct deploy_args *args,
    enum deploy_outcome *outcome, struct err *e);

/* One deployment that a crash had left half done, and what became of it. */
struct recovered {
	const char *type, *path;	/* target type, first file */
	enum deploy_outcome outcome;	/* DONE, ROLLED_BACK, ROLLBACK_FAILED */
	struct err err;			/* why, unless DONE */
};

/*
 * Decide every deployment that died in STATE_DIR: if all its files are in
 * place it is finished (validate, reload, verify), else the old files come
 * back and the server is reloaded.  Copies nobody needs are wiped.  No
 * deployment may be running in STATE_DIR.  *OUT, *N live in A.
 */
int target_recover(struct arena *a, const char *state_dir,
    struct recovered **out, size_t *n, struct err *e);

/* "done", "unchanged", "plan_invalid", ...: for logs and metrics. */
const char *deploy_outcome_name(enum deploy_outcome o);

#endif
