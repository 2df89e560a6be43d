#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "db/conn.h"
#include "db/schema.h"

/* Any number that nothing else in the database uses as an advisory lock. */
#define MIGRATION_LOCK "7236431801"

static int
apply(struct db *db, const struct migration *m, struct err *e)
{
	char note[160];

	snprintf(note, sizeof(note), "INSERT INTO schema_migrations (version, "
	    "name) VALUES (%d, '%s')", m->version, m->name);
	if (db_exec(db, "BEGIN", NULL, e) == 0 &&
	    db_exec(db, m->sql, NULL, e) == 0 &&
	    db_exec(db, note, NULL, e) == 0 &&
	    db_exec(db, "COMMIT", NULL, e) == 0)
		return 0;
	return err_prefix(e, "%s", m->name);
}

static int
apply_missing(struct db *db, int *applied, struct err *e)
{
	const struct migration *m;
	PGresult *r;
	int have;

	if (db_exec(db, "CREATE TABLE IF NOT EXISTS schema_migrations (version "
	    "integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz "
	    "NOT NULL DEFAULT now())", NULL, e) < 0 ||
	    db_exec(db, "SELECT coalesce(max(version), 0) FROM "
	    "schema_migrations", &r, e) < 0)
		return -1;
	have = atoi(PQgetvalue(r, 0, 0));
	PQclear(r);
	for (m = migrations; m->name != NULL; m++) {
		if (m->version <= have)
			continue;
		if (apply(db, m, e) < 0)
			return -1;
		log_info("migration applied", "name", m->name, NULL);
		(*applied)++;
	}
	if (have > m[-1].version)
		return err_set(e, E_UNAVAILABLE, "the database schema is "
		    "version %d, newer than this program's %d", have,
		    m[-1].version);
	return 0;
}

int
db_migrate(struct db *db, int *applied, struct err *e)
{
	int rc;

	*applied = 0;
	db_drop(db);
	db->retry_at = 0;
	if (db_connect(db, e) < 0)
		return -1;
	/* The lock waits for whoever migrates now; index builds take time. */
	rc = db_exec(db, "SET statement_timeout = 0; SET lock_timeout = 0; "
	    "SET client_min_messages = warning; "
	    "SELECT pg_advisory_lock(" MIGRATION_LOCK ")", NULL, e);
	if (rc == 0)
		rc = apply_missing(db, applied, e);
	if (rc == 0)
		rc = db_exec(db, grants_sql, NULL, e);
	db_drop(db);	/* and with it lock and settings */
	return rc;
}
