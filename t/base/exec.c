#include "base/exec.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/util.h"

enum { LIMIT_MS = 5000 };

static struct arena *a;
static struct err e;

static void
setup(void)
{
	a = arena_new();
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(exec, .init = setup, .fini = teardown, .timeout = 30);

static int
sh(const char *script, int64_t timeout_ms, struct exec_result *r)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	return exec_run(a, argv, NULL, timeout_ms, r, &e);
}

Test(exec, tells_status_and_output)
{
	static const struct {
		const char *script;
		int status;
		const char *output;
	} cases[] = {
		{ "exit 0", 0, "" },
		{ "echo out; echo err >&2; exit 3", 3, "out\nerr\n" },
		{ "kill -TERM $$", 128 + SIGTERM, "" },
		{ "cat", 0, "" },		/* stdin is empty */
		{ "pwd; umask", 0, "/\n0022\n" },
		{ "ls /proc/self/fd | wc -l", 0, "4\n" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct exec_result r = { 0 };

		cr_expect_eq(sh(cases[i].script, LIMIT_MS, &r), 0);
		cr_expect_eq(r.status, cases[i].status, "%s: %d",
		    cases[i].script, r.status);
		cr_expect_str_eq(r.output, cases[i].output);
	}
}

Test(exec, uses_no_shell)
{
	const char *const argv[] = { "echo", "$HOME;", "`id`", "*", NULL };
	struct exec_result r;

	cr_assert_eq(exec_run(a, argv, NULL, LIMIT_MS, &r, &e), 0);
	cr_expect_str_eq(r.output, "$HOME; `id` *\n");
}

Test(exec, passes_a_clean_environment)
{
	const char *const argv[] = { "env", NULL };
	const char *const env[] = { "CERTCTL_DNS_DOMAIN=example.org", NULL };
	struct exec_result r;

	setenv("CERTCTL_API_KEY", "secret", 1);
	cr_assert_eq(exec_run(a, argv, env, LIMIT_MS, &r, &e), 0);
	cr_expect_str_eq(r.output, "PATH=/usr/local/sbin:/usr/local/bin:"
	    "/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n"
	    "CERTCTL_DNS_DOMAIN=example.org\n");
}

Test(exec, resets_what_we_do_with_signals)
{
	struct exec_result r;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(sh("kill -TERM $$; echo alive", LIMIT_MS, &r), 0);
	cr_expect_eq(r.status, 128 + SIGTERM);
	cr_assert_eq(sh("kill -PIPE $$; echo alive", LIMIT_MS, &r), 0);
	cr_expect_eq(r.status, 128 + SIGPIPE);
}

Test(exec, says_what_cannot_be_started)
{
	const char *const argv[] = { "/no/such/program", NULL };
	struct exec_result r;

	cr_assert_eq(exec_run(a, argv, NULL, LIMIT_MS, &r, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_str_eq(e.msg,
	    "cannot run /no/such/program: No such file or directory");
}

Test(exec, keeps_a_bounded_part_of_the_output)
{
	const char *const argv[] = { "seq", "1", "100000", NULL };
	struct exec_result r;

	cr_assert_eq(exec_run(a, argv, NULL, LIMIT_MS, &r, &e), 0);
	cr_expect_eq(r.status, 0);
	cr_expect_eq(strlen(r.output), EXEC_MAX_OUTPUT);
	cr_expect(strncmp(r.output, "1\n2\n3\n", 6) == 0);
}

Test(exec, kills_the_whole_group_when_time_is_up)
{
	int64_t start = mono_us();
	struct exec_result r;
	char pid_file[] = "/tmp/certctl-exec-XXXXXX", pid[32] = "";
	int status;
	FILE *f;

	/* So that the orphan of the killed shell is ours to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close(mkstemp(pid_file));
	cr_assert_eq(sh(arena_printf(a, "sleep 60 & echo $! >%s; wait",
	    pid_file), 300, &r), -1);
	cr_expect_eq(e.code, E_TIMEOUT, "%s", e.msg);
	cr_expect_lt(mono_us() - start, 3000000);
	f = fopen(pid_file, "r");
	cr_assert_not_null(fgets(pid, sizeof(pid), f));
	fclose(f);
	unlink(pid_file);
	cr_assert_eq(waitpid(atoi(pid), &status, 0), atoi(pid));
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(exec, does_not_wait_for_a_daemon_left_behind)
{
	int64_t start = mono_us();
	struct exec_result r;

	cr_assert_eq(sh("sleep 3 & echo started", LIMIT_MS, &r), 0);
	cr_expect_str_eq(r.output, "started\n");
	cr_expect_lt(mono_us() - start, 2000000);
}
