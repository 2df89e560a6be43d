#include "target/mark.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "codec/json.h"
#include "x509/digest.h"

enum {
	HASH = 16,		/* hex digits that stand for a path */
	NAME_MAX_KEPT = 64,	/* of the file name, for whoever looks */
	MARK_MAX = 256 * 1024,
	LOCK_WAIT_MS = 5 * 60 * 1000,
};

static const char undo[] = ".undo";

static const struct field mark_file_fields[] = {
	FIELD(struct mark_file, path, TEXT, F_REQ),
	FIELD(struct mark_file, copy, TEXT, 0),
	FIELD(struct mark_file, mode, INT, 0),
	FIELD(struct mark_file, uid, INT, 0),
	FIELD(struct mark_file, gid, INT, 0),
	FIELD(struct mark_file, sha256, TEXT, F_REQ),
	FIELD(struct mark_file, secret, BOOL, 0),
	FIELD_END
};

/* The mark itself as it is written: its parts are JSON texts. */
struct mark_text {
	const char *type, *hooks, *files;
	int64_t backup_retention;
};

static const struct field mark_fields[] = {
	FIELD(struct mark_text, type, TEXT, F_REQ),
	FIELD(struct mark_text, backup_retention, INT, 0, 0, -1),
	FIELD(struct mark_text, hooks, JSON, F_REQ),
	FIELD(struct mark_text, files, JSONS, F_REQ),
	FIELD_END
};

static char *
hash(struct arena *a, const char *text)
{
	char hex[SHA256_HEX + 1];

	return arena_strndup(a, sha256_hex(text, strlen(text), hex), HASH);
}

static const char *
base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

char *
mark_tmp(struct arena *a, const char *path)
{
	const char *name = base_name(path);

	return arena_printf(a, "%.*s.%s.certctl-tmp", (int)(name - path), path,
	    name);
}

static int
by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

int
mark_lock(struct arena *a, const char *dir, const char *const *paths,
    size_t n, struct mark_locks *out, struct err *e)
{
	const char *names[FILES_MAX];
	int fd;

	out->n = 0;
	for (size_t i = 0; i < n; i++)
		names[i] = arena_printf(a, "%s/%s.lock", dir,
		    hash(a, paths[i]));
	/* One order for all: two deployments never wait for each other. */
	qsort(names, n, sizeof(names[0]), by_text);
	for (size_t i = 0; i < n; i++) {
		fd = file_lock(names[i], LOCK_WAIT_MS, e);
		if (fd < 0) {
			mark_unlock(out);
			return -1;
		}
		out->fd[out->n++] = fd;
	}
	return 0;
}

void
mark_unlock(struct mark_locks *l)
{
	while (l->n > 0)
		close(l->fd[--l->n]);
}

static char *
copy_prefix(struct arena *a, const char *path)
{
	return arena_printf(a, "%s-%.*s.", hash(a, path), NAME_MAX_KEPT,
	    base_name(path));
}

/* The names in DIR that begin with HEAD and end with TAIL, sorted; those with
 * a dot before them only if HEAD has one. */
static int
names_like(struct arena *a, const char *dir, const char *head,
    const char *tail, struct texts *out, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	*out = (struct texts){ 0 };
	if (d == NULL)
		return errno == ENOENT ? 0 : err_set(e, E_INTERNAL,
		    "cannot read directory %s: %s", dir, strerror(errno));
	while ((de = readdir(d)) != NULL) {
		size_t len = strlen(de->d_name), t = strlen(tail);

		if ((*de->d_name == '.') == (*head == '.') && len >= t &&
		    strncmp(de->d_name, head, strlen(head)) == 0 &&
		    streq(de->d_name + len - t, tail))
			texts_add(a, out, arena_strdup(a, de->d_name));
	}
	closedir(d);
	if (out->n > 0)
		qsort(out->v, out->n, sizeof(out->v[0]), by_text);
	return 0;
}

static int
wipe_in(struct arena *a, const char *dir, const char *name, struct err *e)
{
	return file_wipe(arena_printf(a, "%s/%s", dir, name), e);
}

int
mark_copy(struct arena *a, const char *dir, const char *path, struct bytes p,
    const char **name, struct err *e)
{
	*name = arena_printf(a, "%s%019lld%s", copy_prefix(a, path),
	    (long long)now_ns(), undo);
	return file_write(arena_printf(a, "%s/%s", dir, *name), p.p, p.len,
	    0600, e);
}

int
mark_clear_copies(struct arena *a, const char *dir, const char *path,
    const char *but, struct err *e)
{
	struct texts names, half;

	if (names_like(a, dir, copy_prefix(a, path), undo, &names, e) < 0 ||
	    names_like(a, dir, arena_printf(a, ".%s", copy_prefix(a, path)),
	    "", &half, e) < 0)
		return -1;
	for (size_t i = 0; i < half.n; i++)
		texts_add(a, &names, half.v[i]);
	for (size_t i = 0; i < names.n; i++)
		if (!streq(names.v[i], or_empty(but)) &&
		    wipe_in(a, dir, names.v[i], e) < 0)
			return -1;
	return 0;
}

