/* Every statement of sql/query/ against the schema it is written for. */
#include "db/queries.h"

#include <criterion/criterion.h>

#include "db/list.h"
#include "t/domain/fixture.h"

enum { NAME_MAX_LEN = 63 };	/* PostgreSQL cuts a statement's name here */

Test(queries, all_prepare)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };

	cr_expect_eq(db_ready(c->db, &e), 0, "%s: %s", e.msg, e.detail);
}

Test(queries, have_names_of_their_own)
{
	for (size_t i = 0; i < Q__MAX; i++) {
		const struct query_text *q = &query_texts[i];

		cr_assert(!blank(q->name) && !blank(q->sql), "%zu", i);
		cr_expect_leq(strlen(q->name) + strlen("+audit"),
		    NAME_MAX_LEN, "%s", q->name);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(q->name, query_texts[k].name);
	}
}

Test(lists, are_well_formed)
{
	for (size_t n = 0; lists[n] != NULL; n++) {
		const struct list *l = lists[n];
		size_t f = 0, s = 0;

		cr_assert(!blank(l->name) && !blank(l->select) &&
		    !blank(l->from) && !blank(l->unique), "%zu", n);
		/* page, mask, sort and three letters go with it */
		cr_expect_leq(strlen(l->name) + 24, NAME_MAX_LEN, "%s",
		    l->name);
		for (; f < LIST_MAX_FILTERS && l->filters[f].name; f++) {
			cr_expect_eq(strchr(l->filters[f].sql, '$'),
			    strrchr(l->filters[f].sql, '$'));
			cr_expect_not_null(strchr(l->filters[f].sql, '$'));
			cr_expect(!l->filters[f].counted || l->totals);
		}
		cr_expect_lt(f, LIST_MAX_FILTERS, "%s", l->name);
		for (; s < NELEM(l->sorts) && l->sorts[s].name != NULL; s++)
			cr_expect(!blank(l->sorts[s].type));
		cr_expect(s > 0 && s < NELEM(l->sorts), "%s", l->name);
	}
}

static void
try(struct ctx *c, const struct list_query *q, const char *what)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_add_list(b, q);
	cr_expect_eq(db_run(b, &e), 0, "%s %s: %s: %s", q->list->name, what,
	    e.msg, e.detail);
	arena_reset(c->a);
}

static const char *
value_of(const char *type)
{
	return streq(type, "text") ? "O'x\"\\$1" : "2026-01-02T03:04:05Z";
}

Test(lists, take_every_filter_alone_and_all_together)
{
	struct ctx *c = t_ctx();

	for (size_t n = 0; lists[n] != NULL; n++) {
		struct list_query all = { .list = lists[n], .limit = 1,
		    .total = true };

		try(c, &all, "without filters");
		for (size_t f = 0; lists[n]->filters[f].name != NULL; f++) {
			struct list_query one = { .list = lists[n],
			    .limit = 1, .total = true };

			one.filter[f] = value_of(lists[n]->filters[f].type);
			all.filter[f] = one.filter[f];
			try(c, &one, lists[n]->filters[f].name);
		}
		try(c, &all, "with all filters");
	}
}

/* A key of each type, as cursor_key has it. */
static const char *
key_of(const char *type)
{
	static const struct { const char *type, *key; } keys[] = {
		{ "timestamptz", "2026-01-02 03:04:05.123456+00" },
		{ "bigint", "5" }, { "text", "x" },
	};

	for (size_t i = 0; i < NELEM(keys); i++)
		if (streq(keys[i].type, type))
			return keys[i].key;
	cr_assert_fail("no key of type %s", type);
	return NULL;
}

/* More combinations than are kept prepared: the rest is prepared each time. */
Test(lists, take_every_sort_in_both_directions)
{
	struct ctx *c = t_ctx();

	for (size_t n = 0; lists[n] != NULL; n++)
		for (size_t s = 0; lists[n]->sorts[s].name != NULL; s++)
			for (int way = 0; way < 8; way++) {
				struct list_query q = {
					.list = lists[n], .sort = s,
					.desc = way & 1, .limit = 5,
					.offset = way & 2 ? 5 : 0,
					.total = way & 4,
				};

				try(c, &q, lists[n]->sorts[s].name);
				q.offset = 0;
				q.cursor = true;
				q.after_key = key_of(lists[n]->sorts[s].type);
				q.after_id = "x";
				/* Other lists have no cursors. */
				if (streq(lists[n]->unique, "c.id"))
					try(c, &q, lists[n]->sorts[s].name);
			}
}
