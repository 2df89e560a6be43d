#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "db/conn.h"

/* A name is noted once the server took it: a batch may fail before that. */
static void
note_composed(struct db *db, const char *name)
{
	char *copy;

	if (*name == '\0')
		return;
	copy = strdup(name);
	if (copy == NULL)
		abort();
	db->composed[db->n_composed++] = copy;
}

/* PostgreSQL's text form of an array; every element quoted. */
static char *
array_text(struct arena *a, const struct texts *t)
{
	struct buf b = BUF(a);

	buf_putc(&b, '{');
	for (size_t i = 0; i < t->n; i++) {
		buf_puts(&b, i > 0 ? ",\"" : "\"");
		for (const char *s = t->v[i]; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				buf_putc(&b, '\\');
			buf_putc(&b, *s);
		}
		buf_putc(&b, '"');
	}
	buf_putc(&b, '}');
	return buf_str(&b);
}

static const char *
arg_text(struct arena *a, const struct db_arg *arg)
{
	char at[RFC3339_LEN + 1];

	switch (arg->type) {
	case DB_TEXT:
		return arg->text;
	case DB_INT:
		return arena_printf(a, "%" PRId64, arg->n);
	case DB_BOOL:
		return arg->flag ? "t" : "f";
	case DB_TIME:
		return arg->n == 0 ? NULL :
		    arena_strdup(a, rfc3339(arg->n, at));
	case DB_TEXTS:
		return array_text(a, arg->texts);
	case DB_BYTES:
		return (const char *)arg->bytes.p;
	}
	return NULL;
}

struct db_batch *
db_batch(struct db *db, struct arena *a)
{
	struct db_batch *b = arena_zalloc(a, sizeof(*b));

	b->db = db;
	b->a = a;
	return b;
}

void
batch_push(struct db_batch *b, const char *name, const char *prepare,
    const struct db_arg *args, size_t n)
{
	size_t i = b->n;

	if (i == DB_MAX_BATCH)
		abort();
	b->stmt[i].name = name;
	/* Past the limit a composed statement is the unnamed one, used once. */
	if (prepare != NULL && !db_composed(b->db, name) &&
	    b->db->n_composed + DB_MAX_BATCH > DB_MAX_COMPOSED)
		b->stmt[i].name = "";
	b->stmt[i].prepare = prepare;
	b->stmt[i].nargs = (int)n;
	b->stmt[i].values = arena_alloc(b->a, (n + 1) * sizeof(char *));
	b->stmt[i].lengths = arena_alloc(b->a, (n + 1) * sizeof(int));
	b->stmt[i].formats = arena_alloc(b->a, (n + 1) * sizeof(int));
	for (size_t k = 0; k < n; k++) {
		b->stmt[i].values[k] = arg_text(b->a, &args[k]);
		b->stmt[i].formats[k] = args[k].type == DB_BYTES;
		b->stmt[i].lengths[k] = args[k].type == DB_BYTES ?
		    (int)args[k].bytes.len : 0;
	}
	b->n++;
}

/* Arguments must fit the statement: a mismatch is ours, found by any test. */
static void
check_args(const struct query_text *q, size_t n)
{
	if ((size_t)q->nargs != n) {
		fprintf(stderr, "%s takes %d arguments, not %zu\n", q->name,
		    q->nargs, n);
		abort();
	}
}

void
db_add_args(struct db_batch *b, enum query q, const struct db_arg *args,
    size_t n)
{
	check_args(&query_texts[q], n);
	batch_push(b, query_texts[q].name, NULL, args, n);
}

void
db_add_audited(struct db_batch *b, enum query q, const struct db_arg *args,
    size_t n, const struct db_arg *call, size_t n_call)
{
	struct db_arg *all = arena_alloc(b->a, (n + n_call) * sizeof(*all));

	check_args(&query_texts[q], n);
	if (n > 0)
		memcpy(all, args, n * sizeof(*all));
	memcpy(all + n, call, n_call * sizeof(*all));
	batch_push(b, arena_printf(b->a, "%s+audit", query_texts[q].name),
	    NULL, all, n + n_call);
}

