#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
#include "target/target.h"

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

TestSuite(target_conf, .init = setup, .fini = teardown);

Test(target_conf, every_wire_name_is_known)
{
	static const struct {
		const char *name;
		bool built;
	} cases[] = {
		{ "NGINX", true }, { "Apache", true }, { "HAProxy", true },
		{ "Traefik", false }, { "Caddy", false }, { "Envoy", false },
		{ "Postfix", false }, { "Dovecot", false }, { "SSH", false },
		{ "JavaKeystore", false }, { "KubernetesSecrets", false },
		{ "F5", false }, { "IIS", false }, { "WinCertStore", false },
		{ "AWSACM", false }, { "AzureKeyVault", false },
	};
	size_t n = 0;

	while (target_types[n] != NULL)
		n++;
	cr_expect_eq(n, NELEM(cases));
	for (size_t i = 0; i < NELEM(cases); i++) {
		const struct target_type *t = target_type_find(cases[i].name);

		cr_assert_not_null(t, "%s", cases[i].name);
		cr_expect_eq(t->deploy != NULL, cases[i].built);
		cr_assert_not_null(t->conf);
		if (t->deploy == NULL)
			continue;
		cr_expect_not_null(t->check);
		cr_expect_gt(t->conf_size, 0);
	}
	cr_expect_null(target_type_find("nginx"), "names mind their case");
}

#define REQUIRED "\"cert_path\":\"/a/c\",\"reload_command\":\"r\"," \
	"\"validate_command\":\"v -t\""

