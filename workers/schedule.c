#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
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

static const struct task {
	const char *name;
	size_t setting;		/* of its period in struct settings, or ... */
	int64_t period_s;	/* ... this, if not 0 */
	int (*run)(struct ctx *c, int64_t *n, struct err *e);
} tasks[] = {
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
};

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

static void
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
}

/* True if the database answers; one line when it stops, one when it is back. */
static bool
reachable(struct ctx *c, bool *was, struct backoff *wait)
{
	struct err e = { 0 };

	if (db_ready(c->db, &e) == 0) {
		if (!*was)
			log_info("the database is back", NULL);
		*was = true;
		wait->now = 0;
		return true;
	}
	if (*was)
		log_err(LOG_WARN, "the database does not answer", &e, NULL,
		    NULL);
	*was = false;
	pause_ms(backoff_next(wait));
	return false;
}

int
schedule(struct ctx *c)
{
	struct turn turns[NELEM(tasks)] = { 0 };
	struct backoff wait = { 100, 5000, 0 };
	bool was = true;

	for (size_t i = 0; i < NELEM(tasks); i++)
		turns[i].due_us = mono_us() + random_us(SPREAD_US);
	while (!stopping()) {
		if (!reachable(c, &was, &wait))
			continue;
		for (size_t i = 0; i < NELEM(tasks) && !stopping(); i++)
			if (turns[i].due_us <= mono_us())
				run_task(c, &tasks[i], &turns[i]);
		pause_ms(LOOK_MS);
	}
	opened_close();
	return 0;
}