int
mark_keep_copy(struct arena *a, const char *dir, const char *path,
    const char *name, int64_t keep, struct err *e)
{
	struct texts names;
	const char *from;

	if (!blank(name) && keep > 0) {
		from = arena_printf(a, "%s/%s", dir, name);
		if (file_rename(from, arena_strndup(a, from, strlen(from) -
		    strlen(undo)), e) < 0)
			return -1;
	}
	if (mark_clear_copies(a, dir, path, NULL, e) < 0 ||
	    names_like(a, dir, copy_prefix(a, path), "", &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (names.n - i > (size_t)keep &&
		    wipe_in(a, dir, names.v[i], e) < 0)
			return -1;
	return 0;
}

static char *
mark_path(struct arena *a, const char *dir, const struct mark *m)
{
	const char *paths[FILES_MAX];
	struct buf b = BUF(a);

	for (size_t i = 0; i < m->n; i++)
		paths[i] = m->files[i].path;
	qsort(paths, m->n, sizeof(paths[0]), by_text);
	for (size_t i = 0; i < m->n; i++)
		buf_printf(&b, "%s\n", paths[i]);
	return arena_printf(a, "%s/%s.mark", dir, hash(a, buf_str(&b)));
}

int
mark_write(struct arena *a, const char *dir, const struct mark *m,
    struct err *e)
{
	struct buf hooks = BUF(a), files = BUF(a), b = BUF(a);
	struct mark_text t = {
		.type = m->type, .backup_retention = m->backup_retention,
	};

	json_write(&hooks, hooks_fields, &m->hooks, NULL);
	for (size_t i = 0; i < m->n; i++) {
		buf_putc(&files, i == 0 ? '[' : ',');
		json_write(&files, mark_file_fields, &m->files[i], NULL);
	}
	buf_putc(&files, ']');
	t.hooks = buf_str(&hooks);
	t.files = buf_str(&files);
	json_write(&b, mark_fields, &t, NULL);
	buf_putc(&b, '\n');
	return file_write(mark_path(a, dir, m), b.p, b.len, 0600, e);
}

int
mark_remove(struct arena *a, const char *dir, const struct mark *m,
    struct err *e)
{
	return file_remove(mark_path(a, dir, m), e);
}

static int
read_object(struct arena *a, const char *text, const struct field *t,
    void *obj, struct err *e)
{
	struct json *j = json_parse(a, text, strlen(text), e);

	return j == NULL ? -1 : json_read(a, j, t, 0, obj, e);
}

static int
read_files(struct arena *a, const char *text, struct mark *m, struct err *e)
{
	struct json *j = json_parse(a, text, strlen(text), e);

	if (j == NULL)
		return -1;
	m->n = json_len(j);
	if (m->n == 0 || m->n > FILES_MAX)
		return err_set(e, E_INVALID, "a mark of %zu files", m->n);
	for (size_t i = 0; i < m->n; i++) {
		struct mark_file *f = &m->files[i];

		if (json_read(a, json_item(a, j, i), mark_file_fields,
		    0, f, e) < 0)
			return -1;
		if (*f->path != '/' || strchr(or_empty(f->copy), '/') != NULL)
			return err_set(e, E_INVALID, "a path that is not ours");
	}
	return 0;
}

static int
read_mark(struct arena *a, const char *path, struct mark *m, struct err *e)
{
	struct mark_text t = { 0 };
	struct bytes p;

	*m = (struct mark){ 0 };
	if (file_read_own(a, path, MARK_MAX, &p, e) < 0)
		return -1;
	if (read_object(a, (const char *)p.p, mark_fields, &t, e) < 0 ||
	    read_object(a, t.hooks, hooks_fields, &m->hooks, e) < 0 ||
	    read_files(a, t.files, m, e) < 0)
		return err_prefix(e, "%s is damaged", path);
	m->type = t.type;
	m->backup_retention = t.backup_retention;
	return 0;
}

static bool
shares_path(const struct mark *m, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t k = 0; k < n; k++)
			if (streq(m->files[i].path, paths[k]))
				return true;
	return false;
}

int
mark_list(struct arena *a, const char *dir, const char *const *paths,
    size_t n, struct mark **out, size_t *n_out, struct err *e)
{
	struct texts names;
	struct mark *v;
	size_t k = 0;

	if (names_like(a, dir, "", ".mark", &names, e) < 0)
		return -1;
	v = arena_alloc(a, (names.n + 1) * sizeof(*v));
	for (size_t i = 0; i < names.n; i++) {
		if (read_mark(a, arena_printf(a, "%s/%s", dir, names.v[i]),
		    &v[k], e) < 0) {
			if (e->code == E_NOT_FOUND)
				continue;	/* finished meanwhile */
			return -1;
		}
		if (paths == NULL || shares_path(&v[k], paths, n))
			k++;
	}
	*out = v;
	*n_out = k;
	return 0;
}

static bool
is_named(const struct mark *marks, size_t n, const char *copy)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < marks[i].n; k++)
			if (streq(or_empty(marks[i].files[k].copy), copy))
				return true;
	return false;
}

int
mark_sweep(struct arena *a, const char *dir, struct err *e)
{
	struct texts names;
	struct mark *marks;
	size_t n;

	if (mark_list(a, dir, NULL, 0, &marks, &n, e) < 0 ||
	    names_like(a, dir, "", undo, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (!is_named(marks, n, names.v[i]) &&
		    wipe_in(a, dir, names.v[i], e) < 0)
			return -1;
	return dir_clear_tmp(dir, e);
}
