/* Who is asking: the outcome of authentication, carried by every verb. */
#ifndef CERTCTL_AUTH_ACTOR_H
#define CERTCTL_AUTH_ACTOR_H

#include <stdbool.h>

enum actor_kind {
	ACTOR_NOBODY,	/* not authenticated */
	ACTOR_OPEN,	/* CERTCTL_AUTH_TYPE=none: anyone, never admin */
	ACTOR_OPERATOR,	/* a named key */
	ACTOR_AGENT,	/* an agent's own key */
	ACTOR_SYSTEM,	/* a worker */
};

struct actor {
	enum actor_kind kind;
	const char *id;		/* key name or agent id: the audit's actor */
	bool admin;
};

/* "User", "Agent" or "System", as the audit spells it. */
const char *actor_type(const struct actor *a);

#endif
