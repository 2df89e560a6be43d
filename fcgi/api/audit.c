#include "domain/audit.h"
#include "fcgi/api/api.h"

static int
list(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct page_args args = api_page_args(rq);
	struct page page;

	args.by_cursor = false;
	args.strict = true;
	if (audit_check_filters(web_query(rq, "category"),
	    web_query(rq, "since"), web_query(rq, "until"), e) < 0 ||
	    page_read(rq->ctx, &audit_view, &args, &page, e) < 0)
		return -1;
	return api_send_page(rs, &page, NULL);
}

static int
get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct audit_event event;

	if (audit_get(rq->ctx, rq->param[0], &event, e) < 0)
		return -1;
	return web_send_fields(rs, 200, audit_fields, &event);
}

const struct route audit_routes[] = {
	{ WEB_GET, "/api/v1/audit", "audit.read", list, NULL },
	{ WEB_GET, "/api/v1/audit/{id}", "audit.read", get, NULL },
	ROUTE_END
};
