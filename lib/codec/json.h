/*
 * JSON (RFC 8259) to structs by field table, and back.
 *
 * Reading is strict: UTF-8, no duplicate keys, no NUL in text, bounded depth.
 * Unknown members are ignored unless a reader says otherwise; null is the
 * same as absent.
 */
#ifndef CERTCTL_CODEC_JSON_H
#define CERTCTL_CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/field.h"

struct arena;
struct buf;
struct err;
struct json;	/* a parsed document or a member of one; dies with its arena */

enum { JSON_MAX_DEPTH = 32 };

/* NULL with E_INVALID and the reason.  An empty TEXT is not JSON. */
struct json *json_parse(struct arena *a, const char *text, size_t len,
    struct err *e);

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);

/* The member NAME of an object, or NULL; null counts as absent. */
struct json *json_member(struct arena *a, const struct json *j,
    const char *name);

/* Array length and items. */
size_t json_len(const struct json *j);
struct json *json_item(struct arena *a, const struct json *j, size_t i);

/* The member after *AT (NULL: the first) of an object in the order of its
 * text; *VALUE is NULL for null.  False past the last one. */
bool json_next(const struct json *j, const void **at, const char **name,
    struct json **value);

/* The text of a string, or NULL if it is not one; borrowed. */
const char *json_text(const struct json *j);

/* Compact JSON of J, in A. */
char *json_print(struct arena *a, const struct json *j);

/* Show "********" for every non-empty text called NAME in J, at any depth. */
void json_mask(struct json *j, const char *name);

enum {
	JSON_STRICT = 1 << 0,	/* refuse members no row of the table names */
	JSON_RO = 1 << 1,	/* read F_RO members too: a trusted peer's */
	JSON_PARTIAL = 1 << 2,	/* a change: F_REQ members may be absent */
};

/*
 * Read the members of object J that table T names into OBJ.  Members that are
 * absent keep what OBJ holds, so defaults and merges need no code.  E_INVALID
 * names the member: wrong type, too long, out of bounds, required but empty.
 */
int json_read(struct arena *a, const struct json *j, const struct field *t,
    unsigned flags, void *obj, struct err *e);

/* Write OBJ as an object; with ONLY non-empty, just those members. */
void json_write(struct buf *b, const struct field *t, const void *obj,
    const struct texts *only);

/* Write S as a JSON string. */
void json_write_text(struct buf *b, const char *s);
void json_write_texts(struct buf *b, const struct texts *t);

#endif
