/*
 * Resources that are kept and changed but do nothing of their own: teams,
 * owners, profiles, renewal policies, issuers, targets.  One descriptor each;
 * the verbs are the same for all.
 */
#ifndef CERTCTL_DOMAIN_RESOURCE_H
#define CERTCTL_DOMAIN_RESOURCE_H

#include "domain/ctx.h"
#include "domain/page.h"

struct json;

enum { RESOURCE_MAX_ARGS = 20 };

struct resource {
	const char *name;		/* audit's resource_type */
	const char *verb_name;		/* in its actions: "profile" */
	const char *id_prefix;
	struct view view;
	enum query get, lock, insert, update, delete;
	/* A new object before it is read. */
	void (*defaults)(struct ctx *c, void *obj);
	/* What no field row shows; OLD is NULL for a new one. */
	int (*check)(struct ctx *c, void *obj, const void *old, struct err *e);
	/* Arguments of insert and update, which are the same; returns how many. */
	size_t (*args)(struct ctx *c, void *obj, struct db_arg *out);
};

/* Every resource's struct begins with its id. */
struct resource_head {
	const char *id;
};

extern const struct resource resource_team, resource_owner, resource_profile,
    resource_renewal_policy, resource_issuer, resource_target;

/*
 * Each fills OBJ (view.size octets) and records the call.  E_NOT_FOUND,
 * E_INVALID, E_CONFLICT (duplicate name or id, or still in use).
 */
int resource_get(struct ctx *c, const struct resource *r, const char *id,
    void *obj, struct err *e);
int resource_create(struct ctx *c, const struct resource *r,
    const struct json *body, void *obj, struct err *e);
/* Absent members of BODY keep what is stored. */
int resource_update(struct ctx *c, const struct resource *r, const char *id,
    const struct json *body, void *obj, struct err *e);
int resource_delete(struct ctx *c, const struct resource *r, const char *id,
    struct err *e);

#endif
