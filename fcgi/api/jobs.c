#include "codec/json.h"
#include "domain/job.h"
#include "fcgi/api/api.h"

static int
get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct job job;

	if (job_get(rq->ctx, rq->param[0], &job, e) < 0)
		return -1;
	return web_send_fields(rs, 200, job_fields, &job);
}

static int
cancel(struct web_req *rq, struct web_res *rs, struct err *e)
{
	if (job_cancel(rq->ctx, rq->param[0], e) < 0)
		return -1;
	return api_send_status(rs, 200, "job_cancelled");
}

static int
verify(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct job_verification v = { .job_id = rq->param[0] };
	struct json *body = web_json(rq, e);
	const char *names[] = { "job_id", "verified", "verified_at" };
	const struct texts shown = { names, NELEM(names) };

	if (body == NULL || json_read(rq->a, body, job_verification_fields, 0,
	    &v, e) < 0 || job_verify(rq->ctx, &v, e) < 0)
		return -1;
	web_send_json(rs, 200, "");
	json_write(&rs->body, job_verification_fields, &v, &shown);
	return 0;
}

static int
verification(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct job_verification v;

	if (job_verification(rq->ctx, rq->param[0], &v, e) < 0)
		return -1;
	return web_send_fields(rs, 200, job_verification_fields, &v);
}

#define J "/api/v1/jobs"

const struct route job_routes[] = {
	{ WEB_GET, J, "job.read", api_list, &job_view },
	{ WEB_GET, J "/{id}", "job.read", get, NULL },
	{ WEB_POST, J "/{id}/cancel", "job.cancel", cancel, NULL },
	{ WEB_POST, J "/{id}/verify", "verification.run", verify, NULL },
	{ WEB_GET, J "/{id}/verification", "verification.read", verification,
	    NULL },
	ROUTE_END
};
