#include "domain/work.h"

#include "base/text.h"
#include "domain/issue.h"

enum { POSTPONE_S = 2 };

struct claimed {
	const char *id;
};

static const struct field claimed_fields[] = {
	FIELD(struct claimed, id, TEXT, 0),
	FIELD_END
};

int
work_claim(struct ctx *c, const char *worker, int64_t max, struct texts *ids,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct claimed row;
	struct db_rows rows;

	*ids = (struct texts){ 0 };
	db_add(b, Q_WORK_CLAIM, db_text(worker), db_int(max),
	    db_int(LEASE_S));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, claimed_fields);
	for (int i = 0; i < rows.n; i++) {
		db_row(&rows, i, &row);
		texts_add(c->a, ids, row.id);
	}
	return 0;
}

int
work_release(struct ctx *c, const char *place, const char *unharmed,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_WORK_RELEASE, db_text(place), db_text(unharmed));
	return db_run(b, e);
}

int
work_postpone(struct ctx *c, const char *id, const char *worker,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_WORK_POSTPONE, db_text(id), db_text(worker),
	    db_int(POSTPONE_S));
	return db_run(b, e);
}
