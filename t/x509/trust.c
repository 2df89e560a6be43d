#include "x509/trust.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/tbs.h"

enum { FROM = 1700000000, NOW = 1800000000, UNTIL = 2600000000 };

static struct arena *a;
static struct err e;

static void
setup(void)
{
	a = arena_new();
	e = (struct err){ 0 };
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(trust, .init = setup, .fini = teardown);

struct made {
	struct key *key;
	const char *name, *pem;
};

static struct made
make(const char *name, const struct made *up, bool ca, int64_t until)
{
	struct made m = { .key = t_key(a), .name = name };
	const struct key *signer = up != NULL ? up->key : m.key;
	struct tbs t = {
		.algorithm = key_algorithm(signer),
		.issuer = name_of(a, up != NULL ? up->name : name),
		.subject = name_of(a, name), .spki = key_spki(m.key),
		.not_before = FROM, .not_after = until, .ca = ca,
		.key_usage = ca ? USAGE_KEY_CERT_SIGN :
		    USAGE_DIGITAL_SIGNATURE,
	};
	struct bytes tbs, signature;

	serial_new(t.serial);
	cr_assert_eq(tbs_make(a, &t, &tbs, &e), 0, "%s", e.msg);
	cr_assert_eq(key_sign(signer, a, tbs, &signature, &e), 0);
	m.pem = pem_make(a, "CERTIFICATE", cert_assemble(a, tbs, t.algorithm,
	    signature));
	return m;
}

static struct trust *
bundle(const char *pem)
{
	struct trust *t = trust_from_pem(a, pem, NOW, &e);

	cr_assert_not_null(t, "%s", e.msg);
	return t;
}

Test(trust, reaches_over_cas_in_the_bundle)
{
	struct made root = make("root", NULL, true, UNTIL);
	struct made sub = make("sub", &root, true, UNTIL);
	struct made leaf = make("leaf", &sub, false, UNTIL);
	struct made stranger = make("root", NULL, true, UNTIL);
	struct trusted got;
	const char *both = arena_printf(a, "words\n%s%s", root.pem, sub.pem);
	size_t n;

	cr_expect_eq(trust_check(bundle(both), a, leaf.pem, NOW, &got, &e), 0,
	    "%s", e.msg);
	cr_expect(streq(got.cert.common_name, "leaf"));
	cr_expect(name_same(got.subject, name_of(a, "leaf")));
	cr_expect_gt(got.key_id.len, 0);
	trust_certs(bundle(both), &n);
	cr_expect_eq(n, 2);
	/* One that is not self-signed is an anchor too. */
	cr_expect_eq(trust_check(bundle(sub.pem), a, leaf.pem, NOW, &got, &e),
	    0);
	cr_expect_eq(trust_check(bundle(root.pem), a, leaf.pem, NOW, &got,
	    &e), -1, "the one between is missing");
	cr_expect_eq(e.code, E_UNAUTHORIZED);
	cr_expect_eq(trust_check(bundle(stranger.pem), a, leaf.pem, NOW, &got,
	    &e), -1, "of the same name only");
}

Test(trust, ends_with_the_certificate)
{
	struct made root = make("root", NULL, true, UNTIL);
	struct made old = make("old", &root, false, NOW - 1);
	struct made leaf = make("leaf", &root, false, UNTIL);
	struct trusted got;

	cr_expect_eq(trust_check(bundle(root.pem), a, old.pem, NOW, &got, &e),
	    -1);
	cr_expect_eq(trust_check(bundle(root.pem), a, leaf.pem, FROM - 1,
	    &got, &e), -1, "not yet valid");
	cr_expect_eq(trust_check(bundle(root.pem), a, "rubbish", NOW, &got,
	    &e), -1);
	cr_expect_eq(e.code, E_UNAUTHORIZED);
}

Test(trust, is_not_made_of_anything)
{
	struct made root = make("root", NULL, true, UNTIL);
	const char *const bad[] = {
		"", "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n"
		    "-----END RSA PRIVATE KEY-----\n",
		make("leaf", &root, false, UNTIL).pem,
		make("old", NULL, true, NOW).pem,
		arena_printf(a, "%s-----BEGIN CERTIFICATE-----\nMAA=\n"
		    "-----END CERTIFICATE-----\n", root.pem),
	};

	for (size_t i = 0; i < NELEM(bad); i++) {
		e = (struct err){ 0 };
		cr_expect_null(trust_from_pem(a, bad[i], NOW, &e), "%zu", i);
		cr_expect_eq(e.code, E_INVALID, "%zu", i);
	}
	cr_expect_null(trust_from_file(a, "/nonexistent/b.pem", NOW, &e));
	cr_expect_not_null(strstr(e.msg, "/nonexistent/b.pem"));
}

Test(trust, compares_names_not_their_spelling)
{
	static const unsigned char printable[] = {
		0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04,
		0x03, 0x13, 0x04, 'D', 'E', 'V', '1',
	};
	struct bytes other = { printable, sizeof(printable) };

	cr_expect(name_same(name_of(a, "dev1"), other));
	cr_expect_not(name_same(name_of(a, "dev2"), other));
	cr_expect_not(name_same((struct bytes){ 0 }, other));
	cr_expect(name_same(name_of(a, NULL), name_of(a, NULL)));
}
