#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/sweep.h"
#include "fixture.h"

static int64_t
sweep(int (*fn)(struct ctx *, int64_t *, struct err *), struct ctx *c)
{
	struct err e = { 0 };
	int64_t n = -1;

	cr_assert_eq(fn(c, &n, &e), 0, "%s: %s", e.msg, e.detail);
	return n;
}

/* Certificate ID, issued LIFE_H hours before it ends, LEFT_H from now. */
static void
issued(const char *id, int life_h, int left_h, const char *status)
{
	t_certificate(id);
	t_sql("UPDATE managed_certificates SET status = '%s', "
	    "expires_at = now() + interval '%d hours', "
	    "issued_at = now() + interval '%d hours' WHERE id = '%s'", status,
	    left_h, left_h - life_h, id);
}

static const char *
status_of(const char *id)
{
	return t_text("SELECT status FROM managed_certificates WHERE id = "
	    "'%s'", id);
}

Test(renewals, begin_inside_the_window_and_not_before)
{
	enum { D = 24 };
	static const struct {
		const char *id;
		int life_h, left_h, window_d;
		bool auto_renew;
		const char *status, *want;
	} cases[] = {
		{ "due",   90 * D, 29 * D, 30, true, "Active",
		    "RenewalInProgress" },
		{ "early", 90 * D, 31 * D, 30, true, "Active", "Active" },
		{ "wide",  90 * D, 59 * D, 60, true, "Active",
		    "RenewalInProgress" },
		{ "short", 10 * D, 9 * D, 30, true, "Active", "Active" },
		{ "third", 10 * D, 3 * D, 30, true, "Active",
		    "RenewalInProgress" },
		{ "hours", 6, 3, 1, true, "Active", "Active" },
		{ "late",  6, 1, 1, true, "Active", "RenewalInProgress" },
		{ "over",  90 * D, -1, 30, true, "Active",
		    "RenewalInProgress" },
		{ "long over", 90 * D, -900 * D, 30, true, "Expired",
		    "RenewalInProgress" },
		{ "by hand", 90 * D, 10 * D, 30, false, "Active", "Expiring" },
		{ "by hand, early", 90 * D, 40 * D, 30, false, "Active",
		    "Active" },
		{ "by hand, over", 90 * D, -1, 30, false, "Expiring",
		    "Expired" },
		{ "revoked", 90 * D, 1 * D, 30, true, "Revoked", "Revoked" },
		{ "archived", 90 * D, 1 * D, 30, true, "Archived",
		    "Archived" },
		{ "failed", 90 * D, 1 * D, 30, true, "Failed", "Failed" },
	};
	struct ctx *c = t_ctx();

	for (size_t i = 0; i < NELEM(cases); i++) {
		issued(cases[i].id, cases[i].life_h, cases[i].left_h,
		    cases[i].status);
		t_sql("INSERT INTO renewal_policies (id, name, "
		    "renewal_window_days, auto_renew, max_retries) VALUES "
		    "('%s', '%s', %d, %s, 5); "
		    "UPDATE managed_certificates SET renewal_policy_id = id "
		    "WHERE id = '%s'", cases[i].id, cases[i].id,
		    cases[i].window_d, cases[i].auto_renew ? "true" : "false",
		    cases[i].id);
	}
	t_certificate("never issued");
	for (int again = 0; again < 2; again++) {
		sweep(sweep_renewals, c);
		for (size_t i = 0; i < NELEM(cases); i++) {
			bool renewed = streq(cases[i].want,
			    "RenewalInProgress");

			cr_expect_str_eq(status_of(cases[i].id),
			    cases[i].want, "%s", cases[i].id);
			cr_expect_eq(t_number("SELECT count(*) FROM jobs "
			    "WHERE certificate_id = '%s' AND type = 'Renewal' "
			    "AND status = 'AwaitingCSR' AND agent_id = 'a' "
			    "AND max_attempts = 5", cases[i].id), renewed,
			    "%s", cases[i].id);
			cr_expect_eq(t_number("SELECT count(*) FROM "
			    "audit_events WHERE action = "
			    "'renewal_job_created' AND resource_id = '%s'",
			    cases[i].id), renewed, "%s", cases[i].id);
		}
		cr_expect_str_eq(status_of("never issued"), "Pending");
	}
}