static int
send_text(struct db *db, const char *sql)
{
	return PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* Everything in one flight: [BEGIN] statements [COMMIT] Sync. */
static int
send_batch(struct db_batch *b, bool commit, struct err *e)
{
	PGconn *conn = b->db->conn;
	int ok = 1;

	if (b->db->tx_wanted)
		ok = send_text(b->db, "BEGIN");
	for (size_t i = 0; i < b->n && ok; i++) {
		if (b->stmt[i].prepare != NULL)
			ok = PQsendPrepare(conn, b->stmt[i].name,
			    b->stmt[i].prepare, 0, NULL);
		if (ok)
			ok = PQsendQueryPrepared(conn, b->stmt[i].name,
			    b->stmt[i].nargs, b->stmt[i].values,
			    b->stmt[i].lengths, b->stmt[i].formats, 1);
	}
	if (ok && commit)
		ok = send_text(b->db, "COMMIT");
	if (ok && PQpipelineSync(conn) == 1)
		return 0;
	err_set(e, E_UNAVAILABLE, "the database connection was lost");
	err_detail(e, "%s", PQerrorMessage(conn));
	return -1;
}

static void
clear_result(void *r)
{
	PQclear(r);
}

static bool
note_failure(struct db *db, const PGresult *r, int *rc, struct err *e)
{
	ExecStatusType status = PQresultStatus(r);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return false;
	/* Statements behind the failed one are only reported as aborted. */
	if (status == PGRES_FATAL_ERROR && *rc == 0) {
		*rc = db_err(r, e);
		db->stale |= db_is_stale(r);
	} else if (*rc == 0)
		*rc = err_set(e, E_INTERNAL, "a statement was not run");
	return true;
}

/*
 * Everything up to the answer to Sync is ours, also an error that comes only
 * with it, as that of a deferred constraint: what is left unread would be
 * taken for the next batch's.
 */
static int
receive_batch(struct db_batch *b, struct err *e)
{
	bool begin = b->db->tx_wanted;
	PGresult *r;
	size_t i = 0;
	int rc = 0;

	for (;;) {
		r = db_take_result(b->db);
		if (r == NULL) {
			db_drop(b->db);
			return rc < 0 ? rc : err_set(e, E_UNAVAILABLE,
			    "the database connection was lost");
		}
		if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
			PQclear(r);
			return rc;
		}
		if (note_failure(b->db, r, &rc, e) || begin || i == b->n) {
			begin = false;
			PQclear(r);
		} else if (b->stmt[i].prepare != NULL) {
			note_composed(b->db, b->stmt[i].name);
			b->stmt[i].prepare = NULL;
			PQclear(r);
		} else {
			arena_defer(b->a, clear_result, r);
			b->stmt[i++].result = r;
		}
	}
}

/* Forget the text of what is prepared on the connection it is sent on. */
static void
skip_prepared(struct db_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->stmt[i].prepare != NULL &&
		    db_composed(b->db, b->stmt[i].name))
			b->stmt[i].prepare = NULL;
}

static int
run(struct db_batch *b, bool commit, struct err *e)
{
	struct db *db = b->db;
	int rc;

	if (db->tx_open ? PQstatus(db->conn) != CONNECTION_OK :
	    db_ready(db, e) < 0) {
		if (db->tx_open)
			err_set(e, E_UNAVAILABLE,
			    "the database connection was lost");
		return -1;
	}
	skip_prepared(b);
	rc = send_batch(b, commit, e);
	if (rc == 0)
		rc = receive_batch(b, e);
	else
		db_drop(db);	/* half a batch may be on its way */
	if (db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK ||
	    (db->stale && !db->tx_open && !db->tx_wanted) ||
	    (rc < 0 && e->code == E_UNAVAILABLE &&
	    PQtransactionStatus(db->conn) == PQTRANS_UNKNOWN)) {
		/* What ended with all its results is done all the same. */
		if (rc == 0 && !commit && (db->tx_open || db->tx_wanted))
			rc = err_set(e, E_UNAVAILABLE,
			    "the database connection was lost");
		db_drop(db);
		db->tx_wanted = false;
		return rc;
	}
	db->tx_open = (db->tx_open || db->tx_wanted) && !(commit && rc == 0);
	db->tx_wanted = false;
	return rc;
}

int
db_run(struct db_batch *b, struct err *e)
{
	return run(b, false, e);
}

void
db_begin(struct db *db)
{
	db->tx_wanted = true;
}

int
db_run_commit(struct db_batch *b, struct err *e)
{
	int rc = run(b, b->db->tx_open || b->db->tx_wanted, e);

	if (rc < 0)
		db_rollback(b->db);
	return rc;
}

void
db_rollback(struct db *db)
{
	PGresult *r;

	db->tx_wanted = false;
	if (!db->tx_open)
		return;
	db->tx_open = false;
	if (db->stale || db->conn == NULL || send_text(db, "ROLLBACK") == 0 ||
	    PQpipelineSync(db->conn) == 0)
		goto drop;
	for (int i = 0; i < 2; i++) {
		r = db_take_result(db);
		if (r == NULL)
			goto drop;
		PQclear(r);
	}
	return;
drop:
	db_drop(db);
}
