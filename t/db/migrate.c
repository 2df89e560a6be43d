#include "db/schema.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/domain/fixture.h"

static int
newest(void)
{
	const struct migration *m = migrations;

	while (m[1].name != NULL)
		m++;
	return m->version;
}

Test(migrations, are_numbered_without_a_gap)
{
	for (int i = 0; migrations[i].name != NULL; i++) {
		cr_expect_eq(migrations[i].version, i + 1, "%s",
		    migrations[i].name);
		cr_expect(!blank(migrations[i].sql));
	}
}

Test(migrations, are_applied_once_also_by_several_at_once)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	int applied = -1, status, sum = 0;
	pid_t pid[3];

	cr_expect_eq(db_migrate(c->db, &applied, &e), 0, "%s", e.msg);
	cr_expect_eq(applied, 0);
	t_sql("SET client_min_messages = warning;"
	    "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	for (size_t i = 0; i < NELEM(pid); i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct ctx *own = t_ctx_again();

			_exit(db_migrate(own->db, &applied, &e) < 0 ? 99 :
			    applied);
		}
	}
	for (size_t i = 0; i < NELEM(pid); i++) {
		cr_assert_eq(waitpid(pid[i], &status, 0), pid[i]);
		cr_expect(WIFEXITED(status));
		sum += WEXITSTATUS(status);
	}
	cr_expect_eq(sum, newest());
	cr_expect_eq(db_ready(c->db, &e), 0, "%s: %s", e.msg, e.detail);
}

Test(migrations, that_are_missing_or_too_new_are_refused)
{
	static const struct { const char *sql, *part; } cases[] = {
		{ "INSERT INTO schema_migrations VALUES (9999, 'x')",
		  "version 9999" },
		{ "DROP TABLE schema_migrations", "version 0" },
	};
	struct ctx *c = t_ctx();
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		t_sql("%s", cases[i].sql);
		db_free(c->db);
		c = t_ctx_again();
		e = (struct err){ 0 };
		cr_expect_eq(db_ready(c->db, &e), -1);
		cr_expect_eq(e.code, E_UNAVAILABLE);
		cr_expect_not_null(strstr(e.msg, cases[i].part), "%s", e.msg);
	}
}

Test(migrations, do_not_touch_a_schema_newer_than_this_program)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	int applied;

	t_sql("INSERT INTO schema_migrations VALUES (9999, 'x')");
	cr_expect_eq(db_migrate(c->db, &applied, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE);
	cr_expect_not_null(strstr(e.msg, "newer"), "%s", e.msg);
}