Test(target_conf, says_what_is_wrong)
{
	static const struct {
		const char *type, *conf, *says;	/* NULL: nothing */
	} cases[] = {
		{ "NGINX", "{" REQUIRED "}", NULL },
		{ "NGINX", "{" REQUIRED ",\"cert_file_mode\":\"0644\","
		    "\"key_file_mode\":416,\"backup_retention\":-1}", NULL },
		{ "NGINX", "{" REQUIRED ",\"post_deploy_verify\":{\"enabled\":"
		    "true,\"endpoint\":\"[::1]:443\",\"timeout\":\"10s\"},"
		    "\"post_deploy_verify_backoff\":2000000000}", NULL },
		{ "NGINX", "{" REQUIRED ",\"post_deploy_verify\":"
		    "{\"enabled\":true},\"host\":\"::1\"}", NULL },
		{ "NGINX", "{" REQUIRED ",\"host\":\"web1\",\"port\":8443}",
		    NULL },
		{ "NGINX", "{}", "cert_path is required" },
		{ "NGINX", "[]", "object" },
		{ "NGINX", "{", "JSON" },
		{ "NGINX", "{\"cert_path\":\"/a\",\"reload_command\":\"r\"}",
		    "validate_command is required" },
		{ "NGINX", "{" REQUIRED ",\"watch_dir\":\"/x\"}",
		    "unknown member \"watch_dir\"" },
		{ "NGINX", "{" REQUIRED ",\"cert_file_mode\":\"0999\"}",
		    "cert_file_mode" },
		{ "NGINX", "{" REQUIRED ",\"port\":0}", "port" },
		{ "NGINX", "{" REQUIRED ",\"port\":65536}", "port" },
		{ "NGINX", "{" REQUIRED ",\"post_deploy_verify\":"
		    "{\"enabled\":true}}", "needs an endpoint" },
		{ "NGINX", "{" REQUIRED ",\"post_deploy_verify\":"
		    "{\"endpoint\":\"web1\"}}", "not host:port" },
		{ "NGINX", "{" REQUIRED ",\"post_deploy_verify\":"
		    "{\"enable\":true}}", "post_deploy_verify: unknown" },
		{ "Apache", "{" REQUIRED "}", "chain_path is required" },
		{ "Apache", "{" REQUIRED ",\"chain_path\":\"/a/b\"}", NULL },
		{ "HAProxy", "{\"pem_path\":\"/a\",\"reload_command\":\"r\"}",
		    NULL },
		{ "HAProxy", "{\"pem_path\":\"/a\"}",
		    "reload_command is required" },
		{ "HAProxy", "{\"pem_path\":\"/a\",\"reload_command\":\"  \"}",
		    "blank" },
		{ "Envoy", "{\"anything\":1}", NULL },
		{ "Envoy", "\"text\"", "object" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const struct target_type *t = target_type_find(cases[i].type);
		int rc = target_check_conf(t, cases[i].conf, &e);

		cr_expect_eq(rc, cases[i].says == NULL ? 0 : -1, "%s: %s",
		    cases[i].conf, rc < 0 ? e.msg : "passed");
		if (rc < 0 && cases[i].says != NULL)
			cr_expect_not_null(strstr(e.msg, cases[i].says),
			    "%s: %s", cases[i].conf, e.msg);
	}
}

Test(target_conf, commands_hold_nothing_for_a_shell)
{
	static const char refused[] = ";|&$`(){}<>'";
	const struct target_type *t = target_type_find("HAProxy");

	for (const char *c = refused; *c != '\0'; c++)
		cr_expect_eq(target_check_conf(t, arena_printf(a,
		    "{\"pem_path\":\"/a\",\"reload_command\":\"x %c y\"}", *c),
		    &e), -1, "%c", *c);
	for (const char *const *s = (const char *const[]){ "\\\"", "\\\\",
	    "\\n", "\\r", NULL }; *s != NULL; s++)
		cr_expect_eq(target_check_conf(t, arena_printf(a,
		    "{\"pem_path\":\"/a\",\"reload_command\":\"x %s y\"}", *s),
		    &e), -1, "%s", *s);
	cr_expect_eq(target_check_conf(t,
	    "{\"pem_path\":\"/a\",\"reload_command\":"
	    "\"systemctl reload haproxy@2:~#*.service\"}", &e), 0);
}

Test(target_conf, secrets_are_masked_by_schema)
{
	static const struct {
		const char *type, *conf, *shown;
	} cases[] = {
		{ "NGINX", "{\"cert_path\":\"/a\",\"key_path\":\"/k\"}",
		    "{\"cert_path\":\"/a\",\"key_path\":\"/k\"}" },
		{ "SSH", "{\"password\":\"p\",\"passphrase\":\"q\","
		    "\"private_key\":\"k\",\"private_key_path\":\"/k\"}",
		    "{\"password\":\"********\",\"passphrase\":\"********\","
		    "\"private_key\":\"********\","
		    "\"private_key_path\":\"/k\"}" },
		{ "IIS", "{\"winrm\":{\"winrm_host\":\"h\","
		    "\"winrm_password\":\"p\"}}",
		    "{\"winrm\":{\"winrm_host\":\"h\","
		    "\"winrm_password\":\"********\"}}" },
		{ "F5", "{\"password\":\"\"}", "{\"password\":\"\"}" },
		{ "F5", "{", "{}" },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_str_eq(target_redact_conf(a,
		    target_type_find(cases[i].type), cases[i].conf),
		    cases[i].shown);
}

#define R "\"reload_command\":\"r\""

Test(target_conf, tells_where_a_certificate_is_served)
{
	static const struct {
		const char *type, *conf, *endpoint;
	} cases[] = {
		{ "NGINX", "{" R "}", NULL },
		{ "NGINX", "{" R ",\"host\":\"a\"}", "a:443" },
		{ "NGINX", "{" R ",\"address\":\"b\",\"port\":8443}",
		    "b:8443" },
		{ "NGINX", "{" R ",\"host\":\"\",\"hostname\":\"c\","
		    "\"target\":\"d\"}", "c:443" },
		{ "NGINX", "{" R ",\"host\":\"::1\"}", "[::1]:443" },
		{ "NGINX", "{" R ",\"host\":\"a\",\"post_deploy_verify\":"
		    "{\"enabled\":true,\"endpoint\":\"e:1\"}}", "e:1" },
		{ "NGINX", "{" R ",\"host\":\"a\",\"post_deploy_verify\":"
		    "{\"enabled\":false,\"endpoint\":\"e:1\"}}", "a:443" },
		{ "SSH", "{\"host\":\"a\",\"port\":22}", NULL },
		{ "NGINX", "{", NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *at = target_endpoint(a,
		    target_type_find(cases[i].type), cases[i].conf);

		if (cases[i].endpoint == NULL)
			cr_expect_null(at, "%s", cases[i].conf);
		else
			cr_expect_str_eq(at, cases[i].endpoint);
	}
}
