/*
 * What every verb needs to know: whose memory, which database, who asks.
 */
#ifndef CERTCTL_DOMAIN_CTX_H
#define CERTCTL_DOMAIN_CTX_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/actor.h"
#include "base/arena.h"
#include "base/err.h"
#include "codec/settings.h"
#include "db/db.h"

struct db_list;
struct list_query;
struct seal;

/* An API call on its way into the audit log. */
struct call {
	const char *method, *path;	/* NULL method: no call, a worker's run */
	const char *const *body;	/* the request's, once it is read */
	const size_t *body_len;
	int64_t started_us;		/* now_ns() / 1000 at its start */
	bool recorded;			/* its record is committed */
	bool quiet;			/* agent traffic: counted instead */
};

struct ctx {
	struct arena *a;
	struct db *db;
	const struct settings *set;
	struct actor actor;
	struct call call;
	struct seal **seal;	/* made at first use, for the process */
};

/*
 * Read rows for one call: statement Q (declared ":audited") and the record of
 * the call in one flight.  A call that finds nothing is recorded as a 404.
 */
#define ctx_read(c, q, out, e, ...)					\
	ctx_read_args((c), (q), (out), (e),				\
	    (const struct db_arg[]){ __VA_ARGS__ },			\
	    sizeof((const struct db_arg[]){ __VA_ARGS__ }) /		\
	    sizeof(struct db_arg))
int ctx_read_args(struct ctx *c, enum query q, struct db_batch **out,
    struct err *e, const struct db_arg *args, size_t n);

/* Read a list page and the record of the call in one flight: statement 0 is
 * the page, 1 the total if asked for. */
int ctx_read_list(struct ctx *c, const struct list_query *q,
    struct db_batch **out, struct err *e);

/*
 * Record a change in B: ACTION on RESOURCE_TYPE RESOURCE_ID.  DETAILS_JSON may
 * be NULL; it must hold no secret.
 */
void ctx_audit(struct ctx *c, struct db_batch *b, const char *action,
    const char *resource_type, const char *resource_id,
    const char *details_json);

/*
 * The last batch of a change: with it goes the record of the call, with the
 * STATUS its reply will have, and COMMIT if a transaction is open.
 */
int ctx_commit(struct ctx *c, struct db_batch *b, int status, struct err *e);

/* Record a call that no verb recorded: refused, failed, or without effect. */
void ctx_record_call(struct ctx *c, int status);

/* The sealing key of this installation; E_INVALID if none is configured. */
struct seal *ctx_seal(struct ctx *c, struct err *e);

#endif
