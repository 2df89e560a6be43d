#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
#include "issuer/issuer.h"
#include "t/x509/fixture.h"

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

TestSuite(profile, .init = setup, .fini = teardown);

#define TEXTS(...) { (const char *[]){ __VA_ARGS__ }, \
	sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *) }

static struct csr *
request(struct key *k, const char *cn, struct texts sans)
{
	char *pem = csr_make(a, k, cn, &sans, &e);
	struct csr *c;

	cr_assert_not_null(pem, "%s", e.msg);
	c = csr_from_pem(a, pem, &e);
	cr_assert_not_null(c, "%s", e.msg);
	return c;
}

static void
expect(int rc, bool ok, size_t i)
{
	cr_expect_eq(rc == 0, ok, "case %zu: %s", i, e.msg);
	if (!ok)
		cr_expect_eq(e.code, E_INVALID);
	e = (struct err){ 0 };
}

Test(profile, allows_the_keys_it_names)
{
	const struct {
		const char *algorithm;
		int64_t min_size;
		const char *key;
		int bits;
		bool ok;
	} cases[] = {
		{ "ECDSA",   256,  "ECDSA",   256,  true },
		{ "ECDSA",   256,  "ECDSA",   384,  true },
		{ "ECDSA",   384,  "ECDSA",   256,  false },
		{ "RSA",     2048, "RSA",     2048, true },
		{ "RSA",     3072, "RSA",     2048, false },
		{ "RSA",     2048, "ECDSA",   256,  false },
		{ "Ed25519", 256,  "Ed25519", 256,  true },
		{ "ECDSA",   256,  "Ed25519", 256,  false },
		{ "ecdsa",   0,    "ECDSA",   256,  false },
		{ "ML-DSA",  0,    "ECDSA",   256,  false },
		{ NULL,      0,    "ECDSA",   256,  false },
		{ "",        0,    "ECDSA",   256,  false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct profile_rules p = { .n_keys = 1 };
		struct csr *c = request(t_key_of(a, cases[i].key,
		    cases[i].bits), "x.example.com", (struct texts){ 0 });

		p.keys[0].algorithm = cases[i].algorithm;
		p.keys[0].min_size = cases[i].min_size;
		expect(issuer_check_csr(c, &p, &e), cases[i].ok, i);
		p.n_keys = 0;
		expect(issuer_check_csr(c, &p, &e), true, i);
		expect(issuer_check_csr(c, NULL, &e), true, i);
	}
}

Test(profile, allows_the_names_its_patterns_match)
{
	const struct {
		const char *cn;
		struct texts sans, patterns;
		const char *spiffe;
		bool ok;
	} cases[] = {
		{ "a.example.com", { 0 }, TEXTS("a.example.com"), NULL, true },
		{ "A.Example.COM", { 0 }, TEXTS("a.example.com"), NULL, true },
		{ "a.example.com", { 0 }, TEXTS("*.example.com"), NULL, true },
		{ "a.b.example.com", { 0 }, TEXTS("*.example.com"), NULL,
		  false },
		{ "example.com", { 0 }, TEXTS("*.example.com"), NULL, false },
		{ "aexample.com", { 0 }, TEXTS("*.example.com"), NULL, false },
		{ "axexample.com", { 0 }, TEXTS("a.example.com"), NULL,
		  false },
		{ "a.example.com.evil.com", { 0 }, TEXTS("a.example.com",
		  "*.example.com", ".*\\.example\\.com"), NULL, false },
		{ NULL, TEXTS("*.example.com"), TEXTS("*.example.com"), NULL,
		  true },
		{ NULL, TEXTS("a.example.com", "b.example.com"),
		  TEXTS("a.example.com", "b.example.com"), NULL, true },
		{ NULL, TEXTS("a.example.com", "evil.com"),
		  TEXTS("*.example.com"), NULL, false },
		/* The subject is a name too. */
		{ "evil.com", TEXTS("a.example.com"), TEXTS("*.example.com"),
		  NULL, false },
		{ "evil.com.", TEXTS("a.example.com"), TEXTS("*.example.com"),
		  NULL, false },
		{ "Web server", TEXTS("a.example.com"), TEXTS("*.example.com"),
		  NULL, true },
		{ "db1", { 0 }, TEXTS("*.example.com"), NULL, false },
		{ NULL, TEXTS("x1.dev.corp"),
		  TEXTS("x[0-9]+\\.(dev|test)\\.corp"), NULL, true },
		{ NULL, TEXTS("yx1.dev.corp"),
		  TEXTS("x[0-9]+\\.(dev|test)\\.corp"), NULL, false },
		{ NULL, TEXTS("evil.com"), TEXTS("a|evil\\.com|b"), NULL,
		  true },
		{ NULL, TEXTS("evil.com"), TEXTS("a|^evil"), NULL, false },
		{ NULL, TEXTS("192.0.2.1"), TEXTS("192\\.0\\.2\\.[0-9]+"), NULL,
		  true },
		/* A pattern that is none lets nothing pass. */
		{ NULL, TEXTS("a.example.com"), TEXTS("("), NULL, false },
		{ NULL, TEXTS("a.example.com"), TEXTS(""), NULL, false },
		{ NULL, TEXTS("spiffe://example.org/a"), { 0 },
		  "spiffe://example.org/.*", true },
		{ NULL, TEXTS("spiffe://evil.org/a"), { 0 },
		  "spiffe://example.org/.*", false },
		{ NULL, TEXTS("spiffe://example.org/a"), { 0 }, "[", false },
		{ NULL, TEXTS("a.example.com"), { 0 },
		  "spiffe://example.org/.*", true },
		{ NULL, TEXTS("spiffe://example.org/a"), TEXTS("*.example.com"),
		  "spiffe://example.org/.*", false },
	};
	struct key *k = t_key(a);

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct profile_rules p = {
			.san_patterns = cases[i].patterns,
			.spiffe_uri_pattern = cases[i].spiffe,
		};

		expect(issuer_check_csr(request(k, cases[i].cn,
		    cases[i].sans), &p, &e), cases[i].ok, i);
	}
}

