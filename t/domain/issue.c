#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain/issue.h"
#include "domain/opened.h"
#include "domain/sweep.h"
#include "domain/work.h"
#include "fixture.h"
#include "sign/sign.h"

static struct texts
claim(struct ctx *c, const char *worker)
{
	struct texts ids;
	struct err e = { 0 };

	cr_assert_eq(work_claim(c, worker, 8, &ids, &e), 0, "%s: %s", e.msg,
	    e.detail);
	return ids;
}

/* Claim and run the one job there is. */
static struct issue_outcome
run_one(struct ctx *c, const char *worker)
{
	struct texts ids = claim(c, worker);
	struct issue_outcome out;
	struct err e = { 0 };

	cr_assert_eq(ids.n, 1);
	cr_assert_eq(issue_job(c, ids.v[0], worker, &out, &e), 0, "%s: %s",
	    e.msg, e.detail);
	return out;
}

static void
sweep(int (*fn)(struct ctx *, int64_t *, struct err *), struct ctx *c)
{
	struct err e = { 0 };
	int64_t n;

	cr_assert_eq(fn(c, &n, &e), 0, "%s: %s", e.msg, e.detail);
}

#define ALL_RESOLVED							\
	"SELECT count(*) FROM issuance_intents WHERE resolved_at IS NULL"

Test(issue, stores_the_certificate_and_all_that_follows)
{
	struct ctx *c = t_ctx();
	struct issue_outcome out;

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	out = run_one(c, "w");
	cr_assert_eq(out.end, ISSUE_DONE, "%s: %s", out.why.msg,
	    out.why.detail);
	cr_expect_str_eq(t_text("SELECT serial_number FROM "
	    "certificate_versions v JOIN jobs j ON j.version_id = v.id "
	    "WHERE j.id = 'j' AND j.status = 'Completed'"), out.serial);
	cr_expect_eq(t_number("SELECT count(*) FROM managed_certificates "
	    "WHERE status = 'Active' AND expires_at > now() + '89 days' "
	    "AND issued_at > now() - interval '1 minute' "
	    "AND last_renewal_at IS NOT NULL"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE type = "
	    "'Deployment' AND status = 'Pending' AND agent_id = 'a' "
	    "AND target_id = 'c-target' AND version_id = (SELECT id FROM "
	    "certificate_versions)"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'renewal_job_completed' AND resource_id = 'c' AND "
	    "actor_type = 'System' AND details ->> 'serial' = '%s' "
	    "AND details ->> 'job_id' = 'j'", out.serial), 1);
	cr_expect_eq(t_number(ALL_RESOLVED), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM issuers WHERE "
	    "ca_cert_pem LIKE '-----BEGIN%%'"), 1);
	/* Leaf first, then its issuer. */
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions, "
	    "issuers i WHERE right(pem_chain, length(ca_cert_pem)) = "
	    "ca_cert_pem AND length(pem_chain) > length(ca_cert_pem) + 300"),
	    1);
	opened_close();
}

Test(issue, refuses_what_may_not_be_issued)
{
	static const struct {
		const char *spoil, *reason;	/* LIKE */
		bool new_csr;			/* asked for when retried */
	} cases[] = {
		{ "UPDATE jobs SET csr_pem = 'nonsense'", "%", true },
		{ "UPDATE certificate_profiles SET allowed_key_algorithms = "
		    "'[{\"algorithm\":\"RSA\",\"min_size\":2048}]'",
		    "%does not allow a key%", true },
		{ "UPDATE certificate_profiles SET required_san_patterns = "
		    "'{*.other.org}'", "%does not allow the name%", true },
		{ "UPDATE certificate_profiles SET enabled = false",
		    "profile \"p\" is disabled", false },
		{ "UPDATE certificate_profiles SET allowed_key_algorithms = "
		    "'[{\"algorithm\":\"DSA\"}]'", "profile \"p\": %", false },
		{ "UPDATE issuers SET enabled = false",
		    "issuer \"iss-local\" is disabled", false },
		{ "UPDATE issuers SET type = 'EJBCA'",
		    "issuer \"iss-local\": %", false },
		{ "UPDATE issuers SET config = '{\"nonsense\": 1}'",
		    "issuer \"iss-local\": %", false },
		{ "UPDATE issuers SET encrypted_config = 'xyz'",
		    "issuer \"iss-local\": %", false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();
		struct issue_outcome out;

		t_certificate("c");
		t_job("j", "c", t_csr("c.example.com"));
		t_sql("%s", cases[i].spoil);
		out = run_one(c, "w");
		cr_expect_eq(out.end, ISSUE_FAILED, "%s", cases[i].spoil);
		cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE id = "
		    "'j' AND status = 'Failed' AND last_error <> '' AND "
		    "last_error LIKE '%s' AND scheduled_at > now() + "
		    "interval '50 seconds'", cases[i].reason), 1,
		    "%s: %s", cases[i].spoil,
		    t_text("SELECT last_error FROM jobs"));
		cr_expect_eq(t_number("SELECT count(*) FROM audit_events "
		    "WHERE action = 'renewal_job_failed'"), 1);
		cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents"),
		    0);
		t_sql("UPDATE jobs SET scheduled_at = now()");
		sweep(sweep_retry, c);
		cr_expect_str_eq(t_text("SELECT status FROM jobs"),
		    cases[i].new_csr ? "AwaitingCSR" : "Pending", "%s",
		    cases[i].spoil);
		opened_close();
	}
}

