#include "x509/der.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/buf.h"

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

TestSuite(der, .init = setup, .fini = teardown);

static void
expect(const struct buf *b, const char *want, size_t len)
{
	cr_expect_eq(b->len, len, "%zu octets", b->len);
	cr_expect_eq(memcmp(b->p, want, len < b->len ? len : b->len), 0);
}

Test(der, reads_back_every_form_of_length)
{
	static const size_t lens[] = { 0, 1, 127, 128, 255, 256, 65535, 65536 };
	unsigned char tag;
	struct bytes in, out;

	for (size_t i = 0; i < NELEM(lens); i++) {
		struct buf b = BUF(a);
		size_t mark = der_open(&b, DER_SEQUENCE);

		der_put(&b, DER_OCTET_STRING, arena_zalloc(a, lens[i]),
		    lens[i]);
		der_close(&b, mark);
		in = (struct bytes){ (unsigned char *)b.p, b.len };
		cr_assert(der_next(&in, &tag, &out), "%zu", lens[i]);
		cr_expect_eq(tag, DER_SEQUENCE);
		cr_expect_eq(in.len, 0);
		in = out;
		cr_assert(der_next(&in, &tag, &out));
		cr_expect_eq(tag, DER_OCTET_STRING);
		cr_expect_eq(out.len, lens[i]);
		cr_expect_not(der_next(&in, &tag, &out));
	}
}

Test(der, refuses_what_is_not_der)
{
	static const struct { const char *p; size_t len; } cases[] = {
		{ "", 0 }, { "\x30", 1 },
		{ "\x30\x80\x00\x00", 4 },	/* indefinite */
		{ "\x30\x81\x05" "12345", 8 },	/* overlong */
		{ "\x30\x82\x00\x80", 4 },	/* leading zero */
		{ "\x30\x03" "12", 4 },		/* too short */
		{ "\x30\x84\xff\xff\xff\xff", 6 },
		{ "\x30\x85\x01\x01\x01\x01\x01", 7 },
		{ "\x30\x82\x01", 3 },
		{ "\x1f\x81\x01\x00", 4 },	/* long tag */
	};
	unsigned char tag;
	struct bytes in, out;

	for (size_t i = 0; i < NELEM(cases); i++) {
		in.p = (const unsigned char *)cases[i].p;
		in.len = cases[i].len;
		cr_expect_not(der_next(&in, &tag, &out), "case %zu", i);
	}
}

Test(der, writes_numbers_in_their_least_octets)
{
	static const struct {
		const char *in;
		size_t len;
		const char *want;
		size_t want_len;
	} cases[] = {
		{ "\0", 1, "\x02\x01\x00", 3 },
		{ "\x7f", 1, "\x02\x01\x7f", 3 },
		{ "\x80", 1, "\x02\x02\x00\x80", 4 },
		{ "\0\0\x01", 3, "\x02\x01\x01", 3 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF(a);

		der_uint(&b, cases[i].in, cases[i].len);
		expect(&b, cases[i].want, cases[i].want_len);
	}
}

Test(der, writes_flags_without_trailing_zeros)
{
	static const struct {
		unsigned char flags;
		const char *want;
		size_t len;
	} cases[] = {
		{ 0x80, "\x03\x02\x07\x80", 4 },
		{ 0xa0, "\x03\x02\x05\xa0", 4 },
		{ 0x06, "\x03\x02\x01\x06", 4 },
		{ 0x01, "\x03\x02\x00\x01", 4 },
		{ 0x00, "\x03\x01\x00", 3 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF(a);

		der_flags(&b, cases[i].flags);
		expect(&b, cases[i].want, cases[i].len);
	}
}

Test(der, changes_the_form_of_time_in_2050)
{
	static const struct { int64_t at; const char *want; } cases[] = {
		{ 0, "\x17\x0d" "700101000000Z" },
		{ 2524607999, "\x17\x0d" "491231235959Z" },
		{ 2524608000, "\x18\x0f" "20500101000000Z" },
		{ -631152001, "\x18\x0f" "19491231235959Z" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF(a);

		der_time(&b, cases[i].at);
		expect(&b, cases[i].want, strlen(cases[i].want));
	}
}
