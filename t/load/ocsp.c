/*
 * OCSP load, and a look at every answer.
 *
 *	load-ocsp -p PORT -u PATH -a CA.pem -n CERTIFICATES -s SECONDS
 *	    -c CONNECTIONS [-r RATE] -b BEGIN -v REVOCATIONS -f FIRST -o FILE
 *
 * RATE requests a second fall due at random instants (a Poisson process),
 * whether those before are answered or not; what is due while all connections
 * are busy waits for one.  A latency begins when its request is due, so a
 * server that stalls cannot hide it.  Without RATE each connection asks again
 * as soon as it was answered: that is the maximum.
 *
 * A third of the requests are about the certificates that t/load/run revokes
 * at about that moment: from number FIRST on, REVOCATIONS a second since BEGIN
 * (microseconds of the monotonic clock); see hot_one() in kinds.c.
 *
 * Answers are kept as they came.  When the load has ended OpenSSL parses each
 * and verifies its signature; FILE has a struct record for each request, which
 * t/load/run holds against what was revoked when.
 */
#include "t/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/util.h"

enum {
	IN_MAX = 8192, OUT_MAX = 4096,	/* octets */
	CLOSED_MOST = 40000,		/* requests a second without RATE */
	DRAIN_US = 10000000,
};

struct options opt;

