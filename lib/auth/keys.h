/*
 * API keys: from a presented key to the actor who holds it.
 *
 * Configured keys are known by their SHA-256 and compared in constant time;
 * agents' keys are rows of the database.
 */
#ifndef CERTCTL_AUTH_KEYS_H
#define CERTCTL_AUTH_KEYS_H

#include <stdbool.h>

#include "auth/actor.h"
#include "base/util.h"

struct arena;
struct db;
struct err;
struct keys;

struct keys_conf {
	const char *auth_type;		/* "api-key" or "none" */
	struct texts named;		/* name:key or name:key:admin */
	struct texts secrets;		/* used without named keys */
};

/* E_INVALID for a name, a third field or a repetition that is not allowed,
 * and for no key at all. */
struct keys *keys_new(const struct keys_conf *conf, struct err *e);
void keys_free(struct keys *k);

/*
 * Who presents the header AUTHORIZATION (NULL: none)?  0 with *ACTOR filled,
 * its id in A, or E_UNAUTHORIZED with the reason.  The database is asked only
 * for a key that is neither configured nor seen lately, and only if MAY_ASK:
 * else that is E_RATE_LIMITED, so that guessing keys costs no queries.
 */
int keys_find(struct keys *k, struct arena *a, struct db *db,
    const char *authorization, bool may_ask, struct actor *actor,
    struct err *e);

/* The SHA-256, hex, under which an agent's KEY is stored, in A. */
char *key_hash(struct arena *a, const char *key);

/* A new key: 32 random octets as 43 characters of base64url, in A. */
char *key_make(struct arena *a);

#endif
