#include "x509/san.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"

static struct arena *a;

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

TestSuite(san, .init = setup, .fini = teardown);

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

Test(san, has_the_type_its_form_says)
{
	static const struct {
		const char *text;
		enum san_type type;
		const char *want;	/* NULL: as given */
	} cases[] = {
		{ "www.example.com",  SAN_DNS, NULL },
		{ "localhost",        SAN_DNS, NULL },
		{ "*.example.com",    SAN_DNS, NULL },
		{ "_sip._tcp.example.com", SAN_DNS, NULL },
		{ "xn--e1afmkfd.xn--p1ai", SAN_DNS, NULL },
		{ L63 ".example.com", SAN_DNS, NULL },
		{ "1.example.com",    SAN_DNS, NULL },
		{ "192.0.2.1",        SAN_IP, NULL },
		{ "2001:DB8:0::1",    SAN_IP, "2001:db8::1" },
		{ "::ffff:192.0.2.1", SAN_IP, NULL },
		{ "ops@example.com",  SAN_EMAIL, NULL },
		{ "a.b+c@example.com", SAN_EMAIL, NULL },
		{ "spiffe://example.org/ns/x", SAN_URI, NULL },
		{ "https://u@example.com/", SAN_URI, NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct err e = { 0 };
		struct san s;

		cr_assert_eq(san_parse(a, cases[i].text, &s, &e), 0, "%s: %s",
		    cases[i].text, e.msg);
		cr_expect_eq(s.type, cases[i].type, "%s", cases[i].text);
		cr_expect_str_eq(s.text, cases[i].want != NULL ?
		    cases[i].want : cases[i].text);
	}
}

Test(san, refuses_what_is_no_name)
{
	static const char *const cases[] = {
		"", ".", "a..b", ".example.com", "example.com.", "-a.com",
		"a-.com", "a b.com", "*", "*.", "a.*.com", "w*.example.com",
		"999.1.1.1", "1.2.3", "example.com:443", "1::2::3",
		L63 "x.com", L63 "." L63 "." L63 "." L63 "." "com",
		"@example.com", "a@", "a@b@c", ".a@example.com",
		"a b@example.com", "a@-b.com", "\"a\"@example.com",
		"://x", "1x://y", "spiffe://", "spiffe://a b",
		"spiffe://example.org/\xc3\xbc", "m\xc3\xbcller.de",
		"\xd0\xbf.\xd1\x80\xd1\x84", "a\nb", "a\xe2\x80\xae",
		"a;b.com", "a/b", "$(id)", "a\"b",
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct err e = { 0 };
		struct san s;

		cr_expect_eq(san_parse(a, cases[i], &s, &e), -1, "%s",
		    cases[i]);
		cr_expect_eq(e.code, E_INVALID);
	}
}

Test(san, is_kept_once)
{
	static const struct san in[] = {
		{ SAN_DNS, "a.example.com" }, { SAN_DNS, "A.EXAMPLE.com" },
		{ SAN_EMAIL, "a.example.com" }, { SAN_DNS, "b.example.com" },
		{ SAN_URI, "x://A" }, { SAN_URI, "x://a" },
		{ SAN_DNS, "a.example.com" },
	};
	struct sans t = { 0 };
	struct texts texts;

	for (size_t i = 0; i < NELEM(in); i++)
		sans_add(a, &t, in[i]);
	texts = sans_texts(a, &t);
	cr_assert_eq(texts.n, 5);
	cr_expect_str_eq(texts.v[0], "a.example.com");
	cr_expect_eq(t.v[1].type, SAN_EMAIL);
	cr_expect_str_eq(texts.v[4], "x://a");
}
