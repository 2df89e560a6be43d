/*
 * PostgreSQL: one connection per process, prepared statements only.
 *
 * Statements come from sql/query/ as an enum and a table (db/queries.h).  They
 * are sent in batches: one flight to the server and back, one transaction.
 *
 *	struct db_batch *b = db_batch(db, a);
 *
 *	db_add(b, Q_TEAM_INSERT, db_text(t->id), db_text(t->name));
 *	db_add(b, Q_AUDIT_ADD, ...);
 *	if (db_run(b, e) < 0)
 *		return -1;
 */
#ifndef CERTCTL_DB_DB_H
#define CERTCTL_DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/field.h"
#include "base/util.h"
#include "db/queries.h"

struct arena;
struct db;
struct db_batch;
struct err;

struct db_arg {
	enum { DB_TEXT, DB_INT, DB_BOOL, DB_TIME, DB_TEXTS, DB_BYTES } type;
	union {
		const char *text;
		int64_t n;
		bool flag;
		const struct texts *texts;
		struct bytes bytes;
	};
};

/* Arguments; all they point to must live until db_run(). */
static inline struct db_arg
db_text(const char *s)		/* NULL is null */
{
	return (struct db_arg){ .type = DB_TEXT, .text = s };
}

static inline struct db_arg
db_opt(const char *s)		/* "" is null too */
{
	return db_text(blank(s) ? NULL : s);
}

static inline struct db_arg
db_str(const char *s)		/* NULL is "" */
{
	return db_text(or_empty(s));
}

static inline struct db_arg
db_int(int64_t n)
{
	return (struct db_arg){ .type = DB_INT, .n = n };
}

static inline struct db_arg
db_bool(bool flag)
{
	return (struct db_arg){ .type = DB_BOOL, .flag = flag };
}

static inline struct db_arg
db_time(int64_t at)		/* UTC seconds; 0 is null */
{
	return (struct db_arg){ .type = DB_TIME, .n = at };
}

static inline struct db_arg
db_texts(const struct texts *t)	/* text[] */
{
	return (struct db_arg){ .type = DB_TEXTS, .texts = t };
}

static inline struct db_arg
db_bytes(struct bytes b)	/* bytea; no octets is null */
{
	return (struct db_arg){ .type = DB_BYTES, .bytes = b };
}

/*
 * A connection to URL (any libpq form), named PROGRAM on the server.  Nothing
 * is sent yet: the first batch connects, and connects again after a loss.
 */
struct db *db_new(const char *url, const char *program);
void db_free(struct db *db);

/*
 * Connect if need be, see that the schema is the one this program was built
 * for, prepare every statement.  E_UNAVAILABLE with the reason otherwise.
 */
int db_ready(struct db *db, struct err *e);

struct db_batch *db_batch(struct db *db, struct arena *a);

#define db_add(b, q, ...)						\
	db_add_args((b), (q), (const struct db_arg[]){ __VA_ARGS__ },	\
	    sizeof((const struct db_arg[]){ __VA_ARGS__ }) /		\
	    sizeof(struct db_arg))
void db_add_args(struct db_batch *b, enum query q, const struct db_arg *args,
    size_t n);

/* As db_add(), in the form that records the call (see ":audited"); the
 * arguments of the record follow those of Q. */
void db_add_audited(struct db_batch *b, enum query q,
    const struct db_arg *args, size_t n, const struct db_arg *call,
    size_t n_call);

/*
 * Send the batch and wait for all its results.  All statements commit
 * together, or none: at the end of the batch, or of the transaction around it.
 *
 * Constraints speak to users: E_CONFLICT for a duplicate, E_INVALID for a
 * reference to nothing or a value out of range.  E_UNAVAILABLE if the server
 * cannot be reached or gave up; the caller may try again.
 */
int db_run(struct db_batch *b, struct err *e);

/* Open a transaction that spans batches; it costs no round trip of its own. */
void db_begin(struct db *db);

/* db_run(), with COMMIT in the same flight if a transaction is open.  Nothing
 * is committed on failure. */
int db_run_commit(struct db_batch *b, struct err *e);

/* Undo an open transaction; nothing to do is fine. */
void db_rollback(struct db *db);

/* Rows of statement I of a batch that ran; columns are matched to T by name. */
struct db_rows {
	int n;
	const void *result;
	const struct field *fields;
	struct arena *a;
	int col[64];		/* column of each field, or -1 */
};
struct db_rows db_rows(const struct db_batch *b, size_t i,
    const struct field *t);

/* Row N into OBJ.  Texts are borrowed from the batch's arena. */
void db_row(const struct db_rows *r, int n, void *obj);

/* The first row of statement I into OBJ; false if there is none. */
bool db_take(const struct db_batch *b, size_t i, const struct field *t,
    void *obj);

/* A bytea column, borrowed; no octets if it is null. */
struct bytes db_bytes_at(const struct db_batch *b, size_t i, int row,
    const char *column);

/* Rows returned, or changed, by statement I. */
int64_t db_count(const struct db_batch *b, size_t i);

/* The first column of the first row: an integer, 0 if there is none. */
int64_t db_scalar(const struct db_batch *b, size_t i);

/*
 * Apply what of sql/schema/ is missing, each file in its transaction, all
 * under one advisory lock, then the grants.  *APPLIED counts them.
 */
int db_migrate(struct db *db, int *applied, struct err *e);

#endif
