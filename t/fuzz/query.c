/*
 * What a request line holds: the path and its route, the query, and the kinds
 * of text that values and headers are made of.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct route routes[] = {
	{ WEB_GET, "/health", NULL, NULL, NULL },
	{ WEB_GET, "/api/v1/certificates", "cert.read", NULL, NULL },
	{ WEB_GET, "/api/v1/certificates/summary", "cert.read", NULL, NULL },
	{ WEB_GET, "/api/v1/certificates/{id}", "cert.read", NULL, NULL },
	{ WEB_POST, "/api/v1/agents/{id}/jobs/{job}/status",
	    "agent.job.complete", NULL, NULL },
	{ WEB_GET, "/{a}/{b}/{c}/{d}", "cert.read", NULL, NULL },
	ROUTE_END
};

static const struct route *const tables[] = { routes, NULL };
static const struct responder responder = { .routes = tables };

static void
must(bool so)
{
	if (!so)
		abort();
}

/* What is refused has a reason that can be sent. */
static void
must_say(const struct err *e)
{
	must(e->code == E_INVALID && e->msg[0] != '\0' &&
	    utf8_valid(e->msg, strlen(e->msg)));
}

static void
request(struct arena *a, const char *text, const char *method)
{
	char *env[] = { arena_printf(a, "REQUEST_URI=%s", text),
	    arena_printf(a, "REQUEST_METHOD=%s", method), NULL };
	struct web_req rq = { .a = a, .env = env };
	struct err e = { 0 };
	struct match m;

	if (request_read(&rq, &responder, &m, &e) < 0)
		must_say(&e);
	must(utf8_valid(rq.path, strlen(rq.path)));
	must(m.route == NULL || m.path_known);
	for (size_t i = 0; i < WEB_MAX_PARAMS && rq.param[i] != NULL; i++)
		must(safe_id(rq.param[i]));
	must(rq.n_query <= WEB_MAX_QUERY);
	for (size_t i = 0; i < rq.n_query; i++)
		must(utf8_valid(rq.query[i].name, strlen(rq.query[i].name)) &&
		    utf8_valid(rq.query[i].value, strlen(rq.query[i].value)));
}

static void
decode(struct arena *a, const char *text, size_t len)
{
	unsigned char *octets = arena_alloc(a, len / 2 + 1);
	struct bytes b, again;
	char *s;

	for (int plus = 0; plus < 2; plus++) {
		s = url_decode(a, text, len, plus);
		must(s == NULL || (strlen(s) <= len &&
		    utf8_valid(s, strlen(s))));
	}
	if (base64url_decode(a, text, &b)) {
		s = base64url_encode(a, b.p, b.len);
		must(base64url_decode(a, s, &again) && again.len == b.len &&
		    memcmp(again.p, b.p, b.len) == 0);
	}
	if (hex_decode(text, len, octets)) {
		s = hex_encode(a, octets, len / 2);
		must(streq(s, lower(a, text)));
	}
}

static void
values(struct arena *a, const char *text, size_t len)
{
	char at[RFC3339_LEN + 1];
	int64_t n, again;
	struct err e = { 0 };

	if (rfc3339_parse(text, &n, &e) < 0)
		must_say(&e);
	else
		must(rfc3339_parse(rfc3339(n, at), &again, &e) == 0 &&
		    again == n && strlen(at) == RFC3339_LEN);
	if (duration_parse(text, &n, &e) < 0)
		must_say(&e);
	else
		must(n >= 0);
	if (int_parse(text, INT64_MIN, INT64_MAX, &n))
		must(int_parse(arena_printf(a, "%" PRId64, n), n, n, &again));
	for (size_t i = 0, k; i < len; i += k) {
		k = utf8_char(text + i, len - i);
		must(k <= 4 && k <= len - i);
		must(k > 0 || !utf8_valid(text, len));
		k += k == 0;
	}
	text_misleads(text);
	safe_id(text);
	split_list(a, text);
	must(split_words(a, text).v != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, len);

	utf8_valid((const char *)data, len);
	request(a, text, "GET");
	request(a, text, "POST");
	decode(a, text, strlen(text));
	values(a, text, strlen(text));
	arena_free(a);
	return 0;
}
