/* What is published, for administrators. */
#include "base/clock.h"
#include "codec/json.h"
#include "domain/crl_cache.h"
#include "fcgi/api/api.h"

static int
crl_cache(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct crl_cache_row *rows;
	char now[RFC3339_LEN + 1];
	size_t n;

	if (crl_cache_read(rq->ctx, &rows, &n, e) < 0)
		return -1;
	web_send_json(rs, 200, "{\"cache_rows\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&rs->body, ',');
		json_write(&rs->body, crl_cache_fields, &rows[i], NULL);
	}
	buf_printf(&rs->body, "],\"row_count\":%zu,\"generated_at\":\"%s\"}",
	    n, rfc3339(now_s(), now));
	return 0;
}

const struct route publication_routes[] = {
	{ WEB_GET, "/api/v1/admin/crl/cache", "crl.admin", crl_cache, NULL },
	ROUTE_END
};
