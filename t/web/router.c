#include "web/router.h"

#include <criterion/criterion.h>

#include "base/util.h"

#define R(method, path, about) { WEB_##method, path, "p", NULL, about }

static const struct route first[] = {
	R(GET, "/api/v1/certs", "list"),
	R(POST, "/api/v1/certs", "create"),
	R(GET, "/api/v1/certs/summary", "summary"),
	R(GET, "/api/v1/certs/{id}", "get"),
	R(DELETE, "/api/v1/certs/{id}", "delete"),
	R(POST, "/api/v1/certs/{id}/jobs/{job}/x", "deep"),
	ROUTE_END
};

static const struct route second[] = {
	{ WEB_GET, "/health", NULL, NULL, "health" },
	{ WEB_POST, "/open", NULL, NULL, "open" },
	R(PUT, "/api/v1/certs/{id}", "update"),
	ROUTE_END
};

static const struct route *const tables[] = { first, second, NULL };

Test(router, finds_the_route_of_a_path)
{
	static const struct {
		enum web_method method;
		const char *path, *want;	/* NULL: none */
		bool known;
	} cases[] = {
		{ WEB_GET, "/api/v1/certs", "list", true },
		{ WEB_POST, "/api/v1/certs", "create", true },
		{ WEB_GET, "/api/v1/certs/", "list", true },
		{ WEB_GET, "//api//v1/certs", "list", true },
		{ WEB_GET, "/api/v1/certs/summary", "summary", true },
		{ WEB_GET, "/api/v1/certs/summaries", "get", true },
		{ WEB_DELETE, "/api/v1/certs/summary", "delete", true },
		{ WEB_PUT, "/api/v1/certs/x", "update", true },
		{ WEB_GET, "/api/v1/certs/a%2Fb", "get", true },
		{ WEB_GET, "/api/v1/certs/..", "get", true },
		{ WEB_POST, "/api/v1/certs/a/jobs/b/x", "deep", true },
		{ WEB_GET, "/health", "health", true },
		{ WEB_HEAD, "/health", NULL, true },
		{ WEB_PATCH, "/api/v1/certs", NULL, true },
		{ WEB_OTHER, "/api/v1/certs", NULL, true },
		{ WEB_GET, "", NULL, false },
		{ WEB_GET, "/", NULL, false },
		{ WEB_GET, "/api/v1", NULL, false },
		{ WEB_GET, "/api/v1/cert", NULL, false },
		{ WEB_GET, "/api/v1/certsx", NULL, false },
		{ WEB_GET, "/API/v1/certs", NULL, false },
		{ WEB_GET, "/api/v1/certs/x/y", NULL, false },
		{ WEB_GET, "/api/v1/%63erts", NULL, false },
		{ WEB_GET, "/api%2Fv1/certs", NULL, false },
		{ WEB_POST, "/api/v1/certs/a/jobs/b", NULL, false },
		{ WEB_POST, "/api/v1/certs/a/jobs//x", NULL, false },
	};
	struct match m;

	for (size_t i = 0; i < NELEM(cases); i++) {
		m = route_match(tables, cases[i].method, cases[i].path);
		cr_expect_eq(m.path_known, cases[i].known, "%s",
		    cases[i].path);
		cr_assert_eq(m.route != NULL, cases[i].want != NULL, "%s",
		    cases[i].path);
		if (m.route != NULL)
			cr_expect_str_eq(m.route->about, cases[i].want);
	}
}

Test(router, tells_what_braces_took_and_which_methods_there_are)
{
	struct match m = route_match(tables, WEB_POST,
	    "/api/v1/certs/a%20b/jobs/j/x?");

	cr_expect_null(m.route, "a query is no part of the path");
	m = route_match(tables, WEB_POST, "/api/v1/certs/a%20b/jobs/j/x/");
	cr_expect_eq(m.param_len[0], 5);
	cr_expect_eq(memcmp(m.param[0], "a%20b", 5), 0);
	cr_expect(m.param_len[1] == 1 && *m.param[1] == 'j');
	cr_expect_null(m.param[2]);
	m = route_match(tables, WEB_PATCH, "/api/v1/certs/x");
	cr_expect_eq(m.methods, 1u << WEB_GET | 1u << WEB_DELETE |
	    1u << WEB_PUT);
	cr_expect_null(m.param[0]);
}

Test(router, knows_what_anyone_may_read)
{
	cr_expect(route_match(tables, WEB_OPTIONS, "/health").open);
	cr_expect_not(route_match(tables, WEB_POST, "/open").open);
	cr_expect_not(route_match(tables, WEB_GET, "/api/v1/certs").open);
}

Test(url, is_decoded)
{
	static const struct { const char *in; bool plus; const char *want; }
	cases[] = {
		{ "", false, "" }, { "abc", false, "abc" },
		{ "a%20b", false, "a b" }, { "a+b", false, "a+b" },
		{ "a+b", true, "a b" }, { "a%2Bb", true, "a+b" },
		{ "%41%6a%6A", false, "Ajj" }, { "%C3%A9", false, "\xc3\xa9" },
		{ "\xc3\xa9", false, "\xc3\xa9" },
		{ "%25%32%30", false, "%20" },
		{ "%2e%2E%2f", false, "../" }, { "%0d%0a", false, "\r\n" },
		{ "%", false, NULL }, { "%4", false, NULL },
		{ "abc%", false, NULL }, { "%g1", false, NULL },
		{ "%1g", false, NULL }, { "% 1", false, NULL },
		{ "%u0041", false, NULL }, { "%00", false, NULL },
		{ "a%00b", false, NULL }, { "%ff", false, NULL },
		{ "\xff", false, NULL }, { "%C0%AF", false, NULL },
		{ "%ED%A0%80", false, NULL }, { "%C3", false, NULL },
	};
	struct arena *a = arena_new();
	char *s;

	for (size_t i = 0; i < NELEM(cases); i++) {
		s = url_decode(a, cases[i].in, strlen(cases[i].in),
		    cases[i].plus);
		cr_assert_eq(s != NULL, cases[i].want != NULL, "%s",
		    cases[i].in);
		if (s != NULL)
			cr_expect_str_eq(s, cases[i].want);
	}
	cr_expect_null(url_decode(a, "%41", 2, false), "not beyond its end");
	arena_free(a);
}