Test(renewals, make_one_job_for_each_agent_that_needs_a_key)
{
	struct ctx *c = t_ctx();

	issued("two", 2160, 24, "Active");
	issued("none", 2160, 24, "Active");
	t_sql("INSERT INTO agents (id, name, hostname, api_key_hash, "
	    "retired_at) VALUES ('b', 'b', 'b', 'b', NULL), ('r', 'r', 'r', "
	    "'r', now());"
	    "INSERT INTO deployment_targets (id, name, type, agent_id) VALUES "
	    "('b1', '1', 'NGINX', 'b'), ('b2', '2', 'NGINX', 'b'), "
	    "('r1', '1', 'NGINX', 'r');"
	    "INSERT INTO certificate_target_mappings VALUES ('two', 'b1'), "
	    "('two', 'b2'), ('two', 'r1');"
	    "DELETE FROM certificate_target_mappings WHERE certificate_id = "
	    "'none'");
	sweep(sweep_renewals, c);
	cr_expect_str_eq(t_text("SELECT string_agg(agent_id, ',' ORDER BY "
	    "agent_id) FROM jobs WHERE certificate_id = 'two'"), "a,b");
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE certificate_id "
	    "= 'none' AND agent_id IS NULL"), 1);
}

Test(renewals, leave_a_certificate_alone_whose_issuer_is_disabled)
{
	struct ctx *c = t_ctx();

	issued("c", 2160, 24, "Active");
	t_sql("UPDATE issuers SET enabled = false");
	sweep(sweep_renewals, c);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 0);
	cr_expect_str_eq(status_of("c"), "Expiring");
}

Test(renewals, of_short_lives_do_not_wait_for_the_hourly_check)
{
	struct ctx *c = t_ctx();

	issued("hours", 6, 1, "Active");
	issued("days", 2160, 24, "Active");
	sweep(sweep_short_renewals, c);
	cr_expect_str_eq(status_of("hours"), "RenewalInProgress");
	cr_expect_str_eq(status_of("days"), "Active");
}

Test(renewals, are_not_made_by_two_at_once)
{
	struct ctx *c = t_ctx();
	void *held = t_hold("SELECT pg_advisory_xact_lock(7236, 1)");

	issued("c", 2160, 24, "Active");
	cr_expect_eq(sweep(sweep_renewals, c), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 0);
	t_let_go(held);
	sweep(sweep_renewals, c);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 1);
}

Test(renewals, do_not_wait_for_a_certificate_somebody_holds)
{
	struct ctx *c = t_ctx();
	void *held;

	issued("c", 2160, 24, "Active");
	issued("d", 2160, 24, "Active");
	held = t_hold("SELECT FROM managed_certificates WHERE id = 'c' FOR "
	    "NO KEY UPDATE");
	sweep(sweep_renewals, c);
	cr_expect_str_eq(status_of("d"), "RenewalInProgress");
	cr_expect_str_eq(status_of("c"), "Active");
	t_let_go(held);
}

static const char *
alerts_of(const char *id)
{
	return t_text("SELECT coalesce(string_agg(threshold_days || ':' || "
	    "tier || ':' || channel, ' ' ORDER BY threshold_days DESC, "
	    "channel), '') FROM notification_events WHERE certificate_id = "
	    "'%s'", id);
}

Test(alerts, are_given_once_for_each_threshold_of_a_life)
{
	struct ctx *c = t_ctx();

	issued("c", 2160, 6 * 24, "Active");
	t_sql("UPDATE renewal_policies SET auto_renew = false");
	sweep(sweep_renewals, c);
	sweep(sweep_renewals, c);
	cr_expect_str_eq(alerts_of("c"), "30:informational:Email "
	    "14:warning:Email 7:warning:Email");
	cr_expect_eq(t_number("SELECT count(*) FROM notification_events WHERE "
	    "recipient = 'o@example.com' AND status = 'pending' AND type = "
	    "'ExpirationWarning' AND message LIKE 'certificate c expires at "
	    "2%%'"), 3);
	/* Renewed: another life, and another warning when that ends. */
	t_sql("UPDATE managed_certificates SET expires_at = now() + "
	    "interval '29 days', issued_at = now() - interval '61 days'");
	sweep(sweep_renewals, c);
	cr_expect_eq(t_number("SELECT count(*) FROM notification_events"), 4);
}

