#include "x509/tbs.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"
#include "x509/name.h"

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

TestSuite(tbs, .init = setup, .fini = teardown);

static struct tbs
sample(void)
{
	struct key *k = t_key(a);
	struct tbs t = {
		.algorithm = key_algorithm(k),
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, "x"),
		.spki = key_spki(k),
		.not_before = 1700000000,
		.not_after = 1800000000,
		.key_usage = USAGE_DIGITAL_SIGNATURE,
	};

	serial_new(t.serial);
	return t;
}

Test(tbs, is_read_back_as_it_was_made)
{
	struct tbs t = sample();
	struct tbs_info info;
	struct bytes der;

	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	cr_assert_eq(tbs_read(a, der, &info, &e), 0, "%s", e.msg);
	cr_expect_eq(strlen(info.serial), SERIAL_HEX);
	cr_expect_eq(info.not_before, t.not_before);
	cr_expect_eq(info.not_after, t.not_after);
	cr_expect_not(info.ca);
	cr_expect_eq(info.algorithm.len, t.algorithm.len);
	cr_expect_eq(memcmp(info.algorithm.p, t.algorithm.p,
	    info.algorithm.len), 0);
}

Test(tbs, that_may_act_as_a_ca_is_seen_to)
{
	static const struct {
		bool ca;
		unsigned char usage;
		bool want;
	} cases[] = {
		{ false, USAGE_DIGITAL_SIGNATURE, false },
		{ false, USAGE_KEY_ENCIPHERMENT | USAGE_CONTENT_COMMITMENT,
		  false },
		{ true, USAGE_DIGITAL_SIGNATURE, true },
		{ false, USAGE_KEY_CERT_SIGN, true },
		{ false, USAGE_CRL_SIGN | USAGE_DIGITAL_SIGNATURE, true },
	};
	struct tbs t = sample();
	struct tbs_info info;
	struct bytes der;

	for (size_t i = 0; i < NELEM(cases); i++) {
		t.ca = cases[i].ca;
		t.key_usage = cases[i].usage;
		cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
		cr_assert_eq(tbs_read(a, der, &info, &e), 0, "%s", e.msg);
		cr_expect_eq(info.ca, cases[i].want, "case %zu", i);
	}
}

Test(tbs, that_is_not_whole_or_not_der_is_refused)
{
	struct tbs t = sample();
	struct tbs_info info;
	unsigned char *copy;
	struct bytes der, bad;

	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	copy = arena_zalloc(a, der.len + 1);
	memcpy(copy, der.p, der.len);
	for (size_t n = 0; n < der.len; n++) {
		bad = (struct bytes){ copy, n };
		cr_expect_eq(tbs_read(a, bad, &info, &e), -1, "%zu", n);
	}
	bad = (struct bytes){ copy, der.len + 1 };
	cr_expect_eq(tbs_read(a, bad, &info, &e), -1);
}

/* The first NEEDLE in DER replaced by as many octets of WITH. */
static struct bytes
change(struct bytes der, const char *needle, const char *with, size_t len)
{
	unsigned char *copy = arena_memdup(a, der.p, der.len), *at;

	at = memmem(copy, der.len, needle, len);
	cr_assert_not_null(at);
	memcpy(at, with, len);
	return (struct bytes){ copy, der.len };
}

