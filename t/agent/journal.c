#include "agent/journal.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"
#include "t/x509/fixture.h"

static struct arena *a;
static struct err e;
static const char *dir;

static void
setup(void)
{
	a = arena_new();
	dir = arena_printf(a, "%s/jobs", t_dir(a));
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(journal, .init = setup, .fini = teardown);

static struct job
a_job(const char *id)
{
	return (struct job){
		.id = id, .type = "Deployment", .status = "Running",
		.certificate_id = "mc-1", .target_id = "target-1",
		.target_type = "NGINX",
		.target_config = "{\"cert_path\":\"/a\",\"port\":8443}",
		.fingerprint = "00ff",
	};
}

Test(journal, keeps_what_was_taken_on_over_a_crash)
{
	struct job one = a_job("job-1"), two = a_job("job-2");
	struct journal j;
	struct entry *en;
	struct stat st;

	cr_assert_eq(journal_open(&j, dir, &e), 0);
	cr_assert_not_null(journal_add(&j, &two, &e));
	en = journal_add(&j, &one, &e);
	cr_assert_not_null(en);
	en->job.result = "Failed";
	en->job.error = "deployment failed: \"x\"";
	en->job.verify = true;
	cr_assert_eq(journal_store(&j, en, &e), 0);
	journal_close(&j);
	cr_assert_eq(lstat(arena_printf(a, "%s/job-1.json", dir), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);

	cr_assert_eq(journal_open(&j, dir, &e), 0);
	en = j.first;
	cr_assert_str_eq(en->job.id, "job-1");
	cr_expect_str_eq(en->job.result, "Failed");
	cr_expect_str_eq(en->job.error, "deployment failed: \"x\"");
	cr_expect(en->job.verify && !en->job.verified);
	cr_assert_str_eq(en->next->job.id, "job-2");
	cr_expect_str_eq(en->next->job.target_config, one.target_config);
	cr_expect_str_eq(en->next->job.fingerprint, "00ff");
	cr_expect_null(en->next->next);
	cr_assert_eq(journal_remove(&j, en, &e), 0);
	cr_expect_null(journal_find(&j, "job-1"));
	journal_close(&j);
	cr_assert_eq(journal_open(&j, dir, &e), 0);
	cr_expect_str_eq(j.first->job.id, "job-2");
	journal_close(&j);
}

Test(journal, knows_which_certificates_are_waited_for)
{
	struct job one = a_job("job-1"), two = a_job("job-2");
	struct journal j;
	struct entry *en;

	cr_assert_eq(journal_open(&j, dir, &e), 0);
	en = journal_add(&j, &one, &e);
	cr_expect(journal_has_certificate(&j, "mc-1", NULL));
	cr_expect_not(journal_has_certificate(&j, "mc-1", en));
	cr_assert_not_null(journal_add(&j, &two, &e));
	cr_expect(journal_has_certificate(&j, "mc-1", en));
	cr_expect_not(journal_has_certificate(&j, "mc-2", en));
	journal_close(&j);
}

Test(journal, a_damaged_entry_does_not_stop_the_others)
{
	struct job one = a_job("job-2");
	struct journal j;

	cr_assert_eq(journal_open(&j, dir, &e), 0);
	cr_assert_not_null(journal_add(&j, &one, &e));
	journal_close(&j);
	t_write(arena_printf(a, "%s/job-1.json", dir), "{\"id\":\"jo", 0600);
	t_write(arena_printf(a, "%s/job-3.json", dir), "{\"id\":\"../x\"}",
	    0600);
	t_write(arena_printf(a, "%s/.job-4.json.tmp-00c0ffee", dir), "{", 0600);
	cr_assert_eq(journal_open(&j, dir, &e), 0);
	cr_assert_str_eq(j.first->job.id, "job-2");
	cr_expect_null(j.first->next);
	cr_expect_neq(access(arena_printf(a, "%s/.job-4.json.tmp-00c0ffee",
	    dir), F_OK), 0);
	journal_close(&j);
}

Test(journal, no_server_writes_our_part_of_a_job)
{
	static const char item[] = "{\"id\":\"job-1\",\"type\":\"Deployment\","
	    "\"result\":\"Completed\",\"error\":\"x\",\"verify\":true,"
	    "\"key_algorithm\":\"RSA\",\"unknown\":[1]}";
	struct json *j = json_parse(a, item, sizeof(item) - 1, &e);
	struct job job = { 0 };

	cr_assert_eq(json_read(a, j, job_fields, 0, &job, &e), 0);
	cr_expect_str_eq(job.key_algorithm, "RSA");
	cr_expect_null(job.result);
	cr_expect_null(job.error);
	cr_expect_not(job.verify);
}

Test(journal, an_id_that_is_a_path_is_refused)
{
	struct job job = a_job("../job-1");
	struct journal j;

	cr_assert_eq(journal_open(&j, dir, &e), 0);
	cr_expect_null(journal_add(&j, &job, &e));
	cr_expect_eq(e.code, E_INVALID);
	journal_close(&j);
}
