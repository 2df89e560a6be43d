#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

enum {
	TMP_RANDOM = 4,		/* octets, twice as many digits */
	LOCK_TICK_MS = 20,
};

static const char tmp_mark[] = ".tmp-";

static int
fail(struct err *e, const char *verb, const char *path)
{
	return err_set(e, errno == ENOENT ? E_NOT_FOUND : E_INTERNAL,
	    "cannot %s %s: %s", verb, path, strerror(errno));
}

/* Open PATH for reading if it is a regular file; -1 with E set. */
static int
open_regular(const char *path, int flags, struct err *e)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(e, E_INVALID, "%s is a symbolic link", path);
	if (fd < 0)
		return fail(e, "read", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return err_set(e, E_INVALID, "%s is not a regular file", path);
}

static int
read_flags(struct arena *a, const char *path, size_t max, int flags,
    struct bytes *out, struct err *e)
{
	int fd = open_regular(path, flags, e), rc;
	char *p = NULL;
	void *copy;
	size_t len = 0;

	if (fd < 0)
		return -1;
	rc = read_fd(fd, max, &p, &len);
	if (rc < 0 && errno == EFBIG)
		err_set(e, E_INVALID, "%s is larger than %zu octets", path,
		    max);
	else if (rc < 0)
		fail(e, "read", path);
	close(fd);
	if (rc < 0)
		return -1;
	copy = arena_memdup(a, p, len + 1);
	arena_wipe(a, copy, len);
	wipe(p, len);
	free(p);
	out->p = copy;
	out->len = len;
	return 0;
}

int
file_read(struct arena *a, const char *path, size_t max, struct bytes *out,
    struct err *e)
{
	return read_flags(a, path, max, 0, out, e);
}

int
file_read_own(struct arena *a, const char *path, size_t max,
    struct bytes *out, struct err *e)
{
	return read_flags(a, path, max, O_NOFOLLOW, out, e);
}

