#include "db/conn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "db/schema.h"

enum {
	REPLY_TIMEOUT_MS = 35000,	/* beyond statement_timeout */
	RETRY_SHARE = 10,		/* attempts take a tenth of the time */
	RETRY_MAX_US = 250000,		/* between two attempts to connect */
};

struct db *
db_new(const char *url, const char *program)
{
	struct db *db = calloc(1, sizeof(*db));

	if (db == NULL)
		abort();
	db->url = strdup(url);
	db->program = strdup(program);
	if (db->url == NULL || db->program == NULL)
		abort();
	return db;
}

void
db_drop(struct db *db)
{
	if (db->conn != NULL)
		PQfinish(db->conn);
	db->conn = NULL;
	/* tx_wanted stays: a batch that connects anew begins with BEGIN. */
	db->prepared = db->tx_open = db->stale = false;
	for (size_t i = 0; i < db->n_composed; i++)
		free(db->composed[i]);
	db->n_composed = 0;
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	db_drop(db);
	wipe(db->url, strlen(db->url));
	free(db->url);
	free(db->program);
	free(db);
}

/* True if the server closed an idle connection, as it does when it restarts. */
static bool
lost(struct db *db)
{
	struct pollfd p = { .fd = PQsocket(db->conn), .events = POLLIN };

	/* Its last words come first, the end of file behind them. */
	while (PQstatus(db->conn) == CONNECTION_OK) {
		if (poll(&p, 1, 0) <= 0)
			return false;
		if (PQconsumeInput(db->conn) == 0)
			return true;
	}
	return true;
}

/* Not to standard error as they are: logs are structured. */
static void
on_notice(void *arg, const char *text)
{
	(void)arg;
	log_debug("database notice", "text", text, NULL);
}

/*
 * An attempt has failed that began at BEGUN.  A server that refuses at once
 * may be asked again at once; one that does not answer may not.
 */
static void
put_off(struct db *db, int64_t begun)
{
	int64_t now = mono_us(), wait = RETRY_SHARE * (now - begun);

	db_drop(db);
	db->retry_at = now + (wait < RETRY_MAX_US ? wait : RETRY_MAX_US);
}

int
db_connect(struct db *db, struct err *e)
{
	const char *keys[] = { "dbname", "application_name", "options",
	    "connect_timeout", "client_encoding", NULL };
	const char *values[] = { db->url, db->program,
	    "-c statement_timeout=30s -c lock_timeout=10s -c timezone=UTC "
	    "-c idle_in_transaction_session_timeout=60s "
	    "-c default_transaction_isolation=read\\ committed",
	    "5", "UTF8", NULL };
	int64_t begun = mono_us();

	if (db->conn != NULL && !lost(db))
		return 0;
	db_drop(db);
	if (begun < db->retry_at)
		return err_set(e, E_UNAVAILABLE,
		    "the database cannot be reached");
	db->conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(db->conn) == CONNECTION_OK) {
		PQsetNoticeProcessor(db->conn, on_notice, NULL);
		log_debug("connected to the database", NULL);
		return 0;
	}
	err_set(e, E_UNAVAILABLE, "the database cannot be reached");
	err_detail(e, "%s", PQerrorMessage(db->conn));
	put_off(db, begun);
	return -1;
}

/* Wait, within a bound, until the next result can be had without blocking. */
static PGresult *
next_result(struct db *db)
{
	struct pollfd p = { .events = POLLIN };

	while (PQisBusy(db->conn)) {
		p.fd = PQsocket(db->conn);
		if (poll(&p, 1, REPLY_TIMEOUT_MS) == 0) {
			db_drop(db);
			return NULL;
		}
		if (PQconsumeInput(db->conn) == 0)
			break;
	}
	return PQgetResult(db->conn);
}

PGresult *
db_take_result(struct db *db)
{
	PGresult *r = next_result(db);

	if (r == NULL || db->conn == NULL)
		return NULL;
	if (PQresultStatus(r) != PGRES_PIPELINE_SYNC)
		PQclear(next_result(db));
	return r;
}

int
db_exec(struct db *db, const char *sql, PGresult **result, struct err *e)
{
	PGresult *r = PQexec(db->conn, sql);
	ExecStatusType status = PQresultStatus(r);
	int rc = 0;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rc = db_err(r, e);
	if (result != NULL && rc == 0)
		*result = r;
	else
		PQclear(r);
	return rc;
}

int
db_schema_version(struct db *db, int *version, struct err *e)
{
	PGresult *r;

	if (db_exec(db, version_sql, &r, e) < 0)
		return -1;
	*version = atoi(PQgetvalue(r, 0, 0));
	PQclear(r);
	return 0;
}

static int
newest_migration(void)
{
	int v = 0;

	for (const struct migration *m = migrations; m->name != NULL; m++)
		v = m->version;
	return v;
}

static int
check_schema(struct db *db, struct err *e)
{
	int have = 0;

	/* No ledger is version 0. */
	if (db_schema_version(db, &have, e) < 0 &&
	    PQstatus(db->conn) != CONNECTION_OK)
		return -1;
	if (have == newest_migration())
		return 0;
	return err_set(e, E_UNAVAILABLE, "the database schema is version %d "
	    "and this program needs %d: run certctl-workers --migrate", have,
	    newest_migration());
}

/* Send every statement of the table to be prepared; returns how many. */
static size_t
send_all(struct db *db, const char **names)
{
	const struct query_text *q;
	size_t n = 0;
	char name[80];

	for (q = query_texts; q < query_texts + Q__MAX; q++) {
		PQsendPrepare(db->conn, q->name, q->sql, 0, NULL);
		names[n++] = q->name;
		if (q->audited == NULL)
			continue;
		snprintf(name, sizeof(name), "%s+audit", q->name);
		PQsendPrepare(db->conn, name, q->audited, 0, NULL);
		names[n++] = q->name;
	}
	PQpipelineSync(db->conn);
	return n;
}

