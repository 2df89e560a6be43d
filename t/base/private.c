#include "base/private.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"

Test(private, refuses_what_others_may_read)
{
	static const struct { unsigned mode; bool fine; } cases[] = {
		{ 0600, true }, { 0400, true }, { 0640, false },
		{ 0604, false }, { 0620, false }, { 0601, false },
	};
	struct arena *a = arena_new();
	const char *dir = t_dir(a), *path = arena_printf(a, "%s/key", dir);
	struct bytes b;
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		t_write(path, "secret", cases[i].mode);
		cr_expect_eq(private_read(a, path, 100, &b, &e) == 0,
		    cases[i].fine, "%04o: %s", cases[i].mode, e.msg);
		cr_expect_eq(e.code, cases[i].fine ? E_OK : E_INVALID);
		unlink(path);
		cr_assert_eq(mkdir(path, 0700), 0);
		cr_assert_eq(chmod(path, cases[i].mode | 0100), 0);
		cr_expect_eq(private_dir(path, &e) == 0, cases[i].fine,
		    "%04o", cases[i].mode);
		rmdir(path);
	}
	cr_expect_eq(private_dir(path, &e), 0);
	arena_free(a);
}

Test(private, refuses_what_is_another_users)
{
	struct arena *a = arena_new();
	const char *dir = t_dir(a), *path = arena_printf(a, "%s/key", dir);
	struct err e = { 0 };
	struct bytes b;

	if (geteuid() != 0)
		cr_skip_test("only root can give a file away");
	t_write(path, "secret", 0600);
	cr_expect_eq(private_read(a, path, 100, &b, &e), 0, "%s", e.msg);
	cr_assert_eq(chown(path, 1, 0), 0);
	cr_expect_eq(private_read(a, path, 100, &b, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_assert_eq(chown(dir, 1, 0), 0);
	cr_expect_eq(private_dir(dir, &e), -1);
	cr_assert_eq(chown(dir, 0, 0), 0);
	cr_expect_eq(private_dir(dir, &e), 0);
	arena_free(a);
}

Test(private, makes_a_file_once)
{
	struct arena *a = arena_new();
	const char *path = arena_printf(a, "%s/ca.key", t_dir(a));
	struct err e = { 0 };
	struct bytes b;
	bool made = false;

	cr_expect_not(file_exists(path));
	cr_expect_eq(file_make(path, "first", 5, 0600, &made, &e), 0, "%s",
	    e.msg);
	cr_expect(made && file_exists(path));
	cr_expect_eq(file_make(path, "second", 6, 0600, &made, &e), 0);
	cr_expect_not(made);
	cr_assert_eq(private_read(a, path, 100, &b, &e), 0);
	cr_expect_str_eq((const char *)b.p, "first");
	arena_free(a);
}
