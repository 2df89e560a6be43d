#include "agent/api.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/json.h"
#include "agent/conf.h"
#include "agent/host.h"
#include "http/http.h"
#include "agent/signals.h"
#include "agent/version.h"

enum {
	MAX_REPLY = 4 * 1024 * 1024,	/* thousands of work items */
	SAID_MAX = 200,			/* octets of a reply in an error */
};

struct api {
	struct arena *a;
	struct http *http;
	const char *server, *agent_id, *authorization;
	bool give_up_early;
};

/* URL without the slashes at its end. */
static const char *
trim_slashes(struct arena *a, const char *url)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return arena_strndup(a, url, n);
}

struct api *
api_new(const struct conf *c, const char *agent_id, const char *key,
    struct err *e)
{
	const struct http_conf hc = {
		.ca_bundle = c->ca_bundle, .tls13 = true,
		.user_agent = "certctl-agent/" PACKAGE_VERSION,
		.insecure = c->insecure, .max_body = MAX_REPLY,
	};
	struct http *h = http_new(&hc, e);
	struct arena *a;
	struct api *api;

	if (h == NULL)
		return NULL;
	a = arena_new();
	api = arena_zalloc(a, sizeof(*api));
	*api = (struct api){
		.a = a, .http = h, .server = trim_slashes(a, c->server),
		.agent_id = arena_strdup(a, or_empty(agent_id)),
		.give_up_early = true,
	};
	if (!blank(key)) {
		char *text = arena_printf(a, "Authorization: Bearer %s", key);

		arena_wipe(a, text, strlen(text));
		api->authorization = text;
	}
	return api;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	http_free(api->http);
	arena_free(api->a);
}

void
api_give_up_early(struct api *api, bool yes)
{
	api->give_up_early = yes;
}

/* Codes of answers and failures that another try may change. */
static const enum err_code passing[] = {
	E_UPSTREAM, E_TIMEOUT, E_UNAVAILABLE, E_INTERNAL, E_RATE_LIMITED,
	E_UNAUTHORIZED,
};

bool
api_final(const struct err *e)
{
	for (size_t i = 0; i < NELEM(passing); i++)
		if (e->code == passing[i])
			return false;
	return true;
}

/* The code that STATUS, which is not 2xx, stands for. */
static enum err_code
code_of(int status)
{
	if (status == 408 || status < 400 || status >= 500)
		return E_UPSTREAM;
	for (int c = E_OK + 1; c < E__MAX; c++)
		if (err_status((enum err_code)c) == status)
			return (enum err_code)c;
	return E_INVALID;
}

/* The server's error envelope, or what proxies send instead. */
struct envelope {
	const char *error, *message;
};

static const struct field envelope_fields[] = {
	FIELD(struct envelope, error, TEXT, 0),
	FIELD(struct envelope, message, TEXT, 0),
	FIELD_END
};

static int
refused(struct arena *a, const struct http_reply *r, struct err *e)
{
	struct envelope env = { 0 };
	struct err unread;
	struct json *j = json_parse(a, r->body, r->body_len, &unread);
	const char *said = r->body;

	if (j != NULL &&
	    json_read(a, j, envelope_fields, 0, &env, &unread) == 0)
		said = !blank(env.message) ? env.message : or_empty(env.error);
	return err_set(e, code_of(r->status), "the server answered %d%s%.*s",
	    r->status, blank(said) ? "" : ": ", SAID_MAX, said);
}

/* METHOD on PATH below /api/v1; the answer must be WANT. */
static int
call(struct api *api, struct arena *a, const char *method, const char *path,
    const char *extra_header, const char *body, int want, struct json **out,
    struct err *e)
{
	const char *headers[4] = { "Content-Type: application/json" };
	struct http_call c = {
		.method = method, .headers = headers, .body = body,
		.body_len = body != NULL ? strlen(body) : 0,
		.url = arena_printf(a, "%s/api/v1%s", api->server, path),
	};
	struct http_reply r;
	size_t n = 1;
	int rc;

