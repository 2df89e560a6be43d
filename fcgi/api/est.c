/* EST for administrators: its profiles as they are, and their trust. */
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "codec/json.h"
#include "domain/revoke.h"
#include "fcgi/api/api.h"
#include "proto/est.h"
#include "x509/trust.h"

enum { BUNDLE_MAX = 1024 * 1024, DAY_S = 86400 };

static void
put_time(struct buf *b, const char *name, int64_t at)
{
	char text[RFC3339_LEN + 1];

	buf_printf(b, ",\"%s\":\"%s\"", name, rfc3339(at, text));
}

static void
put_anchor(struct buf *b, const struct x509_cert *c, int64_t now)
{
	buf_puts(b, "{\"subject\":");
	json_write_text(b, c->subject);
	put_time(b, "not_before", c->not_before);
	put_time(b, "not_after", c->not_after);
	buf_printf(b, ",\"days_to_expiry\":%lld,\"expired\":%s}",
	    (long long)((c->not_after - now) / DAY_S),
	    c->not_after <= now ? "true" : "false");
}

/* Also of a bundle that is not good any more: that is what one looks for. */
static void
put_anchors(struct arena *a, struct buf *b, const char *path, int64_t now)
{
	struct x509_cert *certs;
	struct bytes text;
	struct err ignored;
	size_t n;

	if (blank(path) || file_read(a, path, BUNDLE_MAX, &text,
	    &ignored) < 0 || certs_from_pem(a, (const char *)text.p, &certs,
	    &n, &ignored) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		put_anchor(b, &certs[i], now);
	}
}

static void
put_counters(struct buf *b, const char *label)
{
	for (enum est_counter c = 0; c < EST__COUNTERS; c++)
		buf_printf(b, "%s\"%s\":%lld", c > 0 ? "," : "",
		    est_counter_name(c), (long long)api_tallied(
		    est_counter_key(label, c)));
}

static bool
has_basic(const struct est_settings *s)
{
	return s->allowed_auth_modes.n > 0 ?
	    texts_has(&s->allowed_auth_modes, "basic") :
	    !blank(s->enrollment_password);
}

static void
put_flag(struct buf *b, const char *name, bool flag)
{
	buf_printf(b, ",\"%s\":%s", name, flag ? "true" : "false");
}

static void
put_profile(struct arena *a, struct buf *b, const struct est_settings *s,
    int64_t now)
{
	const char *path = s->mtls_enabled ?
	    s->mtls_client_ca_trust_bundle_path : NULL;

	buf_puts(b, "{\"path_id\":");
	json_write_text(b, s->label);
	buf_puts(b, ",\"issuer_id\":");
	json_write_text(b, s->issuer_id);
	buf_puts(b, ",\"profile_id\":");
	json_write_text(b, or_empty(s->profile_id));
	buf_puts(b, ",\"counters\":{");
	put_counters(b, s->label);
	buf_putc(b, '}');
	put_flag(b, "mtls_enabled", s->mtls_enabled);
	put_flag(b, "basic_auth_configured", has_basic(s));
	put_flag(b, "server_keygen_enabled", s->serverkeygen_enabled);
	buf_puts(b, ",\"trust_anchors\":[");
	put_anchors(a, b, path, now);
	buf_puts(b, "],\"trust_anchor_path\":");
	json_write_text(b, or_empty(path));
	put_time(b, "now", now);
	buf_putc(b, '}');
}

static size_t
profile_count(const struct settings *set)
{
	return set->est_enabled ? set->n_est : 0;
}

static int
profiles(struct web_req *rq, struct web_res *rs, struct err *e)
{
	const struct settings *set = rq->ctx->set;
	int64_t now = now_s();

	(void)e;
	web_send_json(rs, 200, "{\"profiles\":[");
	for (size_t i = 0; i < profile_count(set); i++) {
		if (i > 0)
			buf_putc(&rs->body, ',');
		put_profile(rq->a, &rs->body, &set->est[i], now);
	}
	buf_printf(&rs->body, "],\"profile_count\":%zu", profile_count(set));
	put_time(&rs->body, "generated_at", now);
	buf_putc(&rs->body, '}');
	return 0;
}

struct reload_body {
	const char *path_id;
};

