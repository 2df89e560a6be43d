#include "sign/sign.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "sign/wire.h"

/* For an answer: a signer that hangs must not keep a responder for long. */
enum {
	WAIT_S = 5,
	MAKE_WAIT_S = 60,	/* an RSA key takes seconds */
};

struct signer {
	struct arena *a;
	struct bytes ref, ca, spki, algorithm;
};

/* This process's line to the signer. */
static struct {
	struct sockaddr_un address;
	int fd;
	time_t wait_s;		/* as the socket knows it */
	pid_t owner;		/* a child must not use its parent's */
	unsigned char heard[WIRE_MAX];
} line = { .fd = -1 };

static void
hang_up(void)
{
	if (line.fd >= 0)
		close(line.fd);
	line.fd = -1;
}

void
sign_use(const char *socket_path)
{
	struct sockaddr_un to = { .sun_family = AF_UNSPEC };
	size_t len = strlen(socket_path);

	/* One that is too long stays unusable, and connecting says so. */
	if (len > 0 && len < sizeof(to.sun_path)) {
		to.sun_family = AF_UNIX;
		memcpy(to.sun_path, socket_path, len);
	}
	if (memcmp(&to, &line.address, sizeof(to)) == 0)
		return;
	hang_up();
	line.address = to;
}

static int
unreachable(struct err *e, const char *what)
{
	err_set(e, E_UNAVAILABLE, "the signer cannot be reached");
	return err_detail(e, "%s %s: %s", what, line.address.sun_path,
	    strerror(errno));
}

/* The time limit of all that is done with the line. */
static int
set_wait(time_t s)
{
	const struct timeval wait = { .tv_sec = s };

	if (line.wait_s == s)
		return 0;
	line.wait_s = s;
	return setsockopt(line.fd, SOL_SOCKET, SO_RCVTIMEO, &wait,
	    sizeof(wait)) == 0 ? setsockopt(line.fd, SOL_SOCKET, SO_SNDTIMEO,
	    &wait, sizeof(wait)) : -1;
}

static int
dial(struct err *e)
{
	if (line.fd >= 0 && line.owner == getpid())
		return 0;
	hang_up();
	line.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	line.owner = getpid();
	line.wait_s = 0;
	/* The time limit also holds for a queue that is full. */
	if (line.fd >= 0 && set_wait(WAIT_S) == 0 &&
	    connect(line.fd, (const struct sockaddr *)&line.address,
	    sizeof(line.address)) == 0)
		return 0;
	unreachable(e, "connect");
	hang_up();
	return -1;
}

/* What the signer says; a refusal is still to be read after a reset. */
static long
listen_for(void)
{
	int beside;
	long len = wire_recv(line.fd, line.heard, &beside);

	if (len < 0 && errno == ECONNRESET)
		len = wire_recv(line.fd, line.heard, &beside);
	if (beside >= 0)
		close(beside);
	if (len == 0)
		errno = ECONNRESET;
	return len;
}

/* One turn; *LOST tells that a new connection may do better. */
static int
converse(struct bytes request, int beside, time_t wait_s, long *len,
    bool *lost, struct err *e)
{
	bool old = line.fd >= 0 && line.owner == getpid();

	*lost = false;
	if (dial(e) < 0)
		return -1;
	if ((set_wait(wait_s) == 0 &&
	    wire_send(line.fd, request, beside) == 0) || errno == EPIPE) {
		*len = listen_for();
		if (*len > 0)
			return 0;
	}
	/* The signer was started again, or let the idle line go. */
	*lost = old && (errno == ECONNRESET || errno == EPIPE);
	unreachable(e, "ask");
	hang_up();
	return -1;
}

/* Ask R; what ANSWER borrows is there until the next question. */
static int
ask(const struct wire_request *r, int beside, struct wire_answer *answer,
    struct err *e)
{
	struct arena *a = arena_new();
	struct bytes p = wire_put_request(a, r), heard = { line.heard, 0 };
	bool lost;
	long len = 0;
	time_t wait_s = r->op == WIRE_CREATE ? MAKE_WAIT_S : WAIT_S;
	struct err why = { 0 };		/* E stays as it is if all goes well */
	int rc = converse(p, beside, wait_s, &len, &lost, &why);

	if (rc < 0 && lost)
		rc = converse(p, beside, wait_s, &len, &lost, &why);
	arena_free(a);
	if (rc < 0) {
		*e = why;
		return -1;
	}
	heard.len = (size_t)len;
	if (!wire_get_answer(heard, answer)) {
		hang_up();
		return err_set(e, E_UNAVAILABLE,
		    "the signer's answer makes no sense");
	}
	if (answer->code == E_OK)
		return 0;
	return err_set(e, answer->code, "%.*s", (int)answer->msg.len,
	    (const char *)answer->msg.p);
}

