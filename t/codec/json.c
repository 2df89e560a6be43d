#include "codec/json.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

static struct json *
parse(struct arena *a, const char *text, struct err *e)
{
	return json_parse(a, text, strlen(text), e);
}

Test(json, accepts_what_rfc_8259_does)
{
	static const char *const cases[] = {
		"{}", "[]", " \t\r\n{ } \t\r\n", "{\"a\":1}", "[1,-0,1.5,1e5]",
		"[1E+5,0.5e-3]", "\"x\"", "[null,false,true]",
		"{\"\":\"\"}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
		"\"\\ud83d\\udd11\"", "\"\xf0\x9f\x94\x91\"", "\"\x7f\"",
		"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
		"{\"a:b\":\"c:d\",\"e\\\":\":\":\"}", "[\"\\\\\",\":\"]",
		"{\"tr\":\"NaN 'Infinity' // no comment\"}",
	};
	struct arena *a = arena_new();
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_not_null(parse(a, cases[i], &e), "%s: %s", cases[i],
		    e.msg);
	arena_free(a);
}

Test(json, refuses_what_rfc_8259_does)
{
	static const char *const cases[] = {
		"", " ", "{", "}", "{}}", "{} {}", "[1", "[1,]", "[,1]",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
		"{\"a\":1 \"b\":2}",
		"nul", "nulll", "True", "TRUE", "{\"a\":tru}", "\"", "\"\\\"",
		"\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"\x01\"",
		"'a'", "{'a':1}", "{\"a\":'b'}", "01", "-", "+1", ".5", "1.",
		"1.e5", "1e", "1e+", "0x10", "NaN", "[NaN]", "{\"a\":Infinity}",
		"[-Infinity]", "/* c */{}", "// c\n{}", "{}#", "[1 2]",
		"\xef\xbb\xbf{}", "\xff", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"\\ud83d\"", "\"\\udd11\"", "\"\\ud83d\\u0041\"",
		"\"\\u0000\"", "\"a\\u0000b\"", "{\"a\\u0000b\":1}",
		"[\"\\\\\\u0000\"]",
	};
	struct arena *a = arena_new();
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_null(parse(a, cases[i], &e), "%s", cases[i]);
		cr_expect_eq(e.code, E_INVALID, "%s", cases[i]);
		cr_expect_neq(e.msg[0], '\0', "%s", cases[i]);
	}
	e = (struct err){ 0 };
	cr_expect_null(json_parse(a, "{\"a\":\"\0\"}", 9, &e));
	cr_expect_eq(e.code, E_INVALID);
	arena_free(a);
}

Test(json, refuses_a_name_twice_however_it_is_spelt)
{
	static const char *const cases[] = {
		"{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":1}",
		"{\"x\":{\"a\":1,\"b\":[],\"a\":{}}}", "[{\"a\":1,\"a\":1}]",
		"{\"a\":1,\"b\":\":\",\"a\":\":\"}", "{\"\":1,\"\":2}",
		"{\"a\":{\"b\":1},\"a\":{\"c\":1,\"d\":2}}",
	};
	struct arena *a = arena_new();
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_null(parse(a, cases[i], &e), "%s", cases[i]);
		cr_expect_str_eq(e.msg, "a JSON object has a duplicate member",
		    "%s", cases[i]);
	}
	arena_free(a);
}

Test(json, bounds_the_depth)
{
	struct arena *a = arena_new();
	char text[20001];
	struct err e = { 0 };

	for (size_t n = 1; n < 10000; n = n < 40 ? n + 1 : n * 3) {
		memset(text, '[', n);
		memset(text + n, ']', n);
		e.msg[0] = '\0';
		cr_expect_eq(json_parse(a, text, 2 * n, &e) != NULL,
		    n <= JSON_MAX_DEPTH, "%zu: %s", n, e.msg);
	}
	cr_expect_str_eq(e.msg, "JSON is nested deeper than 32 levels");
	memset(text, '{', sizeof(text));
	cr_expect_null(json_parse(a, text, sizeof(text), &e));
	arena_free(a);
}

Test(json, tells_what_is_in_it)
{
	struct arena *a = arena_new();
	struct err e = { 0 };
	struct json *j = parse(a, "{\"s\":\"x\",\"n\":null,"
	    "\"l\":[\"a\",1,null],\"o\":{\"k\":\"/\"}}", &e), *v;
	static const char *const order[] = { "s", "n", "l", "o" };
	const void *at = NULL;
	const char *name;
	size_t n = 0;

	cr_assert_not_null(j);
	cr_expect(json_is_object(j) && !json_is_array(j));
	cr_expect_str_eq(json_text(json_member(a, j, "s")), "x");
	cr_expect_null(json_member(a, j, "n"));
	cr_expect_null(json_member(a, j, "none"));
	cr_expect_null(json_member(a, json_member(a, j, "l"), "s"));
	v = json_member(a, j, "l");
	cr_expect(json_is_array(v) && json_len(v) == 3);
	cr_expect_str_eq(json_text(json_item(a, v, 0)), "a");
	cr_expect_null(json_text(json_item(a, v, 1)));
	cr_expect_null(json_item(a, v, 2));
	cr_expect_null(json_item(a, v, 3));
	cr_expect_eq(json_len(j), 0);
	while (json_next(j, &at, &name, &v))
		cr_expect_str_eq(name, order[n++]);
	cr_expect_eq(n, 4);
	cr_expect_str_eq(json_print(a, v), "{\"k\":\"/\"}");
	at = NULL;
	cr_expect_not(json_next(json_member(a, j, "l"), &at, &name, &v));
	at = NULL;
	cr_expect_not(json_next(parse(a, "{}", &e), &at, &name, &v));
	arena_free(a);
}

/* A body of the largest size must not keep a process busy. */
Test(json, walks_large_objects_in_linear_time)
{
	struct arena *a = arena_new();
	enum { MEMBERS = 100000, WIDTH = 12 };
	char *text = arena_alloc(a, MEMBERS * WIDTH + 2), *p = text;
	int64_t from = mono_us();
	const void *at = NULL;
	const char *name;
	struct json *j, *v;
	struct err e = { 0 };
	size_t n = 0;

	for (int i = 0; i < MEMBERS; i++)
		p += snprintf(p, WIDTH + 1, "%c\"%06d\":\"\"",
		    i == 0 ? '{' : ',', i);
	*p++ = '}';
	j = json_parse(a, text, (size_t)(p - text), &e);
	cr_assert_not_null(j, "%s", e.msg);
	while (json_next(j, &at, &name, &v))
		n++;
	cr_expect_eq(n, MEMBERS);
	cr_expect_lt(mono_us() - from, 3000000);
	arena_free(a);
}

Test(json, masks_a_secret_at_any_depth)
{
	struct arena *a = arena_new();
	struct err e = { 0 };
	struct json *j = parse(a, "{\"token\":\"t\",\"x\":[{\"token\":\"u\"}],"
	    "\"o\":{\"token\":\"\",\"tokens\":\"v\"},\"n\":{\"token\":5}}", &e);

	json_mask(j, "token");
	cr_expect_str_eq(json_print(a, j), "{\"token\":\"********\",\"x\":"
	    "[{\"token\":\"********\"}],\"o\":{\"token\":\"\",\"tokens\":"
	    "\"v\"},\"n\":{\"token\":5}}");
	arena_free(a);
}
