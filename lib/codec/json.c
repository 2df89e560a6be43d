#include "codec/json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "codec/json_scan.h"

/*
 * struct json is json-c's object under a name of ours; the tree is put when
 * the arena dies, so every member is borrowed.
 */
static struct json *
wrap(struct json_object *o)
{
	return (struct json *)(void *)o;
}

static struct json_object *
unwrap(const struct json *j)
{
	return (struct json_object *)(void *)(uintptr_t)j;
}

static void
put(void *o)
{
	json_object_put(o);
}

/* Members of O and of everything below it. */
static int64_t
count_members(struct json_object *o)
{
	int64_t n = 0;

	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			n += count_members(json_object_array_get_idx(o, i));
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, name, value) {
			(void)name;
			n += 1 + count_members(value);
		}
	}
	return n;
}

struct json *
json_parse(struct arena *a, const char *text, size_t len, struct err *e)
{
	struct json_tokener *tok;
	struct json_object *o = NULL;
	enum json_tokener_error bad;
	size_t used;
	int64_t colons;

	if (len == 0 || len > INT32_MAX) {
		err_set(e, E_INVALID, len == 0 ? "the body is empty" :
		    "the JSON text is too long");
		return NULL;
	}
	if (json_scan(text, len, &colons, e) < 0)
		return NULL;
	tok = json_tokener_new_ex(JSON_MAX_DEPTH);
	if (tok == NULL)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, text, (int)len);
	used = json_tokener_get_parse_end(tok);
	/* A bare word or number ends only with what follows it. */
	if (json_tokener_get_error(tok) == json_tokener_continue)
		o = json_tokener_parse_ex(tok, " ", 1);
	bad = json_tokener_get_error(tok);
	json_tokener_free(tok);
	if (o != NULL)
		arena_defer(a, put, o);
	if (bad == json_tokener_error_depth) {
		err_set(e, E_INVALID, "JSON is nested deeper than %d levels",
		    JSON_MAX_DEPTH);
		return NULL;
	}
	if (bad == json_tokener_continue) {
		err_set(e, E_INVALID, "the JSON text ends too early");
		return NULL;
	}
	if (bad != json_tokener_success || o == NULL || used != len) {
		err_set(e, E_INVALID, "malformed JSON at octet %zu", used);
		return NULL;
	}
	/*
	 * In JSON text every colon outside a string ends a member's name, and
	 * json-c keeps the last of equal names: fewer members tell of it.
	 */
	if (count_members(o) != colons) {
		err_set(e, E_INVALID, "a JSON object has a duplicate member");
		return NULL;
	}
	return wrap(o);
}

bool
json_is_object(const struct json *j)
{
	return json_object_is_type(unwrap(j), json_type_object);
}

bool
json_is_array(const struct json *j)
{
	return json_object_is_type(unwrap(j), json_type_array);
}

struct json *
json_member(struct arena *a, const struct json *j, const char *name)
{
	struct json_object *v = NULL;

	(void)a;
	if (!json_is_object(j) ||
	    !json_object_object_get_ex(unwrap(j), name, &v))
		return NULL;
	return wrap(v);
}

size_t
json_len(const struct json *j)
{
	return json_is_array(j) ? json_object_array_length(unwrap(j)) : 0;
}

struct json *
json_item(struct arena *a, const struct json *j, size_t i)
{
	(void)a;
	return wrap(json_object_array_get_idx(unwrap(j), i));
}

bool
json_next(const struct json *j, const void **at, const char **name,
    struct json **value)
{
	const struct lh_entry *entry = *at;

	if (!json_is_object(j))
		return false;
	entry = entry != NULL ? entry->next :
	    json_object_get_object(unwrap(j))->head;
	if (entry == NULL)
		return false;
	*at = entry;
	*name = lh_entry_k(entry);
	*value = wrap(lh_entry_v(entry));
	return true;
}

const char *
json_text(const struct json *j)
{
	if (j == NULL || !json_object_is_type(unwrap(j), json_type_string))
		return NULL;
	return json_object_get_string(unwrap(j));
}

