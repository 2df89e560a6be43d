#include "base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "t/x509/fixture.h"

enum { MAX = 1024 };

static struct arena *a;
static struct err e;
static const char *dir;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(file, .init = setup, .fini = teardown, .timeout = 30);

static const char *
at(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static const char *
text_of(const char *path)
{
	struct bytes b;

	return file_read(a, path, MAX, &b, &e) < 0 ? NULL :
	    (const char *)b.p;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode;
}

Test(file, has_the_date_it_is_given)
{
	const char *path = at("x");
	struct stat st;

	cr_assert_eq(file_write_dated(path, "one", 3, 0644,
	    1700000000000001000, &e), 0, "%s", e.msg);
	cr_expect_str_eq(text_of(path), "one");
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mtim.tv_sec, 1700000000);
	cr_expect_eq(st.st_mtim.tv_nsec, 1000);
	cr_expect_eq(st.st_mode & 0777, 0644);
}

Test(file, is_replaced_with_the_mode_asked_for)
{
	const char *path = at("x");

	umask(077);
	cr_assert_eq(file_write(path, "one", 3, 0644, &e), 0);
	cr_expect_str_eq(text_of(path), "one");
	cr_expect_eq(mode_of(path) & 07777, 0644);
	cr_assert_eq(file_write(path, "two", 3, 0600, &e), 0);
	cr_expect_str_eq(text_of(path), "two");
	cr_expect_eq(mode_of(path) & 07777, 0600);
	cr_expect_eq(file_write(at("no/x"), "", 0, 0600, &e), -1);
	cr_expect_eq(e.code, E_NOT_FOUND);
}

Test(file, replaces_a_link_and_not_what_it_leads_to)
{
	const struct file_attr attr = { 0600, FILE_KEEP, FILE_KEEP };
	const char *victim = at("victim"), *link = at("link");

	t_write(victim, "mine", 0644);
	cr_assert_eq(symlink(victim, link), 0);
	cr_assert_eq(file_write(link, "new", 3, 0600, &e), 0);
	cr_expect(S_ISREG(mode_of(link)));
	unlink(link);
	cr_assert_eq(symlink(victim, link), 0);
	cr_assert_eq(file_create(link, "new", 3, &attr, &e), 0);
	cr_expect(S_ISREG(mode_of(link)));
	unlink(link);
	cr_assert_eq(symlink(victim, link), 0);
	cr_expect_eq(file_wipe(link, &e), 0);
	cr_expect_eq(mode_of(link), 0);
	cr_expect_str_eq(text_of(victim), "mine");
}

Test(file, reading_refuses_what_is_no_file_of_ours)
{
	struct bytes b;

	t_write(at("big"), arena_printf(a, "%2000s", "x"), 0600);
	cr_assert_eq(mkfifo(at("fifo"), 0600), 0);
	cr_assert_eq(symlink("big", at("link")), 0);
	static const struct {
		const char *name;
		size_t max;
		enum err_code own, any;
	} cases[] = {
		{ "none", MAX, E_NOT_FOUND, E_NOT_FOUND },
		{ "big", MAX, E_INVALID, E_INVALID },
		{ "big", 2000, E_OK, E_OK },
		{ "fifo", MAX, E_INVALID, E_INVALID },
		{ ".", MAX, E_INVALID, E_INVALID },
		{ "link", 4000, E_INVALID, E_OK },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct err own = { 0 }, any = { 0 };
		const char *path = at(cases[i].name);

		file_read_own(a, path, cases[i].max, &b, &own);
		file_read(a, path, cases[i].max, &b, &any);
		cr_expect_eq(own.code, cases[i].own, "%s: %s", path, own.msg);
		cr_expect_eq(any.code, cases[i].any, "%s: %s", path, any.msg);
	}
}

Test(file, wiping_overwrites_but_not_a_second_name)
{
	const char *path = at("key"), *other = at("other");
	char left[8] = "";
	int fd;

	t_write(path, "secret", 0600);
	fd = open(path, O_RDONLY);
	cr_assert_eq(file_wipe(path, &e), 0);
	cr_expect_eq(mode_of(path), 0);
	cr_assert_eq(read(fd, left, sizeof(left)), 6);
	cr_expect_arr_eq(left, "\0\0\0\0\0\0", 6);
	close(fd);
	t_write(path, "secret", 0600);
	cr_assert_eq(link(path, other), 0);
	cr_assert_eq(file_wipe(path, &e), 0);
	cr_expect_str_eq(text_of(other), "secret");
	cr_expect_eq(file_wipe(path, &e), 0, "none is fine");
}

Test(file, directories_are_made_with_their_mode)
{
	umask(0);
	cr_assert_eq(dir_make(at("one/two"), 0700, &e), 0);
	cr_expect_eq(mode_of(at("one")) & 07777, 0755);
	cr_expect_eq(mode_of(at("one/two")) & 07777, 0700);
	cr_assert_eq(chmod(at("one/two"), 0755), 0);
	cr_assert_eq(dir_make(at("one/two"), 0700, &e), 0);
	cr_expect_eq(mode_of(at("one/two")) & 07777, 0700);
	t_write(at("file"), "", 0600);
	cr_expect_eq(dir_make(at("file/x"), 0700, &e), -1);
}

Test(file, only_what_a_crash_left_is_cleared)
{
	static const struct {
		const char *name;
		bool stays;
	} cases[] = {
		{ ".x.tmp-00c0ffee", false }, { "x", true },
		{ ".x.tmp-00C0FFEE", false }, { ".x", true },
		{ ".x.tmp-00c0ffe", true }, { "x.tmp-00c0ffee", true },
		{ ".x.tmp-00c0ffxx", true }, { ".tmp-00c0ffee", true },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		t_write(at(cases[i].name), "x", 0600);
	cr_assert_eq(dir_clear_tmp(dir, &e), 0);
	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(mode_of(at(cases[i].name)) != 0, cases[i].stays,
		    "%s", cases[i].name);
}

Test(file, a_lock_keeps_other_processes_out)
{
	int fd = file_lock(at("lock"), 0, &e), status;
	pid_t pid;

	cr_assert_geq(fd, 0);
	pid = fork();
	if (pid == 0) {
		int rc = file_lock(at("lock"), 50, &e);

		_exit(rc < 0 && e.code == E_CONFLICT ? 7 : 0);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(WEXITSTATUS(status), 7);
	close(fd);
	fd = file_lock(at("lock"), 0, &e);
	cr_expect_geq(fd, 0);
	close(fd);
}
