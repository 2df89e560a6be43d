/* Inside the door kit: one FastCGI request to a struct web_req. */
#ifndef CERTCTL_WEB_REQUEST_H
#define CERTCTL_WEB_REQUEST_H

#include "web/router.h"
#include "web/web.h"

/*
 * Fill RQ and M from the request that ENV and READ describe.  -1 with
 * E_INVALID for what is malformed; RQ is usable for an error reply even then.
 */
int request_read(struct web_req *rq, const struct responder *responder,
    struct match *m, struct err *e);

/*
 * Read the body, at most MAX octets: E_TOO_LARGE beyond.  READ copies up to N
 * octets to P and returns how many there were.
 */
int request_read_body(struct web_req *rq, int64_t max,
    int (*read)(void *stream, char *p, int n), void *stream, struct err *e);

#endif
