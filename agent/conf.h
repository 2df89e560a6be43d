/*
 * The agent's settings: a flag wins over its variable, an empty variable
 * counts as unset.
 */
#ifndef CERTCTL_AGENT_CONF_H
#define CERTCTL_AGENT_CONF_H

#include <stdbool.h>

#include "base/log.h"

struct arena;
struct err;

enum { CONF_RUN = -1 };		/* what conf_load() says when all is well */

struct conf {
	const char *server;		/* its URL */
	const char *api_key, *agent_id;
	const char *name;		/* NULL unless given */
	const char *key_dir;
	const char *state_dir;		/* <key_dir>/.certctl */
	const char *discovery_dirs, *ca_bundle, *bootstrap_token;
	bool insecure;
	enum log_level log_level;
};

/*
 * Read flags and environment into *OUT, whose texts live in A.  CONF_RUN, or
 * the exit status after help, the version or a complaint was printed: 0, or 2
 * for an unknown or malformed flag.
 */
int conf_load(struct arena *a, int argc, char **argv, struct conf *out);

/* The startup checks, before any network call; E_INVALID tells which failed. */
int conf_check(const struct conf *c, struct err *e);

#endif
