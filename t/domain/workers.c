/* The program itself, as processes. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fixture.h"

enum {
	CHILDREN = 4,		/* that issue */
	OTHERS = 3,		/* scheduler, publisher, long CRLs */
	JOBS = 300,
};

#ifdef __SANITIZE_ADDRESS__
#define RESIDENT_MAX_KB (200 * 1024)	/* what the sanitizers need */
#else
#define RESIDENT_MAX_KB (20 * 1024)
#endif

static const char *
program(void)
{
	static char path[512];
	const char *dir = getenv("CERTCTL_TEST_BIN");

	snprintf(path, sizeof(path), "%s/certctl-workers",
	    dir != NULL ? dir : ".");
	return path;
}

/* Start it on this test's database; FLAG may be NULL. */
static pid_t
start(struct ctx *c, const char *flag)
{
	pid_t pid = fork();
	char children[8];
	int null;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_WRONLY);
	if (getenv("CERTCTL_TEST_VERBOSE") == NULL) {
		dup2(null, 1);
		dup2(null, 2);
	}
	snprintf(children, sizeof(children), "%d", CHILDREN);
	setenv("CERTCTL_DATABASE_URL", t_database_url(), 1);
	setenv("CERTCTL_STATE_DIR", c->set->state_dir, 1);
	setenv("CERTCTL_SIGNER_SOCKET", c->set->signer_socket, 1);
	setenv("CERTCTL_RENEWAL_CONCURRENCY", children, 1);
	setenv("CERTCTL_SCHEDULER_RETRY_INTERVAL", "1s", 1);
	execl(program(), "certctl-workers", flag, NULL);
	_exit(127);
}

static int
end_of(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

static int
stop(pid_t pid)
{
	kill(pid, SIGTERM);
	return end_of(pid);
}

/* The children of PID, as many as there is room for. */
static int
children_of(pid_t pid, pid_t *out, int max)
{
	char path[64];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
	    (int)pid);
	f = fopen(path, "r");
	while (f != NULL && n < max && fscanf(f, "%d", &out[n]) == 1)
		n++;
	if (f != NULL)
		fclose(f);
	return n;
}

static long
resident_kb(pid_t pid)
{
	char path[64], line[128];
	long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "VmRSS: %ld", &kb);
	if (f != NULL)
		fclose(f);
	return kb;
}

/* JOBS certificates, each with a job whose CSR has come. */
static void
fill_queue(void)
{
	t_sql("INSERT INTO managed_certificates (id, name, common_name, "
	    "owner_id, team_id, issuer_id, renewal_policy_id, "
	    "certificate_profile_id, status) SELECT 'c' || i, 'c' || i, "
	    "'c.example.com', 'o', 't', 'iss-local', 'rp-default', 'p', "
	    "'RenewalInProgress' FROM generate_series(1, %d) i;"
	    "INSERT INTO deployment_targets (id, name, type, agent_id) "
	    "VALUES ('tg', 'tg', 'NGINX', 'a');"
	    "INSERT INTO certificate_target_mappings SELECT id, 'tg' "
	    "FROM managed_certificates;"
	    "INSERT INTO jobs (id, type, certificate_id, agent_id, status, "
	    "csr_pem, max_attempts) SELECT 'j' || i, 'Issuance', 'c' || i, "
	    "'a', 'Pending', '%s', 10 FROM generate_series(1, %d) i", JOBS,
	    t_csr("c.example.com"), JOBS);
}

#define COMPLETED "SELECT count(*) FROM jobs WHERE type = 'Issuance' AND " \
	"status = 'Completed'"

/* Everything happened, and nothing twice. */
static void
expect_all_once(int64_t attempts)
{
	t_await(JOBS, COMPLETED);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"),
	    JOBS);
	cr_expect_eq(t_number("SELECT count(DISTINCT serial_number) FROM "
	    "certificate_versions"), JOBS);
	cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents"), JOBS);
	cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents WHERE "
	    "resolved_at IS NULL"), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE type = "
	    "'Deployment' AND version_id IS NOT NULL"), JOBS);
	cr_expect_eq(t_number("SELECT count(*) FROM managed_certificates "
	    "WHERE status = 'Active' AND expires_at > now()"), JOBS);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'renewal_job_completed'"), JOBS);
	if (attempts > 0)
		cr_expect_eq(t_number("SELECT max(attempts) FROM jobs"),
		    attempts);
}

