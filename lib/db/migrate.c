#include "base/err.h"
#include "base/log.h"
#include "db/conn.h"
#include "db/schema.h"

static int
apply_missing(struct db *db, int *applied, struct err *e)
{
	const struct migration *m;
	int have;

	if (db_schema_version(db, &have, e) < 0)
		return -1;
	for (m = migrations; m->name != NULL; m++) {
		if (m->version <= have)
			continue;
		/* Several statements of one text are one transaction. */
		if (db_exec(db, m->sql, NULL, e) < 0)
			return err_prefix(e, "%s", m->name);
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
	rc = db_exec(db, migrate_sql, NULL, e);
	if (rc == 0)
		rc = apply_missing(db, applied, e);
	if (rc == 0)
		rc = db_exec(db, grants_sql, NULL, e);
	db_drop(db);	/* and with it lock and settings */
	return rc;
}
