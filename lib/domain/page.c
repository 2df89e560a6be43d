#include "domain/page.h"

#include "base/clock.h"
#include "base/text.h"
#include "db/list.h"
#include "domain/ctx.h"

struct key_row {
	const char *id, *cursor_key;
};

static const struct field key_fields[] = {
	FIELD(struct key_row, id, TEXT, 0),
	FIELD(struct key_row, cursor_key, TEXT, 0),
	FIELD_END
};

static void
choose_sort(const struct page_args *args, struct list_query *q)
{
	const char *name = or_empty(args->sort);
	bool minus = *name == '-';

	q->desc = q->list->desc;
	if (*name == '\0') {
		q->desc |= args->desc;
		return;
	}
	name += minus;
	for (size_t i = 0; q->list->sorts[i].name != NULL; i++)
		if (streq(q->list->sorts[i].name, name))
			q->sort = i;
	q->desc = minus || args->desc;
}

static int
choose_filters(struct ctx *c, const struct page_args *args,
    struct list_query *q, struct err *e)
{
	char at[RFC3339_LEN + 1];
	const char *v;
	int64_t when;
	struct err bad;

	for (size_t i = 0; q->list->filters[i].name != NULL; i++) {
		v = args->filter != NULL ? args->filter(args->from,
		    q->list->filters[i].name) : NULL;
		if (blank(v))
			continue;
		if (!streq(q->list->filters[i].type, "text")) {
			if (rfc3339_parse(v, &when, &bad) < 0) {
				if (!args->strict)
					continue;
				*e = bad;
				return err_prefix(e, "%s",
				    q->list->filters[i].name);
			}
			v = arena_strdup(c->a, rfc3339(when, at));
		}
		q->filter[i] = v;
	}
	return 0;
}

/* A cursor names its sort, so that one of another order is not misread. */
static int
choose_cursor(struct ctx *c, const struct page_args *args,
    struct list_query *q, struct err *e)
{
	struct bytes raw;
	char *text, *key, *id;
	int64_t sort;

	q->cursor = args->by_cursor;
	if (!args->by_cursor || blank(args->cursor))
		return 0;
	if (strlen(args->cursor) > 2048 ||
	    !base64url_decode(c->a, args->cursor, &raw) ||
	    !utf8_valid((const char *)raw.p, raw.len))
		goto bad;
	text = arena_strndup(c->a, (const char *)raw.p, raw.len);
	key = strchr(text, ' ');
	id = strrchr(text, ':');
	if (key == NULL || id == NULL || id < key)
		goto bad;
	*key++ = '\0';
	*id++ = '\0';
	if (!int_parse(text, 0, 63, &sort) || (size_t)sort / 2 != q->sort ||
	    (sort % 2 != 0) != q->desc)
		goto bad;
	q->after_key = key;
	q->after_id = id;
	return 0;
bad:
	return err_set(e, E_INVALID, "cursor is not one this list gave out");
}

static const char *
cursor_make(struct ctx *c, const struct list_query *q,
    const struct key_row *last)
{
	const char *text = arena_printf(c->a, "%d %s:%s",
	    (int)q->sort * 2 + q->desc, last->cursor_key, last->id);

	return base64url_encode(c->a, text, strlen(text));
}

static void
take_rows(struct ctx *c, const struct view *v, const struct list_query *q,
    const struct db_batch *b, struct page *out)
{
	struct db_rows rows = db_rows(b, 0, v->fields);
	struct db_rows keys = db_rows(b, 0, key_fields);
	size_t n = (size_t)rows.n, want = (size_t)out->per_page;
	struct key_row last = { 0 };

	out->n = n < want ? n : want;
	out->rows = arena_zalloc(c->a, out->n * v->size + 1);
	for (size_t i = 0; i < out->n; i++)
		db_row(&rows, (int)i, (char *)out->rows + i * v->size);
	if (q->cursor && n > want) {
		db_row(&keys, (int)want - 1, &last);
		out->next_cursor = cursor_make(c, q, &last);
	}
}

int
page_read(struct ctx *c, const struct view *v, const struct page_args *args,
    struct page *out, struct err *e)
{
	struct list_query q = { .list = v->list, .total = true };
	struct db_batch *b;

	*out = (struct page){
		.fields = v->fields, .size = v->size,
		.page = args->page > 0 ? args->page : 1,
		.per_page = args->per_page > 0 &&
		    args->per_page <= PER_PAGE_MAX ? args->per_page : PER_PAGE,
	};
	choose_sort(args, &q);
	if (choose_filters(c, args, &q, e) < 0 ||
	    choose_cursor(c, args, &q, e) < 0)
		return -1;
	/* One row more tells whether there is a next page. */
	q.limit = out->per_page + q.cursor;
	if (!q.cursor && out->page <= INT32_MAX)
		q.offset = (out->page - 1) * out->per_page;
	else if (!q.cursor)
		q.offset = INT32_MAX;
	if (ctx_read_list(c, &q, &b, e) < 0)
		return -1;
	take_rows(c, v, &q, b, out);
	out->total = db_scalar(b, 1);
	return 0;
}

const void *
page_row(const struct page *p, size_t i)
{
	return (const char *)p->rows + i * p->size;
}