Test(issue, of_an_archived_certificate_fails_for_good)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	t_sql("UPDATE managed_certificates SET status = 'Archived'");
	cr_expect_eq(run_one(c, "w").end, ISSUE_FAILED);
	t_sql("UPDATE jobs SET scheduled_at = now()");
	sweep(sweep_retry, c);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE status = "
	    "'Failed' AND attempts = max_attempts"), 1);
	cr_expect_str_eq(t_text("SELECT status FROM managed_certificates"),
	    "Archived");
}

/* Run the job in a process of its own that gets as far as its signature. */
static pid_t
begin_and_hang(struct ctx *c, const char *worker)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct ctx *own = t_ctx_again();
		struct texts ids;
		struct issue_outcome out;
		struct err e;

		if (work_claim(own, worker, 8, &ids, &e) == 0)
			issue_job(own, ids.v[0], worker, &out, &e);
		_exit(0);
	}
	(void)c;
	t_await(1, ALL_RESOLVED);
	/* It waits for the certificate's lock now, signature in hand. */
	t_await(1, "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a "
	    "USING (pid) WHERE NOT l.granted AND a.datname = "
	    "current_database()");
	return pid;
}

static void
kill_hard(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define HOLD								\
	"SELECT FROM managed_certificates WHERE id = 'c' FOR NO KEY UPDATE"

Test(issue, killed_after_the_signature_is_finished_with_the_same_serial)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	struct issue_outcome out;
	const char *serial;
	void *held;
	pid_t pid;

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	held = t_hold(HOLD);
	pid = begin_and_hang(c, "dead");
	serial = t_text("SELECT serial_number FROM issuance_intents");
	kill_hard(pid);
	/* Its session has no client any more, but does not know it yet. */
	t_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	    "wait_event_type = 'Lock' AND datname = current_database()");
	t_let_go(held);
	cr_expect_eq(claim(c, "w").n, 0, "the lease holds");
	cr_assert_eq(work_release(c, "dea", NULL, &e), 0, "%s", e.msg);
	out = run_one(c, "w");
	cr_assert_eq(out.end, ISSUE_DONE, "%s", out.why.msg);
	cr_expect_str_eq(out.serial, serial);
	cr_expect_str_eq(t_text("SELECT serial_number FROM "
	    "certificate_versions"), serial);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents"), 1);
	cr_expect_eq(t_number(ALL_RESOLVED), 0);
	cr_expect_eq(t_number("SELECT attempts FROM jobs WHERE id = 'j'"), 2);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE type = "
	    "'Deployment'"), 1);
}

Test(issue, cancelled_meanwhile_is_stored_but_not_deployed)
{
	struct ctx *c = t_ctx();
	void *held;
	pid_t pid;

	(void)c;
	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	held = t_hold(HOLD);
	pid = begin_and_hang(c, "w");
	t_sql("UPDATE jobs SET status = 'Cancelled' WHERE id = 'j'");
	t_let_go(held);
	waitpid(pid, NULL, 0);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 1);
	cr_expect_eq(t_number(ALL_RESOLVED), 0);
	cr_expect_str_eq(t_text("SELECT status FROM jobs WHERE id = 'j'"),
	    "Cancelled");
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM managed_certificates "
	    "WHERE expires_at IS NULL"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'certificate_stored'"), 1);
}

