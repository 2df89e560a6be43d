/* The migrations this program was built with. */
#ifndef CERTCTL_DB_SCHEMA_H
#define CERTCTL_DB_SCHEMA_H

struct migration {
	int version;
	const char *name, *sql;
};

extern const struct migration migrations[];	/* name NULL ends */
extern const char migrate_sql[], version_sql[], grants_sql[];

#endif
