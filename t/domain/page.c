#include "domain/page.h"

#include <criterion/criterion.h>

#include "base/text.h"
#include "domain/certificate.h"
#include "domain/job.h"
#include "fixture.h"

enum { ROWS = 23 };

static void
fill(void)
{
	t_sql("INSERT INTO managed_certificates (id, name, common_name,"
	    " owner_id, team_id, issuer_id, renewal_policy_id, environment,"
	    " expires_at, created_at) SELECT 'c' || i, 'n' || i %% 5 || '-' ||"
	    " i, 'cn ' || i %% 3 || ' x:y', 'o', 't', 'iss-local',"
	    " 'rp-default', 'e' || i %% 2, CASE WHEN i %% 4 > 0 THEN now() +"
	    " i %% 3 * interval '1 day' END, now() + i / 2 * interval"
	    " '1 microsecond' FROM generate_series(1, %d) i", ROWS);
}

static struct page
read_page(struct ctx *c, const struct page_args *args)
{
	struct page p;
	struct err e = { 0 };

	cr_assert_eq(page_read(c, &certificate_view, args, &p, &e), 0,
	    "%s: %s", e.msg, e.detail);
	return p;
}

static const char *
id_at(const struct page *p, size_t i)
{
	return ((const struct certificate *)page_row(p, i))->id;
}

/* Rows of equal keys and keys with blanks and colons in them included. */
Test(page, is_followed_by_the_next_until_each_row_was_seen_once)
{
	static const char *const sorts[] = { "", "createdAt", "-createdAt",
	    "notAfter", "-expiresAt", "updatedAt", "commonName",
	    "-commonName", "name", "status", "-environment" };
	struct ctx *c = t_ctx();
	struct texts seen;
	struct page p;

	fill();
	for (size_t i = 0; i < NELEM(sorts); i++) {
		struct page_args args = { .sort = sorts[i], .per_page = 4,
		    .by_cursor = true };

		seen = (struct texts){ 0 };
		do {
			p = read_page(c, &args);
			cr_assert_leq(p.n, 4);
			cr_expect_eq(p.total, ROWS);
			for (size_t k = 0; k < p.n; k++) {
				cr_expect_not(texts_has(&seen, id_at(&p, k)),
				    "%s: %s", sorts[i], id_at(&p, k));
				texts_add(c->a, &seen, id_at(&p, k));
			}
			args.cursor = p.next_cursor;
		} while (p.next_cursor != NULL && seen.n <= ROWS);
		cr_expect_eq(seen.n, ROWS, "%s: %zu", sorts[i], seen.n);
	}
}

Test(page, has_the_rows_its_number_says)
{
	static const struct {
		int64_t page, per_page;
		size_t n;
		int64_t is_page, is_per_page;
	} cases[] = {
		{ 0, 0, ROWS, 1, PER_PAGE }, { 1, 10, 10, 1, 10 },
		{ 3, 10, 3, 3, 10 }, { 4, 10, 0, 4, 10 },
		{ 1, 501, ROWS, 1, PER_PAGE }, { 1, 500, ROWS, 1, 500 },
		{ -1, -1, ROWS, 1, PER_PAGE },
		{ INT32_MAX, 500, 0, INT32_MAX, 500 },
		{ INT64_MAX, 500, 0, INT64_MAX, 500 },
	};
	struct ctx *c = t_ctx();
	struct page p;

	fill();
	for (size_t i = 0; i < NELEM(cases); i++) {
		p = read_page(c, &(struct page_args){ .page = cases[i].page,
		    .per_page = cases[i].per_page });
		cr_expect_eq(p.n, cases[i].n, "%zu: %zu", i, p.n);
		cr_expect_eq(p.total, ROWS);
		cr_expect_eq(p.page, cases[i].is_page);
		cr_expect_eq(p.per_page, cases[i].is_per_page);
		cr_expect_null(p.next_cursor);
	}
}

struct wish {
	const char *name, *value;
};

static const char *
filter(const void *from, const char *name)
{
	const struct wish *w = from;

	return streq(w->name, name) ? w->value : NULL;
}

Test(page, is_filtered_and_counted)
{
	static const struct { struct wish wish; int64_t total; } cases[] = {
		{ { "environment", "e1" }, 12 },
		{ { "environment", "" }, ROWS },
		{ { "environment", "e1' OR true --" }, 0 },
		{ { "status", "Pending" }, ROWS }, { { "status", "x" }, 0 },
		{ { "owner_id", "o" }, ROWS }, { { "profile_id", "p" }, 0 },
		{ { "agent_id", "a" }, 0 },
		{ { "expires_after", "2020-01-01" }, 18 },
		{ { "expires_before", "2020-01-01T00:00:00Z" }, 0 },
		{ { "expires_before", "not a time" }, ROWS },
		{ { "unknown", "x" }, ROWS },
	};
	struct ctx *c = t_ctx();
	struct page p;

	fill();
	for (size_t i = 0; i < NELEM(cases); i++) {
		p = read_page(c, &(struct page_args){ .filter = filter,
		    .from = &cases[i].wish });
		cr_expect_eq(p.total, cases[i].total, "%s=%s: %lld",
		    cases[i].wish.name, cases[i].wish.value,
		    (long long)p.total);
		cr_expect_eq((int64_t)p.n, p.total);
	}
}

Test(page, refuses_a_time_that_is_none_where_it_is_strict)
{
	static const struct wish wish = { "expires_before", "2023-02-29" };
	struct ctx *c = t_ctx();
	struct page_args args = { .filter = filter, .from = &wish,
	    .strict = true };
	struct page p;
	struct err e = { 0 };

	cr_expect_eq(page_read(c, &certificate_view, &args, &p, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_eq(strncmp(e.msg, "expires_before: ", 16), 0, "%s", e.msg);
}

Test(page, refuses_a_cursor_it_did_not_give_out)
{
	static const char *const texts[] = { "", " ", "x", "0", "0 ", "0 :",
	    "1 2026-01-01:c1", "9 x:c1", "-1 x:c1", "+0 x:c1", "0x:c1",
	    "0 no time:c1", "0 :c1", "99 a:b", "0 2026-01-01\xff:c1" };
	struct ctx *c = t_ctx();
	struct page_args args = { .by_cursor = true };
	struct page p;
	struct err e;

	for (size_t i = 0; i < NELEM(texts) + 3; i++) {
		args.cursor = i == NELEM(texts) ? "!!" :
		    i == NELEM(texts) + 1 ? arena_printf(c->a, "%03000d", 0) :
		    i == NELEM(texts) + 2 ? "A" :
		    base64url_encode(c->a, texts[i], strlen(texts[i]));
		if (blank(args.cursor))
			continue;
		e = (struct err){ 0 };
		cr_expect_eq(page_read(c, &certificate_view, &args, &p, &e),
		    -1, "%zu", i);
		cr_expect_eq(e.code, E_INVALID, "%zu: %s", i, e.msg);
	}
}

Test(page, of_nothing_is_empty)
{
	struct ctx *c = t_ctx();
	struct page p;
	struct err e = { 0 };

	cr_assert_eq(page_read(c, &job_view, &(struct page_args){
	    .sort = "no such sort" }, &p, &e), 0, "%s", e.msg);
	cr_expect(p.n == 0 && p.total == 0);
}
