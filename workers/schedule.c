#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/ca_key.h"
#include "domain/issue.h"
#include "domain/opened.h"
#include "domain/sweep.h"
#include "workers.h"

enum {
	SPREAD_US = 1000000,	/* the first runs lie within so much */
	LOOK_MS = 200,
	RETRY_US = 10000000,	/* after a failure, if that is sooner */
};

static int
finish_intents(struct ctx *c, int64_t *n, struct err *e)
{
	return issue_open_intents(c, INTENT_AGE_S, n, e);
}

#define SET(m) offsetof(struct settings, m)

struct task {
	const char *name;
	size_t setting;		/* of its period in struct settings, or ... */
	int64_t period_s;	/* ... this, if not 0 */
	int (*run)(struct ctx *c, int64_t *n, struct err *e);
};

/* What a child does. */
struct duties {
	const struct task *tasks;
	size_t n;
	enum log_level say;	/* when the database comes and goes */
	bool chain;		/* what one does the next one has to know */
	bool ends;		/* once it did something: memory goes with it */
};

static const struct task sweeps[] = {
	{ "renewal check", SET(renewal_check_interval), 0, sweep_renewals },
	{ "short-lived renewal", SET(short_lived_expiry_check_interval), 0,
	    sweep_short_renewals },
	{ "job retry", SET(retry_interval), 0, sweep_retry },
	{ "job reaper", SET(job_timeout_interval), 0, sweep_reap },
	{ "agent health", SET(agent_health_check_interval), 0, sweep_agents },
	{ "short-lived expiry", SET(short_lived_expiry_check_interval), 0,
	    sweep_short_lived },
	{ "open intents", 0, 60, finish_intents },
	{ "certificate counts", 0, 5, sweep_counts },
	{ "publication records", 0, 3600, publication_forget },
};

static const struct task publications[] = {
	{ "CA keys", 0, 10, ca_key_sweep },
	{ "OCSP responders", 0, 2, responder_sweep },
	{ "CRLs", 0, 1, crl_sweep },
	{ "CRL files", 0, 1, crl_files_sweep },
};

static const struct task long_lists[] = {
	{ "long CRLs", 0, 1, crl_sweep_long },
	{ "files of long CRLs", 0, 1, crl_files_sweep_long },
};

enum { TASKS_MAX = 16 };
_Static_assert(NELEM(sweeps) <= TASKS_MAX && NELEM(publications) <= TASKS_MAX,
    "a table of tasks has a turn for each");

/* Where a task stands. */
struct turn {
	int64_t due_us;
	struct err trouble;	/* why it failed when last run, or E_OK */
};

static int64_t
period_us(const struct task *t, const struct settings *set)
{
	const char *base = (const char *)set;
	int64_t s = t->period_s != 0 ? t->period_s :
	    *(const int64_t *)(const void *)(base + t->setting);

	return s * 1000000;
}

/* Up to SPAN microseconds. */
static int64_t
random_us(int64_t span)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	return (int64_t)((double)span * r / UINT32_MAX);
}

/* Say it once, and once more when it is over or another. */
static void
note_trouble(const struct task *t, struct turn *turn, const struct err *e)
{
	if (streq(turn->trouble.msg, e->msg))
		return;
	turn->trouble = *e;
	if (e->code != E_OK)
		log_err(LOG_WARN, "a sweep failed", e, "task", t->name);
	else
		log_info("a sweep works again", "task", t->name, NULL);
}

/* How much it did. */
static int64_t
run_task(struct ctx *c, const struct task *t, struct turn *turn)
{
	int64_t n = 0, period = period_us(t, c->set), began = mono_us();
	static const struct err none;
	struct err e = { 0 };
	char rows[24], ms[24];
	int rc = t->run(c, &n, &e);

	note_trouble(t, turn, rc < 0 ? &e : &none);
	if (n > 0) {
		snprintf(rows, sizeof(rows), "%lld", (long long)n);
		snprintf(ms, sizeof(ms), "%lld",
		    (long long)(mono_us() - began) / 1000);
		log_info("sweep", "task", t->name, "rows", rows, "ms", ms,
		    NULL);
	}
	if (rc < 0 && period > RETRY_US)
		period = RETRY_US;
	turn->due_us = mono_us() + period * 9 / 10 + random_us(period / 5);
	arena_reset(c->a);
	return n;
}

/* True if the database answers; one line when it stops, one when it is back,
 * at level SAY. */
static bool
reachable(struct ctx *c, bool *was, struct backoff *wait, enum log_level say)
{
	struct err e = { 0 };

	if (db_ready(c->db, &e) == 0) {
		if (!*was)
			log_line(say, "the database is back", NULL);
		*was = true;
		wait->now = 0;
		return true;
	}
	if (*was)
		log_err(say, "the database does not answer", &e, NULL, NULL);
	*was = false;
	pause_ms(backoff_next(wait));
	return false;
}

/* One look at the clock; true if anything was done. */
static bool
look(struct ctx *c, const struct duties *d, struct turn *turns)
{
	bool did = false;

	for (size_t i = 0; i < d->n && !stopping(); i++) {
		if (turns[i].due_us > mono_us() ||
		    run_task(c, &d->tasks[i], &turns[i]) == 0)
			continue;
		did = true;
		if (d->chain && i + 1 < d->n)
			turns[i + 1].due_us = 0;
	}
	return did;
}

static int
run_tasks(struct ctx *c, const struct duties *d)
{
	struct turn turns[TASKS_MAX] = { 0 };
	struct backoff wait = { 100, 5000, 0 };
	bool was = true, did = false;

	for (size_t i = 0; i < d->n; i++)
		turns[i].due_us = mono_us() + random_us(SPREAD_US);
	while (!stopping() && !(did && d->ends)) {
		if (!reachable(c, &was, &wait, d->say))
			continue;
		did = look(c, d, turns);
		pause_ms(LOOK_MS);
	}
	opened_close();
	return 0;
}

int
schedule(struct ctx *c, const char *place)
{
	static const struct duties all = {
		sweeps, NELEM(sweeps), LOG_WARN, false, false
	};

	(void)place;
	return run_tasks(c, &all);
}

int
publish(struct ctx *c, const char *place)
{
	static const struct duties all = {
		publications, NELEM(publications), LOG_DEBUG, true, false
	};

	(void)place;
	return run_tasks(c, &all);
}

int
publish_long(struct ctx *c, const char *place)
{
	static const struct duties all = {
		long_lists, NELEM(long_lists), LOG_DEBUG, true, true
	};

	(void)place;
	return run_tasks(c, &all);
}
