#include "base/shared.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "t/x509/fixture.h"

static struct shared *
map(const char *dir)
{
	struct err e = { 0 };
	struct shared *s = shared_open(dir, &e);

	cr_assert_not_null(s, "%s", e.msg);
	return s;
}

static int
take(struct shared *s, const char *who, double rate, int64_t burst, int n)
{
	int got = 0;

	for (int i = 0; i < n; i++)
		got += shared_take(s, shared_key("t", who), rate, burst);
	return got;
}

Test(shared, counts_over_processes_and_restarts)
{
	struct arena *a = arena_new();
	const char *dir = t_dir(a);
	struct shared *s = map(dir);

	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			struct shared *mine = map(dir);

			for (int k = 0; k < 1000; k++)
				shared_count(mine, COUNT_REQUESTS);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	cr_expect_eq(shared_counted(s, COUNT_REQUESTS), 4000);
	cr_expect_eq(shared_counted(s, COUNT_HEARTBEATS), 0);
	shared_close(s);
	s = map(dir);
	cr_expect_eq(shared_counted(s, COUNT_REQUESTS), 4000);
	shared_close(s);
	shared_close(NULL);
	arena_free(a);
}

Test(shared, cannot_be_mapped_where_there_is_no_directory)
{
	struct err e = { 0 };

	cr_expect_null(shared_open("/nonexistent", &e));
	cr_expect_eq(e.code, E_INVALID);
}

/* However odd RATE and BURST are, no more than BURST at once. */
/* On a full disk it is refused, not killed when it writes. */
Test(shared, has_all_its_memory_from_the_start)
{
	struct arena *a = arena_new();
	const char *dir = t_dir(a);
	struct shared *s = map(dir);
	struct stat st;

	cr_assert_eq(stat(arena_printf(a, "%s/certctl.shared.2", dir), &st),
	    0);
	cr_expect_gt(st.st_size, 0);
	cr_expect_geq(st.st_blocks * 512, st.st_size);
	cr_expect_eq(st.st_mode & 07777, 0660);
	shared_close(s);
	arena_free(a);
}

Test(shared, gives_each_key_its_burst)
{
	static const struct { double rate; int64_t burst; int want; }
	cases[] = {
		{ 0.001, 1, 1 }, { 0.001, 5, 5 }, { 0.1, 20, 20 },
		{ 0, 5, 0 }, { -1, 5, 0 }, { NAN, 5, 0 }, { 0.1, 0, 0 },
		{ 1e-300, 3, 1 }, { 1e-12, 1000000000, 1 },
		{ 0.00001, INT64_MAX, 30 }, { 1e-5, 1000000000, 30 },
		{ 1e9, 1000000000, 30 }, { INFINITY, 1, 30 },
	};
	struct arena *a = arena_new();
	struct shared *s = map(t_dir(a));
	char who[32];

	for (size_t i = 0; i < NELEM(cases); i++) {
		snprintf(who, sizeof(who), "client %zu", i);
		cr_expect_eq(take(s, who, cases[i].rate, cases[i].burst, 30),
		    cases[i].want, "%g %lld", cases[i].rate,
		    (long long)cases[i].burst);
	}
	cr_expect_eq(take(s, "another", 0.001, 5, 30), 5);
	shared_close(s);
	arena_free(a);
}

Test(shared, refills_at_its_rate)
{
	struct arena *a = arena_new();
	struct shared *s = map(t_dir(a));
	int64_t from;
	int got = 0, due;

	cr_expect_geq(take(s, "x", 100, 10, 20), 10);
	from = mono_us();
	while (mono_us() - from < 300000) {
		got += take(s, "x", 100, 10, 1);
		sleep_ms(1);
	}
	due = (int)((mono_us() - from) / 10000);
	cr_expect(got >= due - 11 && got <= due + 11, "%d of %d", got, due);
	shared_close(s);
	arena_free(a);
}

Test(shared, makes_room_for_new_keys)
{
	struct arena *a = arena_new();
	struct shared *s = map(t_dir(a));
	char who[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(who, sizeof(who), "%d", i);
		cr_assert_eq(take(s, who, 0.001, 1, 1), 1, "%d", i);
	}
	shared_close(s);
	arena_free(a);
}

Test(shared, keys_tell_spaces_and_names_apart)
{
	cr_expect_neq(shared_key("a", "b"), shared_key("b", "a"));
	cr_expect_neq(shared_key("addr", "x"), shared_key("User", "x"));
	cr_expect_neq(shared_key("", ""), 0);
}

Test(shared, tallies_what_has_a_name)
{
	struct arena *a = arena_new();
	const char *dir = t_dir(a);
	struct shared *s = map(dir), *other = map(dir);

	cr_expect_eq(shared_tallied(s, shared_key("x", "one")), 0);
	for (int i = 0; i < 3; i++)
		shared_tally(i == 0 ? s : other, shared_key("x", "one"));
	shared_tally(s, shared_key("x", "two"));
	cr_expect_eq(shared_tallied(s, shared_key("x", "one")), 3);
	cr_expect_eq(shared_tallied(other, shared_key("x", "two")), 1);
	/* More names than there is room for are not counted, and do no harm. */
	for (uint64_t k = 1; k < 10000; k++)
		shared_tally(s, k);
	cr_expect_eq(shared_tallied(s, shared_key("x", "one")), 3);
	shared_close(s);
	shared_close(other);
	arena_free(a);
}

Test(shared, tells_how_long_to_wait)
{
	struct arena *a = arena_new();
	struct shared *s = map(t_dir(a));
	uint64_t key = shared_key("t", "slow");
	int64_t wait_s;

	for (int i = 0; i < 3; i++) {
		cr_expect_eq(shared_wait_s(s, key, 3 / 3600.0, 3), 0);
		cr_expect(shared_take(s, key, 3 / 3600.0, 3));
	}
	wait_s = shared_wait_s(s, key, 3 / 3600.0, 3);
	cr_expect(wait_s > 1190 && wait_s <= 1200, "%lld",
	    (long long)wait_s);
	cr_expect_not(shared_take(s, key, 3 / 3600.0, 3));
	shared_close(s);
	arena_free(a);
}
