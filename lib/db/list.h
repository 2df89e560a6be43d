/*
 * Lists: SELECTs whose filters and order the caller chooses.
 *
 * A list is described in sql/query/ by ":list", ":filter", ":sort" lines; a
 * combination is composed of those fragments and prepared when first used.
 */
#ifndef CERTCTL_DB_LIST_H
#define CERTCTL_DB_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/db.h"

enum { LIST_MAX_FILTERS = 16 };

struct list_filter {
	const char *name;	/* as in the URL's query */
	const char *sql;	/* condition; "$" is the value */
	const char *type;	/* text, timestamptz */
	bool counted;		/* the totals table has it too */
};

struct list_sort {
	const char *name;
	const char *sql;	/* expression, never null */
	const char *type;
};

struct list {
	const char *name;
	const char *select, *from;	/* "SELECT ...", "FROM ..." */
	const char *where;	/* always applies, or NULL */
	const char *totals;	/* "SELECT sum... FROM t" or NULL: count rows */
	const char *unique;	/* the column that breaks ties */
	bool desc;		/* default direction */
	struct list_filter filters[LIST_MAX_FILTERS];	/* name NULL ends */
	struct list_sort sorts[12];			/* first is default */
};

struct list_query {
	const struct list *list;
	const char *filter[LIST_MAX_FILTERS];	/* value, or NULL */
	size_t sort;		/* index in sorts */
	bool desc;
	int64_t limit, offset;
	bool cursor;		/* keyset mode: after key, unique */
	const char *after_key, *after_id;	/* NULL: from the start */
	bool total;		/* count all matches too */
};

/* Rows counted one by one stop here: a total beyond it reads as this. */
enum { LIST_MAX_COUNT = 100000 };

/*
 * Queue the page and, if asked for, the total as the next two statements of
 * B.  In keyset mode each row has "cursor_key" besides the list's columns.
 */
void db_add_list(struct db_batch *b, const struct list_query *q);

#endif
