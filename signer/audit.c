#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "signer.h"
#include "x509/digest.h"

enum { LINE_MAX = 1024 };

struct audit {
	struct arena *a, *round;	/* ROUND: lines that wait */
	const char *path;
	int fd;				/* -1: to be opened again */
	char prev[SHA256_HEX + 1];	/* of the last durable line */
	char last[SHA256_HEX + 1];	/* of the last line that waits */
	struct buf lines;
};

/* The last line of FD into the chain; a torn one is ended first. */
static int
resume(struct audit *l, int fd)
{
	char tail[LINE_MAX];
	struct stat st;
	off_t from;
	ssize_t n, end, start;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_size == 0)
		return 0;
	from = st.st_size > LINE_MAX ? st.st_size - LINE_MAX : 0;
	n = pread(fd, tail, sizeof(tail), from);
	if (n <= 0)
		return -1;
	end = n;
	if (tail[n - 1] == '\n')
		end--;
	else if (write(fd, "\n", 1) != 1)
		return -1;
	for (start = end; start > 0 && tail[start - 1] != '\n'; start--)
		;
	sha256_hex(tail + start, (size_t)(end - start), l->prev);
	return 0;
}

static int
unwritable(const struct audit *l, struct err *e)
{
	err_set(e, E_UNAVAILABLE,
	    "the record of signatures cannot be written");
	return err_detail(e, "%s: %s", l->path, strerror(errno));
}

/* Was the file removed?  What we write would be gone with it.  Not asked while
 * lines wait: they follow those that are in it. */
static bool
removed(const struct audit *l)
{
	struct stat st;

	return l->lines.len == 0 &&
	    (fstat(l->fd, &st) < 0 || st.st_nlink == 0);
}

int
audit_ready(struct audit *l, struct err *e)
{
	int fd;

	if (l->fd >= 0 && removed(l)) {
		log_warn("the record of signatures was removed", "path",
		    l->path, NULL);
		audit_reopen(l);
	}
	if (l->fd >= 0)
		return 0;
	fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return unwritable(l, e);
	if (resume(l, fd) < 0) {
		unwritable(l, e);
		close(fd);
		return -1;
	}
	if (dir_sync(l->path, e) < 0) {
		close(fd);
		e->code = E_UNAVAILABLE;
		return -1;
	}
	l->fd = fd;
	memcpy(l->last, l->prev, sizeof(l->last));
	return 0;
}

struct audit *
audit_open(const char *path, struct err *e)
{
	struct arena *a = arena_new();
	struct audit *l = arena_zalloc(a, sizeof(*l));

	l->a = a;
	l->round = arena_new();
	l->path = arena_strdup(a, path);
	l->fd = -1;
	l->lines.a = l->round;
	memset(l->prev, '0', SHA256_HEX);
	if (audit_ready(l, e) < 0) {
		audit_close(l);
		return NULL;
	}
	return l;
}

void
audit_reopen(struct audit *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void
audit_close(struct audit *l)
{
	if (l == NULL)
		return;
	audit_reopen(l);
	arena_free(l->round);
	arena_free(l->a);
}

void
audit_add(struct audit *l, const struct record *r)
{
	char at[RFC3339_LEN + 1], tbs[SHA256_HEX + 1];
	size_t from = l->lines.len;

	buf_printf(&l->lines, "{\"at\":\"%s\",\"uid\":%u,\"pid\":%d,"
	    "\"key\":\"%s\",\"kind\":\"%s\",\"number\":\"%s\",\"tbs\":\"%s\","
	    "\"prev\":\"%s\"}", rfc3339(now_s(), at), (unsigned)r->peer.uid,
	    (int)r->peer.pid, r->key_id, kind_name(r->kind), r->number,
	    sha256_hex(r->tbs.p, r->tbs.len, tbs), l->last);
	sha256_hex(l->lines.p + from, l->lines.len - from, l->last);
	buf_putc(&l->lines, '\n');
}

static int
write_lines(struct audit *l)
{
	ssize_t n = write(l->fd, l->lines.p, l->lines.len);

	if (n >= 0 && (size_t)n < l->lines.len)
		errno = ENOSPC;
	return n < 0 || (size_t)n < l->lines.len ? -1 : fdatasync(l->fd);
}

int
audit_commit(struct audit *l, struct err *e)
{
	int rc = 0;

	if (l->lines.len > 0 && write_lines(l) < 0) {
		rc = unwritable(l, e);
		/* What is in the file by now is found out when it is opened. */
		audit_reopen(l);
	} else {
		memcpy(l->prev, l->last, sizeof(l->prev));
	}
	arena_reset(l->round);
	l->lines = (struct buf)BUF(l->round);
	return rc;
}
