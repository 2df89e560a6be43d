/* Conditional requests (RFC 9110 section 13) and what caches are told. */
#include <stdio.h>
#include <time.h>

#include "web/web.h"

/* IMF-fixdate (RFC 9110 section 5.6.7). */
static const char date_form[] = "%a, %d %b %Y %H:%M:%S GMT";

static const char *
http_date(struct arena *a, int64_t at)
{
	char *out = arena_alloc(a, 40);
	time_t t = (time_t)at;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, date_form, &tm);
	return out;
}

/* Weak comparison with each member of a list; "*" alone is any. */
static bool
etag_listed(const char *list, const char *etag)
{
	size_t n = strlen(etag);

	if (streq(list, "*"))
		return true;
	for (; *list != '\0'; list += strcspn(list, ",")) {
		list += strspn(list, ", \t");
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, etag, n) == 0 &&
		    strchr(", \t", list[n]) != NULL)
			return true;
	}
	return false;
}

static bool
unchanged(const struct web_req *rq, const struct web_validity *v)
{
	const char *match = web_env(rq, "HTTP_IF_NONE_MATCH");
	const char *since = web_env(rq, "HTTP_IF_MODIFIED_SINCE");
	struct tm tm = { 0 };

	if (!blank(match))
		return etag_listed(match, v->etag);
	return !blank(since) && strptime(since, date_form, &tm) != NULL &&
	    (int64_t)timegm(&tm) >= v->last_modified;
}

int
web_send_cached(struct web_req *rq, struct web_res *rs,
    const char *content_type, struct bytes p, const struct web_validity *v)
{
	web_header(rs, "ETag", v->etag);
	web_header(rs, "Last-Modified", http_date(rs->a, v->last_modified));
	web_header(rs, "Expires", http_date(rs->a, v->expires));
	web_header(rs, "Cache-Control", arena_printf(rs->a, "%s, max-age=%lld",
	    v->cache_control, (long long)v->max_age));
	if (unchanged(rq, v))
		return web_send_empty(rs, 304);
	return web_send_bytes(rs, 200, content_type, p);
}
