/*
 * One deployment from files, for the system tests of the engine:
 *
 *	deploy-once TYPE CONFIG.json LEAF.pem CHAIN.pem KEY.pem STATE_DIR
 *	deploy-once --recover STATE_DIR
 *
 * Prints the outcome and, on failure, the reason; exits 0 on success.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "target/target.h"
#include "x509/cert.h"

enum { MAX = 1024 * 1024 };

static char *
slurp(struct arena *a, const char *path)
{
	struct bytes p;
	struct err e;

	if (file_read(a, path, MAX, &p, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		exit(2);
	}
	return arena_strndup(a, (const char *)p.p, p.len);
}

static int
recover(struct arena *a, const char *dir)
{
	struct recovered *v;
	struct err e;
	size_t n;

	if (target_recover(a, dir, &v, &n, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		printf("%s %s %s\n", deploy_outcome_name(v[i].outcome),
		    v[i].path, v[i].outcome == DEPLOY_DONE ? "" :
		    v[i].err.msg);
	return 0;
}

static int
deploy(struct arena *a, char **argv)
{
	const struct target_type *t = target_type_find(argv[1]);
	struct deploy_args args = {
		.cert_pem = slurp(a, argv[3]), .chain_pem = slurp(a, argv[4]),
		.key_pem = slurp(a, argv[5]), .state_dir = argv[6],
	};
	enum deploy_outcome outcome;
	struct x509_cert *certs;
	struct err e;
	size_t n;
	int rc;

	if (t == NULL || certs_from_pem(a, args.cert_pem, &certs, &n,
	    &e) < 0) {
		fprintf(stderr, "no such type, or no certificate\n");
		return 2;
	}
	args.fingerprint = certs[0].fingerprint;
	rc = target_deploy(a, t, slurp(a, argv[2]), &args, &outcome, &e);
	printf("%s\n", deploy_outcome_name(outcome));
	if (rc < 0)
		printf("%s\n", e.msg);
	return rc < 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	struct arena *a = arena_new();
	int rc = 2;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && streq(argv[1], "--recover"))
		rc = recover(a, argv[2]);
	else if (argc == 7)
		rc = deploy(a, argv);
	else
		fprintf(stderr, "usage: deploy-once TYPE CONFIG LEAF CHAIN "
		    "KEY STATE_DIR\n");
	arena_free(a);
	return rc;
}
