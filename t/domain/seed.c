#include <criterion/criterion.h>

#include "base/log.h"
#include "domain/seed.h"
#include "fixture.h"

/* The settings of C with CA files; blank: none. */
static void
set_files(struct ctx *c, struct settings *s, const char *cert,
    const char *key, const char *seal_key)
{
	*s = *c->set;
	s->ca_cert_path = cert;
	s->ca_key_path = key;
	s->config_encryption_key = seal_key;
	c->set = s;
}

static bool
seed(struct ctx *c)
{
	struct err e = { 0 };
	bool changed;

	cr_assert_eq(seed_local_issuer(c, &changed, &e), 0, "%s: %s", e.msg,
	    e.detail);
	return changed;
}

Test(seed, leaves_the_local_issuer_alone_without_ca_files)
{
	struct ctx *c = t_ctx();

	cr_expect_not(seed(c));
	cr_expect_str_eq(t_text("SELECT config ->> 'ca_common_name' FROM "
	    "issuers"), "CertCtl Local CA");
}

Test(seed, takes_the_ca_files_once)
{
	struct ctx *c = t_ctx();
	struct settings s;

	t_sql("UPDATE issuers SET ca_cert_pem = 'old'");
	set_files(c, &s, "/ca.pem", "/ca.key", NULL);
	cr_expect(seed(c));
	cr_expect_not(seed(c), "it has them");
	cr_expect_str_eq(t_text("SELECT config ->> 'ca_key_path' FROM issuers "
	    "WHERE encrypted_config IS NULL AND ca_cert_pem IS NULL"),
	    "/ca.key");
	set_files(c, &s, "/ca.pem", "/other.key", NULL);
	cr_expect(seed(c));
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE action "
	    "= 'update_issuer'"), 2);
}

Test(seed, seals_the_configuration_if_it_can)
{
	struct ctx *c = t_ctx();
	struct settings s;

	set_files(c, &s, "/ca.pem", "/ca.key",
	    "0123456789abcdef0123456789abcdef");
	cr_expect(seed(c));
	cr_expect_not(seed(c), "what is sealed is the same");
	cr_expect_str_eq(t_text("SELECT config ->> 'ca_key_path' FROM issuers "
	    "WHERE encrypted_config IS NOT NULL"), "********");
	cr_expect_str_eq(t_text("SELECT config ->> 'ca_cert_path' FROM "
	    "issuers"), "/ca.pem");
}

Test(seed, respects_what_an_operator_edited)
{
	struct ctx *c = t_ctx();
	struct settings s;

	t_sql("UPDATE issuers SET source = 'database'");
	set_files(c, &s, "/ca.pem", "/ca.key", NULL);
	cr_expect_not(seed(c));
	cr_expect_eq(t_number("SELECT count(*) FROM issuers WHERE config ? "
	    "'ca_key_path'"), 0);
}