Test(workers, two_on_one_database_run_every_job_once, .timeout = 60)
{
	struct ctx *c = t_ctx();
	pid_t one, two, kids[16];
	int n;

	fill_queue();
	one = start(c, NULL);
	two = start(c, NULL);
	expect_all_once(1);
	cr_expect_gt(t_number("SELECT count(DISTINCT worker) FROM jobs WHERE "
	    "worker <> ''"), 1);
	n = children_of(one, kids, 16);
	cr_expect_eq(n, OTHERS + CHILDREN);
	for (int i = 0; i < n; i++)
		cr_expect_lt(resident_kb(kids[i]), RESIDENT_MAX_KB);
	cr_expect_lt(resident_kb(one), RESIDENT_MAX_KB);
	cr_expect_eq(stop(one), 0);
	cr_expect_eq(stop(two), 0);
}

static int
in_both(const pid_t *a, const pid_t *b, int n)
{
	int both = 0;

	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			both += a[i] == b[k];
	return both;
}

/* Its memory goes with the process. */
Test(workers, the_one_that_made_a_long_list_begins_anew, .timeout = 60)
{
	struct ctx *c = t_ctx();
	pid_t pid = start(c, NULL), before[16], after[16];
	int64_t end;
	int n;

	t_await(1, "SELECT count(*) FROM crls");
	n = children_of(pid, before, 16);
	cr_assert_eq(n, OTHERS + CHILDREN);
	t_sql("UPDATE crls SET revoked_count = 20001;"
	    "UPDATE ca_keys SET crl_wanted_at = now()");
	t_await(2, "SELECT max(number) FROM crls");
	end = mono_us() + 10000000;
	do {
		sleep_ms(20);
		n = children_of(pid, after, 16);
	} while ((n != OTHERS + CHILDREN || in_both(before, after, n) == n) &&
	    mono_us() < end);
	cr_expect_eq(in_both(before, after, n), n - 1);
	cr_expect_eq(stop(pid), 0);
}

Test(workers, killed_at_random_lose_and_double_nothing, .timeout = 120)
{
	struct ctx *c = t_ctx();
	pid_t pid, kids[16];
	int64_t end;
	int n;

	fill_queue();
	pid = start(c, NULL);
	end = mono_us() + 6000000;
	while (t_number("%s", COMPLETED) < JOBS && mono_us() < end) {
		n = children_of(pid, kids, 16);
		if (n > 0)
			kill(kids[random() % n], SIGKILL);
		sleep_ms(50 + random() % 50);
	}
	expect_all_once(0);
	cr_expect_eq(stop(pid), 0);
}

Test(workers, whose_parent_is_killed_finish_and_leave, .timeout = 60)
{
	struct ctx *c = t_ctx();
	pid_t pid, kids[16];
	int n;

	fill_queue();
	pid = start(c, NULL);
	t_await(1, "SELECT least(1, count(*)) FROM jobs WHERE "
	    "status = 'Completed'");
	n = children_of(pid, kids, 16);
	kill(pid, SIGKILL);
	end_of(pid);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < 200 && kill(kids[i], 0) == 0; k++)
			sleep_ms(20);
	/* Nothing is held any more, so others need not wait for leases. */
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE status = "
	    "'Running' AND leased_until > now()"), 0);
	pid = start(c, NULL);
	expect_all_once(0);
	cr_expect_eq(stop(pid), 0);
}

Test(workers, survive_a_lost_database_connection, .timeout = 60)
{
	struct ctx *c = t_ctx();
	pid_t pid;

	fill_queue();
	pid = start(c, NULL);
	for (int i = 0; i < 10; i++) {
		sleep_ms(60);
		t_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
		    "WHERE datname = current_database() AND "
		    "pid <> pg_backend_pid()");
	}
	expect_all_once(0);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE status = "
	    "'Failed'"), 0);
	cr_expect_eq(stop(pid), 0);
}

Test(workers, take_their_options)
{
	static const struct {
		const char *flag;
		int status;
	} cases[] = {
		{ "--version", 0 }, { "--help", 0 }, { "--check-config", 0 },
		{ "--migrate", 0 }, { "--nonsense", 2 }, { "nonsense", 2 },
	};
	struct ctx *c = t_ctx();

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(end_of(start(c, cases[i].flag)),
		    cases[i].status, "%s", cases[i].flag);
}

Test(workers, wait_for_a_database_that_is_not_there, .timeout = 30)
{
	struct ctx *c = t_ctx();
	pid_t pid;

	setenv("PGHOST", "/nonexistent", 1);
	pid = fork();
	if (pid == 0) {
		setenv("CERTCTL_DATABASE_URL", "host=/nonexistent", 1);
		setenv("CERTCTL_STATE_DIR", c->set->state_dir, 1);
		execl(program(), "certctl-workers", NULL);
		_exit(127);
	}
	sleep_ms(600);
	cr_expect_eq(waitpid(pid, NULL, WNOHANG), 0, "it waits");
	cr_expect_eq(stop(pid), 0);
}
