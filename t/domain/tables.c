/* Field tables against the columns their rows come from. */
#include <criterion/criterion.h>
#include <libpq-fe.h>

#include "db/list.h"
#include "domain/agent.h"
#include "domain/audit.h"
#include "domain/certificate.h"
#include "domain/job.h"
#include "domain/resource.h"
#include "fixture.h"

static const struct view *const views[] = {
	&certificate_view, &certificate_version_view, &job_view, &agent_view,
	&agent_retired_view, &audit_view, &resource_team.view,
	&resource_owner.view, &resource_profile.view,
	&resource_renewal_policy.view, &resource_issuer.view,
	&resource_target.view,
};

static const struct resource *const resources[] = {
	&resource_team, &resource_owner, &resource_profile,
	&resource_renewal_policy, &resource_issuer, &resource_target,
};

static void
check_names(const char *what, const struct field *t)
{
	for (const struct field *f = t; f->name != NULL; f++) {
		cr_expect(!blank(f->name), "%s", what);
		for (const struct field *g = t; g < f; g++)
			cr_expect_str_neq(g->name, f->name, "%s: %s", what,
			    f->name);
		cr_expect(!(f->flags & F_REQ) || !(f->flags & F_RO),
		    "%s: %s", what, f->name);
	}
}

Test(tables, have_distinct_names)
{
	for (size_t i = 0; i < NELEM(views); i++)
		check_names(views[i]->list->name, views[i]->fields);
	check_names("pulse", pulse_fields);
	check_names("job_report", job_report_fields);
	check_names("job_verification", job_verification_fields);
}

Test(tables, of_resources_are_complete)
{
	for (size_t i = 0; i < NELEM(resources); i++) {
		const struct resource *r = resources[i];

		cr_expect(!blank(r->name) && !blank(r->verb_name) &&
		    !blank(r->id_prefix), "%zu", i);
		cr_expect(r->view.size >= sizeof(struct resource_head));
		cr_expect_str_eq(r->view.fields[0].name, "id");
		cr_expect_eq(r->view.fields[0].off, 0);
		cr_expect_not_null(r->args, "%s", r->name);
		cr_expect_not_null(query_texts[r->get].audited, "%s",
		    r->name);
		cr_expect_not_null(strstr(query_texts[r->lock].sql,
		    "FOR NO KEY UPDATE"), "%s", r->name);
		cr_expect_leq(query_texts[r->insert].nargs,
		    RESOURCE_MAX_ARGS);
		cr_expect_eq(query_texts[r->insert].nargs,
		    query_texts[r->update].nargs, "%s", r->name);
		cr_expect_eq(query_texts[r->delete].nargs, 1);
	}
}

/* OIDs of pg_type that a member of each kind is read from. */
static const struct { enum field_type type; Oid oid[4]; } kinds[] = {
	{ FT_TEXT, { 25, 1043 } },		/* text, varchar */
	{ FT_TEXTS, { 1009 } },			/* text[] */
	{ FT_INT, { 20, 23, 21 } },		/* bigint, integer, smallint */
	{ FT_BOOL, { 16 } },			/* boolean */
	{ FT_TIME, { 1184 } },			/* timestamptz */
	{ FT_JSON, { 3802, 25 } },		/* jsonb, text */
	{ FT_JSONS, { 3802, 25 } },
};

/* Members that no list shows, or that are not stored yet. */
static const char *const unlisted[] = { "api_key", "requires_approval" };

static bool
suits(enum field_type type, Oid oid)
{
	for (size_t i = 0; i < NELEM(kinds); i++)
		for (size_t k = 0; k < NELEM(kinds[i].oid); k++)
			if (kinds[i].type == type && kinds[i].oid[k] == oid)
				return true;
	return false;
}

static bool
is_unlisted(const char *name)
{
	for (size_t i = 0; i < NELEM(unlisted); i++)
		if (streq(unlisted[i], name))
			return true;
	return false;
}

/* The columns of SQL, none of which is run. */
static PGresult *
describe(PGconn *conn, const char *sql)
{
	PGresult *r = PQprepare(conn, "", sql, 0, NULL);

	cr_assert_eq(PQresultStatus(r), PGRES_COMMAND_OK, "%s%s",
	    PQerrorMessage(conn), sql);
	PQclear(r);
	return PQdescribePrepared(conn, "");
}

static void
check_columns(const char *what, const PGresult *r, const struct field *t)
{
	for (const struct field *f = t; f->name != NULL; f++) {
		int c = PQfnumber(r, f->name);

		cr_expect_eq(c >= 0, !is_unlisted(f->name), "%s: %s", what,
		    f->name);
		if (c >= 0)
			cr_expect(suits(f->type, PQftype(r, c)),
			    "%s: %s is of type %u", what, f->name,
			    PQftype(r, c));
	}
}

Test(tables, fit_their_columns)
{
	struct arena *a = arena_new();
	PGconn *conn;
	PGresult *r;

	t_ctx();
	conn = PQconnectdb(t_database_url());
	for (size_t i = 0; i < NELEM(views); i++) {
		const struct list *l = views[i]->list;

		r = describe(conn, arena_printf(a, "%s %s", l->select,
		    l->from));
		check_columns(l->name, r, views[i]->fields);
		PQclear(r);
	}
	for (size_t i = 0; i < NELEM(resources); i++) {
		r = describe(conn, query_texts[resources[i]->get].sql);
		check_columns(resources[i]->name, r,
		    resources[i]->view.fields);
		PQclear(r);
		r = describe(conn, query_texts[resources[i]->lock].sql);
		check_columns(resources[i]->name, r,
		    resources[i]->view.fields);
		PQclear(r);
	}
	PQfinish(conn);
	arena_free(a);
}

/* Every list is some view's. */
Test(tables, show_every_list)
{
	for (size_t n = 0; lists[n] != NULL; n++) {
		bool shown = false;

		for (size_t i = 0; i < NELEM(views); i++)
			shown |= views[i]->list == lists[n];
		cr_expect(shown, "%s", lists[n]->name);
	}
}
