#include "web/request.h"

#include <criterion/criterion.h>

#include "codec/json.h"
#include "base/text.h"

static const struct route routes[] = {
	{ WEB_GET, "/x", "p", NULL, NULL },
	{ WEB_GET, "/x/{id}", "p", NULL, NULL },
	{ WEB_GET, "/x/{id}/y/{job}", "p", NULL, NULL },
	ROUTE_END
};

static const struct route *const tables[] = { routes, NULL };
static const struct responder responder = { .routes = tables };

static struct arena *a;
static struct web_req rq;
static struct match m;
static struct err e;

/* Read a request for URI with METHOD. */
static int
request(const char *method, const char *uri)
{
	char **env;

	a = arena_new();
	env = arena_zalloc(a, 4 * sizeof(*env));
	env[0] = arena_printf(a, "REQUEST_URI=%s", uri);
	env[1] = arena_printf(a, "REQUEST_METHOD=%s", method);
	env[2] = arena_strdup(a, "CONTENT_TYPEX=no");
	rq = (struct web_req){ .a = a, .env = env };
	e = (struct err){ 0 };
	return request_read(&rq, &responder, &m, &e);
}

Test(request, takes_ids_that_are_safe)
{
	static const struct { const char *uri, *id; } cases[] = {
		{ "/x/mc-1", "mc-1" }, { "/x/m%63-1", "mc-1" },
		{ "/x/a.b_c?q=1", "a.b_c" }, { "/x/a+b", NULL },
		{ "/x/..", NULL }, { "/x/%2e%2e", NULL }, { "/x/.", NULL },
		{ "/x/a%2Fb", NULL }, { "/x/a%5Cb", NULL },
		{ "/x/a%0Ab", NULL }, { "/x/a%00b", NULL }, { "/x/%zz", NULL },
		{ "/x/a'b", NULL }, { "/x/%C3%A9", NULL },
		{ "/x/ok/y/%2e%2e", NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(request("GET", cases[i].uri) == 0,
		    cases[i].id != NULL, "%s: %s", cases[i].uri, e.msg);
		if (cases[i].id != NULL)
			cr_expect_str_eq(rq.param[0], cases[i].id);
		else
			cr_expect_eq(e.code, E_INVALID, "%s", cases[i].uri);
		/* Whatever it was, an error reply can be written. */
		cr_expect(utf8_valid(rq.path, strlen(rq.path)));
		cr_expect_eq(strlen(rq.request_id), 36);
		arena_free(a);
	}
}

Test(request, takes_the_query_apart)
{
	static const struct { const char *uri, *name, *value; } cases[] = {
		{ "/x?a=1", "a", "1" }, { "/x?a=1&b=2", "b", "2" },
		{ "/x?a=1&a=2", "a", "1" }, { "/x?a", "a", "" },
		{ "/x?a=", "a", "" }, { "/x?&&a=1&", "a", "1" },
		{ "/x?a=b=c", "a", "b=c" }, { "/x?a=1+2%2B3", "a", "1 2+3" },
		{ "/x?a%3Db=c", "a=b", "c" }, { "/x?=v", "", "v" },
		{ "/x?a=1?b=2", "a", "1?b=2" }, { "/x?", "a", NULL },
		{ "/x", "a", NULL }, { "/x?aa=1", "a", NULL },
		{ "/x?a=%26%3D", "a", "&=" },
		{ "/x?q=%C3%A9%0D%0A", "q", "\xc3\xa9\r\n" },
	};
	const char *v;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(request("GET", cases[i].uri), 0, "%s",
		    cases[i].uri);
		v = web_query(&rq, cases[i].name);
		cr_assert_eq(v != NULL, cases[i].value != NULL, "%s",
		    cases[i].uri);
		if (v != NULL)
			cr_expect_str_eq(v, cases[i].value);
		cr_expect_str_eq(rq.path, "/x");
		arena_free(a);
	}
}

Test(request, that_is_malformed_is_refused)
{
	static const char *const cases[] = { "/x?a=%", "/x?%=1", "/x?a=%00",
	    "/x?a=%ff", "/x?%FF=1", "/\xff", "/%c0%af", "/x?a=%zz" };

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(request("GET", cases[i]), -1, "%s", cases[i]);
		cr_expect_eq(e.code, E_INVALID);
		arena_free(a);
	}
}

Test(request, bounds_the_number_of_parameters)
{
	char uri[512] = "/x?";

	for (int i = 0; i < WEB_MAX_QUERY; i++)
		strncat(uri, "a=1&", sizeof(uri) - strlen(uri) - 1);
	cr_expect_eq(request("GET", uri), 0);
	cr_expect_eq(rq.n_query, WEB_MAX_QUERY);
	strncat(uri, "b=1", sizeof(uri) - strlen(uri) - 1);
	cr_expect_eq(request("GET", uri), -1);
	cr_expect_str_eq(e.msg, "more than 32 query parameters");
}

