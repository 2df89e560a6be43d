/* Teams, owners, profiles, renewal policies, issuers, targets. */
#include "codec/json.h"
#include "domain/connector.h"
#include "domain/resource.h"
#include "fcgi/api/api.h"

static int
list(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct resource *r = rq->about;

	rq->about = &r->view;
	return api_list(rq, rs, e);
}

static void *
new_object(struct web_req *rq, const struct resource *r)
{
	return arena_zalloc(rq->a, r->view.size);
}

static int
get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct resource *r = rq->about;
	void *obj = new_object(rq, r);

	if (resource_get(rq->ctx, r, rq->param[0], obj, e) < 0)
		return -1;
	return web_send_fields(rs, 200, r->view.fields, obj);
}

static int
create(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct resource *r = rq->about;
	struct json *body = web_json(rq, e);
	void *obj = new_object(rq, r);

	if (body == NULL || resource_create(rq->ctx, r, body, obj, e) < 0)
		return -1;
	return web_send_fields(rs, 201, r->view.fields, obj);
}

static int
update(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct resource *r = rq->about;
	struct json *body = web_json(rq, e);
	void *obj = new_object(rq, r);

	if (body == NULL || resource_update(rq->ctx, r, rq->param[0], body,
	    obj, e) < 0)
		return -1;
	return web_send_fields(rs, 200, r->view.fields, obj);
}

static int
delete(struct web_req *rq, struct web_res *rs, struct err *e)
{
	if (resource_delete(rq->ctx, rq->about, rq->param[0], e) < 0)
		return -1;
	return web_send_empty(rs, 204);
}

static int
test_issuer(struct web_req *rq, struct web_res *rs, struct err *e)
{
	if (issuer_test(rq->ctx, rq->param[0], e) < 0)
		return -1;
	return api_send_status(rs, 200, "connection_successful");
}

static int
test_target(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct target_test test;

	if (target_test(rq->ctx, rq->param[0], &test, e) < 0)
		return -1;
	web_send_json(rs, 200, "{\"status\":");
	json_write_text(&rs->body, test.status);
	buf_puts(&rs->body, ",\"message\":");
	json_write_text(&rs->body, test.message);
	buf_putc(&rs->body, '}');
	return 0;
}

#define RESOURCE(path, perm, r)						\
	{ WEB_GET, "/api/v1/" path, perm ".read", list, r },		\
	{ WEB_POST, "/api/v1/" path, perm ".edit", create, r },		\
	{ WEB_GET, "/api/v1/" path "/{id}", perm ".read", get, r },	\
	{ WEB_PUT, "/api/v1/" path "/{id}", perm ".edit", update, r },	\
	{ WEB_DELETE, "/api/v1/" path "/{id}", perm ".delete", delete, r }

const struct route directory_routes[] = {
	RESOURCE("teams", "team", &resource_team),
	RESOURCE("owners", "owner", &resource_owner),
	RESOURCE("profiles", "profile", &resource_profile),
	RESOURCE("renewal-policies", "policy", &resource_renewal_policy),
	RESOURCE("issuers", "issuer", &resource_issuer),
	{ WEB_POST, "/api/v1/issuers/{id}/test", "issuer.edit", test_issuer,
	    NULL },
	RESOURCE("targets", "target", &resource_target),
	{ WEB_POST, "/api/v1/targets/{id}/test", "target.edit", test_target,
	    NULL },
	ROUTE_END
};
