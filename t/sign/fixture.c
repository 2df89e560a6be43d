#include "t/sign/fixture.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "sign/sign.h"
#include "signer/signer.h"
#include "x509/der.h"
#include "x509/name.h"
#include "x509/tbs.h"

struct settings
t_signer_settings(struct arena *a, const char *dir)
{
	const char **v = arena_memdup(a, &dir, sizeof(dir));

	return (struct settings){
		.state_dir = dir,
		.signer_key_dirs = { v, 1 },
		.signer_socket = arena_printf(a, "%s/signer.sock", dir),
	};
}

/* Life of the child. */
_Noreturn static void
live(const struct settings *set)
{
	struct err e = { 0 };
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_open("signer", LOG_ERROR);
	rc = signer_run(set, &e);
	if (rc < 0)
		fprintf(stderr, "signer: %s: %s\n", e.msg, e.detail);
	_exit(rc < 0);
}

static bool
answers(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	memcpy(to.sun_path, path, strnlen(path, sizeof(to.sun_path) - 1));
	ok = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
	close(fd);
	return ok;
}

struct child {
	pid_t owner, pid;	/* a fork of the test must not end it */
};

static void
end(void *p)
{
	const struct child *c = p;

	if (c->owner != getpid())
		return;
	kill(c->pid, SIGTERM);
	waitpid(c->pid, NULL, 0);
}

pid_t
t_signer_start(struct arena *a, const struct settings *set)
{
	struct child *c = arena_alloc(a, sizeof(*c));
	int64_t until = mono_us() + 10000000;

	c->owner = getpid();
	c->pid = fork();
	if (c->pid == 0)
		live(set);
	cr_assert_gt(c->pid, 0);
	arena_defer(a, end, c);
	while (!answers(set->signer_socket)) {
		cr_assert_lt(mono_us(), until, "the signer does not start");
		sleep_ms(5);
	}
	sign_use(set->signer_socket);
	return c->pid;
}

void
t_signer_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void
t_signer(struct arena *a, const char *dir)
{
	struct settings set = t_signer_settings(a, dir);

	t_signer_start(a, &set);
}

static void
close_signer(void *s)
{
	sign_close(s);
}

struct signer *
t_sign_open(struct arena *a, const char *ref, struct err *e)
{
	struct signer *s = sign_open(ref, e);

	if (s != NULL)
		arena_defer(a, close_signer, s);
	return s;
}

int
t_ca_der(struct arena *a, struct signer *s, struct bytes *der, struct err *e)
{
	struct tbs t = {
		.algorithm = sign_algorithm(s),
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, "CA"),
		.spki = sign_spki(s),
		.not_before = T_CA_FROM,
		.not_after = T_CA_TO,
		.ca = true,
		.key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
	};
	struct bytes tbs, signature;

	serial_new(t.serial);
	if (tbs_make(a, &t, &tbs, e) < 0 ||
	    sign_tbs(s, a, tbs, SIGN_CA, &signature, e) < 0)
		return -1;
	*der = cert_assemble(a, tbs, t.algorithm, signature);
	return 0;
}

void
t_sign_bind(struct arena *a, struct signer *s)
{
	struct bytes der;
	struct err e = { 0 };

	cr_assert_eq(t_ca_der(a, s, &der, &e), 0, "%s", e.msg);
	sign_bind(s, der);
}

struct bytes
t_make_list(struct arena *a, const struct t_list *l)
{
	struct buf b = BUF(a);
	size_t seq = der_open(&b, DER_SEQUENCE), part, inner, x;
	unsigned char serial[SERIAL_LEN];

	if (l->version != NULL)
		der_put(&b, DER_INTEGER, l->version, 1);
	der_raw(&b, l->algorithm);
	der_raw(&b, l->issuer);
	der_time(&b, l->this_update);
	if (l->next_update != 0)
		der_time(&b, l->next_update);
	part = der_open(&b, DER_SEQUENCE);
	for (size_t i = 0; i < l->entries; i++) {
		inner = der_open(&b, DER_SEQUENCE);
		serial_new(serial);
		der_uint(&b, serial, sizeof(serial));
		der_time(&b, l->this_update);
		der_close(&b, inner);
	}
	der_close(&b, part);
	if (l->entries == 0)
		b.len = part - 2;
	part = der_open(&b, DER_CONSTRUCTED);
	inner = der_open(&b, DER_SEQUENCE);
	x = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, l->number ? "\x55\x1d\x14" : "\x55\x1d\x23", 3);
	der_put(&b, DER_OCTET_STRING, "\x02\x01\x07", 3);
	der_close(&b, x);
	der_close(&b, inner);
	der_close(&b, part);
	der_close(&b, seq);
	return buf_bytes(&b);
}
