#include "web/request.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "codec/json.h"

static const char *const method_names[] = {
	[WEB_GET] = "GET", [WEB_POST] = "POST", [WEB_PUT] = "PUT",
	[WEB_DELETE] = "DELETE", [WEB_PATCH] = "PATCH", [WEB_HEAD] = "HEAD",
	[WEB_OPTIONS] = "OPTIONS", [WEB_OTHER] = "OTHER",
};

static enum web_method
method_of(const char *name)
{
	for (size_t i = 0; i < WEB_OTHER; i++)
		if (streq(name, method_names[i]))
			return (enum web_method)i;
	return WEB_OTHER;
}

const char *
web_env(const struct web_req *rq, const char *name)
{
	size_t n = strlen(name);

	for (char **v = rq->env; v != NULL && *v != NULL; v++)
		if (**v == *name && strncmp(*v, name, n) == 0 &&
		    (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

const char *
web_query(const struct web_req *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_query; i++)
		if (streq(rq->query[i].name, name))
			return rq->query[i].value;
	return NULL;
}

char *
web_decode(const struct web_req *rq, const char *s)
{
	return url_decode(rq->a, s, strlen(s), false);
}

static int
read_query(struct web_req *rq, const char *s, struct err *e)
{
	while (*s != '\0') {
		size_t len = strcspn(s, "&"), name = strcspn(s, "=&");
		struct web_query *q = &rq->query[rq->n_query];

		if (len > 0 && rq->n_query == WEB_MAX_QUERY)
			return err_set(e, E_INVALID,
			    "more than %d query parameters", WEB_MAX_QUERY);
		if (len > 0) {
			q->name = url_decode(rq->a, s, name, true);
			q->value = name < len ? url_decode(rq->a, s + name + 1,
			    len - name - 1, true) : "";
			if (q->name == NULL || q->value == NULL)
				return err_set(e, E_INVALID,
				    "the query is not valid UTF-8");
			rq->n_query++;
		}
		s += len;
		if (*s == '&')
			s++;
	}
	return 0;
}

static int
read_params(struct web_req *rq, const struct match *m, struct err *e)
{
	char *s;

	for (size_t i = 0; i < WEB_MAX_PARAMS && m->param[i] != NULL; i++) {
		s = url_decode(rq->a, m->param[i], m->param_len[i], false);
		if (s == NULL || !safe_id(s))
			return err_set(e, E_INVALID, "an id is 1 to 128 of "
			    "letters, digits, \".\", \"_\" and \"-\"");
		rq->param[i] = s;
	}
	return 0;
}

int
request_read(struct web_req *rq, const struct responder *responder,
    struct match *m, struct err *e)
{
	const char *uri = or_empty(web_env(rq, "REQUEST_URI"));
	size_t len = strcspn(uri, "?");
	const char *raw = arena_strndup(rq->a, uri, len);

	rq->started_us = now_ns() / 1000;
	rq->request_id = uuid4(rq->a);
	rq->method_name = or_empty(web_env(rq, "REQUEST_METHOD"));
	rq->method = method_of(rq->method_name);
	rq->content_type = or_empty(web_env(rq, "CONTENT_TYPE"));
	rq->body = "";
	rq->path = url_decode(rq->a, raw, len, false);
	*m = route_match(responder->routes, rq->method, raw);
	rq->tail = m->tail;
	if (rq->path == NULL) {
		/* Kept for the log and the audit, where it must be text. */
		rq->path = "(not UTF-8)";
		return err_set(e, E_INVALID, "the path is not valid UTF-8");
	}
	if (read_params(rq, m, e) < 0)
		return -1;
	return read_query(rq, uri[len] == '?' ? uri + len + 1 : "", e);
}

int
request_read_body(struct web_req *rq, int64_t max,
    int (*read)(void *stream, char *p, int n), void *stream, struct err *e)
{
	const char *text = web_env(rq, "CONTENT_LENGTH");
	int64_t want = 0;
	char *body;
	int n;

	if (blank(text))
		return 0;
	if (!int_parse(text, 0, INT64_MAX, &want))
		return err_set(e, E_INVALID, "Content-Length is not a number");
	if (want > max)
		return err_set(e, E_TOO_LARGE,
		    "the body is larger than %lld octets", (long long)max);
	body = arena_alloc(rq->a, (size_t)want + 1);
	n = want > 0 ? read(stream, body, (int)want) : 0;
	if (n < want)
		return err_set(e, E_INVALID, "the body ends too early");
	body[want] = '\0';
	rq->body = body;
	rq->body_len = (size_t)want;
	return 0;
}

struct json *
web_json(struct web_req *rq, struct err *e)
{
	struct json *j = json_parse(rq->a, rq->body, rq->body_len, e);

	if (j != NULL && !json_is_object(j)) {
		err_set(e, E_INVALID, "a JSON object is expected");
		return NULL;
	}
	return j;
}
