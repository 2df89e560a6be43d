#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "sign/wire.h"
#include "signer.h"

enum {
	CONNECTIONS_MAX = 256,
	/* Places in what is polled, after the connections. */
	LISTENER = CONNECTIONS_MAX,
	SIGNALS,
	POLLED
};

struct connection {
	int fd;			/* -1: free */
	struct peer peer;
	int64_t heard_us;
	struct decision due;	/* the answer of this round; none: no octets */
};

struct room {
	const struct server *s;
	struct arena *a;	/* of one round */
	struct connection c[CONNECTIONS_MAX];
	struct pollfd fds[POLLED];
};

static void
hang_up(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

/* A place for one more: the one that has been silent longest goes for it,
 * and its process calls again when it has something to say. */
static struct connection *
find_place(struct room *r)
{
	struct connection *oldest = &r->c[0];

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (r->c[i].fd < 0)
			return &r->c[i];
		if (r->c[i].heard_us < oldest->heard_us)
			oldest = &r->c[i];
	}
	hang_up(oldest);
	return oldest;
}

/* What the user UID may ask for; nothing if he is a stranger. */
static unsigned
may_ask(const struct server *s, uid_t uid)
{
	unsigned may = 0;

	for (size_t i = 0; i < s->n_callers; i++)
		if (s->callers[i].uid == uid)
			may |= s->callers[i].may;
	return may;
}

/* Tell a stranger why, so that its log does not speak of a dead signer. */
static void
turn_away(struct room *r, int fd, const struct ucred *who)
{
	char uid[16], pid[16];
	struct err e = { 0 };

	err_set(&e, E_FORBIDDEN, "user %u may not use the signer "
	    "(CERTCTL_SIGNER_ALLOW)", (unsigned)who->uid);
	snprintf(uid, sizeof(uid), "%u", (unsigned)who->uid);
	snprintf(pid, sizeof(pid), "%d", (int)who->pid);
	log_warn("caller turned away", "uid", uid, "pid", pid, NULL);
	wire_send(fd, answer_err(r->a, &e), -1);
	close(fd);
}

static void
welcome(struct room *r)
{
	int fd = accept4(r->s->listener, NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *c;
	struct ucred who;
	socklen_t len = sizeof(who);
	unsigned may;

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
		close(fd);
		return;
	}
	may = may_ask(r->s, who.uid);
	if (may == 0) {
		turn_away(r, fd, &who);
		return;
	}
	c = find_place(r);
	*c = (struct connection){
		.fd = fd,
		.peer = { who.uid, who.pid, may },
		.heard_us = mono_us(),
	};
}

/* Read one request of C and decide it. */
static void
hear(struct room *r, struct connection *c)
{
	static unsigned char buf[WIRE_MAX];
	int beside;
	long n = wire_recv(c->fd, buf, &beside);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
			hang_up(c);
		return;
	}
	c->heard_us = mono_us();
	decide(r->s->keys, r->s->log, r->a, &c->peer,
	    (struct bytes){ buf, (size_t)n }, beside, &c->due);
	if (beside >= 0)
		close(beside);
}

/* Let the answers of this round go, now that their records are durable. */
static void
answer(struct room *r)
{
	struct err e = { 0 };
	bool lost = audit_commit(r->s->log, &e) < 0;
	struct connection *c;

	if (lost)
		log_err(LOG_ERROR, "signatures withheld", &e, NULL, NULL);
	for (c = r->c; c < r->c + CONNECTIONS_MAX; c++) {
		if (c->due.answer.len == 0)
			continue;
		if (lost && c->due.recorded)
			c->due.answer = answer_err(r->a, &e);
		/* Who asks without listening cannot make us wait. */
		if (wire_send(c->fd, c->due.answer, -1) < 0)
			hang_up(c);
		c->due = (struct decision){ 0 };
	}
}

static int
await(struct room *r)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		r->fds[i] = (struct pollfd){ r->c[i].fd, POLLIN, 0 };
	r->fds[LISTENER] = (struct pollfd){ r->s->listener, POLLIN, 0 };
	r->fds[SIGNALS] = (struct pollfd){ r->s->signals, POLLIN, 0 };
	return poll(r->fds, POLLED, -1);
}

static void
attend(struct room *r)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (r->fds[i].revents != 0)
			hear(r, &r->c[i]);
	answer(r);
	if (r->fds[LISTENER].revents != 0)
		welcome(r);
	arena_reset(r->a);
}

/* Heed a signal before the requests that came after it; false: to end. */
static bool
heed(const struct server *s)
{
	struct signalfd_siginfo sig;

	if (read(s->signals, &sig, sizeof(sig)) != sizeof(sig))
		return true;
	if (sig.ssi_signo != SIGHUP)
		return false;
	keyring_drop(s->keys);
	audit_reopen(s->log);
	log_info("keys will be read again", NULL);
	return true;
}

int
serve(const struct server *s)
{
	static struct room r;
	bool on = true;
	int rc = 0;

	r = (struct room){ .s = s, .a = arena_new() };
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		r.c[i].fd = -1;
	while (on && rc == 0) {
		if (await(&r) < 0) {
			rc = errno == EINTR ? 0 : -1;
			continue;
		}
		if (r.fds[SIGNALS].revents != 0)
			on = heed(s);
		attend(&r);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (r.c[i].fd >= 0)
			hang_up(&r.c[i]);
	arena_free(r.a);
	return rc;
}
