/*
 * certctl-agent: makes private keys on the host that uses them, has them
 * certified, and installs the certificates.
 *
 * Two processes: this one beats (keeper.h), its child works (worker.h).
 */
#include <stdio.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/identity.h"
#include "agent/keeper.h"
#include "agent/keys.h"
#include "agent/signals.h"
#include "agent/version.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

/* A worker without its parent may be finishing a deployment. */
enum { LOCK_WAIT_MS = 60 * 1000 };

static void
tell(const struct conf *c)
{
	log_info("agent starts", "version", PACKAGE_VERSION, "server",
	    c->server, "key_dir", c->key_dir, "name", c->name, NULL);
	if (c->insecure)
		log_warn("the server's certificate is NOT verified: whoever "
		    "is in between reads and changes everything; never use "
		    "-insecure-skip-verify in production", NULL);
	if (!blank(c->discovery_dirs))
		log_warn("discovery is not available yet: CERTCTL_DISCOVERY_"
		    "DIRS is ignored", "directories", c->discovery_dirs, NULL);
}

/* One agent a key directory; held to the end, by the worker too. */
static int
open_dirs(struct arena *a, const struct conf *c, struct err *e)
{
	if (keys_open(c->key_dir, e) < 0 ||
	    dir_make(c->state_dir, 0700, e) < 0)
		return -1;
	if (file_lock(arena_printf(a, "%s/lock", c->state_dir), LOCK_WAIT_MS,
	    e) < 0)
		return err_prefix(e, "another agent uses %s", c->key_dir);
	return dir_clear_tmp(c->key_dir, e) < 0 ||
	    dir_clear_tmp(c->state_dir, e) < 0 ? -1 : 0;
}

static int
run(struct arena *a, const struct conf *c)
{
	struct identity id;
	struct err e;

	log_open("certctl-agent", c->log_level);
	log_output(STDOUT_FILENO);
	if (conf_check(c, &e) < 0) {
		fprintf(stderr, "certctl-agent: %s\n", e.msg);
		return 1;
	}
	signals_init();
	tell(c);
	if (open_dirs(a, c, &e) < 0 || identity_get(a, c, &id, &e) < 0) {
		fprintf(stderr, "certctl-agent: %s\n", e.msg);
		return signals_stopping() ? 0 : 1;
	}
	return keeper_run(c, &id);
}

int
main(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct conf c;
	int rc = conf_load(a, argc, argv, &c);

	if (rc == CONF_RUN)
		rc = run(a, &c);
	arena_free(a);
	return rc;
}
