/*
 * Certification requests for EST, each of another device with a key of its
 * own, as lines of base64.
 *
 *	bench-csrs COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/est.h"
#include "x509/csr.h"

static int
print_one(struct arena *a, struct err *e)
{
	const struct key_type p256 = { "ECDSA", 256 };
	struct key *k = key_generate(a, p256, e);
	const char *name, *pem;
	struct texts names = { 0 };
	struct bytes der;
	unsigned char random[6];

	random_bytes(random, sizeof(random));
	name = arena_printf(a, "%s.devices.example.org", hex_encode(a, random,
	    sizeof(random)));
	texts_add(a, &names, name);
	if (k == NULL || (pem = csr_make(a, k, name, &names, e)) == NULL ||
	    est_read_csr(a, "", pem, strlen(pem), &der, e) < 0)
		return -1;
	puts(base64_encode(a, der.p, der.len));
	return 0;
}

int
main(int argc, char **argv)
{
	long n = argc == 2 ? atol(argv[1]) : 0;
	struct arena *a = arena_new();
	struct err e;

	for (; n > 0; n--, arena_reset(a)) {
		if (print_one(a, &e) == 0)
			continue;
		fprintf(stderr, "bench-csrs: %s\n", e.msg);
		return 1;
	}
	arena_free(a);
	return 0;
}
