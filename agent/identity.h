/*
 * Who this agent is: an id and key given by the operator, or made by a
 * registration with the bootstrap token.
 *
 * The key of a registration is made here and on the disk before the server
 * hears of it, and the server learns its SHA-256 only.  So a lost reply is
 * asked for again without harm.
 */
#ifndef CERTCTL_AGENT_IDENTITY_H
#define CERTCTL_AGENT_IDENTITY_H

#include <stdbool.h>

struct arena;
struct conf;
struct err;

struct identity {
	const char *agent_id, *api_key;
};

/* True if a registration was begun in this key directory. */
bool identity_exists(const struct conf *c);

/*
 * *OUT lives in A.  Registers if need be, again and again while the server is
 * out of reach; E_CONFLICT if the name is another agent's, E_UNAUTHORIZED for
 * a bad token, E_UNAVAILABLE if told to stop.
 */
int identity_get(struct arena *a, const struct conf *c, struct identity *out,
    struct err *e);

#endif
