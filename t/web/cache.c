#include <criterion/criterion.h>

#include "base/arena.h"
#include "web/web.h"

enum { AT = 1700000000 };	/* Tue, 14 Nov 2023 22:13:20 GMT */

static struct arena *a;

/* The reply to a request with the header lines ENV. */
static struct web_res
ask(char **env)
{
	const struct web_validity v = {
		.etag = "\"abc\"", .last_modified = AT, .expires = AT + 60,
		.cache_control = "public", .max_age = 60,
	};
	struct web_req rq = { .a = a, .env = env };
	struct web_res rs = { .a = a, .body = BUF(a) };
	const struct bytes p = { (const unsigned char *)"body", 4 };

	cr_assert_eq(web_send_cached(&rq, &rs, "text/plain", p, &v), 0);
	return rs;
}

Test(cache, sends_what_the_client_does_not_have)
{
	static const struct {
		const char *match, *since;
		int want;
	} cases[] = {
		{ NULL, NULL, 200 },
		{ "", "", 200 },
		{ "\"abc\"", NULL, 304 },
		{ "W/\"abc\"", NULL, 304 },
		{ "\"x\", W/\"abc\"", NULL, 304 },
		{ "\"x\" ,\t\"abc\" , \"y\"", NULL, 304 },
		{ "*", NULL, 304 },
		{ "\"x\"", NULL, 200 },
		{ "\"abcd\"", NULL, 200 },
		{ "\"abc\"d", NULL, 200 },
		{ "abc", NULL, 200 },
		{ "\"x,*\"", NULL, 200 },
		{ ",,,", NULL, 200 },
		{ NULL, "Tue, 14 Nov 2023 22:13:20 GMT", 304 },
		{ NULL, "Tue, 14 Nov 2023 22:13:21 GMT", 304 },
		{ NULL, "Tue, 14 Nov 2023 22:13:19 GMT", 200 },
		{ NULL, "yesterday", 200 },
		{ "\"x\"", "Tue, 14 Nov 2023 22:13:20 GMT", 200 },
	};
	char *env[3];
	size_t n;

	a = arena_new();
	for (size_t i = 0; i < NELEM(cases); i++) {
		n = 0;
		if (cases[i].match != NULL)
			env[n++] = arena_printf(a, "HTTP_IF_NONE_MATCH=%s",
			    cases[i].match);
		if (cases[i].since != NULL)
			env[n++] = arena_printf(a, "HTTP_IF_MODIFIED_SINCE=%s",
			    cases[i].since);
		env[n] = NULL;
		cr_expect_eq(ask(env).status, cases[i].want, "case %zu", i);
	}
	arena_free(a);
}

Test(cache, says_how_long_it_is_good_with_body_or_without)
{
	static const struct { const char *name, *value; } want[] = {
		{ "ETag", "\"abc\"" },
		{ "Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT" },
		{ "Expires", "Tue, 14 Nov 2023 22:14:20 GMT" },
		{ "Cache-Control", "public, max-age=60" },
	};
	char *same[] = { "HTTP_IF_NONE_MATCH=*", NULL }, *none[] = { NULL };
	struct web_res rs[2];

	a = arena_new();
	rs[0] = ask(none);
	rs[1] = ask(same);
	cr_expect_eq(rs[0].body.len, 4);
	cr_expect_eq(rs[1].body.len, 0);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(rs[i].n_headers, NELEM(want));
		for (size_t k = 0; k < NELEM(want); k++) {
			cr_expect_str_eq(rs[i].header[k].name, want[k].name);
			cr_expect_str_eq(rs[i].header[k].value,
			    want[k].value);
		}
	}
	arena_free(a);
}
