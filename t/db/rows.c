#include <criterion/criterion.h>

#include "t/domain/fixture.h"

struct cert {
	const char *id, *common_name, *tags, *revocation_reason;
	struct texts sans, target_ids;
	int64_t expires_at, revoked_at;
};

static const struct field cert_fields[] = {
	FIELD(struct cert, id, TEXT, 0),
	FIELD(struct cert, common_name, TEXT, 0),
	FIELD(struct cert, tags, JSON, 0),
	FIELD(struct cert, revocation_reason, TEXT, 0),
	FIELD(struct cert, sans, TEXTS, 0),
	FIELD(struct cert, target_ids, TEXTS, 0),
	FIELD(struct cert, expires_at, TIME, 0),
	FIELD(struct cert, revoked_at, TIME, 0),
	FIELD_END
};

static struct cert
round_trip(struct ctx *c, const struct texts *sans, int64_t expires_at)
{
	static int n;
	struct db_batch *b = db_batch(c->db, c->a);
	char *id = arena_printf(c->a, "c%d", n++);
	struct cert out = { .revocation_reason = "kept", .revoked_at = 7 };
	struct texts none = { 0 };
	struct err e = { 0 };

	db_add(b, Q_CERTIFICATE_INSERT, db_text(id), db_text(id),
	    db_text("x.example.com"), db_texts(sans), db_text(""),
	    db_text("o"), db_text("t"), db_text("iss-local"),
	    db_text("rp-default"), db_opt(""), db_text("Pending"),
	    db_text("{\"k\": \"v\"}"), db_text(""), db_time(expires_at),
	    db_texts(&none));
	cr_assert_eq(db_run(b, &e), 0, "%s: %s", e.msg, e.detail);
	b = db_batch(c->db, c->a);
	db_add(b, Q_CERTIFICATE_GET, db_text(id));
	cr_assert_eq(db_run(b, &e), 0, "%s: %s", e.msg, e.detail);
	cr_assert(db_take(b, 0, cert_fields, &out));
	cr_expect_str_eq(out.id, id);
	return out;
}

Test(rows, keep_texts_as_they_are)
{
	const char *v[] = { "", " ", "NULL", "null", "a,b", "{a}", "a\"b",
	    "a\\b", "\\\"", "'", "$1", "a\nb\tc", "gr\xc3\xbc\xc3\x9f",
	    "\xf0\x9f\x94\x91", "long" };
	struct ctx *c = t_ctx();

	v[14] = arena_printf(c->a, "%020000d", 7);
	for (size_t n = 0; n <= NELEM(v); n++) {
		struct texts t = { v, n };
		struct cert out = round_trip(c, &t, 0);

		cr_assert_eq(out.sans.n, n);
		for (size_t i = 0; i < n; i++)
			cr_expect_str_eq(out.sans.v[i], v[i]);
		cr_expect_eq(out.target_ids.n, 0);
		cr_expect_str_eq(out.tags, "{\"k\": \"v\"}");
	}
}

Test(rows, keep_instants_and_leave_what_is_null)
{
	static const int64_t at[] = { 0, 1, -1, 946684799, 946684800,
	    1767323045, 253402300799, -62135510400 };
	struct texts none = { 0 };
	struct ctx *c = t_ctx();

	for (size_t i = 0; i < NELEM(at); i++) {
		struct cert out = round_trip(c, &none, at[i]);

		cr_expect_eq(out.expires_at, at[i], "%lld: %lld",
		    (long long)at[i], (long long)out.expires_at);
		cr_expect_eq(out.revoked_at, 7, "null leaves the member");
	}
}

Test(rows, round_fractions_of_seconds_down)
{
	static const struct { const char *text; int64_t want; } cases[] = {
		{ "2026-01-02 03:04:05.999999", 1767323045 },
		{ "1999-12-31 23:59:59.5", 946684799 },
		{ "1969-12-31 23:59:58.5", -2 },
		{ "infinity", 0 }, { "-infinity", 0 },
	};
	struct texts none = { 0 };
	struct ctx *c = t_ctx();
	struct cert out = round_trip(c, &none, 0);
	struct db_batch *b;
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		t_sql("UPDATE managed_certificates SET expires_at = '%s'",
		    cases[i].text);
		b = db_batch(c->db, c->a);
		db_add(b, Q_CERTIFICATE_GET, db_text(out.id));
		cr_assert_eq(db_run(b, &e), 0);
		db_take(b, 0, cert_fields, &out);
		cr_expect_eq(out.expires_at, cases[i].want, "%s: %lld",
		    cases[i].text, (long long)out.expires_at);
	}
}

Test(rows, keep_octets)
{
	static const unsigned char raw[] = { 0, 1, 0xff, '\\', '\'', 0 };
	const struct { struct bytes in; size_t len; } cases[] = {
		{ { raw, sizeof(raw) }, sizeof(raw) }, { { raw, 1 }, 1 },
		{ { NULL, 0 }, 0 },
	};
	struct ctx *c = t_ctx();
	struct db_batch *b;
	struct bytes out;
	struct err e = { 0 };

	for (size_t i = 0; i < NELEM(cases); i++) {
		char *id = arena_printf(c->a, "i%zu", i);

		b = db_batch(c->db, c->a);
		db_add(b, Q_ISSUER_INSERT, db_text(id), db_text(id),
		    db_text("GenericCA"), db_text("{}"),
		    db_bytes(cases[i].in), db_bool(i == 0));
		db_add(b, Q_ISSUER_LOCK, db_text(id));
		cr_assert_eq(db_run(b, &e), 0, "%s: %s", e.msg, e.detail);
		out = db_bytes_at(b, 1, 0, "encrypted_config");
		cr_expect_eq(out.len, cases[i].len);
		cr_expect(out.len == 0 || memcmp(out.p, raw, out.len) == 0);
		cr_expect_eq(db_bytes_at(b, 1, 0, "none").len, 0);
	}
}

Test(rows, are_counted)
{
	struct ctx *c = t_ctx();
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	t_certificate("c");
	db_add(b, Q_TEAM_GET, db_text("t"));
	db_add(b, Q_TEAM_GET, db_text("none"));
	db_add(b, Q_TEAM_DELETE, db_text("none"));
	db_add(b, Q_DEPLOYMENTS_OUTSTANDING, db_text("c"), db_text("a"));
	db_add(b, Q_TEAM_INSERT, db_text("x"), db_text("x"), db_text(""));
	db_add(b, Q_TEAM_DELETE, db_text("x"));
	cr_assert_eq(db_run(b, &e), 0, "%s: %s", e.msg, e.detail);
	cr_expect_eq(db_count(b, 0), 1);
	cr_expect_eq(db_count(b, 1), 0);
	cr_expect_eq(db_count(b, 2), 0);
	cr_expect_eq(db_count(b, 5), 1);
	cr_expect_eq(db_scalar(b, 1), 0);
	cr_expect_eq(db_scalar(b, 3), 0);
}
