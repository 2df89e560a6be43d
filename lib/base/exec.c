#include "base/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/util.h"

enum {
	TICK_MS = 20,	/* an exit is seen as late if a daemon keeps the pipe */
	DRAIN = 16,	/* reads that empty a full pipe */
};

struct child {
	pid_t pid;
	int out;	/* its stdout and stderr */
	int report;	/* errno if the program cannot be started, else EOF */
};

static char **
environment(struct arena *a, const char *const *env)
{
	size_t n = 0, fixed = 2;
	char **v;

	while (env != NULL && env[n] != NULL)
		n++;
	v = arena_zalloc(a, (n + fixed + 1) * sizeof(*v));
	v[0] = arena_strdup(a, "PATH=/usr/local/sbin:/usr/local/bin:"
	    "/usr/sbin:/usr/bin:/sbin:/bin");
	v[1] = arena_strdup(a, "LC_ALL=C");
	for (size_t i = 0; i < n; i++)
		v[fixed + i] = arena_strdup(a, env[i]);
	return v;
}

static void
default_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, between fork and exec. */
static _Noreturn void
become(const char *const *argv, char **env, int out, int report)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), why;

	setpgid(0, 0);
	default_signals();
	umask(022);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
	    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
	    chdir("/") == 0) {
		environ = env;
		execvp(argv[0], (char *const *)(uintptr_t)argv);
	}
	why = errno;
	while (write(report, &why, sizeof(why)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static void
close_pair(const int p[2])
{
	close(p[0]);
	close(p[1]);
}

static int
start(const char *const *argv, char **env, struct child *c, struct err *e)
{
	int out[2], report[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(e, E_INTERNAL, "pipe: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) < 0) {
		close_pair(out);
		return err_set(e, E_INTERNAL, "pipe: %s", strerror(errno));
	}
	c->pid = fork();
	if (c->pid == 0)
		become(argv, env, out[1], report[1]);
	if (c->pid < 0) {
		close_pair(out);
		close_pair(report);
		return err_set(e, E_INTERNAL, "fork: %s", strerror(errno));
	}
	/* On both sides: whoever comes first, the group exists from here on. */
	setpgid(c->pid, c->pid);
	close(out[1]);
	close(report[1]);
	c->out = out[0];
	c->report = report[0];
	return 0;
}

/* Read what is there into B; false at end of file. */
static bool
collect(int fd, struct buf *b)
{
	char tmp[4096];
	ssize_t n = read(fd, tmp, sizeof(tmp));
	size_t room = EXEC_MAX_OUTPUT - b->len;

	if (n > 0)
		buf_add(b, tmp, (size_t)n < room ? (size_t)n : room);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* Until the program exits; false if DEADLINE (mono_us) passes before. */
static bool
wait_exit(const struct child *c, int64_t deadline, struct buf *b, int *status)
{
	struct pollfd p = { .fd = c->out, .events = POLLIN };
	int64_t left;

	while (waitpid(c->pid, status, WNOHANG) != c->pid) {
		left = (deadline - mono_us()) / 1000;
		if (left <= 0)
			return false;
		p.revents = 0;
		poll(&p, 1, left < TICK_MS ? (int)left : TICK_MS);
		if (p.revents != 0 && !collect(c->out, b))
			p.fd = -1;
	}
	/* What is in the pipe now; a daemon left behind may write for ever. */
	p.fd = c->out;
	for (int i = 0; i < DRAIN; i++)
		if (poll(&p, 1, 0) <= 0 || !collect(c->out, b))
			break;
	return true;
}

/* errno of a program that could not be started, or 0. */
static int
start_errno(const struct child *c)
{
	int why;
	ssize_t n;

	do
		n = read(c->report, &why, sizeof(why));
	while (n < 0 && errno == EINTR);
	return n == sizeof(why) ? why : 0;
}

int
exec_run(struct arena *a, const char *const *argv, const char *const *env,
    int64_t timeout_ms, struct exec_result *out, struct err *e)
{
	int64_t deadline = mono_us() + timeout_ms * 1000;
	struct buf b = BUF(a);
	struct child c = { 0 };
	int status = 0, why, rc = 0;

	if (start(argv, environment(a, env), &c, e) < 0)
		return -1;
	if ((why = start_errno(&c)) != 0) {
		waitpid(c.pid, NULL, 0);
		rc = err_set(e, E_INVALID, "cannot run %s: %s", argv[0],
		    strerror(why));
	} else if (!wait_exit(&c, deadline, &b, &status)) {
		kill(-c.pid, SIGKILL);
		waitpid(c.pid, NULL, 0);
		rc = err_set(e, E_TIMEOUT, "%s did not end within %lld s",
		    argv[0], (long long)timeout_ms / 1000);
	}
	close(c.report);
	close(c.out);
	if (rc < 0)
		return -1;
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
	out->output = buf_str(&b);
	return 0;
}
