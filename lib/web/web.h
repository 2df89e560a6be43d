/*
 * The door kit: FastCGI requests in, responses out.
 *
 * A program describes itself as a struct responder and calls web_main().  One
 * process serves one request at a time; a route's permission is checked before
 * its handler runs, so that none can forget.
 */
#ifndef CERTCTL_WEB_WEB_H
#define CERTCTL_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

struct ctx;
struct json;
struct settings;

enum web_method {
	WEB_GET, WEB_POST, WEB_PUT, WEB_DELETE, WEB_PATCH, WEB_HEAD,
	WEB_OPTIONS, WEB_OTHER,
};

enum { WEB_MAX_PARAMS = 4, WEB_MAX_QUERY = 32, WEB_MAX_HEADERS = 12 };

struct web_query {
	const char *name, *value;	/* decoded; valid UTF-8 without NUL */
};

struct web_req {
	struct arena *a;
	struct ctx *ctx;		/* the caller's; set by its begin() */
	enum web_method method;
	const char *method_name;
	const char *path;		/* decoded, without the query */
	const void *about;		/* of the route */
	const char *tail;		/* what "{*}" took, as it was sent */
	const char *param[WEB_MAX_PARAMS];	/* what {} matched */
	struct web_query query[WEB_MAX_QUERY];
	size_t n_query;
	const char *content_type;	/* "" if none was sent */
	const char *body;		/* NUL terminated */
	size_t body_len;
	int64_t started_us;		/* wall clock, microseconds */
	const char *request_id;
	void *env;			/* parameters the web server set */
};

struct web_res {
	struct arena *a;
	int status;
	const char *content_type;	/* NULL: no body */
	struct buf body;
	struct { const char *name, *value; } header[WEB_MAX_HEADERS];
	size_t n_headers;
};

/* Returns 0 with RS filled, or -1 with E, which becomes the error reply. */
typedef int (*web_handler)(struct web_req *rq, struct web_res *rs,
    struct err *e);

struct route {
	enum web_method method;
	/* Segments; "{id}" takes one of safe_id(), "{*}", last, the rest. */
	const char *path;
	const char *permission;	/* NULL: for anyone, not authenticated */
	web_handler handler;
	const void *about;	/* what a handler shared by routes works on */
};
#define ROUTE_END { .path = NULL }

/* A route that any authenticated caller may use. */
extern const char web_any_actor[];

struct responder {
	const char *name;		/* "certctl-api" */
	const char *help;		/* a line for --help */
	const struct route *const *routes;	/* tables, NULL terminated */
	int64_t max_body;		/* octets; 0: the setting */
	/* Header lines of every reply, for those that are read by machines
	 * alone; NULL: what browsers heed, and CORS. */
	const char *headers;
	/* What of SET this program needs is there and makes sense. */
	int (*check)(const struct settings *set, struct err *e);
	/* Once per process; E says why it cannot start. */
	int (*start)(const struct settings *set, struct err *e);
	/*
	 * Before a request of route R (NULL: none matched): set rq->ctx, find
	 * out who asks, and refuse with 401, 403 or 429.
	 */
	int (*begin)(struct web_req *rq, struct web_res *rs,
	    const struct route *r, struct err *e);
	/* E as a reply; NULL: the error envelope. */
	void (*fail)(struct web_req *rq, struct web_res *rs,
	    const struct err *e);
	/* After the reply is decided and before it is sent. */
	void (*end)(struct web_req *rq, const struct web_res *rs);
	void (*stop)(void);
};

/* Serve until told to stop; returns the exit status. */
int web_main(int argc, char **argv, const struct responder *responder);

/* A parameter of the web server (REMOTE_ADDR, HTTP_AUTHORIZATION), or NULL. */
const char *web_env(const struct web_req *rq, const char *name);

/* S with its percent-encoding undone, in the request's arena; NULL if that is
 * malformed, not UTF-8, or holds NUL. */
char *web_decode(const struct web_req *rq, const char *s);

/* The query parameter NAME, or NULL. */
const char *web_query(const struct web_req *rq, const char *name);

/* The body as JSON; E_INVALID with the reason. */
struct json *web_json(struct web_req *rq, struct err *e);

void web_header(struct web_res *rs, const char *name, const char *value);

/* Replies; all return 0. */
int web_send_fields(struct web_res *rs, int status, const struct field *t,
    const void *obj);
int web_send_json(struct web_res *rs, int status, const char *json);
int web_send_text(struct web_res *rs, int status, const char *text);
int web_send_empty(struct web_res *rs, int status);
/* P is borrowed until the reply is sent. */
int web_send_bytes(struct web_res *rs, int status, const char *content_type,
    struct bytes p);

/* What caches may do with a reply (RFC 9111); times are UTC seconds. */
struct web_validity {
	const char *etag;		/* strong, with its quotes */
	int64_t last_modified, expires;
	const char *cache_control;	/* but for max-age, which follows */
	int64_t max_age;
};

/*
 * P with its validators, or 304 without it if the client's copy is good
 * (RFC 9110 section 13: If-None-Match goes before If-Modified-Since).
 */
int web_send_cached(struct web_req *rq, struct web_res *rs,
    const char *content_type, struct bytes p, const struct web_validity *v);

/* E as the error envelope: reason phrase, message, request id. */
void web_send_err(struct web_req *rq, struct web_res *rs,
    const struct err *e);

/* E as a refusal at the door, which is {"error":message} alone. */
void web_send_refusal(struct web_res *rs, const struct err *e);

#endif
