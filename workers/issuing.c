#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/issue.h"
#include "domain/opened.h"
#include "domain/work.h"
#include "workers.h"

enum {
	IDLE_MS = 250,		/* between two looks at an empty queue */
	CLAIM_MAX = 8,		/* jobs in hand; few, because a child may die */
};

/* What one child knows between its jobs. */
struct issuer_child {
	struct ctx *c;
	char name[160];
	struct backoff wait;
	bool holding;		/* there may be jobs in our name to give back */
	bool reachable;		/* the database was, when last tried */
};

/* The scheduler speaks of the database for all children. */
static void
unreachable(struct issuer_child *w, const struct err *e)
{
	if (w->reachable)
		log_err(LOG_DEBUG, "the database does not answer", e, NULL,
		    NULL);
	w->reachable = false;
	pause_ms(backoff_next(&w->wait));
}

static void
report(const char *id, const struct issue_outcome *out)
{
	switch (out->end) {
	case ISSUE_DONE:
		log_info("certificate issued", "job_id", id,
		    "certificate_id", out->certificate_id, "serial",
		    out->serial, NULL);
		break;
	case ISSUE_FAILED:
		log_line(LOG_WARN, "certificate not issued", "job_id", id,
		    "certificate_id", out->certificate_id, "error",
		    out->why.msg, "detail", out->why.detail[0] != '\0' ?
		    out->why.detail : NULL, NULL);
		break;
	case ISSUE_GONE:
		log_info("job is no longer ours", "job_id", id, NULL);
		break;
	}
}

/* Run what was claimed; false if the database went away. */
static bool
run_jobs(struct issuer_child *w, const struct texts *ids, struct err *e)
{
	struct issue_outcome out;
	struct ctx c = *w->c;
	bool ok = true;

	c.a = arena_new();
	for (size_t i = 0; i < ids->n && ok && !stopping(); i++) {
		ok = issue_job(&c, ids->v[i], w->name, &out, e) == 0;
		if (ok)
			report(ids->v[i], &out);
		arena_reset(c.a);
	}
	arena_free(c.a);
	return ok;
}

/* One look at the queue; how many jobs there were. */
static size_t
turn(struct issuer_child *w)
{
	struct texts ids = { 0 };
	struct err e = { 0 };

	/* After an outage: whatever we held goes back, at nobody's cost. */
	if (w->holding && work_release(w->c, w->name, true, &e) < 0) {
		unreachable(w, &e);
		return 0;
	}
	w->holding = false;
	if (work_claim(w->c, w->name, CLAIM_MAX, &ids, &e) < 0) {
		w->holding = true;
		unreachable(w, &e);
		return 0;
	}
	w->reachable = true;
	w->wait.now = 0;
	if (!run_jobs(w, &ids, &e)) {
		w->holding = true;
		unreachable(w, &e);
	}
	return ids.n;
}

int
issuing(struct ctx *c, int before)
{
	struct issuer_child w = {
		.c = c, .wait = { 100, 5000, 0 }, .reachable = true,
	};
	int64_t idle_ms = c->set->job_processor_interval * 1000;
	struct err e = { 0 };
	char old[160];

	worker_name(w.name, sizeof(w.name), getpid());
	/* What the dead one held may be what killed it: the attempt counts. */
	while (before != 0 && !stopping() && work_release(c,
	    worker_name(old, sizeof(old), before), false, &e) < 0)
		unreachable(&w, &e);
	while (!stopping()) {
		size_t n = turn(&w);

		arena_reset(c->a);
		if (n == 0 && w.reachable)
			pause_ms(idle_ms > 0 ? idle_ms : IDLE_MS);
	}
	if (work_release(c, w.name, true, &e) < 0)
		log_err(LOG_WARN, "jobs in hand wait for their lease to end",
		    &e, NULL, NULL);
	opened_close();
	return 0;
}
