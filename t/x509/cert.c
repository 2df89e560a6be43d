#include "x509/cert.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"
#include "x509/ca.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/tbs.h"

enum { FROM = 1700000000, UNTIL = 2600000000 };

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

TestSuite(cert, .init = setup, .fini = teardown);
TestSuite(ca, .init = setup, .fini = teardown);

struct made {
	struct key *key;
	const char *pem;
	struct ca *ca;		/* NULL for a leaf */
};

/* A certificate for NAME, issued by UP or by itself. */
static struct made
make(const char *name, const struct made *up, bool is_ca)
{
	static const unsigned char number[] = { 0x42 };
	struct made m = { .key = t_key(a) };
	struct key *signer = up != NULL ? up->key : m.key;
	struct bytes subject = name_of(a, name), tbs, signature, der;
	struct tbs t = {
		.algorithm = key_algorithm(signer),
		.subject = subject,
		.issuer = up != NULL ? ca_subject_der(up->ca) : subject,
		.spki = key_spki(m.key),
		.not_before = FROM,
		.not_after = UNTIL,
		.ca = is_ca,
		.key_usage = is_ca ? USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN :
		    USAGE_DIGITAL_SIGNATURE,
	};

	memcpy(t.serial, number, sizeof(number));
	t.serial[SERIAL_LEN - 1] = 0xff;
	if (up != NULL)
		t.authority_key_id = ca_key_id(up->ca);
	cr_assert_eq(tbs_make(a, &t, &tbs, &e), 0, "%s", e.msg);
	cr_assert_eq(key_sign(signer, a, tbs, &signature, &e), 0);
	der = cert_assemble(a, tbs, t.algorithm, signature);
	m.pem = pem_make(a, "CERTIFICATE", der);
	if (is_ca) {
		m.ca = ca_from_pem(a, m.pem, &e);
		cr_assert_not_null(m.ca, "%s", e.msg);
	}
	return m;
}

Test(cert, is_read_into_plain_values)
{
	struct made root = make("Test Root", NULL, true);
	struct made leaf = make("leaf.example.com", &root, false);
	struct x509_cert *c;
	size_t n;

	cr_assert_eq(certs_from_pem(a, arena_printf(a, "text\n%s%s%s",
	    leaf.pem, key_to_pem(a, leaf.key, &e), root.pem), &c, &n, &e), 0,
	    "%s", e.msg);
	cr_assert_eq(n, 2);
	cr_expect_str_eq(c[0].common_name, "leaf.example.com");
	cr_expect_str_eq(c[0].subject, "CN=leaf.example.com");
	cr_expect_str_eq(c[0].issuer, "CN=Test Root");
	cr_expect_str_eq(c[0].serial,
	    "42000000000000000000000000000000000000ff");
	cr_expect_eq(c[0].not_before, FROM);
	cr_expect_eq(c[0].not_after, UNTIL);
	cr_expect_not(c[0].is_ca);
	cr_expect(c[1].is_ca);
	cr_expect_str_eq(c[0].pem, leaf.pem);
	cr_expect_str_eq(c[0].spki_hash, key_spki_hash(a, leaf.key));
	cr_expect_str_eq(c[0].key.algorithm, "ECDSA");
	cr_expect_eq(strlen(c[0].fingerprint), 64);
}

Test(cert, serial_is_read_in_every_spelling)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "0a1b", "0a1b" }, { "a1b", "0a1b" }, { "A1B", "0a1b" },
		{ "0A:1B", "0a1b" }, { "0x0a1b", "0a1b" },
		{ "00:00:0A:1B", "0a1b" }, { " 0a 1b", "0a1b" },
		{ "0000000000000000000000000000000000000000000000a1b",
		    "0a1b" },
		{ "ff", "ff" }, { "00ff", "ff" }, { "0", "00" },
		{ "7fffffffffffffffffffffffffffffffffffffff",
		    "7fffffffffffffffffffffffffffffffffffffff" },
		{ "17fffffffffffffffffffffffffffffffffffffff", NULL },
		{ "", NULL }, { "0x", NULL }, { ":", NULL }, { "0g", NULL },
		{ "-1", NULL }, { "1x2", NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *got = serial_parse(a, cases[i].text);

		cr_expect(got == NULL ? cases[i].want == NULL :
		    cases[i].want != NULL && streq(got, cases[i].want),
		    "\"%s\" is %s", cases[i].text, got);
	}
}