Test(profile, patterns_are_checked_when_they_are_set)
{
	const struct { const char *pattern; bool ok; } cases[] = {
		{ "www.example.com", true }, { "*.example.com", true },
		{ ".*", true }, { "[a-z]+\\.example\\.com", true },
		{ "", false }, { "(", false }, { "[", false },
		{ "a{1,99999}", false }, { "*(", false },
		{ arena_printf(a, "%0600d+", 0), false },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		expect(issuer_check_pattern(cases[i].pattern, &e),
		    cases[i].ok, i);
}

Test(profile, allows_the_usages_it_names)
{
	const struct {
		const char *file;
		struct texts ekus;
		bool ok;
	} cases[] = {
		{ "csr/ed25519.pem", TEXTS("serverAuth"), true },
		{ "csr/ed25519.pem", TEXTS("serverAuth", "codeSigning"), true },
		{ "csr/ed25519.pem", TEXTS("webAuth"), false },
		{ "csr/ed25519.pem", TEXTS("serverauth"), false },
		{ "csr/p256-eku.pem", TEXTS("serverAuth"), false },
		{ "csr/p256-eku.pem", { 0 }, false },
		{ "csr/p256-eku.pem", TEXTS("codeSigning"), false },
		{ "csr/p256-wants-ca.pem", { 0 }, false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct profile_rules p = { .ekus = cases[i].ekus };
		struct csr *c = csr_from_pem(a, t_data(a, cases[i].file), &e);

		expect(issuer_check_csr(c, &p, &e), cases[i].ok, i);
	}
}

Test(profile, names_are_collected_once_and_in_order)
{
	struct issue_args args = {
		.csr = request(t_key(a), "a.example.com",
		    (struct texts)TEXTS("B.example.com", "x.example.com")),
		.common_name = "c.example.com",
		.sans = TEXTS("b.example.com", "192.0.2.1", "A.EXAMPLE.COM",
		    "ops@example.com"),
	};
	static const char *const want[] = { "a.example.com", "c.example.com",
	    "b.example.com", "192.0.2.1", "ops@example.com", "x.example.com" };
	struct sans got;

	cr_assert_eq(issuer_names(a, &args, &got, &e), 0, "%s", e.msg);
	cr_assert_eq(got.n, NELEM(want));
	for (size_t i = 0; i < NELEM(want); i++)
		cr_expect_str_eq(got.v[i].text, want[i]);
	args.sans = (struct texts)TEXTS("not a name");
	cr_expect_eq(issuer_names(a, &args, &got, &e), -1);
}

Test(profile, a_server_without_names_is_called_by_its_common_name)
{
	struct profile_rules client = { .ekus = TEXTS("clientAuth") };
	struct issue_args args = {
		.csr = request(t_key(a), "localhost", (struct texts){ 0 }),
	};
	struct sans got;

	cr_assert_eq(issuer_names(a, &args, &got, &e), 0, "%s", e.msg);
	cr_assert_eq(got.n, 1);
	cr_expect_str_eq(got.v[0].text, "localhost");
	args.profile = &client;
	cr_assert_eq(issuer_names(a, &args, &got, &e), 0, "%s", e.msg);
	cr_expect_eq(got.n, 0);
}
