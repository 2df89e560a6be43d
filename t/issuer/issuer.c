#include "issuer/issuer.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"

Test(issuer, is_found_by_every_name_of_the_contract)
{
	static const struct { const char *name, *want; } cases[] = {
		{ "GenericCA", "GenericCA" }, { "genericca", "GenericCA" },
		{ "local", "GenericCA" }, { "Local_CA", "GenericCA" },
		{ "ACME", "ACME" }, { "acme", "ACME" }, { "StepCA", "StepCA" },
		{ "OpenSSL", "OpenSSL" }, { "VaultPKI", "VaultPKI" },
		{ "DigiCert", "DigiCert" }, { "Sectigo", "Sectigo" },
		{ "GoogleCAS", "GoogleCAS" }, { "AWSACMPCA", "AWSACMPCA" },
		{ "Entrust", "Entrust" }, { "GlobalSign", "GlobalSign" },
		{ "EJBCA", "EJBCA" }, { "", NULL }, { "nonsense", NULL },
	};
	const struct issuer_type *t;

	for (size_t i = 0; i < NELEM(cases); i++) {
		t = issuer_type_find(cases[i].name);
		if (cases[i].want == NULL)
			cr_expect_null(t, "%s", cases[i].name);
		else
			cr_expect(t != NULL && streq(t->name, cases[i].want),
			    "%s", cases[i].name);
	}
}

Test(issuer, has_every_member_a_type_must_have)
{
	const struct issuer_type *const *t;

	for (t = issuer_types; *t != NULL; t++) {
		cr_expect_not_null((*t)->name);
		cr_expect_not_null((*t)->label);
		if (!issuer_type_available(*t))
			continue;
		cr_expect((*t)->conf != NULL && (*t)->conf_size != 0 &&
		    (*t)->defaults != NULL && (*t)->check != NULL &&
		    (*t)->close != NULL, "%s", (*t)->name);
		cr_expect_eq((*t)->prepare == NULL, (*t)->finish == NULL,
		    "%s", (*t)->name);
	}
}

Test(issuer, that_is_not_built_yet_says_so)
{
	const struct issuer_type *t = issuer_type_find("acme");
	struct issuer_env env = { "iss-x", "/nonexistent", NULL };
	struct err e = { 0 };

	cr_expect_not(issuer_type_available(t));
	cr_expect_null(issuer_open(t, "{}", &env, &e));
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_str_eq(e.msg, "issuer type ACME is not available yet");
	cr_expect_eq(issuer_check_conf(t, "{}", &e), -1);
	issuer_close(NULL);
}

Test(issuer, configuration_is_checked)
{
	static const struct { const char *conf; bool ok; } cases[] = {
		{ NULL, true }, { "", true }, { "{}", true },
		{ "{\"validity_days\":1}", true },
		{ "{\"validity_days\":0}", false },
		{ "{\"validity_days\":-1}", false },
		{ "{\"validity_days\":\"90\"}", false },
		{ "{\"validity_days\":99999999}", false },
		{ "{\"ca_common_name\":\"Corp CA\"}", true },
		{ "{\"ca_common_name\":\"\"}", false },
		{ "{\"ca_common_name\":\"a\\nb\"}", false },
		{ "{\"ca_cert_path\":\"/a\",\"ca_key_path\":\"/b\"}", true },
		{ "{\"ca_cert_path\":\"/a\"}", false },
		{ "{\"ca_key_path\":\"/b\"}", false },
		{ "{\"ca_cert_path\":\"\",\"ca_key_path\":\"\"}", true },
		{ "{\"key_algorithm\":\"RSA\"}", true },
		{ "{\"key_algorithm\":\"RSA\",\"key_size\":4096}", true },
		{ "{\"key_algorithm\":\"RSA\",\"key_size\":1024}", false },
		{ "{\"key_algorithm\":\"ECDSA\",\"key_size\":384}", true },
		{ "{\"key_algorithm\":\"ECDSA\",\"key_size\":2048}", false },
		{ "{\"key_algorithm\":\"DSA\"}", false },
		{ "{\"crl_distribution_point_urls\":[\"http://a/b\"]}", true },
		{ "{\"crl_distribution_point_urls\":[\"ldap://a/b\"]}", false },
		{ "{\"crl_distribution_point_urls\":[\"\\n\"]}", false },
		{ "{\"ocsp_url\":\"http://a/o\",\"issuer_url\":\"http://a/i\"}",
		  true },
		{ "{\"ocsp_url\":\"a\"}", false },
		{ "{\"nonsense\":1}", false }, { "[]", false }, { "{", false },
	};
	const struct issuer_type *t = issuer_type_find("GenericCA");

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct err e = { 0 };

		cr_expect_eq(issuer_check_conf(t, cases[i].conf, &e) == 0,
		    cases[i].ok, "%s: %s", cases[i].conf, e.msg);
		cr_expect_eq(e.code, cases[i].ok ? E_OK : E_INVALID);
	}
}

Test(issuer, configuration_is_shown_without_its_secrets)
{
	struct arena *a = arena_new();
	const char *text = issuer_redact_conf(a, issuer_type_find("GenericCA"),
	    "{\"ca_cert_path\":\"/etc/ca.pem\",\"ca_key_path\":\"/etc/k\"}");

	cr_expect_not_null(strstr(text, "\"ca_key_path\":\"********\""), "%s",
	    text);
	cr_expect_not_null(strstr(text, "/etc/ca.pem"), "%s", text);
	cr_expect_null(strstr(text, "/etc/k"), "%s", text);
	arena_free(a);
}
