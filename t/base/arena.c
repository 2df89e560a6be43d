#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>

#include "base/util.h"

Test(arena, gives_memory_aligned_for_any_type)
{
	static const size_t sizes[] = { 0, 1, 3, 15, 16, 17, 16 * 1024 - 1,
	    16 * 1024, 16 * 1024 + 1, 1 << 20, 1 };
	struct arena *a = arena_new();
	unsigned char *p;

	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < NELEM(sizes); i++) {
			p = arena_alloc(a, sizes[i]);
			cr_expect_eq((uintptr_t)p % 16, 0, "%zu", sizes[i]);
			memset(p, 0xa5, sizes[i]);
		}
		arena_reset(a);
	}
	arena_free(a);
}

Test(arena, keeps_what_was_allocated_apart)
{
	struct arena *a = arena_new();
	unsigned char *p[200];

	for (size_t i = 0; i < NELEM(p); i++) {
		p[i] = arena_alloc(a, 500);
		memset(p[i], (int)i, 500);
	}
	for (size_t i = 0; i < NELEM(p); i++)
		cr_expect(p[i][0] == i && p[i][499] == i, "%zu", i);
	arena_free(a);
}

Test(arena, clears_only_when_asked)
{
	struct arena *a = arena_new();
	char *p = memset(arena_alloc(a, 64), 'x', 64);
	char zeros[64] = { 0 };

	arena_reset(a);
	cr_expect_eq(memcmp(arena_zalloc(a, 64), zeros, 64), 0);
	(void)p;
	arena_free(a);
}

Test(arena, copies_text)
{
	struct arena *a = arena_new();

	cr_expect_null(arena_strdup(a, NULL));
	cr_expect_null(arena_strndup(a, NULL, 0));
	cr_expect_str_eq(arena_strdup(a, ""), "");
	cr_expect_str_eq(arena_strndup(a, "abcdef", 3), "abc");
	cr_expect_str_eq(arena_strndup(a, "abcdef", 0), "");
	cr_expect_eq(memcmp(arena_memdup(a, "a\0b", 3), "a\0b", 3), 0);
	cr_expect_str_eq(arena_printf(a, "%s-%d", "x", 42), "x-42");
	cr_expect_eq(strlen(arena_printf(a, "%40000s", "")), 40000);
	arena_free(a);
}

static char order[8];
static size_t called;

static void
note(void *p)
{
	order[called++] = *(const char *)p;
}

Test(arena, calls_what_was_deferred_in_reverse_and_once)
{
	struct arena *a = arena_new();
	static char x = 'x', y = 'y', z = 'z';

	arena_defer(a, note, &x);
	arena_defer(a, note, &y);
	arena_reset(a);
	cr_expect_str_eq(order, "yx");
	arena_reset(a);
	cr_expect_eq(called, 2);
	arena_defer(a, note, &z);
	arena_free(a);
	cr_expect_str_eq(order, "yxz");
}

static void
defer_again(void *a)
{
	static char c = 'c';

	arena_defer(a, note, &c);
}

Test(arena, calls_what_is_deferred_while_it_dies)
{
	struct arena *a = arena_new();

	arena_defer(a, defer_again, a);
	arena_reset(a);
	cr_expect_str_eq(order, "c");
	arena_free(a);
}

static char seen[5];

static void
look(void *secret)
{
	memcpy(seen, secret, 4);
}

Test(arena, wipes_secrets_before_their_memory_is_used_again)
{
	struct arena *a = arena_new();
	char *secret = arena_strdup(a, "PASS");

	/* Deferred first, so called after the wiping. */
	arena_defer(a, look, secret);
	arena_wipe(a, secret, 4);
	cr_expect_str_eq(secret, "PASS");
	arena_free(a);
	cr_expect_eq(memcmp(seen, "\0\0\0\0", 4), 0);
}

Test(arena, accepts_nothing)
{
	arena_reset(NULL);
	arena_free(NULL);
}
