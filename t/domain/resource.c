#include "domain/resource.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "codec/json.h"
#include "fixture.h"

static void *obj;

static int
create(struct ctx *c, const struct resource *r, const char *body,
    struct err *e)
{
	struct json *j = json_parse(c->a, body, strlen(body), e);

	cr_assert_not_null(j, "%s", body);
	obj = arena_zalloc(c->a, r->view.size);
	*e = (struct err){ 0 };
	return resource_create(c, r, j, obj, e);
}

static int
update(struct ctx *c, const struct resource *r, const char *id,
    const char *body, struct err *e)
{
	struct json *j = json_parse(c->a, body, strlen(body), e);

	cr_assert_not_null(j, "%s", body);
	obj = arena_zalloc(c->a, r->view.size);
	*e = (struct err){ 0 };
	return resource_update(c, r, id, j, obj, e);
}

/* The context of an API call whose record is still to be written. */
static struct ctx *
call_ctx(const char *method)
{
	static const char *body = "";
	static size_t len;
	struct ctx *c = t_ctx();

	c->call = (struct call){ .method = method, .path = "/x",
	    .body = &body, .body_len = &len,
	    .started_us = now_ns() / 1000 };
	return c;
}

/* Records of the call and of the change, as others see them. */
static void
recorded(int64_t calls, int64_t changes, const char *what)
{
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "resource_type = 'api'"), calls, "calls: %s", what);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "resource_type <> 'api'"), changes, "changes: %s", what);
}

Test(resource, is_created_read_changed_and_deleted)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };

	cr_assert_eq(create(c, &resource_team, "{\"id\":\"t1\",\"name\":"
	    "\"one\",\"created_at\":\"2020-01-01\"}", &e), 0, "%s", e.msg);
	cr_expect_str_eq(((struct resource_head *)obj)->id, "t1");
	cr_assert_eq(update(c, &resource_team, "t1", "{\"description\":\"d\","
	    "\"id\":\"t2\",\"name\":null}", &e), 0, "%s", e.msg);
	cr_expect_str_eq(t_text("SELECT name || description FROM teams WHERE "
	    "id = 't1'"), "oned");
	cr_expect_eq(t_number("SELECT count(*) FROM teams WHERE created_at > "
	    "now() - interval '1 hour' AND id = 't1'"), 1);
	cr_assert_eq(resource_get(c, &resource_team, "t1", obj, &e), 0);
	cr_assert_eq(resource_delete(c, &resource_team, "t1", &e), 0);
	cr_expect_eq(resource_get(c, &resource_team, "t1", obj, &e), -1);
	cr_expect_eq(e.code, E_NOT_FOUND);
	cr_expect_str_eq(t_text("SELECT string_agg(action, ' ' ORDER BY seq) "
	    "FROM audit_events"), "create_team update_team delete_team");
}

Test(resource, that_is_refused_leaves_no_transaction_open)
{
	static const struct {
		const struct resource *r;
		const char *body;
		enum err_code want;
	} cases[] = {
		{ &resource_team, "{}", E_INVALID },
		{ &resource_team, "{\"name\":5}", E_INVALID },
		{ &resource_team, "{\"name\":\"x\",\"id\":\"a/b\"}",
		  E_INVALID },
		{ &resource_team, "{\"name\":\"x\",\"id\":5}", E_INVALID },
		{ &resource_team, "{\"name\":\"t\"}", E_CONFLICT },
		{ &resource_team, "{\"name\":\"x\",\"id\":\"t\"}",
		  E_CONFLICT },
		{ &resource_owner, "{\"name\":\"x\",\"team_id\":\"none\"}",
		  E_INVALID },
		{ &resource_profile, "{\"name\":\"x\",\"allowed_ekus\":"
		  "[\"any\"]}", E_INVALID },
		{ &resource_renewal_policy, "{\"name\":\"x\","
		  "\"retry_interval_seconds\":5}", E_INVALID },
		{ &resource_renewal_policy, "{\"name\":\"x\","
		  "\"alert_thresholds_days\":[\"5\"]}", E_INVALID },
		{ &resource_renewal_policy, "{\"name\":\"x\","
		  "\"alert_thresholds_days\":[null]}", E_INVALID },
		{ &resource_issuer, "{\"name\":\"x\",\"type\":\"none\"}",
		  E_INVALID },
		{ &resource_target, "{\"name\":\"x\",\"type\":\"NGINX\","
		  "\"agent_id\":\"none\"}", E_INVALID },
	};
	struct ctx *c = call_ctx("POST");
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(create(c, cases[i].r, cases[i].body, &e), -1,
		    "%s", cases[i].body);
		cr_expect_eq(e.code, cases[i].want, "%s: %s", cases[i].body,
		    e.msg);
		/* The record of the refused call is there for others. */
		c->call.recorded = false;
		ctx_record_call(c, err_status(e.code));
		recorded((int64_t)i + 1, 0, cases[i].body);
	}
}