/* Prepare the whole table in one flight: a typo stops the process at start. */
static int
prepare_all(struct db *db, struct err *e)
{
	const char *names[2 * Q__MAX];
	PGresult *r;
	size_t n;
	int rc = 0;

	if (PQenterPipelineMode(db->conn) == 0)
		return err_set(e, E_INTERNAL, "pipeline mode is not available");
	n = send_all(db, names);
	for (size_t i = 0; i <= n; i++) {
		r = db_take_result(db);
		if (r == NULL)
			return err_set(e, E_UNAVAILABLE,
			    "the database connection was lost");
		if (PQresultStatus(r) == PGRES_FATAL_ERROR && rc == 0) {
			rc = db_err(r, e);
			if (i < n)
				err_prefix(e, "%s", names[i]);
		}
		PQclear(r);
	}
	return rc;
}

int
db_ready(struct db *db, struct err *e)
{
	int64_t begun = mono_us();

	if (db_connect(db, e) < 0)
		return -1;
	if (db->prepared)
		return 0;
	if (check_schema(db, e) < 0 || prepare_all(db, e) < 0) {
		put_off(db, begun);
		return -1;
	}
	db->prepared = true;
	return 0;
}

bool
db_composed(struct db *db, const char *key)
{
	for (size_t i = 0; i < db->n_composed; i++)
		if (streq(db->composed[i], key))
			return true;
	return false;
}

/* Constraint names say what a user did wrong. */
static const struct {
	const char *constraint, *msg;
	enum err_code code;
} constraints[] = {
	{ "jobs_one_issuance", "a renewal of this certificate is already "
	    "under way", E_CONFLICT },
	{ "jobs_one_deployment", "this deployment is already waiting",
	    E_CONFLICT },
	{ "agents_api_key_hash_key", "this API key is already in use",
	    E_CONFLICT },
	{ "deployment_targets_agent_id_name_key",
	    "the agent has a target of this name already", E_CONFLICT },
	{ "certificate_profiles_check", "a short-lived profile needs a "
	    "max_ttl_seconds below 3600", E_INVALID },
};

/* "owners_team_id_fkey" of table "owners" is about "team_id". */
static void
column_of(const char *table, const char *constraint, const char *suffix,
    char *out, size_t size)
{
	size_t n = strlen(constraint), t = strlen(table), s = strlen(suffix);

	if (n > t + s + 1 && strncmp(constraint, table, t) == 0 &&
	    streq(constraint + n - s, suffix))
		snprintf(out, size, "%.*s", (int)(n - t - s - 1),
		    constraint + t + 1);
	else
		snprintf(out, size, "%s", constraint);
}

static int
constraint_err(const PGresult *r, const char *state, struct err *e)
{
	const char *name = or_empty(PQresultErrorField(r,
	    PG_DIAG_CONSTRAINT_NAME));
	const char *table = or_empty(PQresultErrorField(r,
	    PG_DIAG_TABLE_NAME));
	char column[64];

	for (size_t i = 0; i < NELEM(constraints); i++)
		if (streq(name, constraints[i].constraint))
			return err_set(e, constraints[i].code, "%s",
			    constraints[i].msg);
	if (streq(state, "23502"))
		return err_set(e, E_INVALID, "%s is required",
		    or_empty(PQresultErrorField(r, PG_DIAG_COLUMN_NAME)));
	if (streq(state, "23505")) {
		column_of(table, name, "_key", column, sizeof(column));
		if (strstr(column, "_pkey") != NULL)
			snprintf(column, sizeof(column), "id");
		return err_set(e, E_CONFLICT, "this %s is already taken",
		    column);
	}
	if (streq(state, "23503")) {
		column_of(table, name, "_fkey", column, sizeof(column));
		return err_set(e, E_INVALID, "%s names nothing that exists",
		    column);
	}
	column_of(table, name, "_check", column, sizeof(column));
	return err_set(e, E_INVALID, "%s has a value that is not allowed",
	    column);
}

/*
 * SQLSTATEs, or beginnings of them, after which the same may succeed later:
 * no connection, a changed schema, a standby, a deadlock, no room, a lock, a
 * shutdown, a disk.
 */
static bool
passes(const char *state)
{
	static const char *const states[] = { "08", "0A000", "25006", "25P03",
	    "26000", "40", "53", "55", "57", "58" };

	for (size_t i = 0; i < NELEM(states); i++)
		if (strncmp(state, states[i], strlen(states[i])) == 0)
			return true;
	return *state == '\0';
}

bool
db_is_stale(const PGresult *r)
{
	const char *state = or_empty(PQresultErrorField(r, PG_DIAG_SQLSTATE));

	/* "cached plan must not change result type", or it is not there */
	return streq(state, "0A000") || streq(state, "26000");
}

int
db_err(const PGresult *r, struct err *e)
{
	const char *state = or_empty(PQresultErrorField(r, PG_DIAG_SQLSTATE));
	const char *text = or_empty(PQresultErrorField(r,
	    PG_DIAG_MESSAGE_PRIMARY));

	if (strncmp(state, "23", 2) == 0)
		constraint_err(r, state, e);
	else if (strncmp(state, "22", 2) == 0)
		err_set(e, E_INVALID, "a value cannot be stored: %s", text);
	else if (passes(state))
		err_set(e, E_UNAVAILABLE, "the database is busy or restarting");
	else
		err_set(e, E_INTERNAL, "the database refused a statement");
	return err_detail(e, "SQLSTATE %s: %s", state,
	    *text != '\0' ? text : or_empty(PQresultErrorMessage(r)));
}
