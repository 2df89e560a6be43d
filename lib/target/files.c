#include "target/files.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "target/swap.h"
#include "x509/digest.h"

/* What stands at a destination now. */
struct standing {
	bool exists;
	struct bytes bytes;
	struct file_attr attr;
};

/* One destination, planned and looked at. */
struct place {
	const struct plan_file *f;
	struct standing now;
	struct file_attr attr;	/* what the new file gets */
};

void
plan_add(struct plan *p, const char *path, struct bytes bytes, bool secret,
    const struct owner_conf *want)
{
	p->files[p->n++] = (struct plan_file){
		.path = path, .bytes = bytes, .secret = secret, .want = *want,
	};
}

static size_t
add_lines(char *out, const char *pem)
{
	size_t n = strlen(or_empty(pem));

	while (n > 0 && pem[n - 1] == '\n')
		n--;
	if (n == 0)
		return 0;
	memcpy(out, pem, n);
	out[n] = '\n';
	return n + 1;
}

struct bytes
pem_join(struct arena *a, const char *leaf, const char *chain, const char *key)
{
	size_t max = strlen(or_empty(leaf)) + strlen(or_empty(chain)) +
	    strlen(or_empty(key)) + 4, n = 0;
	char *out = arena_alloc(a, max);

	arena_wipe(a, out, max);
	n += add_lines(out + n, leaf);
	n += add_lines(out + n, chain);
	n += add_lines(out + n, key);
	return (struct bytes){ (const unsigned char *)out, n };
}

static int
check_paths(struct arena *a, const struct plan *p, struct err *e)
{
	struct stat st;

	for (size_t i = 0; i < p->n; i++) {
		const char *path = p->files[i].path, *slash;
		char *dir;

		if (*path != '/' || path[strlen(path) - 1] == '/')
			return err_set(e, E_INVALID,
			    "\"%.200s\" is not an absolute path of a file",
			    path);
		for (size_t k = 0; k < i; k++)
			if (streq(path, p->files[k].path))
				return err_set(e, E_INVALID,
				    "%.200s is named twice", path);
		slash = strrchr(path, '/');
		dir = arena_strndup(a, path, (size_t)(slash - path) + 1);
		if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
			return err_set(e, E_INVALID,
			    "directory %.200s does not exist", dir);
	}
	return 0;
}

/* A link is not followed: whoever owns the directory could aim it anywhere. */
static int
look_at(struct arena *a, const char *path, struct standing *out,
    struct err *e)
{
	struct stat st;

	*out = (struct standing){ 0 };
	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (file_read_own(a, path, SWAP_FILE_MAX, &out->bytes, e) < 0)
		return -1;
	if (lstat(path, &st) < 0)
		return err_set(e, E_INTERNAL, "cannot read %s: %s", path,
		    strerror(errno));
	out->exists = true;
	out->attr = (struct file_attr){
		st.st_mode & 07777, st.st_uid, st.st_gid,
	};
	return 0;
}

static int
user_id(const char *name, int64_t *id, struct err *e)
{
	const struct passwd *pw;

	if (int_parse(name, 0, UINT32_MAX - 1, id))
		return 0;
	if ((pw = getpwnam(name)) == NULL)
		return err_set(e, E_INVALID, "user \"%s\" does not exist",
		    name);
	*id = pw->pw_uid;
	return 0;
}

static int
group_id(const char *name, int64_t *id, struct err *e)
{
	const struct group *gr;

	if (int_parse(name, 0, UINT32_MAX - 1, id))
		return 0;
	if ((gr = getgrnam(name)) == NULL)
		return err_set(e, E_INVALID, "group \"%s\" does not exist",
		    name);
	*id = gr->gr_gid;
	return 0;
}

/* Mode, owner and group, each for itself: as asked, as it is, the default. */
static int
resolve(struct place *p, struct err *e)
{
	const struct owner_conf *want = &p->f->want;

	p->attr = (struct file_attr){
		p->f->secret ? 0600 : 0644, FILE_KEEP, FILE_KEEP,
	};
	if (p->now.exists)
		p->attr = swap_attr(&p->now.attr);
	if (want->mode > 0)
		p->attr.mode = (mode_t)want->mode;
	if (!blank(want->owner) && user_id(want->owner, &p->attr.uid, e) < 0)
		return -1;
	if (!blank(want->group) && group_id(want->group, &p->attr.gid, e) < 0)
		return -1;
	return 0;
}

static bool
same(const struct place *p)
{
	const struct standing *now = &p->now;

	return now->exists && bytes_eq(now->bytes, p->f->bytes) &&
	    now->attr.mode == p->attr.mode &&
	    (p->attr.uid == FILE_KEEP || p->attr.uid == now->attr.uid) &&
	    (p->attr.gid == FILE_KEEP || p->attr.gid == now->attr.gid);
}

