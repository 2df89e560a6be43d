#include "db/list.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "db/conn.h"

/* A statement being composed, with its arguments. */
struct composing {
	struct buf sql;
	struct db_arg args[LIST_MAX_FILTERS + 4];
	size_t n;
};

/* The number of the argument ARG, which becomes the next one. */
static void
put_arg(struct composing *c, struct db_arg arg, const char *type)
{
	c->args[c->n++] = arg;
	buf_printf(&c->sql, "$%zu::%s", c->n, type);
}

/* TEXT with "$" standing for the value. */
static void
put_condition(struct composing *c, const struct list_filter *f,
    const char *value)
{
	const char *dollar = strchr(f->sql, '$');

	buf_add(&c->sql, f->sql, (size_t)(dollar - f->sql));
	put_arg(c, db_text(value), f->type);
	buf_puts(&c->sql, dollar + 1);
}

static void
put_where(struct composing *c, const struct list_query *q, bool keyset)
{
	const struct list *l = q->list;
	const struct list_sort *s = &l->sorts[q->sort];
	const char *glue = " WHERE ";

	if (l->where != NULL) {
		buf_printf(&c->sql, "%s%s", glue, l->where);
		glue = " AND ";
	}
	for (size_t i = 0; l->filters[i].name != NULL; i++) {
		if (q->filter[i] == NULL)
			continue;
		buf_puts(&c->sql, glue);
		put_condition(c, &l->filters[i], q->filter[i]);
		glue = " AND ";
	}
	if (!keyset || q->after_key == NULL)
		return;
	buf_printf(&c->sql, "%s(%s, %s) %c (", glue, s->sql, l->unique,
	    q->desc ? '<' : '>');
	put_arg(c, db_text(q->after_key), s->type);
	buf_puts(&c->sql, ", ");
	put_arg(c, db_text(q->after_id), "text");
	buf_putc(&c->sql, ')');
}

static void
put_page(struct composing *c, const struct list_query *q)
{
	const struct list *l = q->list;
	const struct list_sort *s = &l->sorts[q->sort];
	const char *way = q->desc ? "DESC" : "ASC";

	buf_puts(&c->sql, l->select);
	if (q->cursor)
		buf_printf(&c->sql, ", (%s)::text AS cursor_key", s->sql);
	buf_printf(&c->sql, " %s", l->from);
	put_where(c, q, true);
	if (streq(s->sql, l->unique))
		buf_printf(&c->sql, " ORDER BY %s %s LIMIT ", s->sql, way);
	else
		buf_printf(&c->sql, " ORDER BY %s %s, %s %s LIMIT ", s->sql,
		    way, l->unique, way);
	put_arg(c, db_int(q->limit), "bigint");
	if (q->offset > 0) {
		buf_puts(&c->sql, " OFFSET ");
		put_arg(c, db_int(q->offset), "bigint");
	}
}

static void
put_total(struct composing *c, const struct list_query *q)
{
	const struct list *l = q->list;
	bool counted = l->totals != NULL;

	for (size_t i = 0; l->filters[i].name != NULL; i++)
		if (q->filter[i] != NULL && !l->filters[i].counted)
			counted = false;
	if (counted) {
		buf_puts(&c->sql, l->totals);
		put_where(c, q, false);
		return;
	}
	buf_printf(&c->sql, "SELECT count(*) FROM (SELECT 1 %s", l->from);
	put_where(c, q, false);
	buf_printf(&c->sql, " LIMIT %d) t", LIST_MAX_COUNT);
}

/*
 * The name of a composed statement says which fragments it is made of, so an
 * equal combination is prepared once per connection.
 */
static const char *
key_of(struct arena *a, const struct list_query *q, const char *part)
{
	unsigned mask = 0;

	for (size_t i = 0; q->list->filters[i].name != NULL; i++)
		if (q->filter[i] != NULL)
			mask |= 1u << i;
	return arena_printf(a, "%s/%s/%x/%zu%c%c%c", q->list->name, part, mask,
	    q->sort, q->desc ? 'd' : 'a', q->after_key != NULL ? 'k' :
	    q->cursor ? 'f' : '-', q->offset > 0 ? 'o' : '-');
}

static void
push(struct db_batch *b, const struct list_query *q, const char *part,
    void (*put)(struct composing *, const struct list_query *))
{
	struct composing c = { .sql = BUF(b->a) };
	const char *key = key_of(b->a, q, part);

	put(&c, q);
	batch_push(b, key, buf_str(&c.sql), c.args, c.n);
}

void
db_add_list(struct db_batch *b, const struct list_query *q)
{
	push(b, q, "page", put_page);
	if (q->total)
		push(b, q, "total", put_total);
}
