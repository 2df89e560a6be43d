#include "codec/json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

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

/* Members of T and of everything below it; -1 if some text holds NUL. */
static int64_t
count_members(struct json_object *o)
{
	int64_t n = 0, below;

	if (json_object_is_type(o, json_type_string))
		return strlen(json_object_get_string(o)) ==
		    (size_t)json_object_get_string_len(o) ? 0 : -1;
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			below = count_members(json_object_array_get_idx(o, i));
			if (below < 0)
				return -1;
			n += below;
		}
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, name, value) {
			(void)name;
			below = count_members(value);
			if (below < 0)
				return -1;
			n += 1 + below;
		}
	}
	return n;
}

/* In JSON text every colon outside a string ends a member's name. */
static int64_t
count_colons(const char *s, size_t len)
{
	bool in_string = false;
	int64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			in_string = !in_string;
		else if (s[i] == ':' && !in_string)
			n++;
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
	int64_t members;

	if (len == 0 || len > INT32_MAX) {
		err_set(e, E_INVALID, len == 0 ? "the body is empty" :
		    "the JSON text is too long");
		return NULL;
	}
	if (!utf8_valid(text, len)) {
		err_set(e, E_INVALID, "the JSON text is not valid UTF-8");
		return NULL;
	}
	tok = json_tokener_new_ex(JSON_MAX_DEPTH);
	if (tok == NULL)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, text, (int)len);
	bad = json_tokener_get_error(tok);
	used = json_tokener_get_parse_end(tok);
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
	if (bad != json_tokener_success || o == NULL ||
	    strspn(text + used, " \t\r\n") < len - used) {
		err_set(e, E_INVALID, "malformed JSON at octet %zu", used);
		return NULL;
	}
	members = count_members(o);
	if (members < 0) {
		err_set(e, E_INVALID, "JSON text must not hold NUL");
		return NULL;
	}
	/* json-c keeps the last of equal names; fewer members tell of it. */
	if (members != count_colons(text, len)) {
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
json_entry(const struct json *j, size_t i, const char **name,
    struct json **value)
{
	struct json_object_iter it;

	if (!json_is_object(j))
		return false;
	json_object_object_foreachC(unwrap(j), it)
		if (i-- == 0) {
			*name = it.key;
			*value = wrap(it.val);
			return true;
		}
	return false;
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

static const char *
read_text(struct arena *a, struct json_object *v, const struct field *f,
    void *obj, struct err *e)
{
	(void)e;
	if (!json_object_is_type(v, json_type_string))
		return "must be a string";
	if (f->max > 0 && json_object_get_string_len(v) > f->max)
		return arena_printf(a, "is longer than %" PRId64 " characters",
		    f->max);
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
	char *end;

	(void)a;
	(void)e;
	if (json_object_is_type(v, json_type_int)) {
		mode = json_object_get_int64(v);
	} else if (json_object_is_type(v, json_type_string)) {
		s = json_object_get_string(v);
		mode = strtol(s, &end, 8);
		if (*s == '\0' || *end != '\0')
			mode = -1;
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
	if (!json_object_is_type(v, json_type_double) &&
	    !json_object_is_type(v, json_type_int))
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

void
json_write_text(struct buf *b, const char *s)
{
	static const char esc[32] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
		['\t'] = 't',
	};
	const char *run = s;

	buf_putc(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		buf_add(b, run, (size_t)(s - run));
		run = s + 1;
		if (c >= ' ')
			buf_printf(b, "\\%c", c);
		else if (esc[c] != 0)
			buf_printf(b, "\\%c", esc[c]);
		else
			buf_printf(b, "\\u%04x", c);
	}
	buf_add(b, run, (size_t)(s - run));
	buf_putc(b, '"');
}

void
json_write_texts(struct buf *b, const struct texts *t)
{
	buf_putc(b, '[');
	for (size_t i = 0; i < t->n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_write_text(b, t->v[i]);
	}
	buf_putc(b, ']');
}

static void
write_duration(struct buf *b, int64_t s)
{
	if (s != 0 && s % 3600 == 0)
		buf_printf(b, "\"%" PRId64 "h\"", s / 3600);
	else if (s != 0 && s % 60 == 0)
		buf_printf(b, "\"%" PRId64 "m\"", s / 60);
	else
		buf_printf(b, "\"%" PRId64 "s\"", s);
}

static void
write_value(struct buf *b, const struct field *f, const void *obj)
{
	const char *s;
	char at[RFC3339_LEN + 1];

	switch (f->type) {
	case FT_TEXT:
		json_write_text(b, or_empty(*FIELD_CPTR(char *, obj, f)));
		break;
	case FT_TEXTS:
		json_write_texts(b, FIELD_CPTR(struct texts, obj, f));
		break;
	case FT_INT:
	case FT_MODE:
		buf_int(b, *FIELD_CPTR(int64_t, obj, f));
		break;
	case FT_BOOL:
		buf_puts(b, *FIELD_CPTR(bool, obj, f) ? "true" : "false");
		break;
	case FT_TIME:
		buf_putc(b, '"');
		buf_add(b, rfc3339(*FIELD_CPTR(int64_t, obj, f), at),
		    RFC3339_LEN);
		buf_putc(b, '"');
		break;
	case FT_JSON:
	case FT_JSONS:
		s = *FIELD_CPTR(char *, obj, f);
		buf_puts(b, !blank(s) ? s : f->type == FT_JSON ? "{}" : "[]");
		break;
	case FT_DURATION:
		write_duration(b, *FIELD_CPTR(int64_t, obj, f));
		break;
	case FT_REAL:
		buf_printf(b, "%.15g", *FIELD_CPTR(double, obj, f));
		break;
	}
}

void
json_write(struct buf *b, const struct field *t, const void *obj,
    const struct texts *only)
{
	bool first = true;

	buf_putc(b, '{');
	for (const struct field *f = t; f->name != NULL; f++) {
		if ((f->flags & F_HIDE) ||
		    (only != NULL && only->n > 0 && !texts_has(only, f->name)))
			continue;
		if ((f->flags & F_OMIT) && field_unset(f, obj))
			continue;
		if (!first)
			buf_putc(b, ',');
		first = false;
		buf_putc(b, '"');
		buf_puts(b, f->name);
		buf_add(b, "\":", 2);
		if ((f->flags & F_SECRET) && !field_unset(f, obj))
			buf_puts(b, "\"********\"");
		else
			write_value(b, f, obj);
	}
	buf_putc(b, '}');
}