Test(issue, a_forgotten_intent_is_finished_by_the_sweep)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	const char *serial;
	void *held;
	int64_t n;

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	held = t_hold(HOLD);
	kill_hard(begin_and_hang(c, "dead"));
	t_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	    "wait_event_type = 'Lock' AND datname = current_database()");
	t_let_go(held);
	serial = t_text("SELECT serial_number FROM issuance_intents");
	cr_assert_eq(issue_open_intents(c, 0, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 0, "its job is still Running");
	t_sql("UPDATE jobs SET status = 'Cancelled'");
	cr_assert_eq(issue_open_intents(c, 300, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 0, "it is too young");
	cr_assert_eq(issue_open_intents(c, 0, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 1);
	cr_expect_str_eq(t_text("SELECT serial_number FROM "
	    "certificate_versions"), serial);
	cr_expect_eq(t_number(ALL_RESOLVED), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 1);
	cr_assert_eq(issue_open_intents(c, 0, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 0);
}

Test(issue, an_intent_for_an_earlier_csr_does_not_answer_the_new_one)
{
	struct ctx *c = t_ctx();
	struct issue_outcome out;
	struct err e = { 0 };
	const char *old;
	void *held;

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	held = t_hold(HOLD);
	kill_hard(begin_and_hang(c, "dead"));
	t_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	    "wait_event_type = 'Lock' AND datname = current_database()");
	t_let_go(held);
	old = t_text("SELECT serial_number FROM issuance_intents");
	cr_assert_eq(work_release(c, "dea", NULL, &e), 0);
	t_sql("UPDATE jobs SET csr_pem = '%s'", t_csr("c.example.com"));
	out = run_one(c, "w");
	cr_assert_eq(out.end, ISSUE_DONE, "%s", out.why.msg);
	cr_expect_str_neq(out.serial, old);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 2);
	cr_expect_str_eq(t_text("SELECT serial_number FROM "
	    "certificate_versions v JOIN jobs j ON j.version_id = v.id "
	    "WHERE j.id = 'j'"), out.serial);
	cr_expect_eq(t_number(ALL_RESOLVED), 0);
}

Test(issue, deploys_to_the_targets_of_the_keys_agent_only)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	t_sql("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES "
	    "('b', 'b', 'b', 'b');"
	    "INSERT INTO deployment_targets (id, name, type, agent_id, "
	    "enabled, retired_at) VALUES ('other', 'x', 'NGINX', 'b', true, "
	    "NULL), ('off', 'y', 'NGINX', 'a', false, NULL), ('gone', 'z', "
	    "'NGINX', 'a', true, now());"
	    "INSERT INTO certificate_target_mappings VALUES ('c', 'other'), "
	    "('c', 'off'), ('c', 'gone')");
	t_job("j", "c", t_csr("c.example.com"));
	cr_expect_eq(run_one(c, "w").end, ISSUE_DONE);
	cr_expect_str_eq(t_text("SELECT string_agg(target_id, ',') FROM jobs "
	    "WHERE type = 'Deployment'"), "c-target");
}

Test(issue, a_waiting_deployment_gets_the_newer_version)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	t_job("j1", "c", t_csr("c.example.com"));
	cr_expect_eq(run_one(c, "w").end, ISSUE_DONE);
	t_job("j2", "c", t_csr("c.example.com"));
	cr_expect_eq(run_one(c, "w").end, ISSUE_DONE);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs d JOIN jobs j ON "
	    "j.version_id = d.version_id WHERE d.type = 'Deployment' "
	    "AND j.id = 'j2'"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE type = "
	    "'Deployment'"), 1);
}

Test(issue, of_another_workers_job_does_nothing)
{
	struct ctx *c = t_ctx();
	struct issue_outcome out;
	struct err e = { 0 };

	t_certificate("c");
	t_job("j", "c", t_csr("c.example.com"));
	cr_assert_eq(claim(c, "w").n, 1);
	cr_assert_eq(issue_job(c, "j", "v", &out, &e), 0);
	cr_expect_eq(out.end, ISSUE_GONE);
	cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents"), 0);
	cr_expect_str_eq(t_text("SELECT status FROM jobs"), "Running");
}

Test(issue, loses_its_lock_on_a_job_that_another_took_over)
{
	struct ctx *c = t_ctx();
	struct issue_outcome out;
	struct err e = { 0 };

	t_certificate("c");
	t_job("j", "c", "nonsense");
	cr_assert_eq(claim(c, "slow").n, 1);
	t_sql("UPDATE jobs SET leased_until = now() - interval '1 second'");
	cr_assert_eq(claim(c, "quick").n, 1);
	cr_assert_eq(issue_job(c, "j", "slow", &out, &e), 0);
	cr_expect_eq(out.end, ISSUE_GONE);
	cr_expect_str_eq(t_text("SELECT worker FROM jobs WHERE status = "
	    "'Running'"), "quick");
}

