/*
 * Signatures a second: by certctl-signer through its socket, and in this
 * process.
 *
 *	bench-signer SOCKET SECONDS CLIENTS [KEY_REF]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "sign/sign.h"
#include "x509/name.h"
#include "x509/tbs.h"

static struct bytes
make_tbs(struct arena *a, bool ca, struct bytes algorithm, struct bytes spki)
{
	struct tbs t = {
		.algorithm = algorithm,
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, ca ? "CA" : "www.example.com"),
		.spki = spki,
		.not_before = 1700000000,
		.not_after = 1800000000,
		.ca = ca,
		.key_usage = ca ? USAGE_KEY_CERT_SIGN :
		    USAGE_DIGITAL_SIGNATURE,
	};
	struct bytes der;
	struct err e;

	serial_new(t.serial);
	if (tbs_make(a, &t, &der, &e) < 0)
		abort();
	return der;
}

/* S with a certificate of its own. */
static struct signer *
open_ca(struct arena *a, const char *ref)
{
	struct bytes tbs, signature;
	struct err e = { 0 };
	struct signer *s = sign_open(ref, &e);

	if (s != NULL) {
		tbs = make_tbs(a, true, sign_algorithm(s), sign_spki(s));
		if (sign_tbs(s, a, tbs, SIGN_CA, &signature, &e) == 0) {
			sign_bind(s, cert_assemble(a, tbs, sign_algorithm(s),
			    signature));
			return s;
		}
	}
	fprintf(stderr, "bench-signer: %s\n", e.msg);
	exit(1);
}

/* Sign until END; how often. */
static int64_t
ask(const char *ref, int64_t end)
{
	struct arena *a = arena_new(), *scratch = arena_new();
	struct bytes tbs, signature;
	struct err e = { 0 };
	struct signer *s = open_ca(a, ref);
	int64_t n = 0;

	tbs = make_tbs(a, false, sign_algorithm(s), sign_spki(s));
	for (; mono_us() < end; n++, arena_reset(scratch))
		if (sign_tbs(s, scratch, tbs, 0, &signature, &e) < 0)
			abort();
	return n;
}

static double
by_signer(const char *ref, int seconds, int clients)
{
	int64_t end = mono_us() + seconds * 1000000LL, sum = 0, n;
	int fd[2];

	if (pipe(fd) < 0)
		abort();
	for (int i = 0; i < clients; i++) {
		if (fork() != 0)
			continue;
		n = ask(ref, end);
		_exit(write(fd[1], &n, sizeof(n)) != sizeof(n));
	}
	for (int i = 0; i < clients; i++) {
		if (read(fd[0], &n, sizeof(n)) != sizeof(n))
			abort();
		sum += n;
	}
	while (wait(NULL) > 0)
		;
	return (double)sum / seconds;
}

static double
in_process(int seconds)
{
	const struct key_type p256 = { "ECDSA", 256 };
	struct arena *a = arena_new(), *scratch = arena_new();
	struct err e;
	struct key *k = key_generate(a, p256, &e);
	struct bytes tbs = make_tbs(a, false, key_algorithm(k), key_spki(k)),
	    out;
	int64_t end = mono_us() + seconds * 1000000LL, n = 0;

	for (; mono_us() < end; n++, arena_reset(scratch))
		if (key_sign(k, scratch, tbs, &out, &e) < 0)
			abort();
	return (double)n / seconds;
}

int
main(int argc, char **argv)
{
	const char *ref = argc > 4 ? argv[4] : "bench.key";
	int seconds, clients;
	struct err e = { 0 };
	bool made;

	if (argc < 4) {
		fputs("usage: bench-signer SOCKET SECONDS CLIENTS "
		    "[KEY_REF]\n", stderr);
		return 2;
	}
	seconds = atoi(argv[2]);
	clients = atoi(argv[3]);
	sign_use(argv[1]);
	if (argc == 4 && sign_create_key(ref, (struct key_type){ "ECDSA",
	    256 }, &made, &e) < 0) {
		fprintf(stderr, "bench-signer: %s: %s\n", e.msg, e.detail);
		return 1;
	}
	printf("signer, %d clients\t%.0f/s\n", clients, by_signer(ref,
	    seconds, clients));
	printf("in process\t%.0f/s\n", in_process(seconds));
	return 0;
}
