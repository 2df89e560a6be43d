#include "domain/audit.h"

#include "base/clock.h"
#include "base/text.h"

const struct field audit_fields[] = {
	FIELD(struct audit_event, id, TEXT, F_RO),
	FIELD(struct audit_event, actor, TEXT, F_RO),
	FIELD(struct audit_event, actor_type, TEXT, F_RO),
	FIELD(struct audit_event, action, TEXT, F_RO),
	FIELD(struct audit_event, resource_type, TEXT, F_RO),
	FIELD(struct audit_event, resource_id, TEXT, F_RO),
	FIELD(struct audit_event, details, JSON, F_RO),
	FIELD(struct audit_event, event_category, TEXT, F_RO),
	FIELD(struct audit_event, timestamp, TIME, F_RO),
	FIELD_END
};

const struct view audit_view = {
	&list_audit_events, audit_fields, sizeof(struct audit_event),
};

int
audit_get(struct ctx *c, const char *id, struct audit_event *out,
    struct err *e)
{
	static const char prefix[] = "audit-";
	struct db_batch *b;
	int64_t seq = 0;

	*out = (struct audit_event){ 0 };
	if (strncmp(id, prefix, strlen(prefix)) == 0)
		int_parse(id + strlen(prefix), 1, INT64_MAX, &seq);
	if (ctx_read(c, Q_AUDIT_GET, &b, e, db_int(seq)) < 0)
		return -1;
	if (!db_take(b, 0, audit_fields, out))
		return err_set(e, E_NOT_FOUND,
		    "audit event \"%s\" does not exist", id);
	return 0;
}

int
audit_check_filters(const char *category, const char *since,
    const char *until, struct err *e)
{
	static const char *const categories[] = { "cert_lifecycle", "auth",
	    "config" };
	static const struct texts known = {
		(const char **)(uintptr_t)categories, NELEM(categories),
	};
	int64_t from = 0, to = 0;

	if (!blank(category) && !texts_has(&known, category))
		return err_set(e, E_INVALID, "category must be "
		    "cert_lifecycle, auth or config");
	if (!blank(since) && rfc3339_parse(since, &from, e) < 0)
		return err_prefix(e, "since");
	if (!blank(until) && rfc3339_parse(until, &to, e) < 0)
		return err_prefix(e, "until");
	if (!blank(since) && !blank(until) && to <= from)
		return err_set(e, E_INVALID, "until must be later than since");
	return 0;
}