static int
write_all(int fd, const void *p, size_t len)
{
	const unsigned char *in = p;
	ssize_t n;

	while (len > 0) {
		n = write(fd, in, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		in += n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_create(const char *path, const void *p, size_t len,
    const struct file_attr *attr, struct err *e)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return fail(e, "remove", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    attr->mode & 0600);
	if (fd < 0)
		return fail(e, "create", path);
	/* The owner first: it must not gain what MODE gives to others. */
	if (write_all(fd, p, len) < 0 ||
	    (attr->uid != FILE_KEEP &&
	    fchown(fd, (uid_t)attr->uid, (gid_t)-1) < 0) ||
	    (attr->gid != FILE_KEEP &&
	    fchown(fd, (uid_t)-1, (gid_t)attr->gid) < 0) ||
	    fchmod(fd, attr->mode) < 0 || fsync(fd) < 0) {
		fail(e, "write", path);
		close(fd);
		unlink(path);
		return -1;
	}
	close(fd);
	return 0;
}

/* The length of the directory part of PATH, its last slash included. */
static size_t
dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* CHANGED: two instants for utimensat(), or NULL for now. */
static int
replace(const char *path, const void *p, size_t len, mode_t mode,
    const struct timespec *changed, struct err *e)
{
	const struct file_attr attr = { mode, FILE_KEEP, FILE_KEEP };
	struct arena *a = arena_new();
	unsigned char r[TMP_RANDOM];
	size_t d = dir_len(path);
	char *tmp;
	int rc;

	random_bytes(r, sizeof(r));
	tmp = arena_printf(a, "%.*s.%s%s%s", (int)d, path, path + d, tmp_mark,
	    hex_encode(a, r, sizeof(r)));
	rc = file_create(tmp, p, len, &attr, e);
	if (rc == 0 && changed != NULL &&
	    utimensat(AT_FDCWD, tmp, changed, AT_SYMLINK_NOFOLLOW) < 0)
		rc = fail(e, "date", tmp);
	if (rc == 0)
		rc = file_rename(tmp, path, e);
	if (rc < 0)
		unlink(tmp);
	arena_free(a);
	return rc;
}

int
file_write(const char *path, const void *p, size_t len, mode_t mode,
    struct err *e)
{
	return replace(path, p, len, mode, NULL, e);
}

int
file_write_dated(const char *path, const void *p, size_t len, mode_t mode,
    int64_t changed_ns, struct err *e)
{
	const struct timespec at = {
		.tv_sec = changed_ns / 1000000000,
		.tv_nsec = changed_ns % 1000000000,
	}, changed[2] = { at, at };

	return replace(path, p, len, mode, changed, e);
}

int
file_rename(const char *from, const char *to, struct err *e)
{
	if (rename(from, to) < 0)
		return fail(e, "rename to", to);
	return dir_sync(to, e);
}

int
file_remove(const char *path, struct err *e)
{
	if (unlink(path) == 0)
		return dir_sync(path, e);
	return errno == ENOENT ? 0 : fail(e, "remove", path);
}

/* Overwrite what FD holds, as far as the file system does so in place. */
static int
overwrite(int fd)
{
	static const char zeros[4096];
	struct stat st;
	off_t left;

	if (fstat(fd, &st) < 0)
		return -1;
	for (left = st.st_size; left > 0; left -= (off_t)sizeof(zeros))
		if (write_all(fd, zeros, left < (off_t)sizeof(zeros) ?
		    (size_t)left : sizeof(zeros)) < 0)
			return -1;
	return fsync(fd);
}

int
file_wipe(const char *path, struct err *e)
{
	struct stat st;
	int fd = -1, rc = 0;

	/* Only a file of ours: not what a link leads to, not a second name. */
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		if (overwrite(fd) < 0)
			rc = fail(e, "overwrite", path);
		close(fd);
	}
	return rc < 0 ? -1 : file_remove(path, e);
}

int
dir_make(const char *dir, mode_t mode, struct err *e)
{
	struct arena *a = arena_new();
	char *p = arena_strdup(a, dir), *s = p;
	int rc = 0;

	while (rc == 0 && *s != '\0' && (s = strchr(s + 1, '/')) != NULL) {
		*s = '\0';
		if (mkdir(p, 0755) < 0 && errno != EEXIST)
			rc = fail(e, "make directory", p);
		*s = '/';
	}
	if (rc == 0 && mkdir(dir, mode) < 0 && errno != EEXIST)
		rc = fail(e, "make directory", dir);
	if (rc == 0 && chmod(dir, mode) < 0)
		rc = fail(e, "set the mode of", dir);
	arena_free(a);
	return rc;
}

int
dir_sync(const char *path, struct err *e)
{
	size_t d = dir_len(path);
	char dir[PATH_MAX];
	int fd, rc;

	if (d >= sizeof(dir))
		return err_set(e, E_INVALID, "the path is too long");
	memcpy(dir, d > 0 ? path : ".", d > 0 ? d : 1);
	dir[d > 0 ? d : 1] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(e, "open directory", dir);
	rc = fsync(fd) < 0 ? fail(e, "sync directory", dir) : 0;
	close(fd);
	return rc;
}

static bool
is_tmp(const char *name)
{
	size_t n = strlen(name), tail = sizeof(tmp_mark) - 1 + 2 * TMP_RANDOM;
	unsigned char r[TMP_RANDOM];

	return *name == '.' && n > tail + 1 &&
	    strncmp(name + n - tail, tmp_mark, sizeof(tmp_mark) - 1) == 0 &&
	    hex_decode(name + n - sizeof(r) * 2, sizeof(r) * 2, r);
}

int
dir_clear_tmp(const char *dir, struct err *e)
{
	struct arena *a = arena_new();
	DIR *d = opendir(dir);
	struct dirent *de;
	int rc = 0;

	if (d == NULL)
		rc = fail(e, "open directory", dir);
	while (rc == 0 && (de = readdir(d)) != NULL)
		if (is_tmp(de->d_name))
			rc = file_wipe(arena_printf(a, "%s/%s", dir,
			    de->d_name), e);
	if (d != NULL)
		closedir(d);
	arena_free(a);
	return rc;
}

int
file_lock(const char *path, int64_t wait_ms, struct err *e)
{
	int64_t deadline = mono_us() + wait_ms * 1000;
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(e, "open lock file", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			fail(e, "lock", path);
			close(fd);
			return -1;
		}
		if (mono_us() >= deadline) {
			close(fd);
			return err_set(e, E_CONFLICT,
			    "another process holds %s", path);
		}
		sleep_ms(LOCK_TICK_MS);
	}
	return fd;
}