	if (api->authorization != NULL)
		headers[n++] = api->authorization;
	if (extra_header != NULL)
		headers[n++] = extra_header;
	if (api->give_up_early)
		signals_allow(api->http);
	rc = http_do(api->http, a, &c, &r, e);
	if (api->give_up_early)
		signals_hold();
	if (rc < 0)
		return -1;
	if (r.status != want)
		return refused(a, &r, e);
	*out = json_parse(a, r.body, r.body_len, e);
	if (*out == NULL) {
		e->code = E_UPSTREAM;
		return err_prefix(e, "the server's answer");
	}
	return 0;
}

static const char *
agent_path(struct api *api, struct arena *a, const char *rest)
{
	return arena_printf(a, "/agents/%s%s", api->agent_id, rest);
}

/* Read the answer J by table T; what the server wrote there is its to set. */
static int
read_answer(struct arena *a, struct json *j, const struct field *t, void *obj,
    struct err *e)
{
	if (json_read(a, j, t, 0, obj, e) == 0)
		return 0;
	e->code = E_UPSTREAM;
	return err_prefix(e, "the server's answer");
}

struct registration {
	const char *name, *hostname, *os, *architecture, *ip_address;
	const char *version, *api_key_sha256;
};

static const struct field registration_fields[] = {
	FIELD(struct registration, name, TEXT, 0),
	FIELD(struct registration, hostname, TEXT, 0),
	FIELD(struct registration, os, TEXT, 0),
	FIELD(struct registration, architecture, TEXT, 0),
	FIELD(struct registration, ip_address, TEXT, 0),
	FIELD(struct registration, version, TEXT, 0),
	FIELD(struct registration, api_key_sha256, TEXT, 0),
	FIELD_END
};

static const struct field registered_fields[] = {
	FIELD(struct registered, id, TEXT, F_REQ, 128),
	FIELD(struct registered, api_key, TEXT, 0, 256),
	FIELD_END
};

int
api_register(struct api *api, struct arena *a, const char *token,
    const char *name, const char *key_hash, struct registered *out,
    struct err *e)
{
	char *header = arena_printf(a, "X-Certctl-Bootstrap-Token: %s", token);
	struct registration r = { .api_key_sha256 = key_hash };
	struct buf b = BUF(a);
	struct json *j;
	struct host h;

	arena_wipe(a, header, strlen(header));
	host_look(a, &h);
	r.name = name != NULL ? name : h.hostname;
	r.hostname = h.hostname;
	r.os = h.os;
	r.architecture = h.architecture;
	r.ip_address = h.ip_address;
	r.version = h.version;
	json_write(&b, registration_fields, &r, NULL);
	*out = (struct registered){ 0 };
	if (call(api, a, "POST", "/agents", header, buf_str(&b), 201, &j,
	    e) < 0 || read_answer(a, j, registered_fields, out, e) < 0)
		return -1;
	if (!safe_id(out->id))
		return err_set(e, E_UPSTREAM, "the server gave no usable id");
	return 0;
}

int
api_heartbeat(struct api *api, struct arena *a, struct err *e)
{
	struct buf b = BUF(a);
	struct json *j;
	struct host h;

	host_look(a, &h);
	json_write(&b, host_fields, &h, NULL);
	return call(api, a, "POST", agent_path(api, a, "/heartbeat"), NULL,
	    buf_str(&b), 200, &j, e);
}

struct work_reply {
	const char *jobs;
	int64_t count, poll_seconds;
};

static const struct field work_fields[] = {
	FIELD(struct work_reply, count, INT, 0),
	FIELD(struct work_reply, poll_seconds, INT, 0, 3600),
	FIELD_END
};

int
api_work(struct api *api, struct arena *a, struct work *out, struct err *e)
{
	struct work_reply r = { .count = -1 };
	struct json *j, *items;

	*out = (struct work){ 0 };
	if (call(api, a, "GET", agent_path(api, a, "/work"), NULL, NULL, 200,
	    &j, e) < 0 || read_answer(a, j, work_fields, &r, e) < 0)
		return -1;
	out->poll_seconds = r.poll_seconds;
	items = json_member(a, j, "jobs");
	if (items == NULL || r.count == 0)
		return 0;
	out->jobs = arena_zalloc(a, (json_len(items) + 1) *
	    sizeof(*out->jobs));
	for (size_t i = 0; i < json_len(items); i++) {
		struct job job = { 0 };

		/* One item we cannot read must not hold up the others. */
		if (json_read(a, json_item(a, items, i), job_fields, 0, &job,
		    e) < 0 || !safe_id(job.id))
			log_err(LOG_WARN, "work item skipped", e, NULL, NULL);
		else
			out->jobs[out->n++] = job;
	}
	return 0;
}

