#include "domain/enrol.h"

#include <criterion/criterion.h>

#include "base/text.h"
#include "domain/ca_key.h"
#include "domain/issue.h"
#include "domain/opened.h"
#include "domain/sweep.h"
#include "domain/work.h"
#include "fixture.h"
#include "x509/cert.h"

static const struct enrol_conf conf = {
	.label = "corp", .issuer_id = "iss-local", .profile_id = "p",
	.owner_id = "o", .renewal_policy_id = "rp-default",
};

/* A context in which a worker has opened the issuers. */
static struct ctx *
context(void)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	int64_t n;

	cr_assert_eq(ca_key_sweep(c, &n, &e), 0, "%s", e.msg);
	return c;
}

static struct enrol_args
args_for(struct ctx *c, const char *name)
{
	struct err e = { 0 };
	const char *pem = t_csr(name);
	const char *begin = strchr(pem, '\n');
	struct enrol_args args = { .action = "est_simple_enroll" };

	args.csr = csr_from_pem(c->a, pem, &e);
	cr_assert_not_null(args.csr, "%s", e.msg);
	cr_assert(base64_decode(c->a, begin, (size_t)(strstr(begin,
	    "-----END") - begin), &args.csr_der));
	return args;
}

static struct enrolled
enrol_ok(struct ctx *c, struct enroller *en, const struct enrol_args *args)
{
	struct enrolled got;
	struct err e = { 0 };

	cr_assert_eq(enrol(c, en, args, &got, &e), 0, "%s: %s", e.msg,
	    e.detail);
	return got;
}

static int
refused(struct ctx *c, struct enroller *en, const struct enrol_args *args,
    enum enrol_fault fault)
{
	struct enrolled got;
	struct err e = { 0 };

	cr_assert_eq(enrol(c, en, args, &got, &e), -1);
	cr_expect_eq(got.fault, fault, "%s", e.msg);
	return (int)e.code;
}

Test(enrol, stores_all_in_two_flights)
{
	struct ctx *c = context();
	struct enroller *en = enroller_new(&conf);
	struct enrol_args args = args_for(c, "dev.example.com");
	struct enrolled got = enrol_ok(c, en, &args);
	struct x509_cert cert;
	struct err e = { 0 };

	cr_assert_eq(cert_from_der(c->a, got.der.p, got.der.len, &cert, &e),
	    0);
	cr_expect(streq(cert.serial, got.serial));
	cr_expect_eq(t_number("SELECT count(*) FROM managed_certificates c "
	    "JOIN certificate_versions v ON v.certificate_id = c.id "
	    "WHERE c.status = 'Active' AND c.source = 'EST' "
	    "AND c.expires_at = v.not_after AND v.serial_number = '%s' "
	    "AND v.ca_key_id IS NOT NULL AND c.team_id = 't'", got.serial),
	    1);
	cr_expect_eq(t_number("SELECT count(*) FROM issuance_intents "
	    "WHERE resolved_at IS NOT NULL AND profile_id = 'p' "
	    "AND profile_revision IS NOT NULL"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events "
	    "WHERE action LIKE 'est_simple_enroll%%'"), 2);
	/* Again: the same record, another version. */
	got = enrol_ok(c, en, &args);
	cr_expect_eq(t_number("SELECT count(*) FROM managed_certificates"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 2);
	enroller_free(en);
	opened_close();
}

/* The process died between the signature and the second flight. */
Test(enrol, is_finished_by_a_sweep_after_a_crash)
{
	struct ctx *c = context();
	struct enroller *en = enroller_new(&conf);
	struct enrol_args args = args_for(c, "dev.example.com");
	struct enrolled got = enrol_ok(c, en, &args);
	struct err e = { 0 };
	int64_t n;

	t_sql("DELETE FROM certificate_versions;"
	    "UPDATE issuance_intents SET resolved_at = NULL");
	cr_assert_eq(issue_open_intents(c, -1, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 1);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions v "
	    "JOIN managed_certificates c ON c.id = v.certificate_id "
	    "WHERE v.serial_number = '%s' AND c.status = 'Active' "
	    "AND c.expires_at = v.not_after", got.serial), 1);
	enroller_free(en);
	opened_close();
}