Test(alerts, follow_the_life_and_the_policy)
{
	static const struct {
		const char *id;
		int life_h, left_h;
		const char *policy, *want;
	} cases[] = {
		{ "fresh", 2160, 40 * 24, "", "" },
		{ "edge", 2160, 30 * 24 + 23, "", "30:informational:Email" },
		{ "short", 240, 9 * 24, "", "" },
		{ "last day", 240, 5, "", "0:critical:Email" },
		{ "expired", 2160, -5, "", "30:informational:Email "
		    "14:warning:Email 7:warning:Email 0:critical:Email" },
		{ "long gone", 2160, -31 * 24, "", "" },
		{ "channels", 2160, 8 * 24 + 1, ", alert_channels = "
		    "'{\"warning\": [\"Slack\", \"Email\"]}'",
		    "14:warning:Email 14:warning:Slack" },
		{ "tiers", 2160, 20 * 24, ", alert_severity_map = "
		    "'{\"30\": \"critical\"}'", "30:critical:Email" },
		{ "thresholds", 2160, 20 * 24, ", alert_thresholds_days = "
		    "'{25,25,22}'", "25:informational:Email "
		    "22:informational:Email" },
		{ "nonsense", 2160, 1, ", alert_channels = "
		    "'{\"critical\": 7}'", "" },
	};
	struct ctx *c = t_ctx();

	for (size_t i = 0; i < NELEM(cases); i++) {
		issued(cases[i].id, cases[i].life_h, cases[i].left_h,
		    "Active");
		t_sql("INSERT INTO renewal_policies (id, name) VALUES "
		    "('%s', '%s');"
		    "UPDATE renewal_policies SET auto_renew = false%s "
		    "WHERE id = '%s';"
		    "UPDATE managed_certificates SET renewal_policy_id = id "
		    "WHERE id = '%s'", cases[i].id, cases[i].id,
		    cases[i].policy, cases[i].id, cases[i].id);
	}
	t_certificate("never issued");
	sweep(sweep_renewals, c);
	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_str_eq(alerts_of(cases[i].id), cases[i].want, "%s",
		    cases[i].id);
	cr_expect_str_eq(alerts_of("never issued"), "");
	cr_expect_eq(t_number("SELECT count(*) FROM notification_events WHERE "
	    "certificate_id = 'expired' AND message LIKE '[EXPIRED]%%'"), 4);
	cr_expect_eq(t_number("SELECT count(*) FROM notification_events WHERE "
	    "certificate_id = 'last day' AND message LIKE '[EXPIRED]%%'"), 0);
}

/* A failed job ID of certificate C whose pause is over. */
static void
failed_job(const char *id, const char *more)
{
	t_sql("INSERT INTO jobs (id, type, certificate_id, target_id, "
	    "agent_id, status, attempts, max_attempts, scheduled_at, "
	    "created_at) VALUES ('%s', 'Deployment', 'c', 'c-target', 'a', "
	    "'Failed', 1, 3, now(), now() - interval '1 hour')", id);
	t_sql("UPDATE jobs SET %s WHERE id = '%s'", more, id);
}

