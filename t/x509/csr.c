#include "x509/csr.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
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

TestSuite(csr, .init = setup, .fini = teardown);

Test(csr, refuses_what_a_ca_must_not_sign)
{
	static const struct {
		const char *file;
		const char *why;	/* NULL: accepted */
	} cases[] = {
		{ "rsa2048",         NULL },
		{ "p521",            NULL },
		{ "ed25519",         NULL },
		{ "p256-subject",    NULL },
		{ "p256-nameless",   NULL },
		{ "p256-agent",      NULL },
		{ "p256-eku",        NULL },
		{ "p256-wants-ca",   NULL },	/* the issuer says no */
		{ "rsa1024",         "1024 bits is too weak" },
		{ "rsa-e3",          "exponent" },
		{ "rsa-sha1",        "sha1WithRSAEncryption" },
		{ "rsa-md5",         "md5WithRSAEncryption" },
		{ "rsa-pss",         "rsassaPss" },
		{ "p192",            "P-256" },
		{ "p224",            "P-256" },
		{ "secp256k1",       "P-256" },
		{ "brainpool",       "P-256" },
		{ "p256-explicit",   "P-256" },
		{ "ed448",           "ED448" },
		{ "dsa",             "dsa" },
		{ "p256-othername",  "other than DNS" },
		{ "p256-two-names",  "more than one common name" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *pem = t_data(a, arena_printf(a, "csr/%s.pem",
		    cases[i].file));
		struct csr *c;

		e = (struct err){ 0 };
		c = csr_from_pem(a, pem, &e);
		cr_expect_eq(c != NULL, cases[i].why == NULL, "%s: %s",
		    cases[i].file, e.msg);
		if (cases[i].why == NULL)
			continue;
		cr_expect_eq(e.code, E_INVALID);
		cr_expect_not_null(strstr(e.msg, cases[i].why), "%s: %s",
		    cases[i].file, e.msg);
	}
}

#define CN(s) .cn = (s), .cn_len = sizeof(s) - 1
#define NAMES(...) .names = (const struct t_name[]){ __VA_ARGS__ }, \
	.n = sizeof((const struct t_name[]){ __VA_ARGS__ }) / \
	sizeof(struct t_name)

static const struct {
	struct t_request r;
	const char *why;
} forged[] = {
	{ { CN("ok.example.com"), NAMES(T_DNS("ok.example.com")) }, NULL },
	{ { NAMES(T_DNS("*.example.com"), T_IP("\xc0\0\2\1")) }, NULL },
	{ { CN("x.example.com"), .other_key = true }, "not signed" },
	{ { CN("a\0b.example.com") }, "NUL" },
	{ { CN("a\x01z") }, "control" },
	{ { CN("\xe2\x80\xaemoc") }, "bidirectional" },
	{ { CN("exam\xe2\x80\x8bple") }, "zero-width" },
	{ { CN("ex\xd0\xb0mple.com") }, "mixes scripts" },
	{ { CN("\xff\xfe") }, "subject is damaged" },
	{ { NAMES(T_DNS("good.example.com\0.evil.com")) }, "NUL" },
	{ { NAMES(T_DNS("a b.example.com")) }, "not a host name" },
	{ { NAMES(T_DNS("ex\xd0\xb0mple.com")) }, "mixes scripts" },
	{ { NAMES(T_DNS("\xd0\xbf.\xd1\x80\xd1\x84")) }, "xn--" },
	{ { NAMES(T_DNS("")) }, "empty" },
	{ { NAMES(T_DNS("*")) }, "not a host name" },
	{ { NAMES(T_DNS("-x.example.com")) }, "begins or ends" },
	{ { NAMES(T_EMAIL("a\0@example.com")) }, "NUL" },
	{ { NAMES(T_EMAIL("example.com")) }, "form of its type" },
	{ { NAMES(T_EMAIL("a@b@c")) }, "host name" },
	{ { NAMES(T_URI("spiffe://x\0y")) }, "NUL" },
	{ { NAMES(T_URI("example.com")) }, "form of its type" },
	{ { NAMES(T_IP("\x01\x02\x03")) }, "wrong length" },
	{ { NAMES(T_IP("")) }, "wrong length" },
	{ { NAMES({ 0x88, "\x2a\x03", 2 }) }, "other than DNS" },
	{ { NAMES({ 0x82 | 0x20, "x", 1 }) }, "damaged" },
	{ { CN("x"), NAMES(T_DNS("x.example.com")), .twice = true },
	  "damaged" },
};

Test(csr, refuses_hostile_names)
{
	for (size_t i = 0; i < NELEM(forged); i++) {
		struct bytes der = t_forge(a, &forged[i].r);
		struct csr *c;

		e = (struct err){ 0 };
		c = csr_from_der(a, der.p, der.len, &e);
		cr_expect_eq(c != NULL, forged[i].why == NULL,
		    "case %zu: %s", i, e.msg);
		if (forged[i].why != NULL)
			cr_expect_not_null(strstr(e.msg, forged[i].why),
			    "case %zu: %s", i, e.msg);
	}
}

Test(csr, refuses_more_names_than_a_certificate_may_carry)
{
	struct t_name names[SANS_MAX + 1];
	struct t_request r = { .names = names, .n = SANS_MAX };
	struct bytes der;
	char *text;

	for (size_t i = 0; i < NELEM(names); i++) {
		text = arena_printf(a, "h%zu.example.com", i);
		names[i] = (struct t_name){ 0x82, text, strlen(text) };
	}
	der = t_forge(a, &r);
	cr_expect_not_null(csr_from_der(a, der.p, der.len, &e), "%s", e.msg);
	r.n++;
	der = t_forge(a, &r);
	cr_expect_null(csr_from_der(a, der.p, der.len, &e));
	cr_expect_not_null(strstr(e.msg, "more than 100 names"), "%s", e.msg);
}

Test(csr, refuses_every_truncation_and_any_octet_changed_or_added)
{
	static const struct t_name name = T_DNS("a.example.com");
	struct t_request r = { CN("a.example.com"), .names = &name, .n = 1 };
	struct bytes der = t_forge(a, &r);
	unsigned char *copy = arena_alloc(a, der.len + 1);

	for (size_t n = 0; n < der.len; n++)
		cr_expect_null(csr_from_der(a, der.p, n, &e), "%zu", n);
	memcpy(copy, der.p, der.len);
	copy[der.len] = 0;
	cr_expect_null(csr_from_der(a, copy, der.len + 1, &e));
	cr_expect_not_null(strstr(e.msg, "octets follow"), "%s", e.msg);
	for (size_t i = 0; i < der.len; i++) {
		copy[i] ^= 0x01;
		cr_expect_null(csr_from_der(a, copy, der.len, &e),
		    "octet %zu", i);
		copy[i] ^= 0x01;
	}
	cr_expect_not_null(csr_from_der(a, copy, der.len, &e), "%s", e.msg);
}

Test(csr, refuses_a_flood)
{
	size_t len = CSR_MAX + 1;
	char *big = arena_zalloc(a, 4 * CSR_MAX);

	cr_expect_null(csr_from_der(a, big, len, &e));
	cr_expect_not_null(strstr(e.msg, "larger"), "%s", e.msg);
	memset(big, 'A', 4 * CSR_MAX - 1);
	cr_expect_null(csr_from_pem(a, big, &e));
	cr_expect_not_null(strstr(e.msg, "larger"), "%s", e.msg);
}

Test(csr, is_one_pem_block_and_nothing_else)
{
	const char *pem = t_data(a, "csr/ed25519.pem");
	const char *body = strchr(pem, '\n');
	const char *end = strstr(pem, "-----END");
	const struct { const char *pem; bool ok; } cases[] = {
		{ pem, true },
		{ arena_printf(a, "\n \t%s\n\r\n ", pem), true },
		{ arena_printf(a, "-----BEGIN NEW CERTIFICATE REQUEST-----"
		    "%.*s-----END NEW CERTIFICATE REQUEST-----",
		    (int)(end - body), body), true },
		{ arena_printf(a, "x%s", pem), false },
		{ arena_printf(a, "%sx", pem), false },
		{ arena_printf(a, "%s%s", pem, pem), false },
		{ arena_printf(a, "-----BEGIN CERTIFICATE-----%.*s"
		    "-----END CERTIFICATE-----\n", (int)(end - body), body),
		    false },
		{ arena_printf(a, "%.*s", (int)(end - pem), pem), false },
		{ arena_printf(a, "%.*s*%s", (int)(body - pem) + 3, pem,
		    body + 4), false },
		{ "", false },
		{ "-----BEGIN CERTIFICATE REQUEST-----\n"
		  "-----END CERTIFICATE REQUEST-----\n", false },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(csr_from_pem(a, cases[i].pem, &e) != NULL,
		    cases[i].ok, "case %zu: %s", i, e.msg);
}

static void
expect_names(const struct csr *c, const struct san *want, size_t n)
{
	struct sans got = csr_sans(c);

	cr_assert_eq(got.n, n);
	for (size_t i = 0; i < n; i++) {
		cr_expect_eq(got.v[i].type, want[i].type);
		cr_expect_str_eq(got.v[i].text, want[i].text);
	}
}

Test(csr, tells_what_it_asks_for)
{
	static const struct san want[] = {
		{ SAN_DNS, "full.example.com" }, { SAN_IP, "192.0.2.1" },
		{ SAN_IP, "2001:db8::1" }, { SAN_EMAIL, "a@example.com" },
		{ SAN_URI, "spiffe://example.com/x" },
	};
	struct csr *c = csr_from_pem(a, t_data(a, "csr/p256-subject.pem"),
	    &e);

	cr_assert_not_null(c, "%s", e.msg);
	cr_expect_str_eq(csr_common_name(c), "full.example.com");
	cr_expect_str_eq(csr_key(c).algorithm, "ECDSA");
	cr_expect_eq(csr_key(c).bits, 256);
	expect_names(c, want, NELEM(want));
	cr_expect_eq(csr_ekus(c).n, 0);
	cr_expect_not(csr_wants_ca(c));
	cr_expect_eq(strlen(csr_spki_hash(c)), 64);
	c = csr_from_pem(a, t_data(a, "csr/p256-eku.pem"), &e);
	cr_assert_eq(csr_ekus(c).n, 2);
	cr_expect_str_eq(csr_ekus(c).v[0], "codeSigning");
	cr_expect_str_eq(csr_ekus(c).v[1], "1.2.3.4");
	c = csr_from_pem(a, t_data(a, "csr/p256-wants-ca.pem"), &e);
	cr_expect(csr_wants_ca(c));
	c = csr_from_pem(a, t_data(a, "csr/p256-nameless.pem"), &e);
	cr_expect_str_eq(csr_common_name(c), "");
	cr_expect_eq(csr_subject_der(c).len, 2);
}

Test(csr, of_an_agent_in_the_field_has_every_name_as_dns)
{
	static const struct san want[] = {
		{ SAN_DNS, "agent.example.com" }, { SAN_IP, "192.0.2.7" },
		{ SAN_URI, "spiffe://example.com/agent" },
		{ SAN_EMAIL, "ops@example.com" },
	};
	struct csr *c = csr_from_pem(a, t_data(a, "csr/p256-agent.pem"), &e);

	cr_assert_not_null(c, "%s", e.msg);
	expect_names(c, want, NELEM(want));
}

Test(csr, that_we_make_is_one_we_accept)
{
	static const char *names[] = { "a.example.com", "192.0.2.1",
	    "2001:db8::1", "ops@example.com", "spiffe://example.com/x" };
	static const struct key_type types[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "ECDSA", 521 },
		{ "RSA", 2048 }, { "Ed25519", 256 },
	};
	struct texts sans = { names, NELEM(names) };

	for (size_t i = 0; i < NELEM(types); i++) {
		struct key *k = t_key_of(a, types[i].algorithm, types[i].bits);
		char *pem = csr_make(a, k, "a.example.com", &sans, &e);
		struct csr *c;

		cr_assert_not_null(pem, "%s", e.msg);
		c = csr_from_pem(a, pem, &e);
		cr_assert_not_null(c, "%s", e.msg);
		cr_expect_str_eq(csr_common_name(c), "a.example.com");
		cr_expect_eq(csr_sans(c).n, NELEM(names));
		cr_expect_str_eq(csr_spki_hash(c), key_spki_hash(a, k));
		cr_expect_eq(csr_key(c).bits, types[i].bits);
	}
}

Test(csr, is_not_made_with_bad_names)
{
	static const char *bad[] = { "a b" };
	struct texts none = { 0 }, sans = { bad, 1 };
	struct key *k = t_key(a);

	cr_expect_null(csr_make(a, k, "x", &sans, &e));
	cr_expect_null(csr_make(a, k, "a\nb", &none, &e));
	cr_expect_not_null(csr_make(a, k, NULL, &none, &e), "%s", e.msg);
}
