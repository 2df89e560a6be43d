#include "base/buf.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/util.h"

Test(buf, grows_as_it_is_written)
{
	struct arena *a = arena_new();
	struct buf b = BUF(a);

	cr_expect_str_eq(buf_str(&b), "");
	for (int i = 0; i < 5000; i++)
		buf_putc(&b, (char)('a' + i % 26));
	buf_puts(&b, "tail");
	buf_add(&b, NULL, 0);
	buf_printf(&b, "<%s:%d>", "x", 7);
	cr_expect_eq(b.len, 5000 + 4 + 5);
	cr_expect_str_eq(buf_str(&b) + 5000, "tail<x:7>");
	cr_expect_eq(b.len, 5000 + 4 + 5, "the NUL is not counted");
	for (int i = 0; i < 5000; i++)
		cr_assert_eq(b.p[i], (char)('a' + i % 26));
	arena_free(a);
}

Test(buf, makes_room_beyond_twice_its_size)
{
	struct arena *a = arena_new();
	struct buf b = BUF(a);

	buf_puts(&b, "head");
	memset(buf_room(&b, 100000), 'x', 100000);
	b.len += 100000;
	cr_expect_eq(memcmp(b.p, "headx", 5), 0);
	cr_expect_geq(b.cap, b.len);
	arena_free(a);
}

Test(buf, writes_every_integer)
{
	static const struct { int64_t v; const char *want; } cases[] = {
		{ 0, "0" }, { 7, "7" }, { -1, "-1" }, { 1000000, "1000000" },
		{ INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" },
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF(a);

		buf_int(&b, cases[i].v);
		cr_expect_str_eq(buf_str(&b), cases[i].want);
	}
	arena_free(a);
}