Test(retry, begins_again_what_makes_sense_to)
{
	static const struct {
		const char *job, *world, *status;
		int attempts;
		const char *certificate;
	} cases[] = {
		{ "id = id", "", "Pending", 1, "Pending" },
		{ "scheduled_at = now() + interval '1 minute'", "", "Failed",
		    1, "Pending" },
		{ "attempts = 3", "", "Failed", 3, "Pending" },
		{ "type = 'Renewal', target_id = NULL", "", "AwaitingCSR", 1,
		    "RenewalInProgress" },
		{ "type = 'Renewal', target_id = NULL, csr_pem = 'csr'", "",
		    "Pending", 1, "RenewalInProgress" },
		{ "type = 'Renewal', target_id = NULL", "UPDATE "
		    "managed_certificates SET status = 'Revoked'", "Failed",
		    3, "Revoked" },
		{ "id = id", "UPDATE managed_certificates SET status = "
		    "'Archived'", "Failed", 3, "Archived" },
		{ "id = id", "UPDATE deployment_targets SET retired_at = "
		    "now()", "Failed", 3, "Pending" },
		{ "id = id", "UPDATE agents SET retired_at = now()", "Failed",
		    3, "Pending" },
		/* A newer deployment must not be undone by an older one. */
		{ "id = id", "INSERT INTO jobs (id, type, certificate_id, "
		    "target_id, agent_id, status) VALUES ('new', 'Deployment',"
		    " 'c', 'c-target', 'a', 'Completed')", "Failed", 3,
		    "Pending" },
		{ "id = id", "INSERT INTO jobs (id, type, certificate_id, "
		    "target_id, agent_id, status) VALUES ('new', 'Deployment',"
		    " 'c', 'c-target', 'a', 'Pending')", "Failed", 3,
		    "Pending" },
		{ "type = 'Renewal', target_id = NULL", "INSERT INTO jobs "
		    "(id, type, certificate_id, agent_id, status) VALUES "
		    "('new', 'Renewal', 'c', 'a', 'AwaitingCSR')", "Failed",
		    3, "Pending" },
		{ "type = 'Renewal', target_id = NULL", "INSERT INTO jobs "
		    "(id, type, certificate_id, agent_id, status) VALUES "
		    "('new', 'Renewal', 'c', NULL, 'AwaitingCSR')",
		    "AwaitingCSR", 1, "RenewalInProgress" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();

		t_certificate("c");
		failed_job("j", cases[i].job);
		t_sql("SELECT 1; %s", cases[i].world);
		for (int again = 0; again < 2; again++) {
			sweep(sweep_retry, c);
			cr_expect_str_eq(t_text("SELECT status || attempts "
			    "FROM jobs WHERE id = 'j'"), arena_printf(c->a,
			    "%s%d", cases[i].status, cases[i].attempts),
			    "%zu: %s", i, cases[i].world);
			cr_expect_str_eq(status_of("c"),
			    cases[i].certificate, "%zu: %s", i,
			    cases[i].world);
		}
		cr_expect_eq(t_number("SELECT count(*) FROM audit_events "
		    "WHERE action = 'job_retry'"),
		    !streq(cases[i].status, "Failed"));
	}
}

Test(retry, of_two_failed_jobs_for_one_purpose_begins_the_newer)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	failed_job("old", "type = 'Renewal', target_id = NULL, "
	    "created_at = now() - interval '2 hours'");
	failed_job("new", "type = 'Renewal', target_id = NULL");
	sweep(sweep_retry, c);
	cr_expect_str_eq(t_text("SELECT id FROM jobs WHERE status = "
	    "'AwaitingCSR'"), "new");
}