Test(enrol, follows_the_profile_as_it_is_now)
{
	struct ctx *c = context();
	struct enroller *en = enroller_new(&conf);
	struct enrol_args args = args_for(c, "dev.example.com");

	enrol_ok(c, en, &args);
	t_sql("UPDATE certificate_profiles SET revision = revision + 1,"
	    " required_san_patterns = '{*.example.org}'");
	cr_expect_eq(refused(c, en, &args, ENROL_FAULT_POLICY), E_INVALID);
	t_sql("UPDATE certificate_profiles SET revision = revision + 1,"
	    " required_san_patterns = '{}'");
	enrol_ok(c, en, &args);
	t_sql("UPDATE certificate_profiles SET enabled = false,"
	    " revision = revision + 1");
	cr_expect_eq(refused(c, en, &args, ENROL_FAULT_ISSUER), E_CONFLICT);
	t_sql("UPDATE certificate_profiles SET enabled = true;"
	    "UPDATE issuers SET enabled = false");
	cr_expect_eq(refused(c, en, &args, ENROL_FAULT_ISSUER), E_CONFLICT);
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 2);
	enroller_free(en);
	opened_close();
}

Test(enrol, waits_and_is_fetched_by_the_same_request)
{
	struct ctx *c = context();
	struct enroller *en = enroller_new(&conf);
	struct enrol_args args = args_for(c, "dev.example.com");
	struct enrolled got;
	struct issue_outcome out;
	struct texts ids;
	struct err e = { 0 };

	/* As it is left when the signer did not answer. */
	got = enrol_ok(c, en, &args);
	t_sql("DELETE FROM certificate_versions;"
	    "UPDATE issuance_intents SET resolved_at = NULL;"
	    "INSERT INTO jobs (id, type, certificate_id, status, csr_pem,"
	    " enrolment) SELECT job_id, 'Issuance', certificate_id,"
	    " 'Pending', csr_pem, 'w' FROM issuance_intents");
	t_sql("UPDATE jobs SET enrolment = encode(sha256(convert_to("
	    "'est/corp/', 'UTF8') || '\\x%s'::bytea), 'hex')",
	    hex_encode(c->a, args.csr_der.p, args.csr_der.len));
	got = enrol_ok(c, en, &args);
	cr_expect(got.pending);
	cr_assert_eq(work_claim(c, "w", 8, &ids, &e), 0, "%s", e.msg);
	cr_assert_eq(ids.n, 1);
	cr_assert_eq(issue_job(c, ids.v[0], "w", &out, &e), 0, "%s", e.msg);
	cr_assert_eq(out.end, ISSUE_DONE, "%s", out.why.msg);
	got = enrol_ok(c, en, &args);
	cr_expect_not(got.pending);
	cr_expect(streq(got.serial, out.serial));
	cr_expect_eq(t_number("SELECT count(*) FROM certificate_versions"), 1);
	enroller_free(en);
	opened_close();
}

Test(enrol, is_not_renewed_by_the_clock)
{
	struct ctx *c = context();
	struct enroller *en = enroller_new(&conf);
	struct enrol_args args = args_for(c, "dev.example.com");
	struct err e = { 0 };
	int64_t n;

	enrol_ok(c, en, &args);
	t_sql("UPDATE managed_certificates SET issued_at = now() - "
	    "interval '89 days', expires_at = now() + interval '1 day'");
	cr_assert_eq(sweep_renewals(c, &n, &e), 0, "%s", e.msg);
	cr_expect_str_eq(t_text("SELECT status FROM managed_certificates"),
	    "Expiring");
	cr_expect_eq(t_number("SELECT count(*) FROM jobs"), 0);
	enroller_free(en);
	opened_close();
}

Test(enrol, refuses_what_is_not_set_up)
{
	static const struct {
		struct enrol_conf conf;
		enum err_code want;
	} cases[] = {
		{ { "x", "iss-none", "p", "o", NULL, "rp-default" },
		    E_INVALID },
		{ { "x", "iss-local", "p-none", "o", NULL, "rp-default" },
		    E_INVALID },
		{ { "x", "iss-local", "p", "o-none", NULL, "rp-default" },
		    E_INVALID },
		{ { "x", "iss-local", "p", "o", "t-none", "rp-default" },
		    E_INVALID },
		{ { "x", "iss-local", "p", "o", NULL, "rp-none" },
		    E_INVALID },
		{ { "x", "iss-local", "", "o-est", "", "rp-default" }, E_OK },
	};
	struct ctx *c = context();
	struct enroller *en;
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		en = enroller_new(&cases[i].conf);
		enroller_ready(c, en, &e);
		cr_expect_eq(e.code, cases[i].want, "%zu: %s", i, e.msg);
		enroller_free(en);
	}
	/* No worker has opened it: this process may not either. */
	t_sql("DELETE FROM ca_keys");
	en = enroller_new(&conf);
	opened_close();
	cr_expect_eq(enroller_ready(c, en, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE, "%s", e.msg);
	enroller_free(en);
	opened_close();
}