static int
survey(struct arena *a, const struct plan *p, struct place *places,
    bool *all_same, struct err *e)
{
	*all_same = true;
	for (size_t i = 0; i < p->n; i++) {
		places[i].f = &p->files[i];
		if (look_at(a, p->files[i].path, &places[i].now, e) < 0 ||
		    resolve(&places[i], e) < 0)
			return -1;
		*all_same &= same(&places[i]);
	}
	return 0;
}

/* Copy what stands there now and write the mark that leads back to it. */
static int
prepare(struct arena *a, const struct plan *p, const struct place *places,
    const char *dir, struct mark *m, struct err *e)
{
	char hex[SHA256_HEX + 1];

	*m = (struct mark){
		.type = p->type, .hooks = p->hooks,
		.backup_retention = p->backup_retention,
	};
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_file *f = &p->files[i];
		const struct standing *now = &places[i].now;
		struct mark_file *mf = &m->files[m->n];

		mf->path = f->path;
		mf->secret = f->secret;
		mf->sha256 = arena_strdup(a,
		    sha256_hex(f->bytes.p, f->bytes.len, hex));
		if (now->exists) {
			mf->mode = now->attr.mode;
			mf->uid = now->attr.uid;
			mf->gid = now->attr.gid;
			if (mark_copy(a, dir, f->path, now->bytes, &mf->copy,
			    e) < 0)
				return -1;
		}
		m->n++;
	}
	return mark_write(a, dir, m, e);
}

static int
stage(struct arena *a, const struct plan *p, const struct place *places,
    struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (file_create(mark_tmp(a, p->files[i].path),
		    p->files[i].bytes.p, p->files[i].bytes.len,
		    &places[i].attr, e) < 0)
			return -1;
	return 0;
}

static int
swap_in(struct arena *a, const struct plan *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (file_rename(mark_tmp(a, p->files[i].path),
		    p->files[i].path, e) < 0)
			return -1;
	return 0;
}

/*
 * The deployment proper, under locks.  LEFT are marks of deployments that
 * died on our files: they give back what stood there before them, so that the
 * way back from here is theirs too, and end when our own mark is written.
 */
static int
carry_out(struct arena *a, const struct plan *p, struct place *places,
    const char *dir, const struct mark *left, size_t n_left,
    enum deploy_outcome *outcome, struct err *e)
{
	struct mark m;
	bool all_same;

	for (size_t i = 0; i < n_left; i++)
		if (swap_back(a, dir, &left[i], e) < 0) {
			*outcome = DEPLOY_ROLLBACK_FAILED;
			return err_prefix(e, "an earlier deployment died and "
			    "its files cannot be put back");
		}
	if (n_left > 0 && survey(a, p, places, &all_same, e) < 0)
		return -1;
	if (prepare(a, p, places, dir, &m, e) < 0) {
		swap_forget(a, dir, &m);
		return err_prefix(e, "cannot save the old files");
	}
	for (size_t i = 0; i < n_left; i++) {
		if (!swap_same_files(&left[i], &m) &&
		    mark_remove(a, dir, &left[i], e) < 0)
			return -1;
		swap_forget(a, dir, &left[i]);
	}
	for (size_t i = 0; i < m.n; i++)
		if (mark_clear_copies(a, dir, m.files[i].path,
		    m.files[i].copy, e) < 0)
			return -1;
	if (stage(a, p, places, e) < 0 || swap_in(a, p, e) < 0)
		return swap_undo(a, dir, &m, outcome, e);
	return swap_activate(a, dir, &m, outcome, e);
}

static int
deploy_locked(struct arena *a, const struct plan *p, const char *const *paths,
    const char *dir, enum deploy_outcome *outcome, struct err *e)
{
	struct place places[FILES_MAX];
	struct mark *left;
	size_t n_left;
	bool all_same;
	struct err unseen;

	if (survey(a, p, places, &all_same, e) < 0 ||
	    mark_list(a, dir, paths, p->n, &left, &n_left, e) < 0)
		return -1;
	/* Equal files that the server does not serve are deployed again. */
	if (all_same && n_left == 0 && hooks_verify(&p->hooks, &unseen) == 0) {
		*outcome = DEPLOY_UNCHANGED;
		return 0;
	}
	return carry_out(a, p, places, dir, left, n_left, outcome, e);
}

int
files_deploy(struct arena *a, const struct plan *p, const char *state_dir,
    enum deploy_outcome *outcome, struct err *e)
{
	const char *paths[FILES_MAX];
	struct mark_locks locks;
	int rc;

	*outcome = DEPLOY_PLAN_INVALID;
	if (check_paths(a, p, e) < 0 || dir_make(state_dir, 0700, e) < 0)
		return -1;
	for (size_t i = 0; i < p->n; i++)
		paths[i] = p->files[i].path;
	if (mark_lock(a, state_dir, paths, p->n, &locks, e) < 0)
		return -1;
	rc = deploy_locked(a, p, paths, state_dir, outcome, e);
	mark_unlock(&locks);
	return rc;
}