/* What a CA key may be; anything else was not made for a CA. */
static const struct key_type types[] = {
	{ "ECDSA", 256 }, { "ECDSA", 384 },
	{ "RSA", 2048 }, { "RSA", 3072 }, { "RSA", 4096 },
};

int
sign_check_type(struct key_type type, struct err *e)
{
	for (size_t i = 0; i < NELEM(types); i++)
		if (streq(types[i].algorithm, type.algorithm) &&
		    types[i].bits == type.bits)
			return 0;
	return err_set(e, E_INVALID, "a CA key must be ECDSA 256 or 384, or "
	    "RSA 2048, 3072 or 4096, not %s %d", type.algorithm, type.bits);
}

static struct bytes
text_bytes(const char *s)
{
	return (struct bytes){ (const unsigned char *)s, strlen(s) };
}

static struct bytes
keep(struct arena *a, struct bytes b)
{
	return (struct bytes){ arena_memdup(a, b.p, b.len), b.len };
}

static int
check_ref(const char *key_ref, struct err *e)
{
	if (strlen(key_ref) > WIRE_REF_MAX)
		return err_set(e, E_INVALID,
		    "the name of the CA key is too long");
	return 0;
}

static int
learn(struct signer *s, struct err *e)
{
	struct wire_request r = { .op = WIRE_INFO, .key_ref = s->ref };
	struct wire_answer w;

	if (ask(&r, -1, &w, e) < 0)
		return -1;
	s->spki = keep(s->a, w.spki);
	s->algorithm = keep(s->a, w.algorithm);
	return 0;
}

struct signer *
sign_open(const char *key_ref, struct err *e)
{
	struct arena *a;
	struct signer *s;

	if (check_ref(key_ref, e) < 0)
		return NULL;
	a = arena_new();
	s = arena_zalloc(a, sizeof(*s));
	s->a = a;
	s->ref = text_bytes(arena_strdup(a, key_ref));
	if (learn(s, e) < 0) {
		sign_close(s);
		return NULL;
	}
	return s;
}

void
sign_close(struct signer *s)
{
	if (s != NULL)
		arena_free(s->a);
}

void
sign_bind(struct signer *s, struct bytes ca_der)
{
	s->ca = keep(s->a, ca_der);
}

int
sign_create_key(const char *key_ref, struct key_type type, bool *made,
    struct err *e)
{
	struct wire_request r = {
		.op = WIRE_CREATE,
		.bits = type.bits,
		.key_ref = text_bytes(key_ref),
		.algorithm = text_bytes(type.algorithm),
	};
	struct wire_answer w;

	if (check_ref(key_ref, e) < 0 || sign_check_type(type, e) < 0 ||
	    ask(&r, -1, &w, e) < 0)
		return -1;
	*made = w.made;
	return 0;
}

struct bytes
sign_spki(const struct signer *s)
{
	return s->spki;
}

struct bytes
sign_algorithm(const struct signer *s)
{
	return s->algorithm;
}

/* Have R signed, its TBS beside it if it is large. */
static int
sign(struct signer *s, struct arena *a, struct wire_request *r,
    struct bytes *signature, struct err *e)
{
	struct wire_answer w;
	int beside = -1, rc;

	r->key_ref = s->ref;
	r->ca = s->ca;
	if (r->tbs.len > WIRE_TBS_MAX)
		return err_set(e, E_TOO_LARGE,
		    "more than %d octets cannot be signed", WIRE_TBS_MAX);
	r->tbs_beside = r->tbs.len > WIRE_INLINE;
	if (r->tbs_beside) {
		beside = wire_seal(r->tbs);
		if (beside < 0)
			return err_set(e, E_UNAVAILABLE, "the signer cannot "
			    "be given what to sign: %s", strerror(errno));
		r->tbs = (struct bytes){ NULL, 0 };
	}
	rc = ask(r, beside, &w, e);
	if (beside >= 0)
		close(beside);
	if (rc == 0)
		*signature = keep(a, w.signature);
	return rc;
}

int
sign_tbs(struct signer *s, struct arena *a, struct bytes tbs, unsigned allow,
    struct bytes *signature, struct err *e)
{
	struct wire_request r = {
		.op = WIRE_CERTIFICATE, .allow = allow, .tbs = tbs,
	};

	return sign(s, a, &r, signature, e);
}

int
sign_crl(struct signer *s, struct arena *a, struct bytes tbs,
    struct bytes *signature, struct err *e)
{
	struct wire_request r = { .op = WIRE_CRL, .tbs = tbs };

	return sign(s, a, &r, signature, e);
}
