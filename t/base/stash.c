#include "base/stash.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

static char dir[64];

static struct stash *
open_new(void)
{
	struct err e = { 0 };
	struct stash *s;

	snprintf(dir, sizeof(dir), "%s/certctl-stash-XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
	s = stash_open(dir, &e);
	cr_assert_not_null(s, "%s", e.msg);
	return s;
}

static void
remove_it(struct stash *s)
{
	char path[128];

	stash_close(s);
	snprintf(path, sizeof(path), "%s/certctl.stash.2", dir);
	cr_expect_eq(unlink(path), 0);
	rmdir(dir);
}

/* Key N, and the result that belongs to it. */
static size_t
sample(unsigned n, unsigned char key[STASH_KEY], unsigned char *result)
{
	size_t len = n % (STASH_MAX + 1);

	memset(key, (int)(n * 7 & 0xff), STASH_KEY);
	memcpy(key, &n, sizeof(n));
	memset(result, (int)(n & 0xff), STASH_MAX);
	return len;
}

Test(stash, gives_back_what_was_put)
{
	struct stash *s = open_new();
	unsigned char key[STASH_KEY], put[STASH_MAX], got[STASH_MAX];
	size_t want, len;

	for (unsigned n = 1; n < 1000; n++) {
		want = sample(n, key, put);
		cr_expect_not(stash_get(s, key, got, &len));
		stash_put(s, key, put, want);
		cr_expect(stash_get(s, key, got, &len));
		cr_expect_eq(len, want);
		cr_expect_eq(memcmp(got, put, want), 0);
	}
	remove_it(s);
}

Test(stash, keeps_nothing_that_is_too_long)
{
	struct stash *s = open_new();
	unsigned char key[STASH_KEY] = { 1 }, big[STASH_MAX + 1] = { 0 };
	unsigned char got[STASH_MAX];
	size_t len;

	stash_put(s, key, big, sizeof(big));
	cr_expect_not(stash_get(s, key, got, &len));
	remove_it(s);
}

Test(stash, is_its_owners_alone)
{
	struct stash *s = open_new();
	struct err e = { 0 };
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/certctl.stash.2", dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	stash_close(s);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("/dev/null", path), 0);
	cr_expect_null(stash_open(dir, &e));
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_null(stash_open(dir, &e));
	remove_it(NULL);
}

Test(stash, is_not_taken_from_another_account)
{
	struct stash *s = open_new();
	struct err e = { 0 };
	char path[128];

	if (geteuid() != 0) {
		remove_it(s);
		cr_skip_test("not root");
	}
	snprintf(path, sizeof(path), "%s/certctl.stash.2", dir);
	stash_close(s);
	cr_assert_eq(chown(path, 1, 1), 0);
	cr_expect_null(stash_open(dir, &e));
	cr_expect_eq(e.code, E_INVALID);
	remove_it(NULL);
}

/* The file is an array of places of 96 octets that begin with a version. */
Test(stash, does_without_a_place_whose_writer_died)
{
	struct stash *s = open_new();
	unsigned char key[STASH_KEY], put[STASH_MAX], got[STASH_MAX];
	uint32_t *version = (uint32_t *)(void *)((char *)s + 8 * 96);
	size_t want = sample(8, key, put), len;

	cr_assert_eq(*version, 0);
	*version = 1;
	for (int i = 0; i < 3; i++) {
		stash_put(s, key, put, want);
		cr_expect(stash_get(s, key, got, &len));
		cr_expect_eq(memcmp(got, put, want), 0);
	}
	cr_expect_eq(*version, 1);
	/* Nor is one read that somebody is writing. */
	for (size_t i = 0; i < 4; i++)
		version[24 * i] |= 1;
	cr_expect_not(stash_get(s, key, got, &len));
	stash_put(s, key, put, want);
	cr_expect_not(stash_get(s, key, got, &len));
	remove_it(s);
}

/* Two keys that want one place, written and read by many at once. */
Test(stash, never_mixes_two_results)
{
	struct stash *s = open_new();
	unsigned char key[STASH_KEY], put[STASH_MAX], got[STASH_MAX];
	size_t want, len;
	int status;

	for (int child = 0; child < 4; child++) {
		if (fork() != 0)
			continue;
		for (unsigned i = 0; i < 200000; i++) {
			unsigned n = 64 + i % 2 * 65536;

			want = sample(n, key, put);
			memset(put, i % 2 == 0 ? 1 : 2, sizeof(put));
			if (i % 3 == 0)
				stash_put(s, key, put, want);
			else if (stash_get(s, key, got, &len) && (len !=
			    want || memcmp(got, put, want) != 0))
				_exit(1);
		}
		_exit(0);
	}
	for (int child = 0; child < 4; child++) {
		wait(&status);
		cr_expect_eq(status, 0);
	}
	remove_it(s);
}
