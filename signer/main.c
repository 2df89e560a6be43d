/*
 * certctl-signer: holds the CA keys.
 *
 *	certctl-signer			run in the foreground
 *	certctl-signer --check-config	print the effective settings
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "signer.h"

static int
print_help(const struct settings *set)
{
	(void)set;
	fputs("usage: certctl-signer [--check-config | --version | --help]\n\n"
	    "Holds the CA keys and signs certificates and CRLs for the other\n"
	    "programs of this host, after checking and recording each one.\n"
	    "Runs in the foreground; SIGTERM ends it, SIGHUP makes it read "
	    "keys\nand PINs again and reopen its record.\n\n"
	    "  --check-config  print the effective settings, secrets masked\n"
	    "  --version       print the version\n"
	    "  --help          print this\n", stdout);
	return 0;
}

static int
print_version(const struct settings *set)
{
	(void)set;
	puts("certctl-signer " PACKAGE_VERSION);
	return 0;
}

static int
check_config(const struct settings *set)
{
	settings_print(stdout, set);
	return 0;
}

static int
complain(const struct err *e)
{
	fprintf(stderr, "certctl-signer: %s%s%s\n", e->msg,
	    e->detail[0] != '\0' ? ": " : "", e->detail);
	return 1;
}

static int
run(const struct settings *set)
{
	struct err e = { 0 };

	log_open("certctl-signer", (enum log_level)log_level_parse(
	    set->log_level));
	return signer_run(set, &e) < 0 ? complain(&e) : 0;
}

static const struct mode {
	const char *flag;
	bool settings;		/* it needs them */
	int (*run)(const struct settings *set);
} modes[] = {
	{ "", true, run },
	{ "--check-config", true, check_config },
	{ "--version", false, print_version },
	{ "--help", false, print_help },
	{ "-h", false, print_help },
};

static const struct mode *
find_mode(int argc, char **argv)
{
	const char *flag = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < NELEM(modes) && argc <= 2; i++)
		if (streq(flag, modes[i].flag))
			return &modes[i];
	return NULL;
}

int
main(int argc, char **argv)
{
	const struct mode *m = find_mode(argc, argv);
	struct arena *a = arena_new();
	struct settings set = { 0 };
	struct err e = { 0 };
	int rc;

	if (m == NULL) {
		fputs("certctl-signer: unknown arguments; try --help\n",
		    stderr);
		rc = 2;
	} else if (m->settings && settings_load(a, &set, &e) < 0) {
		rc = complain(&e);
	} else {
		rc = m->run(&set);
	}
	arena_free(a);
	return rc;
}