Test(issue, two_issuers_of_one_state_share_one_ca)
{
	struct ctx *c = t_ctx(), *d = t_ctx_again();

	t_certificate("c");
	t_certificate("d");
	t_job("j1", "c", t_csr("c.example.com"));
	cr_expect_eq(run_one(c, "w").end, ISSUE_DONE);
	opened_close();
	t_job("j2", "d", t_csr("d.example.com"));
	cr_expect_eq(run_one(d, "v").end, ISSUE_DONE);
	cr_expect_eq(t_number("SELECT count(DISTINCT right(pem_chain, 200)) "
	    "FROM certificate_versions"), 1);
}

Test(work, claims_what_is_due_and_nothing_else)
{
	static const struct {
		const char *change;
		size_t want;
	} cases[] = {
		{ "SELECT 1", 1 },
		{ "UPDATE jobs SET status = 'AwaitingCSR', csr_pem = ''", 0 },
		{ "UPDATE jobs SET csr_pem = ''", 0 },
		{ "UPDATE jobs SET scheduled_at = now() + '1 minute'", 0 },
		{ "UPDATE jobs SET type = 'Deployment'", 0 },
		{ "UPDATE jobs SET status = 'Cancelled'", 0 },
		{ "UPDATE jobs SET status = 'Running', leased_until = now() "
		    "+ '1 minute'", 0 },
		{ "UPDATE jobs SET status = 'Running', leased_until = now() "
		    "- interval '1 second'", 1 },
		{ "UPDATE jobs SET status = 'Running', leased_until = now() "
		    "- interval '1 second', attempts = max_attempts", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();

		t_certificate("c");
		t_job("j", "c", "csr");
		t_sql("%s", cases[i].change);
		cr_expect_eq(claim(c, "w").n, cases[i].want, "%s",
		    cases[i].change);
		cr_expect_eq(claim(c, "v").n, 0, "%s", cases[i].change);
	}
}

Test(work, a_job_whose_holders_keep_dying_is_given_up)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	t_job("j", "c", "csr");
	cr_assert_eq(claim(c, "w").n, 1);
	t_sql("UPDATE jobs SET attempts = 3, leased_until = now() - "
	    "interval '1 second'");
	cr_expect_eq(claim(c, "w").n, 0);
	sweep(sweep_retry, c);
	cr_expect_str_eq(t_text("SELECT last_error FROM jobs WHERE status = "
	    "'Failed'"), "given up: begun 3 times and never finished");
	cr_expect_str_eq(t_text("SELECT status FROM managed_certificates"),
	    "Failed");
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'job_timeout'"), 1);
}

Test(work, only_what_was_begun_counts_as_an_attempt)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };

	t_certificate("c");
	t_job("j", "c", "nonsense");
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(claim(c, "w").n, 1);
		cr_assert_eq(work_release(c, "w", NULL, &e), 0);
	}
	cr_expect_eq(t_number("SELECT attempts FROM jobs"), 0);
	t_sql("UPDATE jobs SET attempts = 2");
	cr_assert_eq(claim(c, "w").n, 1);
	cr_assert_eq(work_release(c, "v", "j", &e), 0, "another's");
	cr_assert_eq(work_release(c, "w", "j", &e), 0);
	cr_expect_eq(t_number("SELECT attempts FROM jobs"), 1);
}

Test(issue, waits_for_a_signer_that_is_not_there)
{
	struct ctx *c = t_ctx();
	const char *serial;

	t_certificate("a1");
	t_job("j1", "a1", t_csr("a1.example.com"));
	sign_use("/nonexistent/signer.sock");
	cr_expect_eq(run_one(c, "w").end, ISSUE_WAITS, "with it not opened");
	sign_use(c->set->signer_socket);
	t_sql("UPDATE jobs SET leased_until = '-infinity'");
	cr_assert_eq(run_one(c, "w").end, ISSUE_DONE);
	cr_expect_eq(t_number("SELECT attempts FROM jobs WHERE id = 'j1'"), 1);

	t_certificate("a2");
	t_job("j2", "a2", t_csr("a2.example.com"));
	sign_use("/nonexistent/signer.sock");
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(run_one(c, "w").end, ISSUE_WAITS);
		cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE "
		    "leased_until BETWEEN now() AND now() + '3 s'"), 1);
		t_sql("UPDATE jobs SET leased_until = '-infinity' "
		    "WHERE id = 'j2'");
	}
	serial = t_text("SELECT serial_number FROM issuance_intents "
	    "WHERE resolved_at IS NULL");
	sign_use(c->set->signer_socket);
	cr_assert_eq(run_one(c, "w").end, ISSUE_DONE);
	cr_expect_eq(t_number("SELECT attempts FROM jobs WHERE id = 'j2'"), 1);
	cr_expect_str_eq(t_text("SELECT serial_number FROM "
	    "certificate_versions WHERE certificate_id = 'a2'"), serial);
	opened_close();
}
