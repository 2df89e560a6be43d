/*
 * certctl-workers: what is done by the clock.
 *
 *	certctl-workers			run in the foreground
 *	certctl-workers --migrate	bring the database schema up to date
 *	certctl-workers --check-config	print the effective settings
 */
#include <stdio.h>

#include "base/log.h"
#include "domain/seed.h"
#include "sign/sign.h"
#include "workers.h"

/* What every mode begins with. */
struct program {
	struct arena *a;	/* of the settings */
	struct settings set;
	struct ctx c;
};

static int
print_help(struct program *p)
{
	(void)p;
	fputs("usage: certctl-workers [--check-config | --migrate | --version "
	    "| --help]\n\n"
	    "Issues certificates, renews them in time, retries what failed.\n"
	    "Runs in the foreground; SIGTERM ends it when the jobs in hand "
	    "are done.\n\n"
	    "  --check-config  print the effective settings, secrets masked\n"
	    "  --migrate       bring the database schema up to date\n"
	    "  --version       print the version\n"
	    "  --help          print this\n", stdout);
	return 0;
}

static int
print_version(struct program *p)
{
	(void)p;
	puts("certctl-workers " PACKAGE_VERSION);
	return 0;
}

static int
check_config(struct program *p)
{
	settings_print(stdout, &p->set);
	return 0;
}

static int
complain(const struct err *e)
{
	fprintf(stderr, "certctl-workers: %s%s%s\n", e->msg,
	    e->detail[0] != '\0' ? ": " : "", e->detail);
	return 1;
}

static int
migrate(struct program *p)
{
	struct err e = { 0 };
	int applied;

	if (db_migrate(p->c.db, &applied, &e) < 0)
		return complain(&e);
	printf("%d migrations applied\n", applied);
	return 0;
}

/* Schema and seeds; E_UNAVAILABLE if it is worth trying again. */
static int
prepare_database(struct ctx *c, struct err *e)
{
	bool changed;
	int applied;

	if (db_migrate(c->db, &applied, e) < 0 ||
	    seed_local_issuer(c, &changed, e) < 0)
		return -1;
	if (changed)
		log_info("issuer iss-local has new CA files", NULL);
	return 0;
}

/* 0 once the database is ready, 1 if asked to end before, -1 if it never
 * will be. */
static int
await_database(struct ctx *c)
{
	struct backoff wait = { 250, 5000, 0 };
	struct err e, said = { 0 };

	for (;;) {
		e = (struct err){ 0 };
		if (prepare_database(c, &e) == 0)
			break;
		if (e.code != E_UNAVAILABLE) {
			log_err(LOG_ERROR, "the database cannot be used", &e,
			    NULL, NULL);
			return -1;
		}
		if (!streq(said.msg, e.msg))
			log_err(LOG_WARN, "waiting for the database", &e,
			    NULL, NULL);
		said = e;
		pause_ms(backoff_next(&wait));
		if (stopping())
			return 1;
	}
	if (said.code != E_OK)
		log_info("the database is back", NULL);
	return 0;
}

static int
run(struct program *p)
{
	int rc;

	catch_stop();
	rc = await_database(&p->c);

	if (rc != 0)
		return rc < 0 ? 1 : 0;
	/* Children make connections of their own. */
	db_free(p->c.db);
	p->c.db = NULL;
	arena_free(p->c.a);
	p->c.a = NULL;
	log_info("workers started", "version", PACKAGE_VERSION, NULL);
	rc = supervise(&p->set);
	log_info("workers ended", NULL);
	return rc;
}

static const struct mode {
	const char *flag;
	bool settings;		/* it needs them */
	int (*run)(struct program *p);
} modes[] = {
	{ "", true, run },
	{ "--check-config", true, check_config },
	{ "--migrate", true, migrate },
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

static int
load_settings(struct program *p)
{
	struct err e = { 0 };

	if (settings_load(p->a, &p->set, &e) < 0)
		return complain(&e);
	log_open("certctl-workers", (enum log_level)log_level_parse(
	    p->set.log_level));
	sign_use(p->set.signer_socket);
	p->c.a = arena_new();
	p->c.db = db_new(p->set.database_url, "certctl-workers");
	return 0;
}

int
main(int argc, char **argv)
{
	static struct seal *seal;
	struct program p = {
		.a = arena_new(),
		.c = {
			.set = &p.set,
			.actor = { .kind = ACTOR_SYSTEM, .id = "system" },
			.seal = &seal,
		},
	};
	const struct mode *m = find_mode(argc, argv);
	int rc = 0;

	if (m == NULL) {
		fputs("certctl-workers: unknown arguments; try --help\n",
		    stderr);
		rc = 2;
	} else if (m->settings) {
		rc = load_settings(&p);
	}
	if (rc == 0)
		rc = m->run(&p);
	db_free(p.c.db);
	arena_free(p.c.a);
	arena_free(p.a);
	return rc;
}
