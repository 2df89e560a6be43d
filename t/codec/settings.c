#include "codec/settings.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"

static struct arena *mem;

/* Nothing of the caller's own settings counts; a file of ours does. */
static const char *
begin(const char *yaml)
{
	char *path;

	mem = arena_new();
	for (const struct field *f = settings_fields; f->name != NULL; f++)
		unsetenv(f->name);
	path = arena_printf(mem, "%s/certctl.yaml", t_dir(mem));
	t_write(path, yaml, 0600);
	setenv("CERTCTL_CONFIG_FILE", path, 1);
	return path;
}

static struct settings
load(void)
{
	struct settings s;
	struct err e = { 0 };

	cr_assert_eq(settings_load(mem, &s, &e), 0, "%s", e.msg);
	return s;
}

Test(settings, have_names_kinds_and_meanings)
{
	static const unsigned known = 1u << FT_TEXT | 1u << FT_TEXTS |
	    1u << FT_INT | 1u << FT_BOOL | 1u << FT_DURATION | 1u << FT_REAL;
	static const enum field_type bounded[] = { FT_INT, FT_DURATION,
	    FT_REAL };

	for (const struct field *f = settings_fields; f->name != NULL; f++) {
		cr_expect_eq(strncmp(f->name, "CERTCTL_", 8), 0, "%s",
		    f->name);
		cr_expect(!blank(f->doc) && strchr(f->doc, '|') == NULL, "%s",
		    f->name);
		cr_expect(known & 1u << f->type, "%s", f->name);
		for (size_t i = 0; i < NELEM(bounded); i++)
			if (f->type == bounded[i])
				cr_expect_gt(f->max, f->min, "%s", f->name);
		cr_expect_eq(field_find(settings_fields, f->name,
		    strlen(f->name)), f, "%s is there twice", f->name);
	}
}

/* What settings_print() shows of the defaults can be read again. */
Test(settings, have_defaults_that_pass_their_own_check)
{
	struct settings s;
	char *text, *line, *value;
	size_t len;
	FILE *out;

	begin("");
	s = load();
	out = open_memstream(&text, &len);
	settings_print(out, &s);
	fclose(out);
	for (line = strtok(text, "\n"); line != NULL;
	    line = strtok(NULL, "\n")) {
		value = strchr(line, '=');
		cr_assert_not_null(value);
		*value++ = '\0';
		if (!streq(value, "********"))
			setenv(line, value, 1);
	}
	load();
	free(text);
}

Test(settings, come_from_the_file_and_the_variable_wins)
{
	struct settings s;

	begin("CERTCTL_LOG_LEVEL: warn\nCERTCTL_RATE_LIMIT_BURST: 7\n"
	    "CERTCTL_CORS_ORIGINS: [https://a, https://b]\n"
	    "CERTCTL_RATE_LIMIT_RPS: 2.5\n");
	setenv("CERTCTL_RATE_LIMIT_BURST", "9", 1);
	setenv("CERTCTL_LOG_LEVEL", "", 1);
	setenv("CERTCTL_JOB_TIMEOUT_INTERVAL", "1h30m", 1);
	setenv("CERTCTL_AUDIT_AGENT_TRAFFIC", "yes", 1);
	s = load();
	cr_expect_str_eq(s.log_level, "warn");
	cr_expect_eq(s.rate_limit_burst, 9);
	cr_expect_eq(s.rate_limit_rps, 2.5);
	cr_expect_eq(s.cors_origins.n, 2);
	cr_expect_eq(s.job_timeout_interval, 5400);
	cr_expect(s.audit_agent_traffic);
	cr_expect_eq(s.renewal_check_interval, 3600);
}

