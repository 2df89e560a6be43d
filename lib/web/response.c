#include <stdlib.h>

#include "codec/json.h"
#include "web/web.h"

void
web_header(struct web_res *rs, const char *name, const char *value)
{
	if (rs->n_headers == WEB_MAX_HEADERS)
		abort();
	rs->header[rs->n_headers].name = name;
	rs->header[rs->n_headers++].value = value;
}

static void
begin_json(struct web_res *rs, int status)
{
	rs->status = status;
	rs->content_type = "application/json";
	rs->body.len = 0;
}

int
web_send_fields(struct web_res *rs, int status, const struct field *t,
    const void *obj)
{
	begin_json(rs, status);
	json_write(&rs->body, t, obj, NULL);
	return 0;
}

int
web_send_json(struct web_res *rs, int status, const char *json)
{
	begin_json(rs, status);
	buf_puts(&rs->body, json);
	return 0;
}

int
web_send_text(struct web_res *rs, int status, const char *text)
{
	rs->status = status;
	rs->content_type = "text/plain; charset=utf-8";
	rs->body.len = 0;
	buf_puts(&rs->body, text);
	return 0;
}

int
web_send_bytes(struct web_res *rs, int status, const char *content_type,
    struct bytes p)
{
	rs->status = status;
	rs->content_type = content_type;
	rs->body.p = (char *)(uintptr_t)p.p;
	rs->body.len = p.len;
	/* Whoever adds to it gets a copy. */
	rs->body.cap = p.len;
	return 0;
}

int
web_send_empty(struct web_res *rs, int status)
{
	rs->status = status;
	rs->content_type = NULL;
	rs->body.len = 0;
	return 0;
}

void
web_send_err(struct web_req *rq, struct web_res *rs, const struct err *e)
{
	begin_json(rs, err_status(e->code));
	if (e->code == E_UNAVAILABLE || e->code == E_RATE_LIMITED)
		web_header(rs, "Retry-After", "1");
	buf_puts(&rs->body, "{\"error\":");
	json_write_text(&rs->body, err_reason(e->code));
	buf_puts(&rs->body, ",\"message\":");
	json_write_text(&rs->body, e->msg);
	buf_puts(&rs->body, ",\"request_id\":");
	json_write_text(&rs->body, rq->request_id);
	buf_putc(&rs->body, '}');
}

void
web_send_refusal(struct web_res *rs, const struct err *e)
{
	begin_json(rs, err_status(e->code));
	if (e->code == E_UNAUTHORIZED)
		web_header(rs, "WWW-Authenticate", "Bearer realm=\"certctl\"");
	if (e->code == E_UNAVAILABLE || e->code == E_RATE_LIMITED)
		web_header(rs, "Retry-After", "1");
	buf_puts(&rs->body, "{\"error\":");
	json_write_text(&rs->body, e->msg);
	buf_putc(&rs->body, '}');
}
