#include "base/text.h"
#include "codec/json.h"
#include "domain/certificate.h"
#include "domain/revoke.h"
#include "fcgi/api/api.h"
#include "x509/cert.h"

static int
list(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct page_args args = api_page_args(rq);
	struct texts only = split_list(rq->a, web_query(rq, "fields"));
	struct page page;

	if (page_read(rq->ctx, &certificate_view, &args, &page, e) < 0)
		return -1;
	return args.by_cursor ? api_send_keyset(rs, &page, &only) :
	    api_send_page(rs, &page, &only);
}

static int
create(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct json *body = web_json(rq, e);
	struct certificate cert;

	if (body == NULL || certificate_create(rq->ctx, body, &cert, e) < 0)
		return -1;
	return web_send_fields(rs, 201, certificate_fields, &cert);
}

static int
get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct certificate cert;

	if (certificate_get(rq->ctx, rq->param[0], &cert, e) < 0)
		return -1;
	return web_send_fields(rs, 200, certificate_fields, &cert);
}

static int
update(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct json *body = web_json(rq, e);
	struct certificate cert;

	if (body == NULL || certificate_update(rq->ctx, rq->param[0], body,
	    &cert, e) < 0)
		return -1;
	return web_send_fields(rs, 200, certificate_fields, &cert);
}

static int
archive(struct web_req *rq, struct web_res *rs, struct err *e)
{
	if (certificate_archive(rq->ctx, rq->param[0], e) < 0)
		return -1;
	return web_send_empty(rs, 204);
}

static const char *
version_filter(const void *from, const char *name)
{
	const struct web_req *rq = from;

	return streq(name, "certificate_id") ? rq->param[0] : NULL;
}

static int
versions(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct page_args args = api_page_args(rq);
	struct page page;

	args.by_cursor = false;
	args.filter = version_filter;
	if (page_read(rq->ctx, &certificate_version_view, &args, &page, e) < 0)
		return -1;
	return api_send_page(rs, &page, NULL);
}

struct renew_body {
	bool force;
};

static const struct field renew_fields[] = {
	FIELD(struct renew_body, force, BOOL, 0),
	FIELD_END
};

/* The body is optional here: none is no wish. */
static int
read_optional(struct web_req *rq, const struct field *t, void *obj,
    struct err *e)
{
	struct json *j;

	if (strspn(rq->body, " \t\r\n") == rq->body_len)
		return 0;
	j = web_json(rq, e);
	return j == NULL ? -1 : json_read(rq->a, j, t, 0, obj, e);
}

static int
renew(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const char *query = or_empty(web_query(rq, "force")), *job_id;
	struct renew_body body = {
		.force = streq(query, "true") || streq(query, "1"),
	};

	if (read_optional(rq, renew_fields, &body, e) < 0 ||
	    certificate_renew(rq->ctx, rq->param[0], body.force, &job_id,
	    e) < 0)
		return -1;
	web_send_json(rs, 202, "{\"status\":\"renewal_triggered\",\"job_id\":");
	json_write_text(&rs->body, or_empty(job_id));
	buf_putc(&rs->body, '}');
	return 0;
}

struct deploy_body {
	const char *target_id;
};

static const struct field deploy_fields[] = {
	FIELD(struct deploy_body, target_id, TEXT, 0, 255),
	FIELD_END
};

static int
deploy(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct deploy_body body = { 0 };

	if (read_optional(rq, deploy_fields, &body, e) < 0 ||
	    certificate_deploy(rq->ctx, rq->param[0], body.target_id, e) < 0)
		return -1;
	return api_send_status(rs, 202, "deployment_triggered");
}

static int
deployments(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct page page;

	if (certificate_deployments(rq->ctx, rq->param[0], &page, e) < 0)
		return -1;
	return api_send_all(rs, &page);
}

struct revoke_body {
	const char *reason, *serial_number;
};

static const struct field revoke_fields[] = {
	FIELD(struct revoke_body, reason, TEXT, 0, 64),
	FIELD(struct revoke_body, serial_number, TEXT, 0, 128),
	FIELD_END
};

static int
revoke(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct revoke_body body = { 0 };
	const char *serial = NULL;
	bool released;

	if (read_optional(rq, revoke_fields, &body, e) < 0)
		return -1;
	if (!blank(body.serial_number)) {
		serial = serial_parse(rq->a, body.serial_number);
		if (serial == NULL)
			return err_set(e, E_INVALID,
			    "serial_number is no serial number in hex");
	}
	if (certificate_revoke(rq->ctx, rq->param[0], serial, body.reason,
	    &released, e) < 0)
		return -1;
	return api_send_status(rs, 200, released ? "released" : "revoked");
}

#define C "/api/v1/certificates"

const struct route certificate_routes[] = {
	{ WEB_GET, C, "cert.read", list, NULL },
	{ WEB_POST, C, "cert.issue", create, NULL },
	{ WEB_GET, C "/{id}", "cert.read", get, NULL },
	{ WEB_PUT, C "/{id}", "cert.edit", update, NULL },
	{ WEB_DELETE, C "/{id}", "cert.delete", archive, NULL },
	{ WEB_GET, C "/{id}/versions", "cert.read", versions, NULL },
	{ WEB_POST, C "/{id}/renew", "cert.issue", renew, NULL },
	{ WEB_POST, C "/{id}/deploy", "cert.edit", deploy, NULL },
	{ WEB_POST, C "/{id}/revoke", "cert.revoke", revoke, NULL },
	{ WEB_GET, C "/{id}/deployments", "cert.read", deployments, NULL },
	ROUTE_END
};
