#include "agent/signals.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "http/http.h"

static const int ours[] = { SIGTERM, SIGINT, SIGCHLD };

static volatile sig_atomic_t stopping;
static struct http *volatile current;

static void
on_signal(int sig)
{
	struct http *h = current;

	if (sig == SIGCHLD)
		return;		/* it ends a wait, no more */
	stopping = 1;
	if (h != NULL)
		http_cancel(h);
}

static void
set_mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&set, ours[i]);
	sigprocmask(how, &set, NULL);
}

void
signals_init(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	set_mask(SIG_BLOCK);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaction(ours[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool
signals_stopping(void)
{
	return stopping != 0;
}

void
signals_allow(struct http *h)
{
	current = h;
	set_mask(SIG_UNBLOCK);
}

void
signals_hold(void)
{
	set_mask(SIG_BLOCK);
	current = NULL;
}

void
signals_wait(int64_t ms)
{
	const struct timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};
	sigset_t none;

	sigemptyset(&none);
	ppoll(NULL, 0, &ts, &none);
}
