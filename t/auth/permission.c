#include "auth/permission.h"

#include <criterion/criterion.h>

#include "base/util.h"

enum { O = 1, D = 2, G = 4 };	/* operator, admin, agent */

/* One row for each name of the catalogue, so that bisection finds them all. */
Test(permission, is_held_by_whom_the_catalogue_says)
{
	static const struct { const char *name; int by; } cases[] = {
		{ "agent.edit", O | D }, { "agent.heartbeat", D | G },
		{ "agent.job.complete", D | G }, { "agent.job.poll", D | G },
		{ "agent.job.report", D | G }, { "agent.read", O | D },
		{ "agent.retire", D }, { "audit.export", D },
		{ "audit.read", O | D }, { "cert.bulk_revoke", D },
		{ "cert.delete", O | D }, { "cert.edit", O | D },
		{ "cert.issue", O | D }, { "cert.pickup", D | G },
		{ "cert.read", O | D }, { "cert.revoke", O | D },
		{ "issuer.delete", D }, { "issuer.edit", O | D },
		{ "issuer.read", O | D }, { "job.cancel", O | D },
		{ "job.read", O | D }, { "owner.delete", O | D },
		{ "owner.edit", O | D }, { "owner.read", O | D },
		{ "policy.delete", O | D }, { "policy.edit", O | D },
		{ "policy.read", O | D }, { "profile.delete", D },
		{ "profile.edit", O | D }, { "profile.read", O | D },
		{ "target.delete", O | D }, { "target.edit", O | D },
		{ "target.read", O | D }, { "team.delete", O | D },
		{ "team.edit", O | D }, { "team.read", O | D },
		{ "verification.read", O | D },
		{ "verification.run", O | D | G },
	};
	const struct actor operator = { ACTOR_OPERATOR, "o", false },
	    admin = { ACTOR_OPERATOR, "d", true },
	    agent = { ACTOR_AGENT, "g", false },
	    open = { ACTOR_OPEN, "api", false },
	    system = { ACTOR_SYSTEM, "s", false },
	    nobody = { ACTOR_NOBODY, NULL, false };

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *name = cases[i].name;

		cr_expect(permission_known(name), "%s", name);
		cr_expect_eq(permission_held(&operator, name),
		    (cases[i].by & O) != 0, "%s", name);
		cr_expect_eq(permission_held(&admin, name),
		    (cases[i].by & D) != 0, "%s", name);
		cr_expect_eq(permission_held(&agent, name),
		    (cases[i].by & G) != 0, "%s", name);
		cr_expect_eq(permission_held(&open, name),
		    (cases[i].by & O) != 0, "%s", name);
		cr_expect(permission_held(&system, name), "%s", name);
		cr_expect_not(permission_held(&nobody, name), "%s", name);
	}
}

Test(permission, of_no_known_name_is_held_by_nobody)
{
	static const char *const names[] = { "", "cert", "cert.", "cert.readx",
	    "CERT.READ", "zzz", " cert.read", "aaa" };
	const struct actor admin = { ACTOR_OPERATOR, "d", true },
	    system = { ACTOR_SYSTEM, "s", false };

	for (size_t i = 0; i < NELEM(names); i++) {
		cr_expect_not(permission_known(names[i]), "%s", names[i]);
		cr_expect_not(permission_held(&admin, names[i]));
		cr_expect_not(permission_held(&system, names[i]));
	}
}

Test(actor, is_named_as_the_audit_does)
{
	static const struct { enum actor_kind kind; const char *want; }
	cases[] = {
		{ ACTOR_NOBODY, "User" }, { ACTOR_OPEN, "User" },
		{ ACTOR_OPERATOR, "User" }, { ACTOR_AGENT, "Agent" },
		{ ACTOR_SYSTEM, "System" },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_str_eq(actor_type(&(struct actor){
		    .kind = cases[i].kind }), cases[i].want);
}
