#include "sign/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
	VERSION_1 = 1,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
	BITS_MAX = 16384,
	ANSWER_FIELD_MAX = 8 * 1024,
};

static void
put_u32(struct buf *b, size_t v)
{
	const unsigned char p[] = {
		(unsigned char)(v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v,
	};

	buf_add(b, p, sizeof(p));
}

static void
put_field(struct buf *b, struct bytes f)
{
	put_u32(b, f.len);
	buf_add(b, f.p, f.len);
}

static bool
get_u32(struct bytes *in, size_t max, size_t *v)
{
	if (in->len < 4)
		return false;
	*v = (size_t)in->p[0] << 24 | (size_t)in->p[1] << 16 |
	    (size_t)in->p[2] << 8 | in->p[3];
	in->p += 4;
	in->len -= 4;
	return *v <= max;
}

static bool
get_field(struct bytes *in, size_t max, struct bytes *f)
{
	size_t len;

	if (!get_u32(in, max, &len) || len > in->len)
		return false;
	*f = (struct bytes){ in->p, len };
	in->p += len;
	in->len -= len;
	return true;
}

/* VERSION, two octets that the message gives its own meaning. */
static void
put_head(struct buf *b, size_t room, unsigned first, unsigned second)
{
	buf_room(b, room);
	buf_putc(b, VERSION_1);
	buf_putc(b, (char)first);
	buf_putc(b, (char)second);
}

static bool
get_head(struct bytes *in, unsigned *first, unsigned *second)
{
	if (in->len < 3 || in->p[0] != VERSION_1)
		return false;
	*first = in->p[1];
	*second = in->p[2];
	in->p += 3;
	in->len -= 3;
	return true;
}

struct bytes
wire_put_request(struct arena *a, const struct wire_request *r)
{
	struct buf b = BUF(a);

	put_head(&b, r->key_ref.len + r->ca.len + r->tbs.len + 64, r->op,
	    r->allow);
	put_u32(&b, (size_t)r->bits);
	put_u32(&b, r->tbs_beside);
	put_field(&b, r->key_ref);
	put_field(&b, r->algorithm);
	put_field(&b, r->ca);
	put_field(&b, r->tbs);
	return buf_bytes(&b);
}

bool
wire_get_request(struct bytes p, struct wire_request *out)
{
	struct wire_request r = { 0 };
	size_t bits, beside;
	unsigned op;

	if (!get_head(&p, &op, &r.allow) || op >= WIRE__MAX ||
	    !get_u32(&p, BITS_MAX, &bits) || !get_u32(&p, 1, &beside) ||
	    !get_field(&p, WIRE_REF_MAX, &r.key_ref) ||
	    !get_field(&p, 16, &r.algorithm) ||
	    !get_field(&p, WIRE_CA_MAX, &r.ca) ||
	    !get_field(&p, WIRE_INLINE, &r.tbs) || p.len != 0 ||
	    (beside && r.tbs.len != 0))
		return false;
	r.op = op;
	r.bits = (int)bits;
	r.tbs_beside = beside;
	*out = r;
	return true;
}

struct bytes
wire_put_answer(struct arena *a, const struct wire_answer *w)
{
	struct buf b = BUF(a);

	put_head(&b, w->msg.len + w->spki.len + w->algorithm.len +
	    w->signature.len + 64, w->made, 0);
	/* Codes are numbered anew by every build; these numbers stay. */
	put_u32(&b, (size_t)err_status(w->code));
	put_field(&b, w->msg);
	put_field(&b, w->spki);
	put_field(&b, w->algorithm);
	put_field(&b, w->signature);
	return buf_bytes(&b);
}

static bool
get_code(struct bytes *in, enum err_code *code)
{
	size_t status;

	if (!get_u32(in, 999, &status))
		return false;
	for (*code = E_OK; *code < E__MAX; (*code)++)
		if ((size_t)err_status(*code) == status)
			return true;
	return false;
}

bool
wire_get_answer(struct bytes p, struct wire_answer *out)
{
	struct wire_answer w = { 0 };
	unsigned made, none;

	if (!get_head(&p, &made, &none) || made > 1 || none != 0 ||
	    !get_code(&p, &w.code) ||
	    !get_field(&p, ANSWER_FIELD_MAX, &w.msg) ||
	    !get_field(&p, ANSWER_FIELD_MAX, &w.spki) ||
	    !get_field(&p, ANSWER_FIELD_MAX, &w.algorithm) ||
	    !get_field(&p, ANSWER_FIELD_MAX, &w.signature) || p.len != 0)
		return false;
	w.made = made != 0;
	*out = w;
	return true;
}

static int
fill(int fd, struct bytes p)
{
	ssize_t n;

	for (; p.len > 0; p.p += n, p.len -= (size_t)n) {
		n = write(fd, p.p, p.len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -1;
	}
	return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL);
}

int
wire_seal(struct bytes tbs)
{
	int fd = memfd_create("tbs", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && fill(fd, tbs) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int
wire_map(int fd, struct bytes *out, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0)
		return err_set(e, E_INVALID,
		    "what is to be signed is not sealed");
	if (st.st_size <= 0 || st.st_size > WIRE_TBS_MAX)
		return err_set(e, E_TOO_LARGE, "what is to be signed must "
		    "have 1 to %d octets", WIRE_TBS_MAX);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, E_UNAVAILABLE, "the signer is out of memory");
	*out = (struct bytes){ p, (size_t)st.st_size };
	return 0;
}

void
wire_unmap(struct bytes tbs)
{
	munmap((void *)(uintptr_t)tbs.p, tbs.len);
}

/* Control data as long as CMSG_LEN(sizeof(int)) has one descriptor.  Its
 * CMSG_SPACE() would have two: the kernel counts the padding. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

int
wire_send(int fd, struct bytes p, int beside)
{
	struct iovec io = { (void *)(uintptr_t)p.p, p.len };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	union control c = { .room = { 0 } };
	ssize_t n;

	if (beside >= 0) {
		m.msg_control = c.room;
		m.msg_controllen = CMSG_LEN(sizeof(int));
		c.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
		    .cmsg_type = SCM_RIGHTS,
		    .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&c.head), &beside, sizeof(int));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static int
take_beside(struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int fd;

	if (h == NULL || h->cmsg_level != SOL_SOCKET ||
	    h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

long
wire_recv(int fd, unsigned char *buf, int *beside)
{
	struct iovec io = { buf, WIRE_MAX };
	union control c = { .room = { 0 } };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1,
	    .msg_control = c.room,
	    .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t n;

	*beside = -1;
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	*beside = take_beside(&m);
	if (n > 0 && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
		return n;
	/* An empty message may bring one too. */
	if (*beside >= 0)
		close(*beside);
	*beside = -1;
	errno = EMSGSIZE;
	return n == 0 ? 0 : -1;
}