char *
json_print(struct arena *a, const struct json *j)
{
	return arena_strdup(a, json_object_to_json_string_ext(unwrap(j),
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void
mask(struct json_object *o, const char *name)
{
	if (json_object_is_type(o, json_type_array))
		for (size_t i = 0; i < json_object_array_length(o); i++)
			mask(json_object_array_get_idx(o, i), name);
	if (!json_object_is_type(o, json_type_object))
		return;
	json_object_object_foreach(o, member, v) {
		if (streq(member, name) &&
		    json_object_is_type(v, json_type_string) &&
		    json_object_get_string_len(v) > 0)
			json_object_set_string(v, "********");
		mask(v, name);
	}
}

void
json_mask(struct json *j, const char *name)
{
	mask(unwrap(j), name);
}

/*
 * One reader per field type.  Each stores into OBJ or says what it wants,
 * which json_read() puts behind the member's name.
 */
typedef const char *(*read_fn)(struct arena *a, struct json_object *v,
    const struct field *f, void *obj, struct err *e);

/* Characters of UTF-8 text: all octets but those that continue one. */
static int64_t
characters(const char *s)
{
	int64_t n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static const char *
read_text(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)e;
	if (!json_object_is_type(v, json_type_string))
		return "must be a string";
	if (f->max > 0 && characters(json_object_get_string(v)) > f->max)
		return arena_printf(a, "is longer than %" PRId64 " characters",
		    f->max);
	if ((f->flags & F_LINE) && text_misleads(json_object_get_string(v)))
		return "must be one line without invisible characters";
	*FIELD_PTR(const char *, obj, f) = json_object_get_string(v);
	return NULL;
}

static const char *
read_texts(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	struct texts t = { 0 };
	struct json_object *item;

	(void)e;
	if (!json_object_is_type(v, json_type_array))
		return "must be an array of strings";
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		item = json_object_array_get_idx(v, i);
		if (!json_object_is_type(item, json_type_string))
			return "must be an array of strings";
		texts_add(a, &t, json_object_get_string(item));
	}
	if (f->max > 0 && t.n > (size_t)f->max)
		return arena_printf(a, "has more than %" PRId64 " items",
		    f->max);
	*FIELD_PTR(struct texts, obj, f) = t;
	return NULL;
}

static const char *
bounds(struct arena *a, const struct field *f, int64_t n)
{
	if (n < f->min || (f->max > 0 && n > f->max))
		return arena_printf(a, "must be between %" PRId64 " and %"
		    PRId64, f->min, f->max > 0 ? f->max : INT64_MAX);
	return NULL;
}

static const char *
read_int(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	const char *why;

	(void)e;
	if (!json_object_is_type(v, json_type_int))
		return "must be an integer";
	why = bounds(a, f, json_object_get_int64(v));
	if (why == NULL)
		*FIELD_PTR(int64_t, obj, f) = json_object_get_int64(v);
	return why;
}

static const char *
read_bool(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)a;
	(void)e;
	if (!json_object_is_type(v, json_type_boolean))
		return "must be true or false";
	*FIELD_PTR(bool, obj, f) = json_object_get_boolean(v);
	return NULL;
}

static const char *
read_time(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)a;
	if (!json_object_is_type(v, json_type_string) ||
	    rfc3339_parse(json_object_get_string(v),
	    FIELD_PTR(int64_t, obj, f), e) < 0)
		return "must be an RFC 3339 time";
	return NULL;
}

static const char *
read_raw(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)e;
	if (f->type == FT_JSON && !json_object_is_type(v, json_type_object))
		return "must be an object";
	if (f->type == FT_JSONS && !json_object_is_type(v, json_type_array))
		return "must be an array";
	*FIELD_PTR(const char *, obj, f) = json_print(a, wrap(v));
	return NULL;
}

/* Integers are nanoseconds, as existing configurations write them. */
static const char *
read_duration(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	int64_t s;
	const char *why;

	if (json_object_is_type(v, json_type_int))
		s = json_object_get_int64(v) / 1000000000;
	else if (!json_object_is_type(v, json_type_string) ||
	    duration_parse(json_object_get_string(v), &s, e) < 0)
		return "must be a duration such as \"30s\"";
	why = bounds(a, f, s);
	if (why == NULL)
		*FIELD_PTR(int64_t, obj, f) = s;
	return why;
}

static const char *
read_mode(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	int64_t mode = -1;
	const char *s;

	(void)a;
	(void)e;
	if (json_object_is_type(v, json_type_int)) {
		mode = json_object_get_int64(v);
	} else if (json_object_is_type(v, json_type_string)) {
		s = json_object_get_string(v);
		if (*s != '\0' && s[strspn(s, "01234567")] == '\0')
			mode = strtol(s, NULL, 8);
	}
	if (mode < 0 || mode > 0777)
		return "must be a file mode such as \"0640\"";
	*FIELD_PTR(int64_t, obj, f) = mode;
	return NULL;
}

static const char *
read_real(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)a;
	(void)e;
	if ((!json_object_is_type(v, json_type_double) &&
	    !json_object_is_type(v, json_type_int)) ||
	    !isfinite(json_object_get_double(v)))
		return "must be a number";
	*FIELD_PTR(double, obj, f) = json_object_get_double(v);
	return NULL;
}

static const read_fn readers[] = {
	[FT_TEXT] = read_text,
	[FT_TEXTS] = read_texts,
	[FT_INT] = read_int,
	[FT_BOOL] = read_bool,
	[FT_TIME] = read_time,
	[FT_JSON] = read_raw,
	[FT_JSONS] = read_raw,
	[FT_DURATION] = read_duration,
	[FT_MODE] = read_mode,
	[FT_REAL] = read_real,
};

static int
read_members(struct arena *a, struct json_object *o, const struct field *t,
    unsigned flags, void *obj, struct err *e)
{
	const struct field *f;
	const char *why;

	json_object_object_foreach(o, name, v) {
		f = field_find(t, name, strlen(name));
		if (f == NULL) {
			if (flags & JSON_STRICT)
				return err_set(e, E_INVALID,
				    "unknown member \"%.64s\"", name);
			continue;
		}
		if (v == NULL || (f->flags & F_HIDE) ||
		    ((f->flags & F_RO) && !(flags & JSON_RO)))
			continue;
		why = readers[f->type](a, v, f, obj, e);
		if (why != NULL)
			return err_set(e, E_INVALID, "%s %s", name, why);
	}
	return 0;
}

int
json_read(struct arena *a, const struct json *j, const struct field *t,
    unsigned flags, void *obj, struct err *e)
{
	if (!json_is_object(j))
		return err_set(e, E_INVALID, "a JSON object is expected");
	if (read_members(a, unwrap(j), t, flags, obj, e) < 0)
		return -1;
	for (const struct field *f = t; f->name != NULL; f++)
		if ((f->flags & F_REQ) && !(flags & JSON_PARTIAL) &&
		    field_unset(f, obj))
			return err_set(e, E_INVALID, "%s is required", f->name);
	return 0;
}