static const struct field reload_fields[] = {
	FIELD(struct reload_body, path_id, TEXT, 0, 64),
	FIELD_END
};

static const struct est_settings *
find(const struct settings *set, const char *label)
{
	for (size_t i = 0; i < profile_count(set); i++)
		if (streq(set->est[i].label, label))
			return &set->est[i];
	return NULL;
}

/* The responders look at the file before they use it; whoever replaced it
 * hears here whether it is good. */
static int
check_bundle(struct web_req *rq, const char *label, struct err *e)
{
	const struct est_settings *s = find(rq->ctx->set, label);

	if (s == NULL)
		return err_set(e, E_NOT_FOUND,
		    "EST profile \"%.64s\" does not exist", label);
	if (!s->mtls_enabled)
		return err_set(e, E_CONFLICT, "EST profile \"%.64s\" takes no "
		    "client certificates", label);
	if (trust_from_file(rq->a, s->mtls_client_ca_trust_bundle_path,
	    now_s(), e) == NULL) {
		e->code = E_INTERNAL;
		return -1;
	}
	return 0;
}

static int
reload_trust(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct ctx *c = rq->ctx;
	struct json *j = web_json(rq, e);
	struct reload_body body = { 0 };
	struct buf details = BUF(rq->a);
	struct actor admin = c->actor;
	struct db_batch *b;
	const char *label;

	if (j == NULL || json_read(rq->a, j, reload_fields, 0, &body, e) < 0)
		return -1;
	label = or_empty(body.path_id);
	if (check_bundle(rq, label, e) < 0)
		return -1;
	buf_puts(&details, "{\"path_id\":");
	json_write_text(&details, label);
	buf_puts(&details, ",\"by\":");
	json_write_text(&details, or_empty(admin.id));
	buf_putc(&details, '}');
	b = db_batch(c->db, c->a);
	c->actor = (struct actor){ .kind = ACTOR_SYSTEM, .id = "est-admin" };
	ctx_audit(c, b, "est_trust_anchor_reloaded", "est_profile",
	    blank(label) ? "est" : label, buf_str(&details));
	c->actor = admin;
	if (ctx_commit(c, b, 200, e) < 0)
		return -1;
	web_send_json(rs, 200, "{\"reloaded\":true,\"path_id\":");
	json_write_text(&rs->body, label);
	put_time(&rs->body, "reloaded_at", now_s());
	buf_putc(&rs->body, '}');
	return 0;
}

static void
put_totals(struct buf *b, const struct revoke_totals *t)
{
	buf_printf(b, "{\"total_matched\":%lld,\"total_revoked\":%lld,"
	    "\"total_skipped\":%lld,\"total_failed\":%zu",
	    (long long)t->matched, (long long)t->revoked,
	    (long long)t->skipped, t->failed.n);
	for (size_t i = 0; i < t->failed.n; i++) {
		buf_puts(b, i == 0 ? ",\"errors\":[" : ",");
		buf_puts(b, "{\"certificate_id\":");
		json_write_text(b, t->failed.v[i]);
		buf_puts(b, ",\"error\":\"nothing of it is unexpired\"}");
	}
	buf_puts(b, t->failed.n > 0 ? "]}" : "}");
}

static int
bulk_revoke(struct web_req *rq, struct web_res *rs, struct err *e)
{
	struct revoke_criteria in = { 0 };
	struct revoke_totals totals;
	struct json *j = web_json(rq, e);

	if (j == NULL || json_read(rq->a, j, revoke_criteria_fields, 0, &in,
	    e) < 0 || enrolled_revoke(rq->ctx, &in, &totals, e) < 0)
		return -1;
	web_send_json(rs, 200, "");
	put_totals(&rs->body, &totals);
	return 0;
}

#define ADMIN "/api/v1/admin/est"

const struct route est_admin_routes[] = {
	{ WEB_GET, ADMIN "/profiles", "est.admin", profiles, NULL },
	{ WEB_POST, ADMIN "/reload-trust", "est.admin", reload_trust, NULL },
	{ WEB_POST, "/api/v1/est/certificates/bulk-revoke",
	    "cert.bulk_revoke", bulk_revoke, NULL },
	ROUTE_END
};