_Noreturn void
die(const char *what)
{
	fprintf(stderr, "load-ocsp: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- requests --------------------------------------------------------- */

struct shot *shots;
unsigned char (*bodies)[BODY_MAX];
size_t n_shots;
static size_t n_sent, n_done, most;

struct conn {
	int fd;
	struct shot *shot;		/* NULL: idle */
	size_t in_len, out_len;
	char in[IN_MAX], out[OUT_MAX];
};

static struct conn *conns, **idle;
static size_t n_idle;
static int poller;

static void
new_shot(int64_t due)
{
	struct shot *s = &shots[n_shots];

	if (n_shots == most)
		die("too many requests");
	n_shots++;
	s->due = due;
	s->kind = (uint16_t)choose_kind();
	s->n = choose_certificate(&kinds[s->kind], due);
	for (size_t i = 0; i < NONCE; i++)
		s->nonce[i] = (unsigned char)random();
}

static size_t
put_get(char *out, const unsigned char *der, size_t len)
{
	static struct arena *a;
	size_t n = (size_t)snprintf(out, OUT_MAX, "GET %s/", opt.path);

	if (a == NULL)
		a = arena_new();
	for (const char *s = base64_encode(a, der, len); *s != '\0'; s++)
		if (strchr("+/=", *s) != NULL)
			n += (size_t)sprintf(out + n, "%%%02X", *s);
		else
			out[n++] = *s;
	arena_reset(a);
	return n + (size_t)snprintf(out + n, OUT_MAX - n,
	    " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static size_t
put_post(char *out, const unsigned char *der, size_t len)
{
	size_t n = (size_t)snprintf(out, OUT_MAX, "POST %s HTTP/1.1\r\n"
	    "Host: localhost\r\nContent-Type: application/ocsp-request\r\n"
	    "Content-Length: %zu\r\n\r\n", opt.path, len);

	memcpy(out + n, der, len);
	return n + len;
}

static void
write_request(struct conn *c, const struct shot *s)
{
	unsigned char der[DER_MAX];
	size_t len = kind_request(s, der);

	c->out_len = kinds[s->kind].get ? put_get(c->out, der, len) :
	    put_post(c->out, der, len);
}

/* --- connections ------------------------------------------------------ */

static void
open_conn(struct conn *c)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	c->in_len = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to,
	    sizeof(to)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &ev);
}

/* Requests are small: the kernel takes each at once. */
static void
send_shot(struct conn *c, struct shot *s)
{
	write_request(c, s);
	s->sent = mono_us();
	c->shot = s;
	if (send(c->fd, c->out, c->out_len, MSG_NOSIGNAL) ==
	    (ssize_t)c->out_len)
		return;
	/* The server ended an idle connection. */
	close(c->fd);
	open_conn(c);
	if (send(c->fd, c->out, c->out_len, MSG_NOSIGNAL) !=
	    (ssize_t)c->out_len)
		die("send");
}

static void
finish(struct conn *c, int status, const char *body, size_t len)
{
	struct shot *s = c->shot;

	s->got = mono_us();
	s->status = (uint16_t)status;
	s->body_len = (uint16_t)(len < BODY_MAX ? len : BODY_MAX);
	memcpy(bodies[s - shots], body, s->body_len);
	c->shot = NULL;
	c->in_len = 0;
	n_done++;
	idle[n_idle++] = c;
}

static void
end_conn(struct conn *c)
{
	close(c->fd);
	if (c->shot != NULL)
		finish(c, 0, "", 0);
	open_conn(c);
}

/* Once a whole answer is there. */
static void
take_answer(struct conn *c)
{
	const char *head_end, *length, *body;
	size_t want;
	bool last;

	c->in[c->in_len] = '\0';
	head_end = strstr(c->in, "\r\n\r\n");
	if (head_end == NULL || c->shot == NULL)
		return;
	length = strcasestr(c->in, "\r\nContent-Length:");
	if (length == NULL || length > head_end) {
		end_conn(c);
		return;
	}
	body = head_end + 4;
	want = strtoul(length + 17, NULL, 10);
	if ((size_t)(c->in + c->in_len - body) < want)
		return;
	length = strcasestr(c->in, "\r\nConnection: close");
	last = length != NULL && length < head_end;
	finish(c, atoi(c->in + 9), body, want);
	if (last)
		end_conn(c);
}

static void
receive(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_MAX - 1 - c->in_len,
	    MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end_conn(c);
		return;
	}
	c->in_len += (size_t)n;
	take_answer(c);
}

/* --- load ------------------------------------------------------------- */

/* Exponential: the gap between two arrivals of a Poisson process. */
static double
gap_us(void)
{
	return -log(1 - drand48()) * 1e6 / opt.rate;
}

static void
wait_for_answers(int64_t until)
{
	int64_t left = until - mono_us();
	struct timespec t = { 0, left > 0 ? left * 1000 : 0 };
	struct epoll_event ev[64];
	int n;

	if (left >= 1000000)
		t = (struct timespec){ left / 1000000, 0 };
	n = epoll_pwait2(poller, ev, NELEM(ev), &t, NULL);
	for (int i = 0; i < n; i++)
		receive(ev[i].data.ptr);
}

static void
load(void)
{
	int64_t begin = mono_us(), now = begin;
	int64_t end = begin + (int64_t)(opt.seconds * 1e6);
	double due = (double)begin;

	/* Clients are other machines: what they notice late, because they have
	 * to wait for a processor here, is no delay of the server's. */
	(void)setpriority(PRIO_PROCESS, 0, -15);
	while (now < end || (n_done < n_shots && now < end + DRAIN_US)) {
		while (opt.rate > 0 && due <= (double)now &&
		    due < (double)end) {
			new_shot((int64_t)due);
			due += gap_us();
		}
		while (opt.rate <= 0 && now < end &&
		    n_shots - n_sent < n_idle)
			new_shot(now);
		while (n_sent < n_shots && n_idle > 0)
			send_shot(idle[--n_idle], &shots[n_sent++]);
		wait_for_answers(opt.rate > 0 && now < end ? (int64_t)due :
		    now + 100000);
		now = mono_us();
	}
	(void)setpriority(PRIO_PROCESS, 0, 0);
}

/* --- start ------------------------------------------------------------ */

void *
room_for(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	return p;
}

static void
prepare(void)
{
	srandom((unsigned)getpid());
	srand48(getpid());
	kinds_make();
	most = (size_t)((opt.rate > 0 ? opt.rate * 1.2 + 1000 : CLOSED_MOST) *
	    opt.seconds);
	shots = room_for(most, sizeof(*shots));
	bodies = room_for(most, sizeof(*bodies));
	poller = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.connections, sizeof(*conns));
	idle = calloc(opt.connections, sizeof(struct conn *));
	if (conns == NULL || idle == NULL)
		die("memory");
	for (unsigned i = 0; i < opt.connections; i++) {
		open_conn(&conns[i]);
		idle[n_idle++] = &conns[i];
	}
}

static void
read_option(int c)
{
	switch (c) {
	case 'a': opt.ca = optarg; break;
	case 'b': opt.begin = atoll(optarg); break;
	case 'c': opt.connections = (unsigned)atoi(optarg); break;
	case 'f': opt.first = atoi(optarg); break;
	case 'n': opt.certificates = (unsigned)atoi(optarg); break;
	case 'o': opt.out = optarg; break;
	case 'p': opt.port = (unsigned)atoi(optarg); break;
	case 'r': opt.rate = atof(optarg); break;
	case 's': opt.seconds = atof(optarg); break;
	case 'u': opt.path = optarg; break;
	case 'v': opt.revocations = atof(optarg); break;
	default: exit(2);
	}
}

int
main(int argc, char **argv)
{
	bool bad;
	int c;

	while ((c = getopt(argc, argv, "a:b:c:f:n:o:p:r:s:u:v:")) != -1)
		read_option(c);
	if (opt.path == NULL || opt.ca == NULL || opt.out == NULL ||
	    opt.certificates < 10 || opt.connections == 0)
		die("options are missing");
	prepare();
	load();
	bad = answers_check(most);
	for (size_t i = 0; i < n_kinds; i++)
		printf("%s\n", kinds[i].name);
	return bad;
}
