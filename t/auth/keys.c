#include "auth/keys.h"

#include <criterion/criterion.h>

#include "base/text.h"
#include "t/domain/fixture.h"

static struct arena *mem;

static struct keys *
make(const char *type, const char *named, const char *secrets, struct err *e)
{
	struct keys_conf conf = { .auth_type = type };

	mem = arena_new();
	conf.named = split_list(mem, named);
	conf.secrets = split_list(mem, secrets);
	return keys_new(&conf, e);
}

Test(keys, are_taken_as_the_settings_say)
{
	static const struct {
		const char *named, *secrets, *bearer, *id;
		bool admin;
	} cases[] = {
		{ "ops:k1", "", "Bearer k1", "ops", false },
		{ "ops:k1,root:k2:admin", "", "Bearer k2", "root", true },
		{ "ops:k1,root:k2:admin", "", "Bearer k1", "ops", false },
		{ "a_B-9:k1", "", "Bearer k1", "a_B-9", false },
		{ "ops:new,ops:old", "", "Bearer old", "ops", false },
		{ "ops:new,ops:old", "", "Bearer new", "ops", false },
		{ "ops:k 1", "", "Bearer k 1", "ops", false },
		{ "", "s0,s1", "Bearer s1", "legacy-key-1", false },
		{ "", "s:0", "Bearer s:0", "legacy-key-0", false },
	};
	struct actor actor;
	struct keys *k;
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		k = make("api-key", cases[i].named, cases[i].secrets, &e);
		cr_assert_not_null(k, "%s: %s", cases[i].named, e.msg);
		cr_expect_eq(keys_find(k, mem, NULL, cases[i].bearer, true, &actor,
		    &e), 0, "%s: %s", cases[i].bearer, e.msg);
		cr_expect_eq(actor.kind, ACTOR_OPERATOR);
		cr_expect_str_eq(actor.id, cases[i].id);
		cr_expect_eq(actor.admin, cases[i].admin);
		keys_free(k);
		arena_free(mem);
	}
}

Test(keys, refuse_odd_settings)
{
	static const struct { const char *named, *secrets; } cases[] = {
		{ "", "" }, { "ops", "" }, { "ops:", "" }, { ":Geheim", "" },
		{ "o ps:Geheim", "" }, { "o.ps:Geheim", "" },
		{ "ops:Geheim:", "" }, { "ops:Geheim:Admin", "" },
		{ "ops:Geheim:admin:", "" }, { "ops:Geheim:admin:x", "" },
		{ "ops:Geheim,ops:Geheim", "" },
		{ "ops:Geheim,ops:Geheim2:admin", "" },
		{ "ops:Geheim,Geheim2", "" }, { "\xc3\xa9:Geheim", "" },
	};
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_null(make("api-key", cases[i].named,
		    cases[i].secrets, &e), "%s", cases[i].named);
		cr_expect_eq(e.code, E_INVALID);
		cr_expect_null(strstr(e.msg, "Geheim"), "no key is shown: %s",
		    e.msg);
		arena_free(mem);
	}
	keys_free(NULL);
}

Test(keys, bound_names_and_numbers)
{
	struct arena *a = arena_new();
	char *many = arena_strdup(a, "k0:v0");
	struct err e = { 0 };
	struct keys *k;

	cr_expect_null(make("api-key", arena_printf(a, "%0128d:k", 1), "",
	    &e));
	k = make("api-key", arena_printf(a, "%0127d:k", 1), "", &e);
	cr_expect_not_null(k);
	keys_free(k);
	for (int i = 1; i <= 256; i++)
		many = arena_printf(a, "%s,k%d:v%d", many, i, i);
	cr_expect_null(make("api-key", many, "", &e));
	cr_expect_str_eq(e.msg, "more than 256 API keys");
	arena_free(a);
}

