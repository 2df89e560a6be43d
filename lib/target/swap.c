#include "target/swap.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "x509/digest.h"

enum { COPIES_KEPT = 3 };	/* of a destination without a private key */

struct file_attr
swap_attr(const struct file_attr *attr)
{
	struct file_attr out = *attr;

	if (geteuid() == 0)
		return out;
	out.uid = FILE_KEEP;
	if (!group_member((gid_t)out.gid))
		out.gid = FILE_KEEP;
	return out;
}

bool
swap_same_files(const struct mark *a, const struct mark *b)
{
	size_t found = 0;

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			found += streq(a->files[i].path, b->files[k].path);
	return found == a->n && found == b->n;
}

/* Does F's destination hold what its deployment puts there? */
static int
in_place(struct arena *a, const struct mark_file *f, bool *yes, struct err *e)
{
	char hex[SHA256_HEX + 1];
	struct bytes now;

	*yes = false;
	if (file_read_own(a, f->path, SWAP_FILE_MAX, &now, e) < 0)
		return e->code == E_NOT_FOUND ? 0 : -1;
	*yes = streq(sha256_hex(now.p, now.len, hex), f->sha256);
	return 0;
}

static int
remove_file(const char *path, bool secret, struct err *e)
{
	return secret ? file_wipe(path, e) : file_remove(path, e);
}

static int
put_back(struct arena *a, const char *dir, const struct mark_file *f,
    struct err *e)
{
	const struct file_attr old = {
		(mode_t)f->mode, f->uid, f->gid,
	}, attr = swap_attr(&old);
	const char *tmp = mark_tmp(a, f->path);
	struct bytes p;

	if (blank(f->copy))
		return remove_file(f->path, f->secret, e);
	if (file_read_own(a, arena_printf(a, "%s/%s", dir, f->copy),
	    SWAP_FILE_MAX, &p, e) < 0 ||
	    file_create(tmp, p.p, p.len, &attr, e) < 0)
		return -1;
	return file_rename(tmp, f->path, e);
}

int
swap_back(struct arena *a, const char *dir, const struct mark *m,
    struct err *e)
{
	bool ours;

	for (size_t i = 0; i < m->n; i++) {
		const struct mark_file *f = &m->files[i];

		if (remove_file(mark_tmp(a, f->path), f->secret, e) < 0 ||
		    in_place(a, f, &ours, e) < 0 ||
		    (ours && put_back(a, dir, f, e) < 0))
			return -1;
	}
	return 0;
}

void
swap_forget(struct arena *a, const char *dir, const struct mark *m)
{
	struct err e;

	for (size_t i = 0; i < m->n; i++)
		if (!blank(m->files[i].copy) &&
		    file_wipe(arena_printf(a, "%s/%s", dir,
		    m->files[i].copy), &e) < 0)
			log_debug("a copy stays behind", "error", e.msg, NULL);
}

static int64_t
copies_kept(const struct mark *m, const struct mark_file *f)
{
	if (m->backup_retention != 0)
		return m->backup_retention > 0 ? m->backup_retention : 0;
	return f->secret ? 0 : COPIES_KEPT;
}

static void
keep_copies(struct arena *a, const char *dir, const struct mark *m)
{
	struct err e;

	for (size_t i = 0; i < m->n; i++)
		if (mark_keep_copy(a, dir, m->files[i].path, m->files[i].copy,
		    copies_kept(m, &m->files[i]), &e) < 0)
			log_debug("a copy stays behind", "error", e.msg, NULL);
}

/*
 * WHAT failed for the reason in E: back to the old files, and with RELOAD to a
 * server that runs on them.  The mark leaves only when that is certain.
 * OUTCOME is what to say then.
 */
static int
roll_back(struct arena *a, const char *dir, const struct mark *m,
    const char *what, bool reload, enum deploy_outcome then,
    enum deploy_outcome *outcome, struct err *e)
{
	struct err worse;

	if (swap_back(a, dir, m, &worse) < 0 ||
	    (reload && hooks_reload(a, &m->hooks, &worse) < 0) ||
	    mark_remove(a, dir, m, &worse) < 0) {
		*outcome = DEPLOY_ROLLBACK_FAILED;
		err_prefix(e, "%s; rollback failed, manual intervention "
		    "needed (%.160s)", what, worse.msg);
		return -1;
	}
	swap_forget(a, dir, m);
	*outcome = then;
	return err_prefix(e, "%s; rolled back", what);
}

