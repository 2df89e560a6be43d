/*
 * What the engine keeps in its private directory: locks on destinations,
 * copies of the files it replaced, and a mark for every deployment under way.
 *
 * A mark is on the disk before the first file of a deployment is staged and
 * leaves it after the last hook succeeded or everything was put back.  So a
 * mark that is found says: a deployment died here; these copies are its way
 * back.
 *
 *	<hash>.lock		one destination, <hash> of its path
 *	<hash>-<name>.<ns>.undo	a copy of what stood there, 0600, for a mark
 *	<hash>-<name>.<ns>	one that is kept by backup_retention
 *	<hash>.mark		one set of destinations, JSON
 */
#ifndef CERTCTL_TARGET_MARK_H
#define CERTCTL_TARGET_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "target/hooks.h"

struct arena;
struct err;

enum { FILES_MAX = 4 };			/* destinations of one deployment */

/* One destination of a deployment under way. */
struct mark_file {
	const char *path;
	const char *copy;	/* of what stood there; blank: nothing did */
	int64_t mode, uid, gid;	/* of what stood there */
	const char *sha256;	/* of what the deployment puts there */
	bool secret;		/* a private key is in it */
};

struct mark {
	const char *type;		/* "NGINX" */
	int64_t backup_retention;
	struct hooks hooks;
	struct mark_file files[FILES_MAX];
	size_t n;
};

/* The staged form of PATH, in the same directory, with a dot before it. */
char *mark_tmp(struct arena *a, const char *path);

/* Lock N destinations in a fixed order; closed by mark_unlock(). */
struct mark_locks {
	int fd[FILES_MAX];
	size_t n;
};
int mark_lock(struct arena *a, const char *dir, const char *const *paths,
    size_t n, struct mark_locks *out, struct err *e);
void mark_unlock(struct mark_locks *l);

/* Store a copy of P for PATH, for a mark to name; its name in *NAME. */
int mark_copy(struct arena *a, const char *dir, const char *path,
    struct bytes p, const char **name, struct err *e);

/* Wipe the copies of PATH that marks were to name, but not BUT (or NULL). */
int mark_clear_copies(struct arena *a, const char *dir, const char *path,
    const char *but, struct err *e);

/*
 * PATH's deployment succeeded: its copy NAME (may be blank) becomes one of the
 * kept ones, of which all but the newest KEEP are wiped.
 */
int mark_keep_copy(struct arena *a, const char *dir, const char *path,
    const char *name, int64_t keep, struct err *e);

/*
 * Wipe what no mark in DIR names and what was half written; nobody may be
 * deploying.
 */
int mark_sweep(struct arena *a, const char *dir, struct err *e);

/* Write, read or remove a mark; they are named after their destinations. */
int mark_write(struct arena *a, const char *dir, const struct mark *m,
    struct err *e);
int mark_remove(struct arena *a, const char *dir, const struct mark *m,
    struct err *e);

/*
 * Every mark in DIR, or with PATHS those that share one of N paths.  A mark
 * that cannot be read is an error.
 */
int mark_list(struct arena *a, const char *dir, const char *const *paths,
    size_t n, struct mark **out, size_t *n_out, struct err *e);

#endif
