#include <fcgiapp.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "codec/settings.h"
#include "web/request.h"
#include "web/web.h"

enum { KEPT_MEMORY = 1024 * 1024 };	/* octets, from request to request */

const char web_any_actor[] = "(any actor)";

enum { STOP_S = 5 };

static volatile sig_atomic_t stopping;

/*
 * A signal that comes just before accept() does not end it: the alarm does.
 * It gives a request that is being answered that long.
 */
static void
on_stop(int sig)
{
	(void)sig;
	stopping = 1;
	FCGX_ShutdownPending();
	alarm(STOP_S);
}

/* Of every reply to a browser; one text, because nothing in them varies. */
static const char security_headers[] =
    "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
    "X-Frame-Options: DENY\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer-when-downgrade\r\n"
    "Content-Security-Policy: default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'\r\n"
    "Permissions-Policy: accelerometer=(), camera=(), geolocation=(), "
    "microphone=(), payment=(), usb=(), interest-cohort=()\r\n";

static void
add_cors(const struct settings *set, const struct web_req *rq,
    const struct match *m, struct web_res *rs)
{
	const char *origin = web_env(rq, "HTTP_ORIGIN");

	/* Health, readiness, version and auth info are for any page. */
	if (m->open) {
		web_header(rs, "Access-Control-Allow-Origin", "*");
		return;
	}
	if (set->cors_origins.n == 0)
		return;
	web_header(rs, "Vary", "Origin");
	if (blank(origin) || !texts_has(&set->cors_origins, origin))
		return;
	web_header(rs, "Access-Control-Allow-Origin", origin);
	web_header(rs, "Access-Control-Allow-Methods",
	    "GET, POST, PUT, DELETE, PATCH, OPTIONS");
	web_header(rs, "Access-Control-Allow-Headers",
	    "Content-Type, Authorization, X-Request-ID");
	web_header(rs, "Access-Control-Max-Age", "86400");
}

/* A known path, another method: 405 with what it takes. */
static int
refuse_method(const struct match *m, struct web_res *rs)
{
	static const char *const names[] = {
		[WEB_DELETE] = "DELETE", [WEB_GET] = "GET, HEAD",
		[WEB_PATCH] = "PATCH", [WEB_POST] = "POST", [WEB_PUT] = "PUT",
	};
	struct buf b = BUF(rs->a);

	for (size_t i = 0; i < NELEM(names); i++)
		if ((m->methods & 1u << i) && names[i] != NULL)
			buf_printf(&b, "%s%s", b.len > 0 ? ", " : "",
			    names[i]);
	web_header(rs, "Allow", buf_str(&b));
	return web_send_text(rs, 405, "Method Not Allowed\n");
}

static int
read_stream(void *stream, char *p, int n)
{
	return FCGX_GetStr(p, n, stream);
}

static int
handle(const struct match *m, struct web_req *rq, struct web_res *rs,
    struct err *e)
{
	if (m->route != NULL) {
		rq->about = m->route->about;
		return m->route->handler(rq, rs, e);
	}
	if (m->path_known)
		return refuse_method(m, rs);
	return web_send_text(rs, 404, "404 page not found\n");
}

/* E as the reply; what is not the client's fault is logged. */
static void
fail(const struct responder *responder, struct web_req *rq,
    struct web_res *rs, const struct err *e)
{
	if (responder->fail != NULL)
		responder->fail(rq, rs, e);
	else
		web_send_err(rq, rs, e);
	if (e->code == E_INTERNAL || e->code == E_UPSTREAM ||
	    e->code == E_UNAVAILABLE)
		log_line(LOG_ERROR, "request failed", "request_id",
		    rq->request_id, "method", rq->method_name, "path",
		    rq->path, "error", e->msg, "detail",
		    e->detail[0] != '\0' ? e->detail : NULL, NULL);
}

/* Decide the reply: it is in RS whatever happens. */
static void
answer(const struct responder *responder, const struct settings *set,
    FCGX_Request *fcgi, struct web_req *rq, struct web_res *rs)
{
	struct match m = { 0 };
	struct err e = { 0 }, refused = { 0 };
	int rc = request_read(rq, responder, &m, &e);

	if (responder->headers == NULL)
		add_cors(set, rq, &m, rs);
	if (rq->method == WEB_OPTIONS && responder->headers == NULL) {
		if (m.open)
			refuse_method(&m, rs);
		else
			web_send_empty(rs, 204);
		return;
	}
	/* A malformed request is told so only to those who may know. */
	if (responder->begin(rq, rs, m.route, &refused) < 0) {
		if (responder->fail != NULL)
			responder->fail(rq, rs, &refused);
		else
			web_send_refusal(rs, &refused);
		responder->end(rq, rs);
		return;
	}
	if (rc == 0)
		rc = request_read_body(rq, responder->max_body > 0 ?
		    responder->max_body : set->max_body_size, read_stream,
		    fcgi->in, &e);
	if (rc == 0)
		rc = handle(&m, rq, rs, &e);
	if (rc < 0)
		fail(responder, rq, rs, &e);
	responder->end(rq, rs);
}