int
swap_activate(struct arena *a, const char *dir, const struct mark *m,
    enum deploy_outcome *outcome, struct err *e)
{
	if (hooks_validate(a, &m->hooks, e) < 0)
		return roll_back(a, dir, m, "validation failed", false,
		    DEPLOY_VALIDATE_FAILED, outcome, e);
	if (hooks_reload(a, &m->hooks, e) < 0)
		return roll_back(a, dir, m, "reload failed", true,
		    DEPLOY_ROLLED_BACK, outcome, e);
	if (hooks_verify(&m->hooks, e) < 0)
		return roll_back(a, dir, m, "verification failed", true,
		    DEPLOY_ROLLED_BACK, outcome, e);
	if (mark_remove(a, dir, m, e) < 0) {
		*outcome = DEPLOY_ROLLBACK_FAILED;
		return err_prefix(e, "deployed, but its mark stays");
	}
	keep_copies(a, dir, m);
	*outcome = DEPLOY_DONE;
	return 0;
}

int
swap_undo(struct arena *a, const char *dir, const struct mark *m,
    enum deploy_outcome *outcome, struct err *e)
{
	return roll_back(a, dir, m, "files not installed", false,
	    DEPLOY_PLAN_INVALID, outcome, e);
}

static int
all_in_place(struct arena *a, const struct mark *m, bool *yes, struct err *e)
{
	*yes = true;
	for (size_t i = 0; i < m->n && *yes; i++)
		if (in_place(a, &m->files[i], yes, e) < 0)
			return -1;
	return 0;
}

/* Decide the dead deployment M, locked and known to be there still. */
static void
decide(struct arena *a, const char *dir, const struct mark *m,
    struct recovered *r)
{
	bool complete;

	if (all_in_place(a, m, &complete, &r->err) < 0) {
		r->outcome = DEPLOY_ROLLBACK_FAILED;
		return;
	}
	if (complete) {
		swap_activate(a, dir, m, &r->outcome, &r->err);
		return;
	}
	err_set(&r->err, E_CONFLICT, "not all files were in place");
	roll_back(a, dir, m, "deployment interrupted", true,
	    DEPLOY_ROLLED_BACK, &r->outcome, &r->err);
}

/* Lock M's files, make sure that nobody decided it meanwhile, and do. */
static int
recover_one(struct arena *a, const char *dir, const struct mark *m,
    struct recovered *r, bool *gone, struct err *e)
{
	const char *paths[FILES_MAX];
	struct mark_locks locks;
	struct mark *now;
	size_t n_now;
	int rc;

	for (size_t i = 0; i < m->n; i++)
		paths[i] = m->files[i].path;
	if (mark_lock(a, dir, paths, m->n, &locks, e) < 0)
		return -1;
	*gone = true;
	rc = mark_list(a, dir, paths, m->n, &now, &n_now, e);
	for (size_t i = 0; rc == 0 && i < n_now; i++)
		if (swap_same_files(&now[i], m)) {
			*gone = false;
			*r = (struct recovered){
				.type = m->type, .path = m->files[0].path,
			};
			decide(a, dir, &now[i], r);
		}
	mark_unlock(&locks);
	return rc;
}

int
target_recover(struct arena *a, const char *state_dir,
    struct recovered **out, size_t *n, struct err *e)
{
	struct recovered *v;
	struct mark *marks;
	size_t n_marks, k = 0;
	bool gone;

	if (mark_list(a, state_dir, NULL, 0, &marks, &n_marks, e) < 0)
		return -1;
	v = arena_alloc(a, (n_marks + 1) * sizeof(*v));
	for (size_t i = 0; i < n_marks; i++) {
		if (recover_one(a, state_dir, &marks[i], &v[k], &gone, e) < 0)
			return -1;
		k += !gone;
	}
	*out = v;
	*n = k;
	return k == 0 && access(state_dir, F_OK) < 0 ? 0 :
	    mark_sweep(a, state_dir, e);
}
