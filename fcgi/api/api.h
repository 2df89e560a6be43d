/* The API's doors: route tables, and what their handlers share. */
#ifndef CERTCTL_FCGI_API_H
#define CERTCTL_FCGI_API_H

#include "domain/ctx.h"
#include "domain/page.h"
#include "web/web.h"

extern const struct route system_routes[], certificate_routes[],
    agent_routes[], job_routes[], directory_routes[], audit_routes[],
    publication_routes[], est_admin_routes[];

/* The page the query asks for (page, per_page, sort, filters by name). */
struct page_args api_page_args(const struct web_req *rq);

/* P in the envelope of pages, of keyset pages, or of a list without pages;
 * items reduced to ONLY if that is not empty. */
int api_send_page(struct web_res *rs, const struct page *p,
    const struct texts *only);
int api_send_keyset(struct web_res *rs, const struct page *p,
    const struct texts *only);
int api_send_all(struct web_res *rs, const struct page *p);

/* GET of a collection: rq->about is its struct view. */
int api_list(struct web_req *rq, struct web_res *rs, struct err *e);

/* {"status":WORD} */
int api_send_status(struct web_res *rs, int status, const char *word);

/* May the caller act for agent ID?  An agent for itself, an admin for any. */
int api_is_agent(const struct web_req *rq, const char *id, struct err *e);

/* Take "X-Certctl-Bootstrap-Token" or the bearer token for registration. */
int api_may_register(const struct web_req *rq, struct err *e);

/* Count one thing the processes of this host count together. */
void api_count_heartbeat(void);
void api_count_empty_poll(void);

/* What the processes of this host counted under KEY (base/shared.h). */
int64_t api_tallied(uint64_t key);

/* E_UNAVAILABLE if the database cannot be used. */
int api_database_ready(struct err *e);

#endif