Test(retry, lets_a_certificate_rest_that_nothing_renews)
{
	static const struct {
		const char *expires_at, *job, *want;
	} cases[] = {
		{ "NULL", "status = 'Failed', attempts = 3", "Failed" },
		{ "now() - interval '1 day'", "status = 'Cancelled'",
		    "Expired" },
		{ "now() + interval '1 day'", "status = 'Cancelled'",
		    "Active" },
		{ "NULL", "status = 'Failed', scheduled_at = now() + "
		    "interval '1 hour'", "RenewalInProgress" },
		{ "NULL", "status = 'AwaitingCSR'", "RenewalInProgress" },
		{ "NULL", "status = 'Running'", "RenewalInProgress" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();

		t_certificate("c");
		failed_job("j", "type = 'Renewal', target_id = NULL");
		t_sql("UPDATE jobs SET %s", cases[i].job);
		t_sql("UPDATE managed_certificates SET status = "
		    "'RenewalInProgress', expires_at = %s",
		    cases[i].expires_at);
		sweep(sweep_retry, c);
		cr_expect_str_eq(status_of("c"), cases[i].want, "%s",
		    cases[i].job);
	}
}

Test(reaper, ends_what_waits_too_long)
{
	static const struct {
		const char *job, *want, *reason;
	} cases[] = {
		{ "status = 'AwaitingCSR', type = 'Renewal', target_id = "
		    "NULL, status_at = now() - interval '25 hours'",
		    "Failed3", "no CSR came within 24h" },
		{ "status = 'AwaitingCSR', type = 'Renewal', target_id = "
		    "NULL, created_at = now() - interval '90 days'",
		    "AwaitingCSR1", "" },
		{ "status = 'AwaitingApproval', type = 'Renewal', target_id = "
		    "NULL, status_at = now() - interval '169 hours'",
		    "Failed3", "nobody approved it within 168h" },
		{ "status = 'AwaitingApproval', type = 'Renewal', target_id = "
		    "NULL, status_at = now() - interval '25 hours'",
		    "AwaitingApproval1", "" },
		{ "status = 'Running', leased_until = now() + interval "
		    "'1 minute'", "Failed1",
		    "the agent was not heard of for 5 minutes" },
		{ "status = 'Pending'", "Pending1", "" },
		{ "status = 'Completed'", "Completed1", "" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();

		t_certificate("c");
		failed_job("j", cases[i].job);
		t_sql("UPDATE agents SET last_heartbeat_at = now() - "
		    "interval '6 minutes'");
		sweep(sweep_reap, c);
		cr_expect_str_eq(t_text("SELECT status || attempts FROM jobs"),
		    cases[i].want, "%s", cases[i].job);
		cr_expect_str_eq(t_text("SELECT last_error FROM jobs"),
		    cases[i].reason);
		cr_expect_eq(t_number("SELECT count(*) FROM audit_events"),
		    *cases[i].reason != '\0');
		t_sql("UPDATE jobs SET scheduled_at = now()");
		sweep(sweep_retry, c);
		if (cases[i].reason[0] == 'n')
			cr_expect_str_eq(t_text("SELECT status FROM jobs"),
			    "Failed", "it is final");
	}
}

Test(reaper, spares_the_deployments_of_agents_that_live)
{
	static const char *const beats[] = {
		"now() - interval '4 minutes'", "NULL",
	};

	for (size_t i = 0; i < NELEM(beats); i++) {
		struct ctx *c = t_ctx();

		t_certificate("c");
		failed_job("j", "status = 'Running', leased_until = now() + "
		    "interval '1 minute'");
		t_sql("UPDATE agents SET last_heartbeat_at = %s", beats[i]);
		sweep(sweep_reap, c);
		cr_expect_str_eq(t_text("SELECT status FROM jobs"), "Running");
	}
}

Test(agents, are_offline_after_three_missed_beats)
{
	static const struct {
		int silent_s;
		const char *want;
	} cases[] = { { 0, "Online" }, { 170, "Online" }, { 190, "Offline" } };
	struct ctx *c = t_ctx();

	for (size_t i = 0; i < NELEM(cases); i++) {
		t_sql("UPDATE agents SET status = 'Online', last_heartbeat_at "
		    "= now() - interval '%d seconds'", cases[i].silent_s);
		sweep(sweep_agents, c);
		cr_expect_str_eq(t_text("SELECT status FROM agents"),
		    cases[i].want, "%d s", cases[i].silent_s);
	}
}

Test(agents, are_paced_by_their_number)
{
	static const struct {
		int agents, seconds;
	} cases[] = { { 0, 1 }, { 199, 1 }, { 200, 2 }, { 1999, 10 },
	    { 9000, 30 } };

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = t_ctx();

		t_sql("INSERT INTO agents (id, name, hostname, api_key_hash, "
		    "last_heartbeat_at) SELECT i, i, i, i, now() FROM "
		    "generate_series(1, %d) i", cases[i].agents);
		sweep(sweep_agents, c);
		cr_expect_eq(t_number("SELECT poll_seconds FROM installation"),
		    cases[i].seconds, "%d agents", cases[i].agents);
	}
}

Test(short_lived, expire_on_time)
{
	struct ctx *c = t_ctx();

	issued("short", 1, 0, "Active");
	issued("not yet", 1, 1, "Active");
	issued("other", 2160, 0, "Active");
	issued("revoked", 1, 0, "Revoked");
	t_sql("INSERT INTO certificate_profiles (id, name, "
	    "allowed_key_algorithms, allowed_ekus, allow_short_lived, "
	    "max_ttl_seconds) VALUES ('s', 's', '[]', '{}', true, 3599);"
	    "UPDATE managed_certificates SET certificate_profile_id = 's' "
	    "WHERE id <> 'other'");
	cr_expect_eq(sweep(sweep_short_lived, c), 1);
	cr_expect_str_eq(status_of("short"), "Expired");
	cr_expect_str_eq(status_of("not yet"), "Active");
	cr_expect_str_eq(status_of("other"), "Active");
	cr_expect_str_eq(status_of("revoked"), "Revoked");
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE action "
	    "= 'short_lived_cert_expired' AND resource_id = 'short'"), 1);
}