Test(keys, are_not_found_without_the_right_header)
{
	static const char *const cases[] = { NULL, "", "k1", "bearer k1",
	    "BEARER k1", "Bearer", "Basic k1", "Bearer\tk1" };
	struct actor actor;
	struct err e;
	struct keys *k = make("api-key", "ops:k1", "", &e);

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(keys_find(k, mem, NULL, cases[i], true, &actor, &e),
		    -1);
		cr_expect_eq(e.code, E_UNAUTHORIZED);
	}
	keys_free(k);
}

Test(keys, are_not_asked_for_when_all_is_open)
{
	struct actor actor;
	struct err e = { 0 };
	struct keys *k = make("none", "", "", &e);

	cr_assert_not_null(k);
	cr_expect_eq(keys_find(k, mem, NULL, NULL, true, &actor, &e), 0);
	cr_expect_eq(actor.kind, ACTOR_OPEN);
	cr_expect_str_eq(actor.id, "api");
	cr_expect_not(actor.admin);
	keys_free(k);
}

Test(keys, of_agents_are_in_the_database)
{
	static const struct { const char *bearer; enum err_code want; }
	cases[] = {
		{ "Bearer agent-key", E_OK }, { "Bearer agent-key", E_OK },
		{ "Bearer agent-key ", E_UNAUTHORIZED },
		{ "Bearer  agent-key", E_UNAUTHORIZED },
		{ "Bearer ", E_UNAUTHORIZED }, { "Bearer a", E_UNAUTHORIZED },
		{ "Bearer ' OR true --", E_UNAUTHORIZED },
		{ "Bearer \xff", E_UNAUTHORIZED },
	};
	struct ctx *c = t_ctx();
	struct actor actor;
	struct err e;
	struct keys *k = make("api-key", "ops:k1", "", &e);

	t_sql("UPDATE agents SET api_key_hash = '%s'",
	    key_hash(c->a, "agent-key"));
	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		keys_find(k, c->a, c->db, cases[i].bearer, true, &actor, &e);
		cr_expect_eq(e.code, cases[i].want, "%s: %s",
		    cases[i].bearer, e.msg);
		if (e.code != E_OK)
			continue;
		cr_expect_eq(actor.kind, ACTOR_AGENT);
		cr_expect_str_eq(actor.id, "a");
		cr_expect_not(actor.admin);
	}
	keys_free(k);
}

/* The hash in the row is no key, and a stolen table opens nothing. */
Test(keys, are_not_their_hashes)
{
	struct ctx *c = t_ctx();
	const char *hash = key_hash(c->a, "agent-key");
	struct actor actor;
	struct err e = { 0 };
	struct keys *k = make("api-key", "ops:k1", "", &e);

	t_sql("UPDATE agents SET api_key_hash = '%s'", hash);
	cr_expect_eq(keys_find(k, c->a, c->db, arena_printf(c->a,
	    "Bearer %s", hash), true, &actor, &e), -1);
	cr_expect_eq(e.code, E_UNAUTHORIZED);
	keys_free(k);
}

Test(keys, work_while_the_database_is_away_unless_they_are_agents)
{
	struct arena *a = arena_new();
	struct db *db = db_new("host=/nonexistent", "test");
	struct actor actor;
	struct err e = { 0 };
	struct keys *k = make("api-key", "ops:k1", "", &e);

	cr_expect_eq(keys_find(k, a, db, "Bearer k1", true, &actor, &e), 0);
	cr_expect_eq(keys_find(k, a, db, "Bearer k2", true, &actor, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE);
	db_free(db);
	keys_free(k);
	arena_free(a);
}

Test(keys, that_are_made_are_long_and_never_the_same)
{
	struct arena *a = arena_new();
	const char *one = key_make(a);

	cr_expect_eq(strlen(one), 43);
	cr_expect_str_neq(one, key_make(a));
	cr_expect_eq(strlen(key_hash(a, one)), 64);
	arena_free(a);
}
