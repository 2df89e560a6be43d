#include "agent/worker.h"

#include "agent/api.h"
#include "agent/backoff.h"
#include "agent/conf.h"
#include "agent/identity.h"
#include "agent/signals.h"
#include "agent/work.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "target/target.h"

enum {
	POLL_S = 30,		/* unless the server says otherwise */
	BUSY_MS = 1000,		/* after work there is often more */
	JITTER = 10,		/* percent */
};

struct worker {
	struct desk desk;
	struct arena *a;	/* of one poll or one step */
	int64_t poll_at;	/* mono_us() */
	int failures;		/* polls in a row */
	bool retired;
};

static int64_t
in_ms(int64_t ms)
{
	return mono_us() + ms * 1000;
}

/* What a crash left half installed is decided before anything else. */
static void
recover(struct worker *w)
{
	struct recovered *v;
	struct err e;
	size_t n;

	if (target_recover(w->a, desk_target_dir(w->a, w->desk.conf), &v, &n,
	    &e) < 0) {
		log_err(LOG_ERROR, "interrupted deployments", &e, NULL, NULL);
		return;
	}
	for (size_t i = 0; i < n; i++)
		log_line(v[i].outcome == DEPLOY_ROLLBACK_FAILED ? LOG_ERROR :
		    LOG_WARN, "an interrupted deployment was decided",
		    "target_type", v[i].type, "path", v[i].path,
		    "outcome", deploy_outcome_name(v[i].outcome), "error",
		    v[i].outcome == DEPLOY_DONE ? NULL : v[i].err.msg, NULL);
}

/* One item of a poll: 1 if it was work, -1 if it should be offered again. */
static int
take_on(struct worker *w, const struct job *job, struct err *e)
{
	struct arena *a;
	int rc;

	if (journal_find(&w->desk.journal, job->id) != NULL)
		return 0;
	if (streq(or_empty(job->status), "AwaitingCSR")) {
		/* Its key would take the place of one about to be installed;
		 * the server asks again. */
		if (journal_has_certificate(&w->desk.journal,
		    or_empty(job->certificate_id), NULL))
			return 0;
		a = arena_new();
		rc = work_csr(&w->desk, a, job, e);
		arena_free(a);
		return rc < 0 ? -1 : 1;
	}
	if (!streq(or_empty(job->type), "Deployment"))
		return 0;
	return journal_add(&w->desk.journal, job, e) != NULL ? 1 : -1;
}

static int
poll_once(struct worker *w, struct work *work, bool *busy, struct err *e)
{
	struct err failed;
	int rc = 0, taken;

	*busy = false;
	if (api_work(w->desk.api, w->a, work, e) < 0)
		return -1;
	for (size_t i = 0; i < work->n && !signals_stopping(); i++) {
		taken = take_on(w, &work->jobs[i], &failed);
		*busy |= taken > 0;
		if (taken < 0) {
			*e = failed;
			rc = -1;
		}
	}
	return rc;
}

static void
poll_failed(struct worker *w, const struct err *e)
{
	const char *path = w->desk.conf->server;

	w->retired = e->code == E_GONE;
	if (w->retired) {
		log_err(LOG_ERROR, "this agent is retired", e, "source",
		    "work_poll");
		return;
	}
	w->failures++;
	/* Only an operator can help here: do not knock every second. */
	if (e->code == E_UNAUTHORIZED || e->code == E_NOT_FOUND) {
		log_err(LOG_ERROR, "the server does not know this agent: "
		    "check id and key", e, "server", path);
		w->poll_at = in_ms(jitter_ms(BACKOFF_MAX_MS, JITTER));
		return;
	}
	log_err(LOG_WARN, "poll failed", e, "server", path);
	w->poll_at = in_ms(backoff_ms(w->failures, BACKOFF_MAX_MS));
}

static void
poll_for_work(struct worker *w)
{
	struct work work;
	struct err e;
	bool busy;
	int64_t ms;

	if (poll_once(w, &work, &busy, &e) < 0) {
		if (!signals_stopping())
			poll_failed(w, &e);
		return;
	}
	w->failures = 0;
	ms = (work.poll_seconds > 0 ? work.poll_seconds : POLL_S) * 1000;
	if (busy && ms > BUSY_MS)
		ms = BUSY_MS;
	w->poll_at = in_ms(jitter_ms(ms, JITTER));
}

/* Every journal entry that is due, in the order they were taken on. */
static void
step_entries(struct worker *w)
{
	struct entry *en, *next;
	struct err e;
	int rc;

	for (en = w->desk.journal.first; en != NULL && !signals_stopping();
	    en = next) {
		next = en->next;
		if (en->due_at > mono_us())
			continue;
		arena_reset(w->a);
		rc = work_entry(&w->desk, w->a, en, &e);
		api_give_up_early(w->desk.api, true);
		if (rc > 0 || signals_stopping())
			continue;
		log_err(LOG_WARN, "job not finished, trying again", &e,
		    "job_id", en->job.id);
		en->failures++;
		en->due_at = in_ms(backoff_ms(en->failures, BACKOFF_MAX_MS));
	}
}

/* Milliseconds until something is due. */
static int64_t
idle_ms(const struct worker *w)
{
	int64_t at = w->poll_at, now = mono_us();

	for (const struct entry *en = w->desk.journal.first; en != NULL;
	    en = en->next)
		if (en->due_at < at)
			at = en->due_at;
	return at > now ? (at - now) / 1000 + 1 : 0;
}

static void
loop(struct worker *w)
{
	while (!signals_stopping() && !w->retired) {
		step_entries(w);
		arena_reset(w->a);
		if (!signals_stopping() && w->poll_at <= mono_us())
			poll_for_work(w);
		arena_reset(w->a);
		if (!w->retired && idle_ms(w) > 0)
			signals_wait(idle_ms(w));
	}
}

int
worker_run(const struct conf *c, const struct identity *id)
{
	struct worker w = { .desk.conf = c, .a = arena_new() };
	struct arena *life = arena_new();
	struct err e;
	int rc = 1;

	w.desk.api = api_new(c, id->agent_id, id->api_key, &e);
	if (w.desk.api == NULL ||
	    journal_open(&w.desk.journal, arena_printf(life, "%s/jobs",
	    c->state_dir), &e) < 0) {
		log_err(LOG_ERROR, "worker cannot start", &e, NULL, NULL);
	} else {
		recover(&w);
		loop(&w);
		rc = w.retired ? WORKER_RETIRED : 0;
	}
	journal_close(&w.desk.journal);
	api_free(w.desk.api);
	arena_free(w.a);
	arena_free(life);
	return rc;
}
