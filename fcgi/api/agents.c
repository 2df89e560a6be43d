#include "base/text.h"
#include "codec/json.h"
#include "domain/agent.h"
#include "fcgi/api/api.h"

static int
enrol(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct json *body;
	struct agent agent;

	/* The token is asked for before the body is looked at. */
	if (api_may_register(rq, e) < 0 || (body = web_json(rq, e)) == NULL ||
	    agent_register(rq->ctx, body, &agent, e) < 0)
		return -1;
	return web_send_fields(rs, 201, agent_fields, &agent);
}

static int
get(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct agent agent;

	if (agent_get(rq->ctx, rq->param[0], &agent, e) < 0)
		return -1;
	return web_send_fields(rs, 200, agent_fields, &agent);
}

static const char *
counts(struct web_res *rs, const struct retirement *r)
{
	return arena_printf(rs->a, "{\"active_targets\":%lld,"
	    "\"active_certificates\":%lld,\"pending_jobs\":%lld}",
	    (long long)r->active_targets, (long long)r->active_certificates,
	    (long long)r->pending_jobs);
}

static int
send_dependencies(struct web_res *rs, const struct retirement *r,
    const struct err *e)
{
	web_send_json(rs, 409,
	    "{\"error\":\"blocked_by_dependencies\",\"message\":");
	json_write_text(&rs->body, e->msg);
	buf_printf(&rs->body, ",\"counts\":%s}", counts(rs, r));
	return 0;
}

static int
retire(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const char *force = or_empty(web_query(rq, "force"));
	struct retirement r;
	struct buf at = BUF(rq->a);
	static const struct field at_fields[] = {
		FIELD(struct retirement, retired_at, TIME, 0),
		FIELD(struct retirement, already_retired, BOOL, 0),
		FIELD(struct retirement, cascade, BOOL, 0),
		FIELD_END
	};

	if (agent_retire(rq->ctx, rq->param[0], streq(force, "true") ||
	    streq(force, "1"), web_query(rq, "reason"), &r, e) < 0)
		return e->code == E_CONFLICT ? send_dependencies(rs, &r, e) :
		    -1;
	if (r.already_retired)
		return web_send_empty(rs, 204);
	json_write(&at, at_fields, &r, NULL);
	buf_str(&at)[at.len - 1] = '\0';	/* one member follows */
	return web_send_json(rs, 200, arena_printf(rs->a,
	    "%s,\"counts\":%s}", at.p, counts(rs, &r)));
}

static int
heartbeat(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct pulse pulse = { 0 };
	struct err ignored;
	struct json *body;

	if (api_is_agent(rq, rq->param[0], e) < 0)
		return -1;
	rq->ctx->call.quiet = !rq->ctx->set->audit_agent_traffic;
	/* A body that tells nothing is a pulse all the same. */
	body = web_json(rq, &ignored);
	if (body != NULL && json_read(rq->a, body, pulse_fields, 0, &pulse,
	    &ignored) < 0)
		pulse = (struct pulse){ 0 };
	if (agent_heartbeat(rq->ctx, rq->param[0], &pulse, e) < 0) {
		rq->ctx->call.quiet = false;
		return -1;
	}
	api_count_heartbeat();
	return api_send_status(rs, 200, "heartbeat_recorded");
}

static int
work(struct web_req *rq, struct web_res *rs, struct err *e)
{
	char *json;
	size_t n;

	if (api_is_agent(rq, rq->param[0], e) < 0 ||
	    agent_work(rq->ctx, rq->param[0], &json, &n, e) < 0)
		return -1;
	if (n == 0) {
		rq->ctx->call.quiet = !rq->ctx->set->audit_agent_traffic;
		api_count_empty_poll();
	}
	return web_send_json(rs, 200, json);
}

struct csr_body {
	const char *csr_pem, *certificate_id;
};

static const struct field csr_fields[] = {
	FIELD(struct csr_body, csr_pem, TEXT, F_REQ, 65536),
	FIELD(struct csr_body, certificate_id, TEXT, 0, 255),
	FIELD_END
};

static int
csr(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct csr_body in = { 0 };
	struct json *body;

	if (api_is_agent(rq, rq->param[0], e) < 0 ||
	    (body = web_json(rq, e)) == NULL ||
	    json_read(rq->a, body, csr_fields, 0, &in, e) < 0 ||
	    agent_csr(rq->ctx, rq->param[0], in.certificate_id, in.csr_pem,
	    e) < 0)
		return -1;
	return api_send_status(rs, 202, blank(in.certificate_id) ?
	    "csr_accepted" : "csr_signed");
}

static int
certificate(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const char *pem;

	if (api_is_agent(rq, rq->param[0], e) < 0 ||
	    agent_certificate(rq->ctx, rq->param[0], rq->param[1], &pem,
	    e) < 0)
		return -1;
	web_send_json(rs, 200, "{\"certificate_pem\":");
	json_write_text(&rs->body, pem);
	buf_putc(&rs->body, '}');
	return 0;
}

static int
report(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct job_report r = { 0 };
	struct json *body;

	if (api_is_agent(rq, rq->param[0], e) < 0 ||
	    (body = web_json(rq, e)) == NULL ||
	    json_read(rq->a, body, job_report_fields, 0, &r, e) < 0 ||
	    agent_report(rq->ctx, rq->param[0], rq->param[1], &r, e) < 0)
		return -1;
	return web_send_json(rs, 200, arena_printf(rs->a,
	    "{\"status\":\"updated\",\"pending_deployments\":%lld}",
	    (long long)r.pending_deployments));
}

#define A "/api/v1/agents"

const struct route agent_routes[] = {
	{ WEB_GET, A, "agent.read", api_list, &agent_view },
	{ WEB_POST, A, NULL, enrol, NULL },
	{ WEB_GET, A "/retired", "agent.read", api_list,
	    &agent_retired_view },
	{ WEB_GET, A "/{id}", "agent.read", get, NULL },
	{ WEB_DELETE, A "/{id}", "agent.retire", retire, NULL },
	{ WEB_POST, A "/{id}/heartbeat", "agent.heartbeat", heartbeat, NULL },
	{ WEB_GET, A "/{id}/work", "agent.job.poll", work, NULL },
	{ WEB_POST, A "/{id}/csr", "agent.job.poll", csr, NULL },
	{ WEB_GET, A "/{id}/certificates/{cert}", "cert.pickup", certificate,
	    NULL },
	{ WEB_POST, A "/{id}/jobs/{job}/status", "agent.job.complete",
	    report, NULL },
	ROUTE_END
};
