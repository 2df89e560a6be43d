#include "domain/sweep.h"

#include "base/text.h"

enum {
	ROUNDS_MAX = 1000,
	FOLD_ROWS = 200,	/* changes of the totals that may pile up */
};

/* Advisory locks: one for each sweep, the same in every process. */
enum { LOCK_RENEWALS = 1, LOCK_RETRY, LOCK_REAP, LOCK_AGENTS,
    LOCK_SHORT_LIVED, LOCK_COUNTS };

/* A statement whose one row is the number of rows it changed. */
struct step {
	enum query query;
	const char *ids;	/* first argument: begins new ids, or NULL */
	int64_t rows;		/* its next: so many at once, or 0: no limit */
	size_t nargs;		/* the others */
	struct db_arg args[2];
};

static void
add_step(struct ctx *c, struct db_batch *b, const struct step *s)
{
	struct db_arg args[NELEM(s->args) + 2];
	size_t n = 0;

	/* New in every round: the rows of one are told apart by a number. */
	if (s->ids != NULL)
		args[n++] = db_text(id_new(c->a, s->ids));
	if (s->rows > 0)
		args[n++] = db_int(s->rows);
	for (size_t i = 0; i < s->nargs; i++)
		args[n++] = s->args[i];
	db_add_args(b, s->query, args, n);
}

/*
 * The steps in one transaction, if no one else is at it.  *N grows by what
 * they changed; *MORE is true if one of them was full.
 */
static int
run_round(struct ctx *c, int lock, const struct step *steps, size_t n_steps,
    int64_t *n, bool *more, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	*more = false;
	db_begin(c->db);
	db_add(b, Q_SWEEP_LOCK, db_int(lock));
	if (db_run(b, e) < 0)
		goto fail;
	if (db_scalar(b, 0) == 0) {
		db_rollback(c->db);
		return 0;
	}
	b = db_batch(c->db, c->a);
	for (size_t i = 0; i < n_steps; i++)
		add_step(c, b, &steps[i]);
	if (db_run_commit(b, e) < 0)
		goto fail;
	for (size_t i = 0; i < n_steps; i++) {
		int64_t rows = db_scalar(b, i);

		*n += rows;
		*more = *more || (steps[i].rows > 0 && rows >= steps[i].rows);
	}
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

static int
run(struct ctx *c, int lock, const struct step *steps, size_t n_steps,
    int64_t *n, struct err *e)
{
	bool more = true;

	for (int i = 0; i < ROUNDS_MAX && more; i++)
		if (run_round(c, lock, steps, n_steps, n, &more, e) < 0)
			return -1;
	return 0;
}

/* MAX_LIFE_S 0: certificates of any life. */
static int
renew(struct ctx *c, int64_t max_life_s, int64_t *n, struct err *e)
{
	const struct step step = { Q_RENEWAL_CHECK, "job", SWEEP_ROWS, 1, {
		max_life_s > 0 ? db_int(max_life_s) : db_text(NULL) } };

	return run(c, LOCK_RENEWALS, &step, 1, n, e);
}

int
sweep_renewals(struct ctx *c, int64_t *n, struct err *e)
{
	/* It locks nobody out, and each round looks at all there is. */
	const struct step alert = {
		.query = Q_EXPIRY_ALERTS, .ids = "notif", .rows = 50000,
	};

	*n = 0;
	if (run(c, LOCK_RENEWALS, &alert, 1, n, e) < 0)
		return -1;
	return renew(c, 0, n, e);
}

int
sweep_short_renewals(struct ctx *c, int64_t *n, struct err *e)
{
	*n = 0;
	/* The window is a third of a life: two checks in it are enough. */
	return renew(c, 6 * c->set->renewal_check_interval, n, e);
}

int
sweep_retry(struct ctx *c, int64_t *n, struct err *e)
{
	const struct step steps[] = {
		{ .query = Q_JOBS_LOST, .rows = SWEEP_ROWS },
		{ .query = Q_JOBS_RETRY, .rows = SWEEP_ROWS },
		{ .query = Q_DEPLOYMENTS_AGAIN, .ids = "job",
		    .rows = SWEEP_ROWS },
		{ .query = Q_CERTIFICATES_REST, .rows = SWEEP_ROWS },
	};

	*n = 0;
	return run(c, LOCK_RETRY, steps, NELEM(steps), n, e);
}

int
sweep_reap(struct ctx *c, int64_t *n, struct err *e)
{
	const struct step steps[] = {
		{ Q_JOBS_OVERDUE, NULL, SWEEP_ROWS, 2, {
			db_int(c->set->job_awaiting_csr_timeout),
			db_int(c->set->job_awaiting_approval_timeout) } },
		{ .query = Q_JOBS_SILENT, .rows = SWEEP_ROWS },
		{ .query = Q_CERTIFICATES_REST, .rows = SWEEP_ROWS },
	};

	*n = 0;
	return run(c, LOCK_REAP, steps, NELEM(steps), n, e);
}

int
sweep_agents(struct ctx *c, int64_t *n, struct err *e)
{
	const struct step steps[] = {
		{ .query = Q_AGENTS_OFFLINE }, { .query = Q_AGENTS_PACE },
	};
	bool more;

	*n = 0;
	return run_round(c, LOCK_AGENTS, steps, NELEM(steps), n, &more, e);
}

int
sweep_short_lived(struct ctx *c, int64_t *n, struct err *e)
{
	const struct step step = {
		.query = Q_SHORT_LIVED_EXPIRED, .rows = SWEEP_ROWS,
	};

	*n = 0;
	return run(c, LOCK_SHORT_LIVED, &step, 1, n, e);
}

int
sweep_counts(struct ctx *c, int64_t *n, struct err *e)
{
	const struct step step = {
		.query = Q_COUNTS_FOLD, .nargs = 1,
		.args = { db_int(FOLD_ROWS) },
	};
	bool more;

	*n = 0;
	return run_round(c, LOCK_COUNTS, &step, 1, n, &more, e);
}
