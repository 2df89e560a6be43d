#include <criterion/criterion.h>
#include <math.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"

struct all {
	const char *text, *line, *json, *jsons, *own, *hidden, *secret;
	struct texts texts;
	int64_t n, at, duration_s, mode;
	bool flag;
	double real;
};

static const struct field all_fields[] = {
	FIELD(struct all, text, TEXT, F_REQ, 5),
	FIELD(struct all, line, TEXT, F_OMIT | F_LINE),
	FIELD(struct all, texts, TEXTS, F_OMIT, 3),
	FIELD(struct all, n, INT, F_OMIT, 100, 10),
	FIELD(struct all, flag, BOOL, F_OMIT),
	FIELD(struct all, at, TIME, F_OMIT),
	FIELD(struct all, json, JSON, F_OMIT),
	FIELD(struct all, jsons, JSONS, F_OMIT),
	FIELD(struct all, duration_s, DURATION, F_OMIT, 3600, 1),
	FIELD(struct all, mode, MODE, F_OMIT),
	FIELD(struct all, real, REAL, F_OMIT),
	FIELD(struct all, own, TEXT, F_RO | F_OMIT),
	FIELD(struct all, hidden, TEXT, F_HIDE),
	FIELD(struct all, secret, TEXT, F_SECRET | F_OMIT),
	FIELD_END
};

static int
read_all(struct arena *a, const char *text, unsigned flags, struct all *out,
    struct err *e)
{
	struct json *j = json_parse(a, text, strlen(text), e);

	cr_assert_not_null(j, "%s: %s", text, e->msg);
	return json_read(a, j, all_fields, flags, out, e);
}

static const char *
written(struct arena *a, const struct all *obj, const struct texts *only)
{
	struct buf b = BUF(a);

	json_write(&b, all_fields, obj, only);
	return buf_str(&b);
}

Test(json_fields, reads_and_writes_every_type)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "\"text\":\"abcde\"", NULL },
		{ "\"text\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"",
		  NULL },
		{ "\"text\":\"x\",\"line\":\"a b\"", NULL },
		{ "\"text\":\"x\",\"texts\":[\"a\",\"b\",\"\"]", NULL },
		{ "\"text\":\"x\",\"texts\":[]", "\"text\":\"x\"" },
		{ "\"text\":\"x\",\"n\":10", NULL },
		{ "\"text\":\"x\",\"n\":100", NULL },
		{ "\"text\":\"x\",\"flag\":true", NULL },
		{ "\"text\":\"x\",\"at\":\"2026-01-02T03:04:05Z\"", NULL },
		{ "\"text\":\"x\",\"at\":\"2026-01-02\"",
		  "\"text\":\"x\",\"at\":\"2026-01-02T00:00:00Z\"" },
		{ "\"text\":\"x\",\"json\":{\"k\":[1,\"/\"]}", NULL },
		{ "\"text\":\"x\",\"jsons\":[{\"k\":1.50}]", NULL },
		{ "\"text\":\"x\",\"duration_s\":\"90s\"", NULL },
		{ "\"text\":\"x\",\"duration_s\":\"2m\"", NULL },
		{ "\"text\":\"x\",\"duration_s\":30000000000",
		  "\"text\":\"x\",\"duration_s\":\"30s\"" },
		{ "\"text\":\"x\",\"mode\":\"0640\"",
		  "\"text\":\"x\",\"mode\":416" },
		{ "\"text\":\"x\",\"mode\":416", NULL },
		{ "\"text\":\"x\",\"real\":0.25", NULL },
		{ "\"text\":\"x\",\"real\":3", NULL },
		{ "\"text\":\"x\",\"own\":\"no\"", "\"text\":\"x\"" },
		{ "\"text\":\"x\",\"hidden\":\"no\"", "\"text\":\"x\"" },
		{ "\"text\":\"x\",\"secret\":\"s\"",
		  "\"text\":\"x\",\"secret\":\"********\"" },
		{ "\"text\":\"x\",\"line\":null,\"n\":null", "\"text\":\"x\"" },
		{ "\"text\":\"x\",\"unknown\":{}", "\"text\":\"x\"" },
		{ "\"text\":\"\\\"\\\\\\n\\u0001\\t\"", NULL },
	};
	struct arena *a = arena_new();
	struct all obj;
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		obj = (struct all){ 0 };
		cr_expect_eq(read_all(a, arena_printf(a, "{%s}", cases[i].in),
		    0, &obj, &e), 0, "%s: %s", cases[i].in, e.msg);
		cr_expect_null(obj.hidden);
		cr_expect_str_eq(written(a, &obj, NULL), arena_printf(a,
		    "{%s}", cases[i].out != NULL ? cases[i].out :
		    cases[i].in));
	}
	arena_free(a);
}