struct csr_body {
	const char *csr_pem, *certificate_id;
};

static const struct field csr_fields[] = {
	FIELD(struct csr_body, csr_pem, TEXT, 0),
	FIELD(struct csr_body, certificate_id, TEXT, 0),
	FIELD_END
};

int
api_csr(struct api *api, struct arena *a, const char *certificate_id,
    const char *csr_pem, struct err *e)
{
	const struct csr_body body = { csr_pem, certificate_id };
	struct buf b = BUF(a);
	struct json *j;

	json_write(&b, csr_fields, &body, NULL);
	return call(api, a, "POST", agent_path(api, a, "/csr"), NULL,
	    buf_str(&b), 202, &j, e);
}

struct certificate_reply {
	const char *certificate_pem;
};

static const struct field certificate_fields[] = {
	FIELD(struct certificate_reply, certificate_pem, TEXT, F_REQ),
	FIELD_END
};

int
api_certificate(struct api *api, struct arena *a, const char *certificate_id,
    const char **pem, struct err *e)
{
	struct certificate_reply r = { 0 };
	struct json *j;

	if (call(api, a, "GET", agent_path(api, a, arena_printf(a,
	    "/certificates/%s", certificate_id)), NULL, NULL, 200, &j, e) < 0 ||
	    read_answer(a, j, certificate_fields, &r, e) < 0)
		return -1;
	*pem = r.certificate_pem;
	return 0;
}

struct status_body {
	const char *status, *error;
};

static const struct field status_fields[] = {
	FIELD(struct status_body, status, TEXT, 0),
	FIELD(struct status_body, error, TEXT, F_OMIT),
	FIELD_END
};

struct status_reply {
	int64_t pending_deployments;
};

static const struct field status_reply_fields[] = {
	FIELD(struct status_reply, pending_deployments, INT, 0),
	FIELD_END
};

int
api_status(struct api *api, struct arena *a, const char *job_id,
    const char *status, const char *error, int64_t *pending, struct err *e)
{
	const struct status_body body = { status, error };
	struct status_reply r = { .pending_deployments = PENDING_UNKNOWN };
	struct buf b = BUF(a);
	struct json *j;

	json_write(&b, status_fields, &body, NULL);
	if (call(api, a, "POST", agent_path(api, a, arena_printf(a,
	    "/jobs/%s/status", job_id)), NULL, buf_str(&b), 200, &j, e) < 0 ||
	    read_answer(a, j, status_reply_fields, &r, e) < 0)
		return -1;
	if (pending != NULL)
		*pending = r.pending_deployments;
	return 0;
}

struct verify_body {
	const char *target_id, *expected_fingerprint, *actual_fingerprint;
	bool verified;
	const char *error;
};

static const struct field verify_fields[] = {
	FIELD(struct verify_body, target_id, TEXT, 0),
	FIELD(struct verify_body, expected_fingerprint, TEXT, 0),
	FIELD(struct verify_body, actual_fingerprint, TEXT, 0),
	FIELD(struct verify_body, verified, BOOL, 0),
	FIELD(struct verify_body, error, TEXT, 0),
	FIELD_END
};

int
api_verify(struct api *api, struct arena *a, const struct job *job,
    struct err *e)
{
	const struct verify_body body = {
		job->target_id, job->expected_fingerprint,
		job->actual_fingerprint, job->verified, job->verify_error,
	};
	struct buf b = BUF(a);
	struct json *j;

	json_write(&b, verify_fields, &body, NULL);
	return call(api, a, "POST", arena_printf(a, "/jobs/%s/verify",
	    job->id), NULL, buf_str(&b), 200, &j, e);
}
