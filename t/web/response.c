#include <criterion/criterion.h>
#include <signal.h>

#include "base/util.h"
#include "codec/json.h"
#include "web/web.h"

static struct arena *a;
static struct web_res rs;

static void
begin(void)
{
	a = arena_new();
	rs = (struct web_res){ .a = a, .body = BUF(a) };
}

static const char *
header(const char *name)
{
	for (size_t i = 0; i < rs.n_headers; i++)
		if (streq(rs.header[i].name, name))
			return rs.header[i].value;
	return NULL;
}

TestSuite(response, .init = begin);

Test(response, wraps_every_error_in_the_envelope)
{
	struct web_req rq = { .request_id = "id-1" };
	struct err e = { 0 };
	struct json *j;

	for (int code = E_INVALID; code < E__MAX; code++) {
		begin();
		err_set(&e, (enum err_code)code, "why \"%s\"\n\xc3", "x");
		err_detail(&e, "not for the client");
		web_send_err(&rq, &rs, &e);
		cr_expect_eq(rs.status, err_status(e.code));
		cr_expect_str_eq(rs.content_type, "application/json");
		j = json_parse(a, rs.body.p, rs.body.len, &e);
		cr_assert_not_null(j, "%s", buf_str(&rs.body));
		cr_expect_str_eq(json_text(json_member(a, j, "error")),
		    err_reason((enum err_code)code));
		cr_expect_str_eq(json_text(json_member(a, j, "message")),
		    "why \"x\" ?");
		cr_expect_str_eq(json_text(json_member(a, j, "request_id")),
		    "id-1");
		cr_expect_null(strstr(buf_str(&rs.body), "not for"));
		cr_expect_eq(header("Retry-After") != NULL,
		    code == E_UNAVAILABLE || code == E_RATE_LIMITED);
	}
}

Test(response, refuses_at_the_door_with_the_message_alone)
{
	static const struct {
		enum err_code code;
		const char *name, *value;
	} cases[] = {
		{ E_UNAUTHORIZED, "WWW-Authenticate",
		  "Bearer realm=\"certctl\"" },
		{ E_RATE_LIMITED, "Retry-After", "1" },
		{ E_UNAVAILABLE, "Retry-After", "1" },
		{ E_FORBIDDEN, "Retry-After", NULL },
	};
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		begin();
		err_set(&e, cases[i].code, "no \"way\"");
		web_send_refusal(&rs, &e);
		cr_expect_str_eq(buf_str(&rs.body),
		    "{\"error\":\"no \\\"way\\\"\"}");
		if (cases[i].value != NULL)
			cr_expect_str_eq(header(cases[i].name),
			    cases[i].value);
		else
			cr_expect_null(header(cases[i].name));
	}
}

struct thing {
	const char *name;
};

static const struct field thing_fields[] = {
	FIELD(struct thing, name, TEXT, 0),
	FIELD_END
};

Test(response, holds_what_was_sent_last)
{
	const struct thing thing = { "x" };

	cr_expect_eq(web_send_text(&rs, 404, "gone\n"), 0);
	cr_expect_str_eq(rs.content_type, "text/plain; charset=utf-8");
	cr_expect_str_eq(buf_str(&rs.body), "gone\n");
	web_send_fields(&rs, 201, thing_fields, &thing);
	cr_expect_eq(rs.status, 201);
	cr_expect_str_eq(buf_str(&rs.body), "{\"name\":\"x\"}");
	web_send_json(&rs, 200, "[]");
	cr_expect_eq(rs.body.len, 2);
	web_send_empty(&rs, 204);
	cr_expect(rs.status == 204 && rs.content_type == NULL &&
	    rs.body.len == 0);
}

Test(response, has_room_for_a_fixed_number_of_headers, .signal = SIGABRT)
{
	for (int i = 0; i <= WEB_MAX_HEADERS; i++)
		web_header(&rs, "X", "y");
}
