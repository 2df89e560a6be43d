/* The audit log, as it is read. */
#ifndef CERTCTL_DOMAIN_AUDIT_H
#define CERTCTL_DOMAIN_AUDIT_H

#include "domain/ctx.h"
#include "domain/page.h"

struct audit_event {
	const char *id, *actor, *actor_type, *action;
	const char *resource_type, *resource_id, *details, *event_category;
	int64_t timestamp;
};

extern const struct field audit_fields[];
extern const struct view audit_view;

/* E_NOT_FOUND for an id that is none or unknown. */
int audit_get(struct ctx *c, const char *id, struct audit_event *out,
    struct err *e);

/* What page_read() does not know: categories, and that until follows since. */
int audit_check_filters(const char *category, const char *since,
    const char *until, struct err *e);

#endif
