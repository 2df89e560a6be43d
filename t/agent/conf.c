#include "agent/conf.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/util.h"

static struct arena *a;

static void
setup(void)
{
	a = arena_new();
	cr_redirect_stdout();
	cr_redirect_stderr();
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(conf, .init = setup, .fini = teardown);

static int
load(const char *const *flags, struct conf *c)
{
	char *argv[8] = { arena_strdup(a, "certctl-agent") };
	int argc = 1;

	for (; flags[argc - 1] != NULL; argc++)
		argv[argc] = arena_strdup(a, flags[argc - 1]);
	return conf_load(a, argc, argv, c);
}

Test(conf, flags_are_read_in_each_spelling)
{
	static const struct {
		const char *flags[4];
		int status;
		const char *server;
		bool insecure;
	} cases[] = {
		{ { NULL }, CONF_RUN, "https://localhost:8443", false },
		{ { "-server", "x" }, CONF_RUN, "x", false },
		{ { "--server", "x" }, CONF_RUN, "x", false },
		{ { "-server=x" }, CONF_RUN, "x", false },
		{ { "--server=a=b" }, CONF_RUN, "a=b", false },
		{ { "-server=" }, CONF_RUN, "", false },
		{ { "-server", "x", "-server=y" }, CONF_RUN, "y", false },
		{ { "-insecure-skip-verify", "-server=x" }, CONF_RUN, "x",
		    true },
		{ { "-insecure-skip-verify=NO" }, CONF_RUN,
		    "https://localhost:8443", false },
		{ { "-insecure-skip-verify=Yes" }, CONF_RUN,
		    "https://localhost:8443", true },
		{ { "-insecure-skip-verify=2" }, 2, NULL, false },
		{ { "-server" }, 2, NULL, false },
		{ { "-serve", "x" }, 2, NULL, false },
		{ { "-servers=x" }, 2, NULL, false },
		{ { "-h" }, 0, NULL, false },
		{ { "--help" }, 0, NULL, false },
		{ { "--version" }, 0, NULL, false },
		{ { "word", "-unknown" }, CONF_RUN, "https://localhost:8443",
		    false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct conf c = { 0 };

		cr_assert_eq(load(cases[i].flags, &c), cases[i].status,
		    "case %zu", i);
		if (cases[i].status != CONF_RUN)
			continue;
		cr_expect_str_eq(c.server, cases[i].server, "case %zu", i);
		cr_expect_eq(c.insecure, cases[i].insecure, "case %zu", i);
	}
}

Test(conf, variables_count_when_they_say_something)
{
	static const struct {
		const char *value;
		bool insecure;
	} cases[] = {
		{ "true", true }, { " ON ", true }, { "t", true },
		{ "", false }, { "maybe", false }, { "0", false },
	};
	const char *const none[] = { NULL };
	struct conf c;

	for (size_t i = 0; i < NELEM(cases); i++) {
		setenv("CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY",
		    cases[i].value, 1);
		cr_assert_eq(load(none, &c), CONF_RUN);
		cr_expect_eq(c.insecure, cases[i].insecure, "\"%s\"",
		    cases[i].value);
	}
	setenv("CERTCTL_KEY_DIR", "", 1);
	setenv("CERTCTL_LOG_LEVEL", "DEBUG", 1);
	cr_assert_eq(load(none, &c), CONF_RUN);
	cr_expect_str_eq(c.key_dir, "/var/lib/certctl/keys");
	cr_expect_str_eq(c.state_dir, "/var/lib/certctl/keys/.certctl");
	cr_expect_eq(c.log_level, LOG_INFO, "only the exact value counts");
	setenv("CERTCTL_LOG_LEVEL", "debug", 1);
	cr_assert_eq(load(none, &c), CONF_RUN);
	cr_expect_eq(c.log_level, LOG_DEBUG);
}
