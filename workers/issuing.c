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
	WAITING_MS = 100,	/* after a look that found what cannot be done */
};

/* What one child knows between its jobs. */
struct issuer_child {
	struct ctx *c;
	const char *place;
	char name[224];
	struct backoff wait;
	bool holding;		/* there may be jobs in our name to give back */
	char begun[160];	/* the one among them that was begun, or "" */
	bool reachable;		/* the database was, when last tried */
	struct err waits;	/* why jobs wait, as last told */
};

/* The scheduler speaks of the database for all children. */
static void
unreachable(struct issuer_child *w, const struct err *e)
{
	if (w->reachable)
		log_err(LOG_DEBUG, "the database does not answer", e, NULL,
		    NULL);
	w->reachable = false;
	w->holding = true;
	pause_ms(backoff_next(&w->wait));
}

/* Many jobs may wait for one thing: it is told once. */
static void
report_waiting(struct issuer_child *w, const struct err *why)
{
	if (streq(w->waits.msg, why->msg))
		return;
	w->waits = *why;
	log_err(LOG_WARN, "jobs wait", why, NULL, NULL);
}

static void
report(struct issuer_child *w, const char *id,
    const struct issue_outcome *out)
{
	switch (out->end) {
	case ISSUE_DONE:
		log_info("certificate issued", "job_id", id,
		    "certificate_id", out->certificate_id, "serial",
		    out->serial, NULL);
		w->waits = (struct err){ 0 };
		break;
	case ISSUE_WAITS:
		report_waiting(w, &out->why);
		break;
	case ISSUE_FAILED:
		log_warn("certificate not issued", "job_id", id,
		    "certificate_id", out->certificate_id, "error",
		    out->why.msg, "detail", out->why.detail[0] != '\0' ?
		    out->why.detail : NULL, NULL);
		break;
	case ISSUE_GONE:
		log_info("job is no longer ours", "job_id", id, NULL);
		break;
	}
}

/* Run what was claimed; -1 if the database went away. */
static int
run_jobs(struct issuer_child *w, const struct texts *ids, struct err *e)
{
	struct issue_outcome out;
	struct ctx c = *w->c;
	int rc = 0;

	c.a = arena_new();
	for (size_t i = 0; i < ids->n && rc == 0 && !stopping(); i++) {
		rc = issue_job(&c, ids->v[i], w->name, &out, e);
		if (rc == 0)
			report(w, ids->v[i], &out);
		else
			snprintf(w->begun, sizeof(w->begun), "%s", ids->v[i]);
		arena_reset(c.a);
	}
	arena_free(c.a);
	return rc;
}

static int
give_back(struct issuer_child *w, struct err *e)
{
	if (work_release(w->c, w->place, blank(w->begun) ? NULL : w->begun,
	    e) < 0)
		return -1;
	w->holding = false;
	w->begun[0] = '\0';
	return 0;
}

/* One look at the queue; how many jobs there were. */
static size_t
turn(struct issuer_child *w)
{
	struct texts ids = { 0 };
	struct err e = { 0 };

	if ((w->holding && give_back(w, &e) < 0) ||
	    work_claim(w->c, w->name, w->c->set->job_claim_limit, &ids,
	    &e) < 0) {
		unreachable(w, &e);
		return 0;
	}
	w->reachable = true;
	w->wait.now = 0;
	if (run_jobs(w, &ids, &e) < 0)
		unreachable(w, &e);
	else if (ids.n > 0 && w->waits.code != E_OK)
		pause_ms(WAITING_MS);
	return ids.n;
}

int
issuing(struct ctx *c, const char *place)
{
	struct issuer_child w = {
		.c = c, .place = place, .wait = { 100, 5000, 0 },
		.reachable = true,
		.holding = true,	/* what the one before us held */
	};
	int64_t idle_ms = c->set->job_processor_interval * 1000;
	struct err e = { 0 };

	snprintf(w.name, sizeof(w.name), "%s%d", place, (int)getpid());
	while (!stopping()) {
		size_t n = turn(&w);

		arena_reset(c->a);
		if (n == 0 && w.reachable)
			pause_ms(idle_ms > 0 ? idle_ms : IDLE_MS);
	}
	if (give_back(&w, &e) < 0)
		log_err(LOG_WARN, "jobs in hand wait for their lease to end",
		    &e, NULL, NULL);
	opened_close();
	return 0;
}
