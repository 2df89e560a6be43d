#include "base/text.h"
#include "codec/json.h"
#include "fcgi/api/api.h"

static const char *
filter_value(const void *from, const char *name)
{
	return web_query(from, name);
}

static int64_t
count_of(const struct web_req *rq, const char *name)
{
	const char *s = web_query(rq, name);
	int64_t n = 0;

	if (s != NULL)
		int_parse(s, 1, INT32_MAX, &n);
	return n;
}

struct page_args
api_page_args(const struct web_req *rq)
{
	const char *desc = web_query(rq, "sort_desc");
	struct page_args args = {
		.page = count_of(rq, "page"),
		.per_page = count_of(rq, "per_page"),
		.sort = web_query(rq, "sort"),
		.desc = desc != NULL && streq(desc, "true"),
		.by_cursor = web_query(rq, "cursor") != NULL,
		.cursor = web_query(rq, "cursor"),
		.filter = filter_value,
		.from = rq,
	};

	if (count_of(rq, "page_size") > 0)
		args.per_page = count_of(rq, "page_size");
	return args;
}

/* The envelope but for what tells where the page lies. */
static void
write_rows(struct web_res *rs, const struct page *p, const struct texts *only)
{
	struct buf *b = &rs->body;

	web_send_json(rs, 200, "{\"data\":[");
	for (size_t i = 0; i < p->n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_write(b, p->fields, page_row(p, i), only);
	}
	buf_puts(b, "],\"total\":");
	buf_int(b, p->total);
}

int
api_send_page(struct web_res *rs, const struct page *p,
    const struct texts *only)
{
	write_rows(rs, p, only);
	buf_puts(&rs->body, ",\"page\":");
	buf_int(&rs->body, p->page);
	buf_puts(&rs->body, ",\"per_page\":");
	buf_int(&rs->body, p->per_page);
	buf_putc(&rs->body, '}');
	return 0;
}

int
api_send_keyset(struct web_res *rs, const struct page *p,
    const struct texts *only)
{
	write_rows(rs, p, only);
	if (p->next_cursor != NULL) {
		buf_puts(&rs->body, ",\"next_cursor\":");
		json_write_text(&rs->body, p->next_cursor);
	}
	buf_puts(&rs->body, ",\"page_size\":");
	buf_int(&rs->body, p->per_page);
	buf_putc(&rs->body, '}');
	return 0;
}

int
api_send_all(struct web_res *rs, const struct page *p)
{
	write_rows(rs, p, NULL);
	buf_putc(&rs->body, '}');
	return 0;
}

int
api_list(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct page_args args = api_page_args(rq);
	struct page page;

	args.by_cursor = false;
	if (page_read(rq->ctx, rq->about, &args, &page, e) < 0)
		return -1;
	return api_send_page(rs, &page, NULL);
}

int
api_send_status(struct web_res *rs, int status, const char *word)
{
	return web_send_json(rs, status, arena_printf(rs->a,
	    "{\"status\":\"%s\"}", word));
}
