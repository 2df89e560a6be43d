/*
 * The file deployment engine: several files go live together or not at all.
 *
 * Stage beside the destinations, swap all, let the server validate its new
 * configuration, reload it, look at what it serves; on any failure put
 * everything back and reload again.  A destination keeps the mode and owner
 * it has unless the configuration says otherwise.
 *
 * Copies of replaced files are kept by backup_retention once a deployment
 * succeeded: N > 0 keeps the newest N of each destination; 0 keeps 3 of those
 * that hold no private key; below 0 keeps none.  The copy that a rollback
 * needs exists in any case until the outcome is certain.
 */
#ifndef CERTCTL_TARGET_FILES_H
#define CERTCTL_TARGET_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field.h"
#include "base/util.h"
#include "target/hooks.h"
#include "target/mark.h"
#include "target/target.h"

/* What a configuration may say of a file's mode and owner. */
struct owner_conf {
	int64_t mode;			/* 0: as it is, or the default */
	const char *owner, *group;	/* names or numbers; blank: as it is */
};

/* PREFIX_mode, PREFIX_owner, PREFIX_group of member M of struct S. */
#define OWNER_FIELDS(s, m, prefix)					\
	FIELD_AS(s, m.mode, prefix "_mode", MODE, F_OMIT),		\
	FIELD_AS(s, m.owner, prefix "_owner", TEXT, F_OMIT, 64),	\
	FIELD_AS(s, m.group, prefix "_group", TEXT, F_OMIT, 64)

struct plan_file {
	const char *path;
	struct bytes bytes;
	bool secret;			/* holds a private key */
	struct owner_conf want;
};

struct plan {
	const char *type;		/* "NGINX" */
	struct plan_file files[FILES_MAX];
	size_t n;
	struct hooks hooks;
	int64_t backup_retention;
};

/* Add a file: certificates are 0644 by default, secrets 0600. */
void plan_add(struct plan *p, const char *path, struct bytes bytes,
    bool secret, const struct owner_conf *want);

/*
 * LEAF, CHAIN and KEY as one PEM text, each on lines of its own; blank parts
 * are left out.  The text is wiped with A.
 */
struct bytes pem_join(struct arena *a, const char *leaf, const char *chain,
    const char *key);

/* Carry P out; the contract is that of target_deploy(). */
int files_deploy(struct arena *a, const struct plan *p, const char *state_dir,
    enum deploy_outcome *outcome, struct err *e);

#endif