Test(tbs, that_leaves_doubt_is_no_end_entity)
{
	static const struct {
		const char *needle, *with;
		size_t len;
		int want;		/* -1: refused, 1: taken for a CA */
	} cases[] = {
#define ROW(needle, with, want) { (needle), (with), sizeof(with) - 1, (want) }
		/* basicConstraints or keyUsage under another name, or twice */
		ROW("\x55\x1d\x13", "\x55\x1d\x14", 1),
		ROW("\x55\x1d\x0f", "\x55\x1d\x10", 1),
		ROW("\x55\x1d\x0f", "\x55\x1d\x13", -1),
		/* keyUsage of no octet, or with another type */
		ROW("\x03\x02\x07\x80", "\x03\x01\x00\x80", 1),
		ROW("\x03\x02\x07\x80", "\x04\x02\x07\x80", 1),
		ROW("\x03\x02\x07\x80", "\x03\x02\x00\x84", 1),
		/* basicConstraints with an element, critical not TRUE */
		ROW("\x04\x02\x30\x00", "\x04\x02\x05\x00", 1),
		ROW("\x13\x01\x01\xff", "\x13\x01\x01\x01", -1),
		/* times: a leap second, a small z */
		ROW("231114221320Z", "231114221360Z", -1),
		ROW("231114221320Z", "231114221320z", -1),
		ROW("231114221320Z", "231314221320Z", -1),
		/* keyUsage with bits that are not used, or used for nothing */
		ROW("\x03\x02\x07\x80", "\x03\x02\x07\xc0", 1),
		ROW("\x03\x02\x07\x80", "\x03\x02\x06\x80", 1),
		ROW("\x03\x02\x07\x80", "\x03\x02\x08\x80", 1),
		/* an extension's name in more octets than it takes */
		ROW("\x06\x03\x55\x1d\x0f", "\x06\x03\x55\x80\x0f", -1),
		ROW("\x06\x03\x55\x1d\x0f", "\x06\x03\x55\x1d\x8f", -1),
		/* version 1 */
		ROW("\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x00", -1),
#undef ROW
	};
	struct tbs t = sample();
	struct tbs_info info;
	struct bytes der;

	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct bytes bad = change(der, cases[i].needle, cases[i].with,
		    cases[i].len);
		int rc = tbs_read(a, bad, &info, &e);

		cr_expect_eq(rc, cases[i].want < 0 ? -1 : 0, "case %zu", i);
		if (rc == 0)
			cr_expect(info.ca, "case %zu", i);
	}
}

Test(tbs, has_a_positive_serial_number_in_few_octets)
{
	static const struct {
		const char *with;	/* in place of its first octets */
		int want;
	} cases[] = {
		{ "\x10\x00", 0 }, { "\x00\x80", 0 }, { "\x00\x7f", -1 },
		{ "\x00\x00", -1 }, { "\x80\x00", -1 }, { "\xff\x80", -1 },
	};
	struct tbs t = sample();
	struct tbs_info info;
	struct bytes der;

	memcpy(t.serial, "\x12\x34", 2);
	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(tbs_read(a, change(der, "\x12\x34",
		    cases[i].with, 2), &info, &e), cases[i].want, "case %zu",
		    i);
	memset(t.serial, 0, sizeof(t.serial));
	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	cr_expect_eq(tbs_read(a, der, &info, &e), -1, "zero");
}

/* Another spelling of id-kp-OCSPSigning would not be seen for what it is. */
Test(tbs, spells_purposes_in_one_way)
{
	static const char *names[] = { "serverAuth" };
	static const char *with[] = { "\x80\x09", "\x03\x89", "\x83\x80" };
	struct tbs t = sample();
	struct tbs_info info;
	struct bytes der;

	t.ekus = (struct texts){ names, 1 };
	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	cr_expect_eq(tbs_read(a, der, &info, &e), 0);
	cr_expect_not(info.ocsp);
	for (size_t i = 0; i < NELEM(with); i++)
		cr_expect_eq(tbs_read(a, change(change(der,
		    "\x06\x01\x05\x05\x07\x03\x01",
		    "\x06\x01\x05\x05\x07\x7e\x7e", 7), "\x7e\x7e",
		    with[i], 2), &info, &e), -1, "case %zu", i);
}

Test(tbs, takes_no_unknown_usage)
{
	static const char *names[] = { "serverAuth", "anyExtendedKeyUsage" };
	struct tbs t = sample();
	struct bytes der;

	t.ekus = (struct texts){ names, 2 };
	cr_expect_eq(tbs_make(a, &t, &der, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
}

Test(tbs, serials_are_positive_and_40_digits)
{
	unsigned char s[SERIAL_LEN], last[SERIAL_LEN] = { 0 };

	for (int i = 0; i < 1000; i++) {
		serial_new(s);
		cr_assert_lt(s[0], 0x80);
		cr_assert_geq(s[0], 0x10);
		cr_assert_neq(memcmp(s, last, sizeof(s)), 0);
		memcpy(last, s, sizeof(s));
	}
}