Test(resource, in_use_stays)
{
	static const struct {
		const struct resource *r;
		const char *id;
		enum err_code want;
	} cases[] = {
		{ &resource_team, "t", E_CONFLICT },
		{ &resource_owner, "o", E_CONFLICT },
		{ &resource_renewal_policy, "rp-default", E_CONFLICT },
		{ &resource_issuer, "iss-local", E_CONFLICT },
		{ &resource_team, "none", E_NOT_FOUND },
		{ &resource_target, "none", E_NOT_FOUND },
	};
	struct ctx *c = t_ctx();
	struct err e;

	t_certificate("c");
	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(resource_delete(c, cases[i].r, cases[i].id, &e),
		    -1, "%s", cases[i].id);
		cr_expect_eq(e.code, cases[i].want, "%s: %s", cases[i].id,
		    e.msg);
		cr_expect_eq(update(c, cases[i].r, "none", "{\"name\":\"x\"}",
		    &e), -1);
		cr_expect_eq(e.code, E_NOT_FOUND);
	}
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events"), 0);
}

Test(resource, is_recorded_with_its_call_once)
{
	struct ctx *c = call_ctx("POST");
	struct err e = { 0 };

	cr_assert_eq(create(c, &resource_team, "{\"name\":\"x\"}", &e), 0);
	ctx_record_call(c, 201);
	recorded(1, 1, "create");
	cr_expect_str_eq(t_text("SELECT details->>'status' FROM audit_events "
	    "WHERE resource_type = 'api'"), "201");
	c->call.recorded = false;
	cr_assert_eq(resource_get(c, &resource_team, "t", obj, &e), 0);
	cr_expect(c->call.recorded);
	c->call.recorded = false;
	cr_assert_eq(resource_get(c, &resource_team, "none", obj, &e), -1);
	ctx_record_call(c, 404);
	recorded(3, 1, "reads");
	cr_expect_str_eq(t_text("SELECT details->>'status' FROM audit_events "
	    "ORDER BY seq DESC LIMIT 1"), "404");
	c->call.recorded = false;
	c->call.quiet = true;
	ctx_record_call(c, 200);
	recorded(3, 1, "a quiet call");
}

Test(policy, gets_an_id_from_its_name)
{
	static const struct { const char *name, *id; } cases[] = {
		{ "Web Servers", "rp-web-servers" },
		{ "  --X!--  ", "rp-x" }, { "\xc3\xa9\xc3\xa9", "rp-policy" },
		{ "web servers", "rp-web-servers-2" },
		{ "Default", NULL }, { "default", "rp-default-2" },
	};
	struct ctx *c = t_ctx();
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(create(c, &resource_renewal_policy,
		    arena_printf(c->a, "{\"name\":\"%s\"}", cases[i].name),
		    &e) == 0, cases[i].id != NULL, "%s: %s", cases[i].name,
		    e.msg);
		if (cases[i].id != NULL)
			cr_expect_str_eq(((struct resource_head *)obj)->id,
			    cases[i].id);
	}
}
