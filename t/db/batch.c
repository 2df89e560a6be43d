#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/list.h"
#include "t/domain/fixture.h"

static int
add_team(struct ctx *c, const char *id, const char *name, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_TEAM_INSERT, db_text(id), db_text(name), db_text(""));
	return db_run(b, e);
}

static bool
there(const char *id)
{
	return t_number("SELECT count(*) FROM teams WHERE id = '%s'", id) == 1;
}

/* The next batch has its own results, not what another left unread. */
static void
in_step(struct ctx *c, const char *what)
{
	struct err e = { 0 };

	for (int i = 0; i < 3; i++) {
		struct db_batch *b = db_batch(c->db, c->a);
		struct { const char *id; } row = { NULL };
		const struct field fields[] = {
			{ .name = "id", .type = FT_TEXT }, FIELD_END
		};

		db_add(b, Q_TEAM_GET, db_text("none"));
		db_add(b, Q_OWNER_GET, db_text("o"));
		cr_expect_eq(db_run(b, &e), 0, "%s: %s: %s", what, e.msg,
		    e.detail);
		cr_expect_eq(db_rows(b, 0, fields).n, 0, "%s", what);
		cr_assert(db_take(b, 1, fields, &row), "%s", what);
		cr_expect_str_eq(row.id, "o", "%s", what);
	}
}

/* End the sessions of this test's context, as a restart does. */
static void
cut(void)
{
	t_sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
	    "WHERE application_name = 'test' AND datname = "
	    "current_database() AND pid <> pg_backend_pid()");
}

Test(batch, is_done_whole_or_not_at_all)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_add(b, Q_TEAM_INSERT, db_text("one"), db_text("1"), db_text(""));
	db_add(b, Q_TEAM_INSERT, db_text("two"), db_text("1"), db_text(""));
	db_add(b, Q_TEAM_INSERT, db_text("three"), db_text("3"), db_text(""));
	cr_expect_eq(db_run(b, &e), -1);
	cr_expect_eq(e.code, E_CONFLICT);
	cr_expect_not(there("one") || there("two") || there("three"));
	in_step(c, "after a failed batch");
}

Test(batch, says_what_a_user_did_wrong)
{
	static const struct {
		const char *id, *name;
		enum err_code code;
		const char *msg;
	} cases[] = {
		{ "t", "new", E_CONFLICT, "this id is already taken" },
		{ "new", "t", E_CONFLICT, "this name is already taken" },
		{ "new", NULL, E_INVALID, "name is required" },
		{ "new", "\xff", E_INVALID, NULL },
		{ "new", "%300s", E_INVALID, NULL },
	};
	struct ctx *c = t_ctx();
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(add_team(c, cases[i].id, cases[i].name == NULL ||
		    cases[i].name[0] != '%' ? cases[i].name :
		    arena_printf(c->a, "%0300d", 1), &e), -1);
		cr_expect_eq(e.code, cases[i].code, "%zu: %s", i, e.msg);
		if (cases[i].msg != NULL)
			cr_expect_str_eq(e.msg, cases[i].msg);
		cr_expect_eq(strncmp(e.detail, "SQLSTATE 2", 10), 0, "%s",
		    e.detail);
		in_step(c, e.msg);
	}
}

Test(batch, names_the_column_of_a_reference_or_a_bound)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_add(b, Q_OWNER_INSERT, db_text("x"), db_text("x"), db_text(""),
	    db_text("nobody"));
	cr_expect_eq(db_run(b, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_str_eq(e.msg, "team_id names nothing that exists");
	b = db_batch(c->db, c->a);
	db_add(b, Q_RENEWAL_POLICY_INSERT, db_text("x"), db_text("x"),
	    db_int(999), db_bool(true), db_int(3), db_int(60), db_text("[]"),
	    db_text(NULL), db_text("{}"), db_text("{}"));
	cr_expect_eq(db_run(b, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_str_eq(e.msg,
	    "renewal_window_days has a value that is not allowed");
}

/* The error comes with the answer to Sync, behind all results. */
Test(batch, stays_in_step_after_a_deferred_constraint)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	t_sql("ALTER TABLE owners ALTER CONSTRAINT owners_team_id_fkey "
	    "DEFERRABLE INITIALLY DEFERRED");
	db_add(b, Q_OWNER_INSERT, db_text("x"), db_text("x"), db_text(""),
	    db_text("nobody"));
	cr_expect_eq(db_run(b, &e), -1);
	cr_expect_eq(e.code, E_INVALID, "%s: %s", e.msg, e.detail);
	in_step(c, "without a transaction");
	b = db_batch(c->db, c->a);
	db_begin(c->db);
	db_add(b, Q_OWNER_INSERT, db_text("x"), db_text("x"), db_text(""),
	    db_text("nobody"));
	cr_expect_eq(db_run_commit(b, &e), -1);
	cr_expect_eq(e.code, E_INVALID, "%s: %s", e.msg, e.detail);
	in_step(c, "at COMMIT");
	cr_expect_eq(t_number("SELECT count(*) FROM owners WHERE id = 'x'"), 0);
}

Test(transaction, spans_batches)
{
	struct ctx *c = t_ctx();
	struct db_batch *b;
	struct err e = { 0 };

	db_begin(c->db);
	cr_expect_eq(add_team(c, "one", "1", &e), 0);
	cr_expect_not(there("one"));
	b = db_batch(c->db, c->a);
	db_add(b, Q_TEAM_INSERT, db_text("two"), db_text("2"), db_text(""));
	cr_expect_eq(db_run_commit(b, &e), 0);
	cr_expect(there("one") && there("two"));
	cr_expect_eq(add_team(c, "three", "3", &e), 0);
	cr_expect(there("three"), "it is over");
}

Test(transaction, is_undone)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };

	db_rollback(c->db);
	db_begin(c->db);
	db_rollback(c->db);
	cr_expect_eq(add_team(c, "one", "1", &e), 0);
	cr_expect(there("one"), "a begin without a batch leaves nothing open");
	db_begin(c->db);
	cr_expect_eq(add_team(c, "two", "2", &e), 0);
	db_rollback(c->db);
	db_rollback(c->db);
	cr_expect_not(there("two"));
	in_step(c, "after a rollback");
	db_begin(c->db);
	cr_expect_eq(add_team(c, "two", "2", &e), 0);
	cr_expect_eq(add_team(c, "two", "2", &e), -1);
	cr_expect_eq(add_team(c, "three", "3", &e), -1, "it has failed");
	db_rollback(c->db);
	cr_expect_not(there("two"));
	in_step(c, "after a failure");
}