Test(counts, are_folded_without_losing_a_change)
{
	struct ctx *c = t_ctx();
	void *held;

	for (int i = 0; i < 260; i++)
		t_certificate(arena_printf(c->a, "c%d", i));
	t_sql("UPDATE managed_certificates SET status = 'Active' WHERE id = "
	    "'c1'");
	/* One change that is not committed yet, and is lost in the end. */
	held = t_hold("UPDATE managed_certificates SET status = 'Failed' "
	    "WHERE id = 'c2'");
	cr_expect_gt(sweep(sweep_counts, c), 260);
	t_let_go(held);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_counts"), 2);
	cr_expect_eq(t_number("SELECT sum(n) FROM certificate_counts"), 260);
	held = t_hold("UPDATE managed_certificates SET status = 'Failed' "
	    "WHERE id = 'c3'; COMMIT");
	cr_expect_eq(sweep(sweep_counts, c), 0, "too few to be worth it");
	cr_expect_eq(t_number("SELECT count(*) FROM (SELECT status, sum(n) n "
	    "FROM certificate_counts GROUP BY 1) a FULL JOIN (SELECT status, "
	    "count(*) n FROM managed_certificates GROUP BY 1) b USING "
	    "(status) WHERE a.n IS DISTINCT FROM b.n"), 0);
	t_let_go(held);
}

Test(renewals, of_a_large_inventory_are_quick, .timeout = 120)
{
	struct ctx *c = t_ctx();
	int64_t began, ms, again;

	t_sql("INSERT INTO deployment_targets (id, name, type, agent_id) "
	    "VALUES ('tg', 'tg', 'NGINX', 'a');"
	    "INSERT INTO managed_certificates (id, name, common_name, "
	    "owner_id, team_id, issuer_id, renewal_policy_id, "
	    "certificate_profile_id, status, issued_at, expires_at) "
	    "SELECT 'c' || i, 'c' || i, 'c', 'o', 't', 'iss-local', "
	    "'rp-default', 'p', 'Active', now() - interval '60 days' + "
	    "make_interval(mins => i), now() + make_interval(mins => i) + "
	    "CASE WHEN i <= 1000 THEN interval '29 days' "
	    "ELSE interval '32 days' END FROM generate_series(1, 100000) i;"
	    "INSERT INTO certificate_target_mappings SELECT id, 'tg' "
	    "FROM managed_certificates;"
	    "ANALYZE");
	began = mono_us();
	sweep(sweep_renewals, c);
	ms = (mono_us() - began) / 1000;
	cr_expect_eq(t_number("SELECT count(*) FROM jobs WHERE type = "
	    "'Renewal'"), 1000);
	cr_expect_eq(t_number("SELECT count(*) FROM notification_events"),
	    1000);
	cr_expect_lt(ms, 2000);
	began = mono_us();
	cr_expect_eq(sweep(sweep_renewals, c), 0);
	again = (mono_us() - began) / 1000;
	log_warn("renewal check, 1000 of 100000 due", "ms",
	    arena_printf(c->a, "%lld", (long long)ms), "again_ms",
	    arena_printf(c->a, "%lld", (long long)again), NULL);
}