Test(cert, that_is_damaged_is_refused)
{
	struct made m = make("x.example.com", NULL, false);
	struct x509_cert *c, one;
	unsigned char *longer;
	size_t n;
	const char *const texts[] = {
		"", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"
		"-----END CERTIFICATE-----\n",
		arena_printf(a, "%s%.60s", m.pem, m.pem),
		key_to_pem(a, m.key, &e),
	};

	for (size_t i = 0; i < NELEM(texts); i++)
		cr_expect_eq(certs_from_pem(a, texts[i], &c, &n, &e), -1,
		    "case %zu", i);
	cr_assert_eq(certs_from_pem(a, m.pem, &c, &n, &e), 0);
	longer = arena_zalloc(a, c->der.len + 1);
	memcpy(longer, c->der.p, c->der.len);
	cr_expect_eq(cert_from_der(a, longer, c->der.len, &one, &e), 0);
	cr_expect_eq(cert_from_der(a, longer, c->der.len + 1, &one, &e), -1);
	for (size_t i = 0; i < c->der.len; i += 16)
		cr_expect_eq(cert_from_der(a, longer, i, &one, &e), -1);
}

Test(cert, belongs_to_its_key_and_its_chain)
{
	struct made root = make("Test Root", NULL, true);
	struct made sub = make("Test Sub", &root, true);
	struct made leaf = make("leaf.example.com", &sub, false);
	struct made other = make("Test Sub", &root, true);
	const struct {
		const char *chain;
		struct key *key;
		bool ok;
	} cases[] = {
		{ NULL, leaf.key, true },
		{ "", leaf.key, true },
		{ sub.pem, leaf.key, true },
		{ arena_printf(a, "%s%s", sub.pem, root.pem), leaf.key, true },
		{ NULL, sub.key, false },
		{ root.pem, leaf.key, false },
		{ other.pem, leaf.key, false },
		{ arena_printf(a, "%s%s", root.pem, sub.pem), leaf.key,
		  false },
		{ "garbage", leaf.key, false },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(cert_check_pair(a, leaf.pem, cases[i].chain,
		    key_to_pem(a, cases[i].key, &e), &e) == 0, cases[i].ok,
		    "case %zu: %s", i, e.msg);
}

Test(ca, is_a_chain_of_cas_in_order)
{
	struct made root = make("Test Root", NULL, true);
	struct made sub = make("Test Sub", &root, true);
	struct made leaf = make("leaf.example.com", &sub, false);
	const struct { const char *pem, *why; } cases[] = {
		{ root.pem, NULL },
		{ arena_printf(a, "%s%s", sub.pem, root.pem), NULL },
		{ arena_printf(a, "%s%s", root.pem, sub.pem),
		  "did not issue" },
		{ leaf.pem, "not a CA" },
		{ arena_printf(a, "%s%s", sub.pem, leaf.pem), "not a CA" },
		{ "", "no certificate" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(ca_from_pem(a, cases[i].pem, &e) != NULL,
		    cases[i].why == NULL, "case %zu: %s", i, e.msg);
		if (cases[i].why != NULL)
			cr_expect_not_null(strstr(e.msg, cases[i].why),
			    "case %zu: %s", i, e.msg);
	}
}

Test(ca, says_when_it_is_valid)
{
	struct made root = make("Test Root", NULL, true);

	cr_expect_eq(ca_check_valid(root.ca, FROM, &e), 0);
	cr_expect_eq(ca_check_valid(root.ca, UNTIL, &e), 0);
	cr_expect_eq(ca_check_valid(root.ca, FROM - 1, &e), -1);
	cr_expect_eq(ca_check_valid(root.ca, UNTIL + 1, &e), -1);
	cr_expect_not_null(strstr(e.msg, "2023-11-14T22:13:20Z"), "%s", e.msg);
	cr_expect_not_null(strstr(e.msg, "2052-05-22T14:13:20Z"), "%s", e.msg);
}
