/*
 * The one HTTP client: TLS 1.2 or newer, peer verified, redirects off, size
 * and time bounded.
 */
#ifndef CERTCTL_HTTP_HTTP_H
#define CERTCTL_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

struct arena;
struct err;
struct http;	/* connections kept alive between calls */

struct http_conf {
	const char *ca_bundle;	/* PEM; replaces the system roots; or NULL */
	const char *user_agent;
	long timeout_ms;	/* whole call; 0: 30 s */
	long connect_timeout_ms; /* 0: 10 s */
	size_t max_body;	/* of a reply; 0: 1 MiB */
	bool tls13;		/* refuse anything older */
	bool insecure;		/* skip verification: lab use, warned about */
};

struct http_call {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL ends; or NULL */
	const char *body;		/* or NULL */
	size_t body_len;
};

struct http_reply {
	int status;
	const char *body;		/* NUL terminated, in the arena */
	size_t body_len;
	const char *content_type, *retry_after;	/* or NULL */
};

/* E_INVALID if the bundle cannot be read or holds no certificate. */
struct http *http_new(const struct http_conf *conf, struct err *e);
void http_free(struct http *h);

/*
 * Make CALL.  0 whenever a complete reply came, whatever its status;
 * E_UPSTREAM (refused, reset, TLS, too large) or E_TIMEOUT otherwise.
 */
int http_do(struct http *h, struct arena *a, const struct http_call *call,
    struct http_reply *out, struct err *e);

/* Have running and later calls fail at once: safe from a signal handler. */
void http_cancel(struct http *h);

#endif
