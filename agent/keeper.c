#include "agent/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/api.h"
#include "agent/backoff.h"
#include "agent/conf.h"
#include "agent/identity.h"
#include "agent/signals.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

enum {
	BEAT_MS = 60 * 1000,
	JITTER = 10,			/* percent */
	STEADY_MS = 10 * 1000,	/* a worker that lived longer was well */
};

struct keeper {
	const struct conf *conf;
	const struct identity *id;
	struct api *api;
	struct arena *a;		/* of one beat */
	pid_t worker;			/* 0: none */
	int64_t started_at, start_at, beat_at;	/* mono_us() */
	int deaths, missed;		/* in a row */
	bool retired;
};

static int64_t
in_ms(int64_t ms)
{
	return mono_us() + ms * 1000;
}

static _Noreturn void
be_worker(const struct keeper *k, pid_t parent)
{
	/* A worker nobody keeps ends, after what it is doing. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit(0);
	_exit(worker_run(k->conf, k->id));
}

static void
start_worker(struct keeper *k)
{
	pid_t parent = getpid();

	k->worker = fork();
	if (k->worker == 0)
		be_worker(k, parent);
	k->started_at = mono_us();
	if (k->worker < 0) {
		log_error("cannot start the worker", "error", strerror(errno),
		    NULL);
		k->worker = 0;
		k->start_at = in_ms(backoff_ms(++k->deaths, BEAT_MS));
	}
}

static void
worker_ended(struct keeper *k, int status)
{
	char how[32];

	k->worker = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_RETIRED) {
		k->retired = true;
		return;
	}
	if (signals_stopping())
		return;
	snprintf(how, sizeof(how), WIFSIGNALED(status) ? "signal %d" :
	    "exit status %d", WIFSIGNALED(status) ? WTERMSIG(status) :
	    WEXITSTATUS(status));
	log_error("the worker died and is started again", "how", how, NULL);
	if (mono_us() - k->started_at > STEADY_MS * 1000)
		k->deaths = 0;
	/* At once the first time: it may have left a pair half installed. */
	k->start_at = in_ms(k->deaths > 0 ? backoff_ms(k->deaths, BEAT_MS) :
	    0);
	k->deaths++;
}

static void
beat_failed(struct keeper *k, const struct err *e)
{
	if (e->code == E_GONE) {
		k->retired = true;
		log_err(LOG_ERROR, "this agent is retired", e, "source",
		    "heartbeat");
		return;
	}
	log_err(LOG_WARN, "heartbeat failed", e, "server", k->conf->server);
	k->beat_at = in_ms(e->code == E_UNAUTHORIZED ||
	    e->code == E_NOT_FOUND ? jitter_ms(BACKOFF_MAX_MS, JITTER) :
	    backoff_ms(++k->missed, BEAT_MS));
}

static void
beat(struct keeper *k)
{
	struct err e;

	arena_reset(k->a);
	if (api_heartbeat(k->api, k->a, &e) < 0) {
		if (!signals_stopping())
			beat_failed(k, &e);
		return;
	}
	log_debug("heartbeat", "agent_id", k->id->agent_id, NULL);
	k->missed = 0;
	k->beat_at = in_ms(jitter_ms(BEAT_MS, JITTER));
}

static void
reap(struct keeper *k)
{
	int status;

	if (k->worker > 0 && waitpid(k->worker, &status, WNOHANG) == k->worker)
		worker_ended(k, status);
}

static int64_t
idle_ms(const struct keeper *k)
{
	int64_t at = k->beat_at, now = mono_us();

	if (k->worker == 0 && k->start_at < at)
		at = k->start_at;
	return at > now ? (at - now) / 1000 + 1 : 0;
}

/* A deployment is finished or rolled back first; each of its steps is timed. */
static void
stop_worker(struct keeper *k)
{
	int status;

	if (k->worker == 0)
		return;
	kill(k->worker, SIGTERM);
	while (waitpid(k->worker, &status, 0) < 0 && errno == EINTR)
		;
}

int
keeper_run(const struct conf *c, const struct identity *id)
{
	struct keeper k = { .conf = c, .id = id, .a = arena_new() };
	struct err e;
	int rc;

	/* The worker first: it makes a client of its own. */
	start_worker(&k);
	k.api = api_new(c, id->agent_id, id->api_key, &e);
	if (k.api == NULL)
		log_err(LOG_ERROR, "agent cannot start", &e, NULL, NULL);
	while (k.api != NULL && !signals_stopping() && !k.retired) {
		if (k.beat_at <= mono_us())
			beat(&k);
		reap(&k);
		if (k.worker == 0 && !k.retired && !signals_stopping() &&
		    k.start_at <= mono_us())
			start_worker(&k);
		if (!k.retired && idle_ms(&k) > 0)
			signals_wait(idle_ms(&k));
	}
	stop_worker(&k);
	rc = k.api != NULL ? 0 : 1;
	log_info("agent stops", "agent_id", id->agent_id, NULL);
	arena_free(k.a);
	api_free(k.api);
	return rc;
}