Test(transaction, commits_nothing_after_a_failure)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_begin(c->db);
	cr_expect_eq(add_team(c, "one", "1", &e), 0);
	db_add(b, Q_TEAM_INSERT, db_text("two"), db_text("1"), db_text(""));
	cr_expect_eq(db_run_commit(b, &e), -1);
	cr_expect_eq(e.code, E_CONFLICT);
	cr_expect_eq(add_team(c, "three", "3", &e), 0);
	cr_expect(!there("one") && !there("two") && there("three"));
}

Test(connection, is_made_anew_when_the_server_closed_it)
{
	struct ctx *c = t_ctx();
	struct list_query q = { .list = &list_teams, .limit = 5 };
	struct db_batch *b;
	struct err e = { 0 };

	in_step(c, "at first");
	cut();
	in_step(c, "after the loss");
	/* Also between composing a list that was prepared and sending it. */
	for (int i = 0; i < 4; i++) {
		b = db_batch(c->db, c->a);
		db_add_list(b, &q);
		if (i % 2 != 0)
			cut();
		cr_expect_eq(db_run(b, &e), 0, "%s: %s", e.msg, e.detail);
		cr_expect_eq(db_count(b, 0),
		    t_number("SELECT count(*) FROM teams"));
	}
}

Test(connection, that_is_lost_in_a_transaction_undoes_it)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_begin(c->db);
	cr_expect_eq(add_team(c, "one", "1", &e), 0);
	cut();
	db_add(b, Q_TEAM_INSERT, db_text("two"), db_text("2"), db_text(""));
	cr_expect_eq(db_run_commit(b, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE, "%s: %s", e.msg, e.detail);
	cr_expect(!there("one") && !there("two"));
	in_step(c, "after the loss");
	cr_expect_eq(add_team(c, "three", "3", &e), 0);
	cr_expect(there("three"), "no transaction is left open");
}

Test(connection, that_is_lost_while_a_statement_runs_is_told)
{
	struct ctx *c = t_ctx();
	void *held = t_hold("SELECT FROM teams WHERE id = 't' FOR UPDATE");
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	in_step(c, "at first");
	if (fork() == 0) {
		PGconn *conn = PQconnectdb(t_database_url());

		sleep_ms(300);
		PQclear(PQexec(conn, "SELECT pg_terminate_backend(pid) FROM "
		    "pg_stat_activity WHERE application_name = 'test' AND "
		    "datname = current_database() AND wait_event_type = "
		    "'Lock'"));
		_exit(0);
	}
	db_add(b, Q_TEAM_UPDATE, db_text("t"), db_text("x"), db_text(""));
	db_add(b, Q_TEAM_INSERT, db_text("x"), db_text("y"), db_text(""));
	cr_expect_eq(db_run(b, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE, "%s: %s", e.msg, e.detail);
	cr_expect_not_null(strstr(e.detail, "57P01"), "%s", e.detail);
	wait(NULL);
	t_let_go(held);
	cr_expect_not(there("x"));
	in_step(c, "after the loss");
}

Test(connection, that_cannot_be_made_is_said_so_at_once)
{
	struct ctx c = { .a = arena_new() };
	int64_t from = mono_us();
	struct err e;

	c.db = db_new("host=/nonexistent dbname=x", "test");
	for (int i = 0; i < 2; i++) {
		e = (struct err){ 0 };
		cr_expect_eq(add_team(&c, "x", "x", &e), -1);
		cr_expect_eq(e.code, E_UNAVAILABLE);
		cr_expect_str_eq(e.msg, "the database cannot be reached");
	}
	cr_expect_lt(mono_us() - from, 2000000);
	db_free(c.db);
	db_free(NULL);
	arena_free(c.a);
}
