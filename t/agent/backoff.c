#include "agent/backoff.h"

#include <criterion/criterion.h>

#include "base/util.h"

Test(backoff, doubles_from_a_second_to_its_cap)
{
	static const struct {
		int failures;
		int64_t ms;
	} cases[] = {
		{ 1, 1000 }, { 2, 2000 }, { 3, 4000 }, { 8, 128000 },
		{ 9, 256000 }, { 10, 300000 }, { 11, 300000 },
		{ 2000000000, 300000 },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		for (int n = 0; n < 100; n++) {
			int64_t ms = backoff_ms(cases[i].failures,
			    BACKOFF_MAX_MS);

			cr_expect_geq(ms, cases[i].ms * 3 / 4);
			cr_expect_leq(ms, cases[i].ms * 5 / 4);
		}
}

Test(backoff, jitter_spreads)
{
	int64_t least = INT64_MAX, most = 0;

	for (int n = 0; n < 1000; n++) {
		int64_t ms = jitter_ms(60000, 10);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	cr_expect(least >= 54000 && least < 55000, "%lld", (long long)least);
	cr_expect(most <= 66000 && most > 65000, "%lld", (long long)most);
	cr_expect_eq(jitter_ms(0, 10), 0);
}