static void
add_header(struct buf *b, const char *name, const char *value)
{
	buf_puts(b, name);
	buf_add(b, ": ", 2);
	buf_puts(b, value);
	buf_add(b, "\r\n", 2);
}

static void
send_reply(const struct responder *responder, FCGX_Request *fcgi,
    const struct web_req *rq, const struct web_res *rs)
{
	struct buf h = BUF(rs->a);

	buf_puts(&h, "Status: ");
	buf_int(&h, rs->status);
	/* NGINX sends what it is given, and old clients want a phrase. */
	buf_putc(&h, ' ');
	buf_puts(&h, status_reason(rs->status));
	buf_puts(&h, "\r\n");
	add_header(&h, "X-Request-ID", rq->request_id);
	buf_puts(&h, responder->headers != NULL ? responder->headers :
	    security_headers);
	for (size_t i = 0; i < rs->n_headers; i++)
		add_header(&h, rs->header[i].name, rs->header[i].value);
	if (rs->content_type != NULL) {
		add_header(&h, "Content-Type", rs->content_type);
		buf_puts(&h, "Content-Length: ");
		buf_int(&h, (int64_t)rs->body.len);
		buf_puts(&h, "\r\n");
	}
	buf_puts(&h, "\r\n");
	FCGX_PutStr(h.p, (int)h.len, fcgi->out);
	if (rs->content_type != NULL && rs->body.len > 0)
		FCGX_PutStr(rs->body.p, (int)rs->body.len, fcgi->out);
}

static void
serve_one(const struct responder *responder, const struct settings *set,
    FCGX_Request *fcgi, struct arena *a)
{
	struct web_req rq = { .a = a, .env = fcgi->envp };
	struct web_res rs = { .a = a, .body = BUF(a) };

	answer(responder, set, fcgi, &rq, &rs);
	send_reply(responder, fcgi, &rq, &rs);
	FCGX_Finish_r(fcgi);
	arena_reset(a);
}

static int
serve(const struct responder *responder, const struct settings *set)
{
	struct sigaction stop = { .sa_handler = on_stop };
	struct arena *a = arena_new();
	FCGX_Request fcgi;

	/* A reply's memory is wanted again by the next one. */
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGALRM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGUSR1, &stop, NULL);	/* what FastCGI managers send */
	signal(SIGPIPE, SIG_IGN);
	if (FCGX_Init() != 0 ||
	    FCGX_InitRequest(&fcgi, 0, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		return 1;
	while (!stopping && FCGX_Accept_r(&fcgi) >= 0)
		serve_one(responder, set, &fcgi, a);
	arena_free(a);
	return 0;
}

static int
usage(const struct responder *r, FILE *out, int status)
{
	fprintf(out, "usage: %s [--help | --version | --check-config]\n\n"
	    "%s\n\n"
	    "Started by spawn-fcgi with the listening socket as descriptor 0."
	    "\nSettings come from CERTCTL_* variables and from the file that\n"
	    "CERTCTL_CONFIG_FILE names (/etc/certctl/certctl.yaml).\n",
	    r->name, r->help);
	return status;
}

int
web_main(int argc, char **argv, const struct responder *responder)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "check-config", no_argument, NULL, 'c' },
		{ 0 },
	};
	struct arena *a;
	struct settings set;
	struct err e = { 0 };
	bool check_only = false;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h')
			return usage(responder, stdout, 0);
		if (opt != 'c' && opt != 'V')
			return usage(responder, stderr, 2);
		if (opt == 'V') {
			printf("%s %s\n", responder->name, PACKAGE_VERSION);
			return 0;
		}
		check_only = true;
	}
	a = arena_new();
	if (settings_load(a, &set, &e) < 0) {
		fprintf(stderr, "%s: %s\n", responder->name, e.msg);
		return 1;
	}
	log_open(responder->name,
	    (enum log_level)log_level_parse(set.log_level));
	if (!check_only && FCGX_IsCGI()) {
		fprintf(stderr, "%s: descriptor 0 is no listening socket: "
		    "start it with spawn-fcgi\n", responder->name);
		return 1;
	}
	if (responder->check(&set, &e) < 0 ||
	    (!check_only && responder->start(&set, &e) < 0)) {
		log_err(LOG_ERROR, "cannot start", &e, "program",
		    responder->name);
		return 1;
	}
	if (check_only) {
		settings_print(stdout, &set);
		arena_free(a);
		return 0;
	}
	rc = serve(responder, &set);
	responder->stop();
	arena_free(a);
	return rc;
}