Test(settings, refuse_odd_values)
{
	static const struct { const char *name, *value; } cases[] = {
		{ "NO_SUCH_SETTING", "x" },
		{ "LOG_LEVEL", "INFO" }, { "LOG_LEVEL", " info" },
		{ "MAX_BODY_SIZE", "1M" }, { "MAX_BODY_SIZE", "+4096" },
		{ "MAX_BODY_SIZE", "4096 " }, { "MAX_BODY_SIZE", "1023" },
		{ "MAX_BODY_SIZE", "99999999999999999999" },
		{ "RATE_LIMIT_BURST", "0" }, { "RATE_LIMIT_BURST", "1.5" },
		{ "RATE_LIMIT_RPS", "0" }, { "RATE_LIMIT_RPS", "-1" },
		{ "RATE_LIMIT_RPS", "nan" }, { "RATE_LIMIT_RPS", "inf" },
		{ "RATE_LIMIT_RPS", "0x10" }, { "RATE_LIMIT_RPS", " 5" },
		{ "RATE_LIMIT_RPS", "5/s" }, { "RATE_LIMIT_RPS", "1e99" },
		{ "RATE_LIMIT_RPS", "1e-999" }, { "RATE_LIMIT_RPS", "-" },
		{ "RATE_LIMIT_ENABLED", "TRUE" },
		{ "RATE_LIMIT_ENABLED", "on" },
		{ "JOB_TIMEOUT_INTERVAL", "10" },
		{ "JOB_TIMEOUT_INTERVAL", "0s" },
		{ "JOB_TIMEOUT_INTERVAL", "9000h" },
		{ "SCHEDULER_RENEWAL_CHECK_INTERVAL", "59s" },
		{ "AUTH_TYPE", "jwt" }, { "AUTH_TYPE", "API-KEY" },
		{ "KEYGEN_MODE", "server" }, { "CORS_ORIGINS", "https://a,*" },
		{ "CONFIG_ENCRYPTION_KEY", "short" },
		{ "CONFIG_ENCRYPTION_KEY", "change-me-32-char-encryption-key" },
		{ "AUTH_SECRET", "x,change-me-in-production" },
		{ "CA_CERT_PATH", "/x" }, { "CA_KEY_PATH", "/x" },
		{ "PKI_BASE_URL", "https://a" }, { "PKI_BASE_URL", "http://" },
		{ "PKI_BASE_URL", "http:///pki" },
		{ "PKI_BASE_URL", "http://a/" },
		{ "PKI_BASE_URL", "http://a/b c" },
		{ "PKI_BASE_URL", "http://a\n" },
		{ "PKI_BASE_URL", "http://\u00e4" },
		{ "PKI_BASE_URL", "http://a?b" },
	};
	struct settings s;
	struct err e;
	char *name;

	begin("");
	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		name = arena_printf(mem, "CERTCTL_%s", cases[i].name);
		setenv(name, cases[i].value, 1);
		cr_expect_eq(settings_load(mem, &s, &e), -1, "%s=%s", name,
		    cases[i].value);
		cr_expect_eq(e.code, E_INVALID);
		cr_expect_not_null(strstr(e.msg, streq(cases[i].value,
		    "x,change-me-in-production") ||
		    strstr(cases[i].value, "change-me-32") != NULL ?
		    "example" : "CERTCTL_"), "%s", e.msg);
		unsetenv(name);
	}
	load();
}

Test(settings, refuse_a_file_with_unknown_names)
{
	static const char *const cases[] = { "CERTCTL_LOG_LEVL: info\n",
	    "LOG_LEVEL: info\n", "log_level: info\n",
	    "CERTCTL_MAX_BODY_SIZE: big\n" };
	struct settings s;
	struct err e;
	const char *path;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		path = begin(cases[i]);
		cr_expect_eq(settings_load(mem, &s, &e), -1, "%s", cases[i]);
		cr_expect_eq(strncmp(e.msg, path, strlen(path)), 0, "%s",
		    e.msg);
	}
	setenv("CERTCTL_CONFIG_FILE", "/nonexistent/x.yaml", 1);
	cr_expect_eq(settings_load(mem, &s, &e), -1);
}

Test(settings, leave_other_programs_variables_alone)
{
	begin("");
	setenv("CERTCTL_SERVER_URL", "https://x", 1);
	setenv("CERTCTL_DEMO_DIR", "x", 1);
	setenv("CERTCTL_TEST_WEB", "x", 1);
	setenv("CERTCTLX", "x", 1);
	load();
}

Test(settings, are_printed_without_secrets)
{
	struct settings s;
	char *text, *expect;
	size_t len;
	FILE *out;

	begin("");
	for (const struct field *f = settings_fields; f->name != NULL; f++)
		if (f->flags & F_SECRET)
			setenv(f->name, "GEHEIM:GEHEIM-which-is-long-enough",
			    1);
	s = load();
	out = open_memstream(&text, &len);
	settings_print(out, &s);
	settings_reference(out);
	fclose(out);
	cr_expect_null(strstr(text, "GEHEIM"));
	expect = strstr(text, "CERTCTL_AGENT_BOOTSTRAP_TOKEN=********\n");
	cr_expect_not_null(expect);
	cr_expect_not_null(strstr(text, "| `CERTCTL_MAX_BODY_SIZE` | integer "
	    "| 1048576 | "));
	free(text);
}
