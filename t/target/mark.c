#include "target/mark.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "t/x509/fixture.h"

static const char *const paths[] = { "/etc/x/site.crt", "/etc/x/site.key" };

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

TestSuite(mark, .init = setup, .fini = teardown, .timeout = 30);

static size_t
count(void)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t n = 0;

	while ((de = readdir(d)) != NULL)
		n += !streq(de->d_name, ".") && !streq(de->d_name, "..");
	closedir(d);
	return n;
}

static struct mark
a_mark(size_t n)
{
	struct mark m = {
		.type = "NGINX", .backup_retention = -1, .n = n,
		.hooks = { .reload = "r", .validate = "v",
		    .endpoint = "h:1", .fingerprint = "ff", .attempts = 3 },
	};

	for (size_t i = 0; i < n; i++)
		m.files[i] = (struct mark_file){
			.path = paths[i], .copy = "copy", .mode = 0640,
			.uid = 7, .gid = 8, .sha256 = "00", .secret = i == 1,
		};
	return m;
}

Test(mark, is_read_as_it_was_written)
{
	struct mark m = a_mark(2), *v;
	size_t n;

	cr_assert_eq(mark_write(a, dir, &m, &e), 0);
	cr_assert_eq(mark_list(a, dir, NULL, 0, &v, &n, &e), 0);
	cr_assert_eq(n, 1);
	cr_expect_str_eq(v->type, "NGINX");
	cr_expect_eq(v->backup_retention, -1);
	cr_expect_str_eq(v->hooks.reload, "r");
	cr_expect_str_eq(v->hooks.endpoint, "h:1");
	cr_expect_eq(v->hooks.attempts, 3);
	cr_assert_eq(v->n, 2);
	cr_expect_str_eq(v->files[1].path, paths[1]);
	cr_expect_eq(v->files[1].mode, 0640);
	cr_expect(v->files[1].secret && !v->files[0].secret);
	cr_assert_eq(mark_remove(a, dir, v, &e), 0);
	cr_assert_eq(mark_list(a, dir, NULL, 0, &v, &n, &e), 0);
	cr_expect_eq(n, 0);
	cr_expect_eq(count(), 0);
}

Test(mark, is_found_by_any_of_its_files)
{
	struct mark one = a_mark(1), two = a_mark(2), *v;
	const char *const other[] = { "/etc/x/other.crt" };
	size_t n;

	cr_assert_eq(mark_write(a, dir, &one, &e), 0);
	cr_assert_eq(mark_write(a, dir, &two, &e), 0);
	cr_assert_eq(mark_list(a, dir, paths, 1, &v, &n, &e), 0);
	cr_expect_eq(n, 2);
	cr_assert_eq(mark_list(a, dir, paths + 1, 1, &v, &n, &e), 0);
	cr_expect_eq(n, 1);
	cr_assert_eq(mark_list(a, dir, other, 1, &v, &n, &e), 0);
	cr_expect_eq(n, 0);
	cr_assert_eq(mark_list(a, "/no/such/dir", NULL, 0, &v, &n, &e), 0);
	cr_expect_eq(n, 0);
}

Test(mark, damage_is_told_and_leads_nowhere)
{
	static const char *const texts[] = {
		"", "{", "{}",
		"{\"type\":\"NGINX\",\"hooks\":{},\"files\":[]}",
		"{\"type\":\"NGINX\",\"hooks\":{},\"files\":[{\"path\":\"x\","
		    "\"sha256\":\"0\"}]}",
		"{\"type\":\"NGINX\",\"hooks\":{},\"files\":[{\"path\":\"/x\","
		    "\"sha256\":\"0\",\"copy\":\"../../etc/shadow\"}]}",
		"{\"type\":\"NGINX\",\"hooks\":{},\"files\":[1,2,3,4,5]}",
	};
	struct mark *v;
	size_t n;

	for (size_t i = 0; i < NELEM(texts); i++) {
		t_write(arena_printf(a, "%s/x.mark", dir), texts[i], 0600);
		cr_expect_eq(mark_list(a, dir, NULL, 0, &v, &n, &e), -1,
		    "%s", texts[i]);
		cr_expect_not_null(strstr(e.msg, "x.mark is damaged"), "%s",
		    e.msg);
	}
}

Test(mark, copies_are_kept_by_number_and_private)
{
	static const struct {
		int64_t keep;
		size_t left;
	} cases[] = { { 2, 2 }, { 0, 0 }, { 1, 1 }, { 3, 3 } };
	const struct bytes p = { (const unsigned char *)"pem", 3 };
	const char *name;
	struct stat st;

	for (size_t i = 0; i < NELEM(cases); i++) {
		for (int n = 0; n < 5; n++) {
			cr_assert_eq(mark_copy(a, dir, paths[1], p, &name,
			    &e), 0);
			cr_assert_eq(stat(arena_printf(a, "%s/%s", dir, name),
			    &st), 0);
			cr_expect_eq(st.st_mode & 07777, 0600);
			cr_assert_eq(mark_keep_copy(a, dir, paths[1], name,
			    cases[i].keep, &e), 0);
		}
		cr_expect_eq(count(), cases[i].left, "%zu", count());
	}
}

Test(mark, a_sweep_wipes_what_no_mark_names)
{
	const struct bytes p = { (const unsigned char *)"pem", 3 };
	struct mark m = a_mark(2);
	const char *name;

	cr_assert_eq(mark_copy(a, dir, paths[0], p, &m.files[0].copy, &e), 0);
	cr_assert_eq(mark_copy(a, dir, paths[1], p, &m.files[1].copy, &e), 0);
	cr_assert_eq(mark_write(a, dir, &m, &e), 0);
	cr_assert_eq(mark_copy(a, dir, paths[1], p, &name, &e), 0);
	t_write(arena_printf(a, "%s/.half.tmp-00c0ffee", dir), "x", 0600);
	cr_expect_eq(count(), 5);
	cr_assert_eq(mark_sweep(a, dir, &e), 0);
	cr_expect_eq(count(), 3);
	cr_assert_eq(mark_remove(a, dir, &m, &e), 0);
	cr_assert_eq(mark_sweep(a, dir, &e), 0);
	cr_expect_eq(count(), 0);
}

Test(mark, staged_files_have_a_dot_before_them)
{
	cr_expect_str_eq(mark_tmp(a, "/etc/x/site.crt"),
	    "/etc/x/.site.crt.certctl-tmp");
	cr_expect_str_eq(mark_tmp(a, "/site.crt"), "/.site.crt.certctl-tmp");
}

Test(mark, locks_keep_others_from_the_same_files)
{
	struct mark_locks mine, theirs;

	cr_assert_eq(mark_lock(a, dir, paths, 2, &mine, &e), 0);
	cr_expect_eq(mine.n, 2);
	cr_expect_eq(file_lock(arena_printf(a, "%s/%s", dir,
	    "none.lock"), 0, &e) >= 0, true);
	mark_unlock(&mine);
	cr_assert_eq(mark_lock(a, dir, paths + 1, 1, &theirs, &e), 0);
	mark_unlock(&theirs);
}
