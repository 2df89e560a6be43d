/* Is it up, which version is it, who am I. */
#include "base/text.h"
#include "codec/json.h"
#include "fcgi/api/api.h"

#ifndef BUILD_COMMIT
#define BUILD_COMMIT ""
#endif

static int
health(struct web_req *rq, struct web_res *rs, struct err *e)
{
	(void)rq;
	(void)e;
	return api_send_status(rs, 200, "healthy");
}

static int
ready(struct web_req *rq, struct web_res *rs, struct err *e)
{
	(void)rq;
	if (api_database_ready(e) == 0)
		return web_send_json(rs, 200,
		    "{\"status\":\"ready\",\"db\":\"reachable\"}");
	web_send_json(rs, 503, "{\"status\":\"db_unavailable\",\"error\":");
	json_write_text(&rs->body, e->msg);
	buf_putc(&rs->body, '}');
	web_header(rs, "Retry-After", "1");
	return 0;
}

static int
version(struct web_req *rq, struct web_res *rs, struct err *e)
{
	(void)rq;
	(void)e;
	return web_send_json(rs, 200, "{\"version\":\"" PACKAGE_VERSION "\","
	    "\"commit\":\"" BUILD_COMMIT "\",\"modified\":false,"
	    "\"build_time\":\"\",\"go_version\":\"\"}");
}

static int
auth_info(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const char *type = rq->ctx->set->auth_type;

	(void)e;
	return web_send_json(rs, 200, arena_printf(rs->a,
	    "{\"auth_type\":\"%s\",\"required\":%s}", type,
	    streq(type, "none") ? "false" : "true"));
}

static int
auth_check(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct actor *actor = &rq->ctx->actor;

	(void)e;
	web_send_json(rs, 200, "{\"status\":\"authenticated\",\"user\":");
	json_write_text(&rs->body, actor->kind == ACTOR_OPEN ? "" :
	    actor->id);
	buf_puts(&rs->body, actor->admin ? ",\"admin\":true}" :
	    ",\"admin\":false}");
	return 0;
}

const struct route system_routes[] = {
	{ WEB_GET, "/health", NULL, health, NULL },
	{ WEB_GET, "/ready", NULL, ready, NULL },
	{ WEB_GET, "/api/v1/version", NULL, version, NULL },
	{ WEB_GET, "/api/v1/auth/info", NULL, auth_info, NULL },
	{ WEB_HEAD, "/api/v1/auth/info", NULL, auth_info, NULL },
	{ WEB_GET, "/api/v1/auth/check", web_any_actor, auth_check, NULL },
	{ WEB_HEAD, "/api/v1/auth/check", web_any_actor, auth_check, NULL },
	ROUTE_END
};
