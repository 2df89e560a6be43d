/*
 * What the tests of the workers' verbs share: a database of their own in the
 * cluster t/tools/pg leads to, and rows made quickly.
 */
#ifndef CERTCTL_T_DOMAIN_FIXTURE_H
#define CERTCTL_T_DOMAIN_FIXTURE_H

#include <stdint.h>

#include "domain/ctx.h"

/*
 * A migrated database for this test alone, with team "t", owner "o", agent
 * "a", profile "p" (P-256 and more, any name) and a worker's context on it.
 */
struct ctx *t_ctx(void);

/* A second context on the same database, as another process has it. */
struct ctx *t_ctx_again(void);

/* Where it is, for programs. */
const char *t_database_url(void);

/* Run SQL, printf style; the test fails if it does. */
void t_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The first column of the first row as text, "" if there is none; static. */
const char *t_text(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
int64_t t_number(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Certificate ID with a target "<ID>-target" at agent "a". */
void t_certificate(const char *id);

/* A CSR for NAME with a new P-256 key. */
const char *t_csr(const char *name);

/* An issuance job ID of CERTIFICATE for agent "a" whose CSR has come. */
void t_job(const char *id, const char *certificate, const char *csr);

/* A session that holds SQL's locks until it is let go. */
void *t_hold(const char *sql);
void t_let_go(void *held);

/* Wait until the number SQL yields is WANT, for some seconds at most. */
void t_await(int64_t want, const char *sql);

#endif
