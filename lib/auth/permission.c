#include "auth/permission.h"

#include <stdlib.h>

#include "base/util.h"

enum {
	ANY = 1 << 0,	/* every operator */
	AGENT = 1 << 1,	/* an agent, for itself */
	ADMIN = 0,	/* nobody else */
};

/* In alphabetical order: looked up by bisection. */
static const struct permission {
	const char *name;
	unsigned holders;
} catalogue[] = {
	{ "agent.edit", ANY },
	{ "agent.heartbeat", AGENT },
	{ "agent.job.complete", AGENT },
	{ "agent.job.poll", AGENT },
	{ "agent.job.report", AGENT },
	{ "agent.read", ANY },
	{ "agent.retire", ADMIN },
	{ "audit.export", ADMIN },
	{ "audit.read", ANY },
	{ "cert.bulk_revoke", ADMIN },
	{ "cert.delete", ANY },
	{ "cert.edit", ANY },
	{ "cert.issue", ANY },
	{ "cert.pickup", AGENT },
	{ "cert.read", ANY },
	{ "cert.revoke", ANY },
	{ "crl.admin", ADMIN },
	{ "est.admin", ADMIN },
	{ "issuer.delete", ADMIN },
	{ "issuer.edit", ANY },
	{ "issuer.read", ANY },
	{ "job.cancel", ANY },
	{ "job.read", ANY },
	{ "owner.delete", ANY },
	{ "owner.edit", ANY },
	{ "owner.read", ANY },
	{ "policy.delete", ANY },
	{ "policy.edit", ANY },
	{ "policy.read", ANY },
	{ "profile.delete", ADMIN },
	{ "profile.edit", ANY },
	{ "profile.read", ANY },
	{ "target.delete", ANY },
	{ "target.edit", ANY },
	{ "target.read", ANY },
	{ "team.delete", ANY },
	{ "team.edit", ANY },
	{ "team.read", ANY },
	{ "verification.read", ANY },
	{ "verification.run", ANY | AGENT },
};

static int
by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct permission *)row)->name);
}

static const struct permission *
find(const char *name)
{
	return bsearch(name, catalogue, NELEM(catalogue),
	    sizeof(catalogue[0]), by_name);
}

bool
permission_known(const char *name)
{
	return find(name) != NULL;
}

bool
permission_held(const struct actor *actor, const char *name)
{
	const struct permission *p = find(name);

	if (p == NULL)
		return false;
	switch (actor->kind) {
	case ACTOR_OPERATOR:
		return actor->admin || (p->holders & ANY);
	case ACTOR_OPEN:
		return p->holders & ANY;
	case ACTOR_AGENT:
		return p->holders & AGENT;
	case ACTOR_SYSTEM:
		return true;
	case ACTOR_NOBODY:
		break;
	}
	return false;
}

const char *
actor_type(const struct actor *a)
{
	switch (a->kind) {
	case ACTOR_AGENT:
		return "Agent";
	case ACTOR_SYSTEM:
		return "System";
	default:
		return "User";
	}
}
