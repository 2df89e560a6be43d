/* Each row of the API's route tables. */
#include <criterion/criterion.h>

#include "auth/permission.h"
#include "db/list.h"
#include "fcgi/api/api.h"
#include "web/router.h"

static const struct route *const tables[] = {
	system_routes, certificate_routes, agent_routes, job_routes,
	directory_routes, audit_routes, publication_routes, NULL,
};

/* What fcgi/api/main.c has; no handler runs here. */
int
api_is_agent(const struct web_req *rq, const char *id, struct err *e)
{
	(void)rq;
	return err_set(e, E_FORBIDDEN, "%s", id);
}

int
api_may_register(const struct web_req *rq, struct err *e)
{
	(void)rq;
	return err_set(e, E_FORBIDDEN, "no");
}

void
api_count_heartbeat(void)
{
}

void
api_count_empty_poll(void)
{
}

int64_t
api_tallied(uint64_t key)
{
	(void)key;
	return 0;
}

int
api_database_ready(struct err *e)
{
	return err_set(e, E_UNAVAILABLE, "no");
}

/* The routes that anyone may use. */
static const struct { enum web_method method; const char *path; } public[] = {
	{ WEB_GET, "/health" }, { WEB_GET, "/ready" },
	{ WEB_GET, "/api/v1/version" }, { WEB_GET, "/api/v1/auth/info" },
	{ WEB_HEAD, "/api/v1/auth/info" },
	{ WEB_POST, "/api/v1/agents" },	/* asks for the bootstrap token */
};

static bool
is_public(const struct route *r)
{
	for (size_t i = 0; i < NELEM(public); i++)
		if (public[i].method == r->method &&
		    streq(public[i].path, r->path))
			return true;
	return false;
}

#define EACH_ROUTE(r)							\
	for (const struct route *const *t_ = tables; *t_ != NULL; t_++)	\
		for (const struct route *r = *t_; r->path != NULL; r++)

Test(routes, have_a_permission_that_is_known)
{
	size_t n = 0;

	EACH_ROUTE(r) {
		if (r->permission == NULL) {
			n++;
			cr_expect(is_public(r), "%s", r->path);
		} else if (r->permission != web_any_actor) {
			cr_expect(permission_known(r->permission), "%s: %s",
			    r->path, r->permission);
		}
	}
	cr_expect_eq(n, NELEM(public));
}

Test(routes, change_nothing_with_a_permission_to_read)
{
	EACH_ROUTE(r) {
		const char *verb = r->permission == NULL ? NULL :
		    strrchr(r->permission, '.');

		if (verb == NULL)
			continue;
		if (r->method != WEB_GET && r->method != WEB_HEAD)
			cr_expect_str_neq(verb, ".read", "%s", r->path);
		else
			cr_expect(streq(verb, ".read") ||
			    streq(verb, ".poll") || streq(verb, ".pickup") ||
			    streq(verb, ".admin"),
			    "%s: %s", r->path, r->permission);
	}
}

static size_t
braces(const char *path)
{
	size_t n = 0;

	for (; *path != '\0'; path++)
		n += *path == '{';
	return n;
}

Test(routes, are_well_formed)
{
	EACH_ROUTE(r) {
		cr_expect_not_null(r->handler, "%s", r->path);
		cr_expect_lt(r->method, WEB_OPTIONS, "%s", r->path);
		cr_expect_eq(*r->path, '/');
		cr_expect_leq(braces(r->path), WEB_MAX_PARAMS, "%s", r->path);
		cr_expect_null(strstr(r->path, "//"));
		if (r->handler == api_list)
			cr_expect_not_null(r->about, "%s", r->path);
	}
}

/* No row hides behind an earlier one. */
Test(routes, are_reached)
{
	struct arena *a = arena_new();

	EACH_ROUTE(r) {
		struct buf b = BUF(a);
		struct match m;

		for (const char *p = r->path; *p != '\0'; p++)
			if (*p == '{')
				for (buf_puts(&b, "some-id"); *p != '}'; p++)
					;
			else
				buf_putc(&b, *p);
		m = route_match(tables, r->method, buf_str(&b));
		cr_expect_eq(m.route, r, "%s", r->path);
	}
	arena_free(a);
}

Test(routes, of_the_query_are_read_as_a_page)
{
	static const struct {
		const char *name, *value;
		int64_t page, per_page;
	} cases[] = {
		{ "page", "3", 3, 0 }, { "page", "0", 0, 0 },
		{ "page", "-1", 0, 0 }, { "page", "x", 0, 0 },
		{ "page", "99999999999", 0, 0 }, { "page", " 3", 0, 0 },
		{ "per_page", "7", 0, 7 }, { "per_page", "501", 0, 501 },
		{ "page_size", "9", 0, 9 }, { "other", "9", 0, 0 },
	};
	struct page_args args;

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct web_req rq = { .n_query = 1 };

		rq.query[0].name = cases[i].name;
		rq.query[0].value = cases[i].value;
		args = api_page_args(&rq);
		cr_expect_eq(args.page, cases[i].page, "%zu", i);
		cr_expect_eq(args.per_page, cases[i].per_page, "%zu", i);
		cr_expect_not(args.by_cursor);
		cr_expect_str_eq(args.filter(args.from, cases[i].name),
		    cases[i].value);
	}
}