Test(json_fields, names_the_member_it_refuses)
{
	static const struct { const char *in, *msg; } cases[] = {
		{ "[]", "a JSON object is expected" },
		{ "\"x\"", "a JSON object is expected" },
		{ "{}", "text is required" },
		{ "{\"text\":\"\"}", "text is required" },
		{ "{\"text\":null}", "text is required" },
		{ "{\"text\":1}", "text must be a string" },
		{ "{\"text\":\"123456\"}", "text is longer than 5 characters" },
		{ "{\"line\":\"a\\nb\"}", "line must be one line without "
		  "invisible characters" },
		{ "{\"texts\":\"a\"}", "texts must be an array of strings" },
		{ "{\"texts\":[1]}", "texts must be an array of strings" },
		{ "{\"texts\":[null]}", "texts must be an array of strings" },
		{ "{\"texts\":[\"\",\"\",\"\",\"\"]}",
		  "texts has more than 3 items" },
		{ "{\"n\":\"10\"}", "n must be an integer" },
		{ "{\"n\":10.0}", "n must be an integer" },
		{ "{\"n\":9}", "n must be between 10 and 100" },
		{ "{\"n\":101}", "n must be between 10 and 100" },
		{ "{\"n\":-9223372036854775809}",
		  "n must be between 10 and 100" },
		{ "{\"n\":99999999999999999999}",
		  "n must be between 10 and 100" },
		{ "{\"flag\":1}", "flag must be true or false" },
		{ "{\"flag\":\"true\"}", "flag must be true or false" },
		{ "{\"at\":\"soon\"}", "at must be an RFC 3339 time" },
		{ "{\"at\":5}", "at must be an RFC 3339 time" },
		{ "{\"json\":[]}", "json must be an object" },
		{ "{\"json\":\"{}\"}", "json must be an object" },
		{ "{\"jsons\":{}}", "jsons must be an array" },
		{ "{\"duration_s\":true}",
		  "duration_s must be a duration such as \"30s\"" },
		{ "{\"duration_s\":\"0s\"}",
		  "duration_s must be between 1 and 3600" },
		{ "{\"duration_s\":\"61m\"}",
		  "duration_s must be between 1 and 3600" },
		{ "{\"mode\":512}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"mode\":-1}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"mode\":\"\"}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"mode\":\" 0640\"}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"mode\":\"0648\"}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"mode\":\"7777777777777777777777777\"}",
		  "mode must be a file mode such as \"0640\"" },
		{ "{\"real\":\"1\"}", "real must be a number" },
		{ "{\"real\":1e999}", "real must be a number" },
		{ "{\"secret\":{}}", "secret must be a string" },
	};
	struct arena *a = arena_new();
	struct all obj;
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		obj = (struct all){ 0 };
		e = (struct err){ 0 };
		cr_expect_eq(read_all(a, cases[i].in, 0, &obj, &e), -1, "%s",
		    cases[i].in);
		cr_expect_eq(e.code, E_INVALID);
		cr_expect_str_eq(e.msg, cases[i].msg);
	}
	arena_free(a);
}

Test(json_fields, keeps_what_is_absent)
{
	struct arena *a = arena_new();
	struct all obj = { .text = "old", .n = 50, .flag = true };
	struct err e = { 0 };

	cr_expect_eq(read_all(a, "{\"n\":60}", 0, &obj, &e), 0);
	cr_expect_str_eq(obj.text, "old");
	cr_expect(obj.n == 60 && obj.flag);
	cr_expect_eq(read_all(a, "{\"text\":\"\"}", 0, &obj, &e), -1);
	arena_free(a);
}

Test(json_fields, obeys_its_flags)
{
	static const struct { const char *in; unsigned flags; int rc; }
	cases[] = {
		{ "{}", JSON_PARTIAL, 0 },
		{ "{}", 0, -1 },
		{ "{\"text\":\"x\",\"other\":1}", JSON_STRICT, -1 },
		{ "{\"text\":\"x\",\"own\":\"y\"}", JSON_STRICT, 0 },
		{ "{\"text\":\"x\",\"own\":5}", 0, 0 },
		{ "{\"text\":\"x\",\"own\":5}", JSON_RO, -1 },
	};
	struct arena *a = arena_new();
	struct all obj = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		obj = (struct all){ 0 };
		cr_expect_eq(read_all(a, cases[i].in, cases[i].flags, &obj,
		    &e), cases[i].rc, "%s", cases[i].in);
	}
	cr_expect_eq(read_all(a, "{\"text\":\"x\",\"own\":\"y\"}", JSON_RO,
	    &obj, &e), 0);
	cr_expect_str_eq(obj.own, "y");
	arena_free(a);
}

Test(json_fields, writes_unset_members_as_their_kind)
{
	static const struct field plain[] = {
		FIELD(struct all, text, TEXT, 0),
		FIELD(struct all, texts, TEXTS, 0),
		FIELD(struct all, n, INT, 0),
		FIELD(struct all, flag, BOOL, 0),
		FIELD(struct all, at, TIME, 0),
		FIELD(struct all, json, JSON, 0),
		FIELD(struct all, jsons, JSONS, 0),
		FIELD(struct all, duration_s, DURATION, 0),
		FIELD(struct all, secret, TEXT, F_SECRET),
		FIELD_END
	};
	const char *names[] = { "n", "flag", "none" };
	const struct texts only = { names, NELEM(names) }, none = { 0 };
	struct all obj = { 0 };
	struct arena *a = arena_new();
	struct buf b = BUF(a);

	json_write(&b, plain, &obj, &none);
	cr_expect_str_eq(buf_str(&b), "{\"text\":\"\",\"texts\":[],\"n\":0,"
	    "\"flag\":false,\"at\":\"0001-01-01T00:00:00Z\",\"json\":{},"
	    "\"jsons\":[],\"duration_s\":\"0s\",\"secret\":\"\"}");
	b.len = 0;
	json_write(&b, plain, &obj, &only);
	cr_expect_str_eq(buf_str(&b), "{\"n\":0,\"flag\":false}");
	arena_free(a);
}