Test(request, knows_methods_exactly)
{
	static const struct { const char *name; enum web_method want; }
	cases[] = {
		{ "GET", WEB_GET }, { "POST", WEB_POST }, { "PUT", WEB_PUT },
		{ "DELETE", WEB_DELETE }, { "PATCH", WEB_PATCH },
		{ "HEAD", WEB_HEAD }, { "OPTIONS", WEB_OPTIONS },
		{ "get", WEB_OTHER }, { "", WEB_OTHER }, { "OTHER", WEB_OTHER },
		{ "GETX", WEB_OTHER },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		request(cases[i].name, "/x");
		cr_expect_eq(rq.method, cases[i].want, "%s", cases[i].name);
		cr_expect_str_eq(rq.content_type, "");
		arena_free(a);
	}
	rq = (struct web_req){ .a = arena_new() };
	cr_expect_eq(request_read(&rq, &responder, &m, &e), 0,
	    "a web server that sets nothing");
	cr_expect_not(m.path_known);
}

struct stream {
	const char *p;
	int left;
};

static int
from_stream(void *arg, char *p, int n)
{
	struct stream *s = arg;

	if (n > s->left)
		n = s->left;
	memcpy(p, s->p, (size_t)n);
	s->left -= n;
	return n;
}

Test(request, reads_the_body_it_was_promised)
{
	static const struct {
		const char *length;
		int sent;
		enum err_code want;
		size_t len;
	} cases[] = {
		{ NULL, 10, E_OK, 0 }, { "", 10, E_OK, 0 },
		{ "0", 10, E_OK, 0 }, { "5", 10, E_OK, 5 },
		{ "10", 10, E_OK, 10 }, { "11", 10, E_INVALID, 0 },
		{ "16", 16, E_OK, 16 }, { "17", 17, E_TOO_LARGE, 0 },
		{ "9223372036854775807", 10, E_TOO_LARGE, 0 },
		{ "9223372036854775808", 10, E_INVALID, 0 },
		{ "-1", 10, E_INVALID, 0 }, { "+5", 10, E_INVALID, 0 },
		{ " 5", 10, E_INVALID, 0 }, { "5 ", 10, E_INVALID, 0 },
		{ "5, 5", 10, E_INVALID, 0 }, { "0x5", 10, E_INVALID, 0 },
	};
	char *env[2] = { NULL, NULL };
	struct stream s;

	for (size_t i = 0; i < NELEM(cases); i++) {
		a = arena_new();
		e = (struct err){ 0 };
		env[0] = cases[i].length == NULL ? NULL : arena_printf(a,
		    "CONTENT_LENGTH=%s", cases[i].length);
		rq = (struct web_req){ .a = a, .env = env, .body = "" };
		s = (struct stream){ "0123456789abcdefgh", cases[i].sent };
		request_read_body(&rq, 16, from_stream, &s, &e);
		cr_expect_eq(e.code, cases[i].want, "%s: %s",
		    or_empty(cases[i].length), e.msg);
		cr_expect_eq(rq.body_len, cases[i].len);
		cr_expect_eq(strlen(rq.body), cases[i].len);
		arena_free(a);
	}
}

Test(request, takes_a_json_body_that_is_an_object)
{
	static const struct { const char *body; bool fine; } cases[] = {
		{ "{}", true }, { " {\"a\":1}\n", true }, { "", false },
		{ "[]", false }, { "\"x\"", false }, { "{", false },
	};

	a = arena_new();
	for (size_t i = 0; i < NELEM(cases); i++) {
		rq = (struct web_req){ .a = a, .body = cases[i].body,
		    .body_len = strlen(cases[i].body) };
		e = (struct err){ 0 };
		cr_expect_eq(web_json(&rq, &e) != NULL, cases[i].fine, "%s",
		    cases[i].body);
		cr_expect_eq(e.code, cases[i].fine ? E_OK : E_INVALID);
	}
	arena_free(a);
}

Test(request, finds_parameters_by_their_whole_name)
{
	char *env[] = { "HTTP_X=1", "HTTP=2", "EMPTY=", "HTTP_X=3", NULL };

	rq = (struct web_req){ .env = env };
	cr_expect_str_eq(web_env(&rq, "HTTP_X"), "1");
	cr_expect_str_eq(web_env(&rq, "HTTP"), "2");
	cr_expect_str_eq(web_env(&rq, "EMPTY"), "");
	cr_expect_null(web_env(&rq, "HTTP_"));
	cr_expect_null(web_env(&rq, "http_x"));
	rq.env = NULL;
	cr_expect_null(web_env(&rq, "HTTP_X"));
}
