/*
 * json_parse(), json_read() over field tables of every kind, json_write().
 *
 * What was read and written can be read and written again, and comes out the
 * same: nothing is lost in between and nothing slips through unescaped.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct all {
	const char *name, *text, *tags, *list, *own, *token;
	struct texts sans;
	int64_t n, at, interval, mode;
	bool force;
	double rate;
};

static const struct field open_fields[] = {
	FIELD(struct all, name, TEXT, F_OMIT | F_LINE, 255),
	FIELD(struct all, text, TEXT, 0),
	FIELD(struct all, sans, TEXTS, 0, 100),
	FIELD(struct all, n, INT, 0),
	FIELD(struct all, force, BOOL, 0),
	FIELD(struct all, at, TIME, F_OMIT),
	FIELD(struct all, tags, JSON, 0),
	FIELD(struct all, list, JSONS, F_OMIT),
	FIELD(struct all, interval, DURATION, 0),
	FIELD(struct all, mode, MODE, F_OMIT),
	FIELD(struct all, own, TEXT, F_RO),
	FIELD(struct all, token, TEXT, F_SECRET),
	FIELD_END
};

static const struct field strict_fields[] = {
	FIELD(struct all, name, TEXT, F_REQ, 8),
	FIELD(struct all, sans, TEXTS, F_REQ, 2),
	FIELD(struct all, n, INT, F_REQ, 100, -100),
	FIELD(struct all, interval, DURATION, 0, 3600, 60),
	FIELD(struct all, rate, REAL, 0),
	FIELD_END
};

static void
must(bool so)
{
	if (!so)
		abort();
}

static struct json *
parse(struct arena *a, const char *text, size_t len)
{
	struct err e = { 0 };
	struct json *j = json_parse(a, text, len, &e);

	must(j != NULL || (e.code == E_INVALID && e.msg[0] != '\0' &&
	    utf8_valid(e.msg, strlen(e.msg))));
	return j;
}

/* The text of OBJ once it was read from J; NULL if J was refused. */
static const char *
pass(struct arena *a, const struct json *j, const struct field *t,
    unsigned flags)
{
	struct all obj = { 0 };
	struct buf b = BUF(a);
	struct err e = { 0 };

	if (json_read(a, j, t, flags, &obj, &e) < 0) {
		must(e.code == E_INVALID && e.msg[0] != '\0');
		return NULL;
	}
	json_write(&b, t, &obj, NULL);
	return buf_str(&b);
}

static void
round_trip(struct arena *a, const struct json *j)
{
	const char *once = pass(a, j, open_fields, JSON_RO), *again;

	if (once == NULL)
		return;
	j = parse(a, once, strlen(once));
	must(j != NULL);
	again = pass(a, j, open_fields, JSON_RO | JSON_STRICT);
	must(again != NULL && streq(once, again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct json *j = parse(a, (const char *)data, len), *value;
	const void *at = NULL;
	const char *name;
	char *text;

	if (j != NULL) {
		text = json_print(a, j);
		round_trip(a, j);
		pass(a, j, strict_fields, JSON_STRICT);
		pass(a, j, strict_fields, JSON_PARTIAL);
		while (json_next(j, &at, &name, &value))
			must(utf8_valid(name, strlen(name)));
		for (size_t i = 0; i < json_len(j); i++)
			json_text(json_item(a, j, i));
		json_mask(j, "token");
		/* A number alone has no end that could be seen. */
		if (json_is_object(j) || json_is_array(j))
			must((j = parse(a, text, strlen(text))) != NULL &&
			    streq(json_print(a, j), text));
	}
	arena_free(a);
	return 0;
}
