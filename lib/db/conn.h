/* Inside the database room: the connection and its batches. */
#ifndef CERTCTL_DB_CONN_H
#define CERTCTL_DB_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "db/db.h"

enum { DB_MAX_BATCH = 16, DB_MAX_COMPOSED = 128 };

struct db {
	char *url, *program;
	PGconn *conn;
	bool prepared;		/* schema checked, statements prepared */
	bool tx_wanted;		/* BEGIN goes out with the next batch */
	bool tx_open;
	bool stale;		/* its statements are of an older schema */
	int64_t retry_at;	/* not before: mono_us() of the next attempt */
	/* Composed list statements prepared on this connection. */
	char *composed[DB_MAX_COMPOSED];
	size_t n_composed;
};

struct db_batch {
	struct db *db;
	struct arena *a;
	size_t n;
	struct {
		const char *name;	/* of the prepared statement */
		const char *prepare;	/* its text if it is composed */
		int nargs;
		const char **values;
		int *lengths, *formats;
		PGresult *result;
	} stmt[DB_MAX_BATCH];
};

/* Queue a statement by its prepared name; PREPARE is the text of a composed
 * one, else NULL. */
void batch_push(struct db_batch *b, const char *name, const char *prepare,
    const struct db_arg *args, size_t n);

/* True if the composed statement KEY is prepared on this connection. */
bool db_composed(struct db *db, const char *key);

/* Connect if there is no usable connection; E_UNAVAILABLE. */
int db_connect(struct db *db, struct err *e);

/* The result of the next statement sent in pipeline mode, within a bound of
 * time; NULL if the connection died. */
PGresult *db_take_result(struct db *db);

/* Drop the connection: the next batch opens another. */
void db_drop(struct db *db);

/* True if R failed because a prepared statement does not fit any more. */
bool db_is_stale(const PGresult *r);

/* The result an error left, as an err for users. */
int db_err(const PGresult *r, struct err *e);

/* The newest migration the database has. */
int db_schema_version(struct db *db, int *version, struct err *e);

/* Run SQL text without arguments (migrations); RESULT may be NULL. */
int db_exec(struct db *db, const char *sql, PGresult **result, struct err *e);

#endif
