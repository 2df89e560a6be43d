#include "base/util.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

Test(util, knows_ids_that_are_safe_in_a_path)
{
	static const struct { const char *id; bool safe; } cases[] = {
		{ "a", true }, { "mc-api.prod_1", true }, { "...", true },
		{ "", false }, { ".", false }, { "..", false },
		{ "a/b", false }, { "a\\b", false }, { "a b", false },
		{ "a%2fb", false }, { "a:b", false }, { "\xc3\xa9", false },
		{ "a\n", false }, { "a'", false },
	};
	char most[130];

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(safe_id(cases[i].id), cases[i].safe, "%s",
		    cases[i].id);
	memset(most, 'x', sizeof(most));
	most[129] = '\0';
	cr_expect_not(safe_id(most));
	cr_expect(safe_id(most + 1));
}

Test(util, compares_every_octet)
{
	cr_expect(const_time_eq("abc", "abd", 2));
	cr_expect_not(const_time_eq("abc", "abd", 3));
	cr_expect_not(const_time_eq("xbc", "abc", 3));
	cr_expect(const_time_eq("x", "y", 0));
}

Test(util, wipes_and_fills)
{
	unsigned char p[64] = { 0 }, zeros[64] = { 0 };

	random_bytes(p, sizeof(p));
	cr_expect_neq(memcmp(p, zeros, sizeof(p)), 0);
	wipe(p, sizeof(p));
	cr_expect_eq(memcmp(p, zeros, sizeof(p)), 0);
}

static int
read_n(size_t n, size_t max, size_t *len)
{
	int p[2], rc;
	char *out, x[30000];

	memset(x, 'x', sizeof(x));
	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(write(p[1], x, n), (ssize_t)n);
	close(p[1]);
	rc = read_fd(p[0], max, &out, len);
	close(p[0]);
	if (rc == 0) {
		cr_expect_eq(strlen(out), n);
		free(out);
	}
	return rc;
}

Test(util, reads_a_descriptor_to_its_end_within_a_bound)
{
	static const struct { size_t n, max; int rc; } cases[] = {
		{ 0, 0, 0 }, { 1, 0, -1 }, { 4095, 4095, 0 },
		{ 4096, 4096, 0 }, { 4096, 4095, -1 }, { 4097, 1 << 20, 0 },
		{ 30000, 30000, 0 }, { 30000, 29999, -1 },
	};
	size_t len;

	for (size_t i = 0; i < NELEM(cases); i++) {
		errno = 0;
		cr_expect_eq(read_n(cases[i].n, cases[i].max, &len),
		    cases[i].rc, "%zu", i);
		if (cases[i].rc == 0)
			cr_expect_eq(len, cases[i].n);
		else
			cr_expect_eq(errno, EFBIG);
	}
}
