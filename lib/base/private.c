#include "base/private.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

static int
check_private(const char *path, const struct stat *st, struct err *e)
{
	if ((st->st_mode & 077) != 0)
		return err_set(e, E_INVALID, "%s is open to group or others "
		    "(mode %04o)", path, (unsigned)st->st_mode & 07777);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return err_set(e, E_INVALID, "%s belongs to another user "
		    "(%u)", path, (unsigned)st->st_uid);
	return 0;
}

int
private_read(struct arena *a, const char *path, size_t max,
    struct bytes *out, struct err *e)
{
	struct stat st;

	/* Asked by name: who can put another file there owns this one. */
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    check_private(path, &st, e) < 0)
		return -1;
	return file_read(a, path, max, out, e);
}

int
private_dir(const char *path, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		return dir_sync(path, e);
	if (errno != EEXIST || stat(path, &st) < 0)
		return err_set(e, E_INVALID, "cannot make directory %s: %s",
		    path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(e, E_INVALID, "%s is not a directory", path);
	return check_private(path, &st, e);
}

bool
file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int
make_from(const char *tmp, const char *path, const void *p, size_t len,
    mode_t mode, bool *made, struct err *e)
{
	const struct file_attr attr = { mode, FILE_KEEP, FILE_KEEP };
	bool linked;

	if (file_create(tmp, p, len, &attr, e) < 0)
		return -1;
	linked = link(tmp, path) == 0;
	if (!linked && errno != EEXIST)
		return err_set(e, E_INTERNAL, "cannot make %s: %s", path,
		    strerror(errno));
	if (dir_sync(path, e) < 0)
		return -1;
	*made = linked;
	return 0;
}

int
file_make(const char *path, const void *p, size_t len, mode_t mode,
    bool *made, struct err *e)
{
	struct arena *a = arena_new();
	const char *tmp = arena_printf(a, "%s.tmp-%s", path, uuid4(a));
	int rc = make_from(tmp, path, p, len, mode, made, e);

	unlink(tmp);
	arena_free(a);
	return rc;
}
