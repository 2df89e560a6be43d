#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "workers.h"

enum {
	STOP_S = 30,		/* for children to finish what they began */
	HEALTHY_US = 5000000,	/* a child that lived so long started well */
	SLOTS_MAX = 67,
	PATIENT = 10,		/* niceness of what can wait for all others */
};

/* What the first children do; all others do as the last. */
static const struct kind {
	const char *name;	/* on the database server */
	int (*run)(struct ctx *c, const char *place);
	int nice;
} kinds[] = {
	{ "certctl-scheduler", schedule, 0 },
	{ "certctl-publisher", publish, PATIENT },
	{ "certctl-long-crls", publish_long, PATIENT },
	{ "certctl-issuing", issuing, 0 },
};

/* A child's place: it is filled again when the child dies. */
struct slot {
	pid_t pid;		/* 0: empty */
	int64_t born_us, due_us;
	struct backoff wait;
};

static volatile sig_atomic_t stop_asked;

static void
on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

bool
stopping(void)
{
	return stop_asked != 0;
}

void
pause_ms(int64_t ms)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	if (!stopping())
		sleep_ms(ms - ms / 10 + (int64_t)(r % 256) * ms / 1280);
}

int64_t
backoff_next(struct backoff *b)
{
	b->now = b->now == 0 ? b->least : b->now * 2;
	if (b->now > b->most)
		b->now = b->most;
	return b->now;
}

/* The signals the parent waits for; blocked until then. */
static sigset_t
awaited(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

void
catch_stop(void)
{
	struct sigaction stop = { .sa_handler = on_stop };
	sigset_t set = awaited();

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* The life of a child. */
_Noreturn static void
live(const struct settings *set, size_t slot, pid_t parent)
{
	const struct kind *kind = &kinds[slot < NELEM(kinds) ? slot :
	    NELEM(kinds) - 1];
	char host[128] = "localhost", place[192];
	static struct seal *seal;
	struct ctx c = {
		.a = arena_new(),
		.db = db_new(set->database_url, kind->name),
		.set = set,
		.actor = { .kind = ACTOR_SYSTEM, .id = "system" },
		.seal = &seal,
	};
	int rc;

	/* Not SIGKILL: what is begun is to be finished. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) +
	    kind->nice);
	catch_stop();
	if (getppid() != parent)
		_exit(0);
	gethostname(host, sizeof(host) - 1);
	snprintf(place, sizeof(place), "%s/%d.%zu.", host, (int)parent, slot);
	rc = kind->run(&c, place);
	db_free(c.db);
	arena_free(c.a);
	exit(rc);
}

static void
fill(struct slot *slots, size_t i, const struct settings *set)
{
	pid_t parent = getpid(), pid = fork();
	struct slot *s = &slots[i];

	if (pid == 0)
		live(set, i, parent);
	s->due_us = mono_us() + backoff_next(&s->wait) * 1000;
	if (pid < 0) {
		log_error("a child cannot be started", "error",
		    strerror(errno), NULL);
		return;
	}
	s->pid = pid;
	s->born_us = mono_us();
}

static void
bury(struct slot *slots, size_t n, pid_t pid, int status)
{
	char number[24], how[40];

	for (size_t i = 0; i < n; i++) {
		if (slots[i].pid != pid)
			continue;
		slots[i].pid = 0;
		if (mono_us() - slots[i].born_us > HEALTHY_US)
			slots[i].wait.now = 0;
		slots[i].due_us = mono_us() + slots[i].wait.now * 1000;
		/* One that ended by itself begins anew. */
		if (stopping() || status == 0)
			return;
		snprintf(number, sizeof(number), "%d", (int)pid);
		snprintf(how, sizeof(how), WIFSIGNALED(status) ?
		    "killed by signal %d" : "exit status %d",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status));
		log_warn("a child died and is replaced", "pid", number,
		    "how", how, NULL);
	}
}

static size_t
alive(const struct slot *slots, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += slots[i].pid != 0;
	return k;
}

static void
signal_all(const struct slot *slots, size_t n, int sig)
{
	for (size_t i = 0; i < n; i++)
		if (slots[i].pid != 0)
			kill(slots[i].pid, sig);
}

/* Wait for a signal, a tenth of a second at most, and see who died. */
static void
attend(struct slot *slots, size_t n)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	sigset_t set = awaited();
	int status, sig = sigtimedwait(&set, NULL, &tenth);
	pid_t pid;

	if (sig == SIGTERM || sig == SIGINT)
		stop_asked = 1;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury(slots, n, pid, status);
}

int
supervise(const struct settings *set)
{
	size_t n = NELEM(kinds) - 1 + (size_t)set->renewal_concurrency;
	struct slot slots[SLOTS_MAX] = { 0 };
	sigset_t signals = awaited();
	int64_t end;

	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (size_t i = 0; i < n; i++)
		slots[i].wait = (struct backoff){ 100, 5000, 0 };
	while (!stopping()) {
		for (size_t i = 0; i < n; i++)
			if (slots[i].pid == 0 && slots[i].due_us <= mono_us())
				fill(slots, i, set);
		attend(slots, n);
	}
	signal_all(slots, n, SIGTERM);
	end = mono_us() + (int64_t)STOP_S * 1000000;
	while (alive(slots, n) > 0 && mono_us() < end)
		attend(slots, n);
	if (alive(slots, n) > 0)
		log_warn("children that would not end are killed", NULL);
	signal_all(slots, n, SIGKILL);
	return 0;
}
