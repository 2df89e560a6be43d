/*
 * Field tables: one row per member of a struct, walked by every reader and
 * writer (database row, JSON, settings, connector configuration), so that a
 * name is said once and a secret is redacted everywhere.
 *
 *	static const struct field team_fields[] = {
 *		FIELD(struct team, id,         TEXT, F_RO),
 *		FIELD(struct team, name,       TEXT, F_REQ, 255),
 *		FIELD(struct team, created_at, TIME, F_RO),
 *		FIELD_END
 *	};
 */
#ifndef CERTCTL_BASE_FIELD_H
#define CERTCTL_BASE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum field_type {
	FT_TEXT,	/* const char *; NULL or "" is unset */
	FT_TEXTS,	/* struct texts */
	FT_INT,		/* int64_t */
	FT_BOOL,	/* bool */
	FT_TIME,	/* int64_t UTC seconds; 0 is unset */
	FT_JSON,	/* const char *: a JSON object as text; NULL is {} */
	FT_JSONS,	/* const char *: a JSON array as text; NULL is [] */
	FT_DURATION,	/* int64_t seconds, written "30s", "5m", "24h" */
	FT_MODE,	/* int64_t: file mode; JSON integer or octal string */
	FT_REAL,	/* double */
};

enum {
	F_REQ = 1 << 0,		/* a reader demands a non-empty value */
	F_RO = 1 << 1,		/* a JSON reader leaves it alone */
	F_OMIT = 1 << 2,	/* a JSON writer leaves it out when unset */
	F_SECRET = 1 << 3,	/* every writer shows ******** */
	F_HIDE = 1 << 4,	/* never leaves the process: never written */
	F_LINE = 1 << 5,	/* one line of visible text: a name */
};

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	size_t off;
	int64_t max;		/* TEXT: characters; else the value; 0: none */
	int64_t min;		/* INT, DURATION: least value */
	const char *doc;	/* settings: one line for the reference */
};

#define FIELD_AS(s, m, as, t, f, ...)					\
	{ .name = (as), .type = FT_##t, .flags = (f),			\
	  .off = offsetof(s, m), FIELD_MORE(__VA_ARGS__) }
#define FIELD(s, m, t, f, ...) FIELD_AS(s, m, #m, t, f, __VA_ARGS__)
#define FIELD_MORE(...) FIELD_PICK(__VA_ARGS__ __VA_OPT__(,) 0, 0)
#define FIELD_PICK(mx, mn, ...) .max = (mx), .min = (mn)
#define FIELD_END { .name = NULL }

#define FIELD_PTR(type, base, f) ((type *)(void *)((char *)(base) + (f)->off))
#define FIELD_CPTR(type, base, f) \
	((const type *)(const void *)((const char *)(base) + (f)->off))

/* The row called NAME (LEN octets), or NULL. */
const struct field *field_find(const struct field *t, const char *name,
    size_t len);

/* True if the member is unset: NULL, empty, 0 or false. */
bool field_unset(const struct field *f, const void *obj);

#endif
