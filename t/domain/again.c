#include <criterion/criterion.h>

#include "domain/sweep.h"
#include "t/domain/fixture.h"

/* A certificate whose newest version is not where its target is, because the
 * deployment of it failed for good MORE ago. */
static struct ctx *
undeployed(const char *more)
{
	struct ctx *c = t_ctx();

	t_certificate("c");
	t_sql("UPDATE managed_certificates SET status = 'Active', expires_at = "
	    "now() + interval '60 days', issued_at = now()");
	t_sql("INSERT INTO certificate_versions (id, certificate_id, issuer_id,"
	    " agent_id, serial_number, not_before, not_after, "
	    "fingerprint_sha256, spki_sha256, pem_chain) VALUES ('v', 'c', "
	    "'iss-local', 'a', '01', now(), now() + interval '60 days', 'f', "
	    "'s', 'pem')");
	t_sql("INSERT INTO jobs (id, type, certificate_id, target_id, "
	    "agent_id, version_id, status, attempts, max_attempts, created_at,"
	    " completed_at) VALUES ('j', 'Deployment', 'c', 'c-target', 'a', "
	    "'v', 'Failed', 3, 3, now() - interval '%s', now() - interval "
	    "'%s')", more, more);
	return c;
}

static int64_t
asked_again(struct ctx *c)
{
	struct err e;
	int64_t n;

	cr_assert_eq(sweep_retry(c, &n, &e), 0, "%s", e.msg);
	return t_number("SELECT count(*) FROM jobs WHERE id <> 'j' AND "
	    "status = 'Pending' AND version_id = 'v' AND agent_id = 'a'");
}

Test(undeployed, versions_are_deployed_again_where_that_makes_sense)
{
	static const struct {
		const char *ago, *world;
		int64_t want;
	} cases[] = {
		{ "20 minutes", "", 1 },
		{ "10 minutes", "", 0 },
		{ "40 days", "", 0 },
		{ "20 minutes", "UPDATE certificate_target_mappings SET "
		    "version_id = 'v'", 0 },
		{ "20 minutes", "UPDATE managed_certificates SET status = "
		    "'Revoked'", 0 },
		{ "20 minutes", "UPDATE deployment_targets SET enabled = "
		    "false", 0 },
		{ "20 minutes", "DELETE FROM certificate_target_mappings", 0 },
		{ "20 minutes", "UPDATE agents SET retired_at = now()", 0 },
		/* The second failure of a day waits twice as long. */
		{ "20 minutes", "INSERT INTO jobs (id, type, certificate_id, "
		    "target_id, agent_id, status, attempts, created_at, "
		    "completed_at) VALUES ('i', 'Deployment', 'c', 'c-target',"
		    " 'a', 'Failed', 3, now() - interval '2 hours', now() - "
		    "interval '1 hour')", 0 },
		{ "20 minutes", "INSERT INTO jobs (id, type, certificate_id, "
		    "target_id, agent_id, status) VALUES ('n', 'Deployment', "
		    "'c', 'c-target', 'a', 'Completed')", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ctx *c = undeployed(cases[i].ago);

		t_sql("SELECT 1; %s", cases[i].world);
		cr_expect_eq(asked_again(c), cases[i].want, "%zu: %s", i,
		    cases[i].world);
		cr_expect_eq(asked_again(c), cases[i].want, "%zu again", i);
	}
}
