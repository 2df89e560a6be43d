#include "base/clock.h"

#include <criterion/criterion.h>

#include "base/err.h"
#include "base/util.h"

Test(clock, writes_and_reads_instants)
{
	static const struct { int64_t at; const char *text; } cases[] = {
		{ 0, "0001-01-01T00:00:00Z" },
		{ 1, "1970-01-01T00:00:01Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ -86400, "1969-12-31T00:00:00Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },
		{ 1709251199, "2024-02-29T23:59:59Z" },
		{ 4107542400, "2100-03-01T00:00:00Z" },
		{ 1767323045, "2026-01-02T03:04:05Z" },
		{ 2147483648, "2038-01-19T03:14:08Z" },
		{ 253402300799, "9999-12-31T23:59:59Z" },
		{ -62135510400, "0001-01-02T00:00:00Z" },
	};
	char out[RFC3339_LEN + 1];
	struct err e = { 0 };
	int64_t at;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_str_eq(rfc3339(cases[i].at, out), cases[i].text);
		at = 42;
		cr_expect_eq(rfc3339_parse(cases[i].text, &at, &e), 0, "%s",
		    cases[i].text);
		cr_expect_eq(at, cases[i].at, "%s", cases[i].text);
	}
}

Test(clock, reads_the_other_forms_of_an_instant)
{
	static const struct { const char *text; int64_t want; } cases[] = {
		{ "2026-01-02", 1767312000 },
		{ "2026-01-02t03:04:05z", 1767323045 },
		{ "2026-01-02 03:04:05Z", 1767323045 },
		{ "2026-01-02T03:04:05.999999999Z", 1767323045 },
		{ "2026-01-02T04:34:05+01:30", 1767323045 },
		{ "2026-01-01T22:04:05.1-05:00", 1767323045 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
		{ "0001-01-01", 0 },
	};
	struct err e = { 0 };
	int64_t at;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(rfc3339_parse(cases[i].text, &at, &e), 0, "%s",
		    cases[i].text);
		cr_expect_eq(at, cases[i].want, "%s", cases[i].text);
	}
}

Test(clock, refuses_what_is_no_instant)
{
	static const char *const cases[] = {
		"", "now", "2026", "2026-1-2", "2026-13-01", "2026-00-01",
		"2026-01-32", "2026-04-31", "2026-02-30", "2023-02-29",
		"1900-02-29", "2026-01-02T", "2026-01-02T03:04",
		"2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z",
		"2026-01-02T03:04:61Z", "2026-01-02T03:04:05",
		"2026-01-02T03:04:05.Z", "2026-01-02T03:04:0599Z",
		"2026-01-02T03:04:05+1:00", "2026-01-02T03:04:05+24:00",
		"2026-01-02T03:04:05Zjunk", "2026-01-02x03:04:05Z",
		" 2026-01-02", "+026-01-02", "-001-01-02", "0000-12-31",
		"0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"10000-01-01", "2026-01-0\xd9\xa2",
	};
	struct err e = { 0 };
	int64_t at = 42;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e.code = E_OK;
		cr_expect_eq(rfc3339_parse(cases[i], &at, &e), -1, "%s",
		    cases[i]);
		cr_expect_eq(e.code, E_INVALID, "%s", cases[i]);
		cr_expect_eq(at, 42, "%s", cases[i]);
	}
}

Test(clock, reads_durations)
{
	static const struct { const char *text; int64_t want; } cases[] = {
		{ "0", 0 }, { "0s", 0 }, { "30s", 30 }, { "5m", 300 },
		{ "24h", 86400 }, { "1h30m", 5400 }, { "1h1m1s", 3661 },
		{ "500ms", 0 }, { "1500ms", 1 }, { "500ms500ms", 1 },
		{ "168h", 604800 }, { "999999999s", 999999999 },
	};
	struct err e = { 0 };
	int64_t s;

	for (size_t i = 0; i < NELEM(cases); i++) {
		s = -1;
		cr_expect_eq(duration_parse(cases[i].text, &s, &e), 0, "%s",
		    cases[i].text);
		cr_expect_eq(s, cases[i].want, "%s", cases[i].text);
	}
}

Test(clock, refuses_what_is_no_duration)
{
	static const char *const cases[] = {
		"", " ", "5", "s", "-5s", "+5s", "1.5h", "1d", "1 h", "1h ",
		"5S", "5hm", "5mss", "12345678901s", "h1",
		/* more than any clock can be asked to add */
		"9999999999h", "999999999h999999999h",
	};
	struct err e = { 0 };
	int64_t s = 42;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e.code = E_OK;
		cr_expect_eq(duration_parse(cases[i], &s, &e), -1, "%s",
		    cases[i]);
		cr_expect_eq(e.code, E_INVALID, "%s", cases[i]);
		cr_expect_eq(s, 42, "%s", cases[i]);
	}
}

Test(clock, refuses_a_sum_of_durations_that_overflows)
{
	char text[12 * 400 + 1] = "";
	struct err e = { 0 };
	int64_t s = 42;

	for (size_t i = 0; i < 400; i++)
		memcpy(text + i * 11, "9999999999h", 12);
	cr_expect_eq(duration_parse(text, &s, &e), -1);
	cr_expect_eq(s, 42);
}

Test(clock, goes_forward)
{
	int64_t from = mono_us();

	sleep_ms(2);
	cr_expect_geq(mono_us() - from, 2000);
	cr_expect_geq(now_s(), 1700000000);
}
