/* Which route a path takes. */
#ifndef CERTCTL_WEB_ROUTER_H
#define CERTCTL_WEB_ROUTER_H

#include "web/web.h"

struct match {
	const struct route *route;	/* NULL: no path, or no such method */
	bool path_known;		/* some route has this path */
	bool open;			/* it is read without authentication */
	unsigned methods;		/* bits of 1 << enum web_method there */
	const char *tail;		/* what "{*}" took, as it was sent */
	const char *param[WEB_MAX_PARAMS];	/* still percent-encoded */
	size_t param_len[WEB_MAX_PARAMS];
};

/* PATH is raw: split at its slashes before anything is decoded. */
struct match route_match(const struct route *const *tables,
    enum web_method method, const char *path);

/* Decode LEN octets of percent-encoding; PLUS makes "+" a blank.  NULL if
 * malformed, not UTF-8, or holding NUL. */
char *url_decode(struct arena *a, const char *s, size_t len, bool plus);

#endif
