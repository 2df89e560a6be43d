#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "codec/settings.h"

static struct arena *a;
static struct err e;

static void
setup(void)
{
	a = arena_new();
	e = (struct err){ 0 };
	setenv("CERTCTL_CONFIG_FILE", "/dev/null", 1);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(settings_est, .init = setup, .fini = teardown);

static void
set(const char *name, const char *value)
{
	setenv(name, value, 1);
}

static struct settings
load(void)
{
	struct settings s;

	cr_assert_eq(settings_load(a, &s, &e), 0, "%s", e.msg);
	return s;
}

Test(settings_est, are_of_one_profile_without_labels)
{
	struct settings s;

	set("CERTCTL_EST_PROFILE_ID", "prof");
	s = load();
	cr_assert_eq(s.n_est, 1);
	cr_expect(streq(s.est[0].label, ""));
	cr_expect(streq(s.est[0].issuer_id, "iss-local"));
	cr_expect(streq(s.est[0].profile_id, "prof"));
	cr_expect(streq(s.est[0].owner_id, "o-est"));
	cr_expect(streq(s.est[0].renewal_policy_id, "rp-default"));
}

Test(settings_est, are_of_each_label)
{
	struct settings s;

	set("CERTCTL_EST_PROFILES", "Corp, the-lab");
	set("CERTCTL_EST_ISSUER_ID", "of nobody now");
	set("CERTCTL_EST_PROFILE_CORP_ISSUER_ID", "a");
	set("CERTCTL_EST_PROFILE_CORP_PROFILE_ID", "b");
	set("CERTCTL_EST_PROFILE_THE_LAB_ISSUER_ID", "c");
	set("CERTCTL_EST_PROFILE_THE-LAB_MTLS_ENABLED", "true");
	s = load();
	cr_assert_eq(s.n_est, 2);
	cr_expect(streq(s.est[0].label, "corp"));
	cr_expect(streq(s.est[0].issuer_id, "a"));
	cr_expect(streq(s.est[0].profile_id, "b"));
	cr_expect(streq(s.est[1].label, "the-lab"));
	cr_expect(streq(s.est[1].issuer_id, "c"));
	cr_expect(s.est[1].mtls_enabled);
	cr_expect_not(s.est[0].mtls_enabled);
}

Test(settings_est, of_no_label_stand_beside_labels_if_modes_are_named)
{
	struct settings s;

	set("CERTCTL_EST_PROFILES", "corp");
	set("CERTCTL_EST_ALLOWED_AUTH_MODES", "none");
	s = load();
	cr_assert_eq(s.n_est, 2);
	cr_expect(streq(s.est[0].label, ""));
	cr_expect_eq(s.est[0].allowed_auth_modes.n, 1);
	cr_expect_eq(s.est[1].allowed_auth_modes.n, 0);
}

Test(settings_est, are_refused_if_unknown_or_bad)
{
	static const struct {
		const char *name, *value, *says;
	} cases[] = {
		{ "CERTCTL_EST_PROFILE_OTHER_ISSUER_ID", "x", "unknown" },
		{ "CERTCTL_EST_PROFILE_CORP_COLOUR", "x", "unknown" },
		{ "CERTCTL_EST_NONSENSE", "x", "unknown" },
		{ "CERTCTL_EST_PROFILE_CORP_MTLS_ENABLED", "perhaps",
		    "CERTCTL_EST_PROFILE_CORP_MTLS_ENABLED must be true" },
		{ "CERTCTL_EST_PROFILE_CORP_RATE_LIMIT_PER_PRINCIPAL_24H",
		    "-1", "between 0 and" },
	};
	struct settings s;

	set("CERTCTL_EST_PROFILES", "corp");
	for (size_t i = 0; i < NELEM(cases); i++) {
		set(cases[i].name, cases[i].value);
		cr_expect_eq(settings_load(a, &s, &e), -1, "%s",
		    cases[i].name);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "%s", e.msg);
		unsetenv(cases[i].name);
	}
	/* What the demo tells shells is no setting. */
	set("CERTCTL_EST_URL", "https://localhost");
	load();
}

Test(settings_est, are_printed_without_their_secrets)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct settings s;

	set("CERTCTL_EST_PROFILES", "the-lab");
	set("CERTCTL_EST_PROFILE_THE_LAB_ENROLLMENT_PASSWORD", "hunter2");
	s = load();
	settings_print(out, &s);
	settings_reference(out);
	fclose(out);
	cr_expect_not_null(strstr(text,
	    "CERTCTL_EST_PROFILE_THE_LAB_ENROLLMENT_PASSWORD=********\n"));
	cr_expect_null(strstr(text, "hunter2"));
	cr_expect_not_null(strstr(text,
	    "| `CERTCTL_EST_PROFILE_<NAME>_OWNER_ID` | text |"));
	free(text);
}
