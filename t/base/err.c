#include "base/err.h"

#include <criterion/criterion.h>

#include "base/text.h"

Test(err, returns_minus_one_and_fills_in_what_happened)
{
	struct err e = { .detail = "old" };

	cr_expect_eq(err_set(&e, E_NOT_FOUND, "no %s", "x"), -1);
	cr_expect_eq(e.code, E_NOT_FOUND);
	cr_expect_str_eq(e.msg, "no x");
	cr_expect_str_eq(e.detail, "");
	cr_expect_eq(err_detail(&e, "code %d", 7), -1);
	cr_expect_str_eq(e.detail, "code 7");
	cr_expect_eq(err_prefix(&e, "in %s", "y"), -1);
	cr_expect_str_eq(e.msg, "in y: no x");
	cr_expect_eq(e.code, E_NOT_FOUND);
}

Test(err, is_one_line_of_utf8_whatever_a_peer_sent)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "a\r\nb\tc\x7f", "a  b c " },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "latin \xfc", "latin ?" },
		{ "cut \xe2\x82", "cut ??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xc0\xaf.", "??." },
	};
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		err_set(&e, E_UPSTREAM, "%s", cases[i].in);
		cr_expect_str_eq(e.msg, cases[i].want);
		err_detail(&e, "%s", cases[i].in);
		cr_expect_str_eq(e.detail, cases[i].want);
		err_set(&e, E_UPSTREAM, "x");
		err_prefix(&e, "%s", cases[i].in);
		cr_expect(utf8_valid(e.msg, strlen(e.msg)), "%zu", i);
	}
}

/* Cut at any octet, the message goes into JSON and into the database. */
Test(err, stays_utf8_when_it_is_cut)
{
	char text[2000];
	struct err e = { 0 };

	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x94\x91", 5);
		err_set(&e, E_INVALID, "%s", text);
		err_detail(&e, "%s", text);
		cr_expect_eq(strlen(e.msg), sizeof(e.msg) - 1);
		cr_expect(utf8_valid(e.msg, strlen(e.msg)));
		cr_expect(utf8_valid(e.detail, strlen(e.detail)));
		err_prefix(&e, "%s", text);
		cr_expect(utf8_valid(e.msg, strlen(e.msg)));
	}
}

Test(err, has_a_status_and_a_phrase_for_every_code)
{
	cr_expect_eq(err_status(E_OK), 200);
	for (int c = E_OK + 1; c < E__MAX; c++) {
		cr_expect(err_status((enum err_code)c) >= 400 &&
		    err_status((enum err_code)c) < 600, "%d", c);
		cr_expect(!blank(err_reason((enum err_code)c)), "%d", c);
	}
}
