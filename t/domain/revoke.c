#include "domain/revoke.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/stash.h"
#include "domain/ca_key.h"
#include "domain/opened.h"
#include "domain/publish.h"
#include "fixture.h"
#include "x509/der.h"
#include "x509/ocsp.h"

/* Certificate "c" with version N, serial 10..N, that lasts for LIFE. */
static void
version(int n, const char *life)
{
	t_sql("INSERT INTO certificate_versions (id, certificate_id, "
	    "issuer_id, serial_number, not_before, not_after, "
	    "fingerprint_sha256, spki_sha256, pem_chain, csr_pem, "
	    "key_algorithm, key_size, ca_key_id) SELECT 'v%d', 'c', "
	    "'iss-local', '10000%d', now(), now() + interval '%s', 'f%d', "
	    "'', '', '', 'ECDSA', 256, id FROM ca_keys", n, n, life, n);
	t_sql("UPDATE managed_certificates SET status = 'Active', "
	    "expires_at = now() + interval '%s'", life);
}

static struct ctx *
ctx(void)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	int64_t n;

	cr_assert_eq(ca_key_sweep(c, &n, &e), 0, "%s: %s", e.msg, e.detail);
	t_certificate("c");
	t_sql("UPDATE ca_keys SET crl_wanted_at = NULL");
	return c;
}

static enum err_code
revoking(struct ctx *c, const char *serial, const char *reason)
{
	struct err e = { 0 };
	bool released;

	certificate_revoke(c, "c", serial, reason, &released, &e);
	return e.code;
}

Test(revoke, does_what_the_state_allows)
{
	static const struct {
		const char *before;		/* reasons, one after the other */
		const char *reason;
		enum err_code want;
	} cases[] = {
		{ "", "keyCompromise", E_OK },
		{ "", "", E_OK },
		{ "", "aACompromise", E_OK },
		{ "", "KeyCompromise", E_INVALID },
		{ "", "removeFromCRL", E_INVALID },
		{ "superseded", "keyCompromise", E_INVALID },
		{ "superseded", "certificateHold", E_INVALID },
		{ "superseded", "removeFromCRL", E_INVALID },
		{ "certificateHold", "certificateHold", E_INVALID },
		{ "certificateHold", "keyCompromise", E_OK },
		{ "certificateHold", "removeFromCRL", E_OK },
	};
	struct ctx *c = ctx();

	version(1, "1 day");
	for (size_t i = 0; i < NELEM(cases); i++) {
		t_sql("ALTER TABLE certificate_revocations DISABLE TRIGGER "
		    "keep_unexpired; DELETE FROM certificate_revocations;"
		    "UPDATE managed_certificates SET status = 'Active'");
		if (*cases[i].before != '\0')
			cr_assert_eq(revoking(c, NULL, cases[i].before), E_OK);
		cr_expect_eq(revoking(c, NULL, cases[i].reason), cases[i].want,
		    "%s after \"%s\"", cases[i].reason, cases[i].before);
	}
	opened_close();
}

Test(revoke, takes_every_version_that_has_not_expired)
{
	struct ctx *c = ctx();

	version(1, "-1 day");
	version(2, "1 day");
	version(3, "2 days");
	cr_expect_eq(revoking(c, "100002", "superseded"), E_OK);
	cr_expect_str_eq(t_text("SELECT status FROM managed_certificates"),
	    "Active");
	cr_expect_eq(revoking(c, "100002", "superseded"), E_INVALID);
	cr_expect_eq(revoking(c, "100001", "superseded"), E_INVALID);
	cr_expect_eq(revoking(c, "10ffff", "superseded"), E_NOT_FOUND);
	cr_expect_eq(revoking(c, NULL, "keyCompromise"), E_OK);
	cr_expect_str_eq(t_text("SELECT string_agg(serial_number || ' ' || "
	    "reason, ', ' ORDER BY serial_number) FROM "
	    "certificate_revocations"),
	    "100002 superseded, 100003 keyCompromise");
	cr_expect_str_eq(t_text("SELECT status || ' ' || revocation_reason "
	    "FROM managed_certificates"), "Revoked keyCompromise");
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'certificate_revoked' AND details ->> 'common_name' = "
	    "'c.example.com' AND details ->> 'serial' = '100003'"), 1);
	opened_close();
}

Test(revoke, asks_for_a_list_at_once_only_for_compromises)
{
	struct ctx *c = ctx();

	version(1, "1 day");
	version(2, "1 day");
	version(3, "1 day");
	cr_expect_eq(revoking(c, "100001", "superseded"), E_OK);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE "
	    "crl_wanted_at > now() + interval '1 s'"), 1);
	cr_expect_eq(revoking(c, "100002", "keyCompromise"), E_OK);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE "
	    "crl_wanted_at <= now()"), 1);
	/* A later wish does not put it off. */
	cr_expect_eq(revoking(c, "100003", "superseded"), E_OK);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE "
	    "crl_wanted_at <= now()"), 1);
	opened_close();
}

Test(revoke, leaves_off_the_list_what_surely_says_that_it_is_on_none)
{
	static const struct {
		const char *profile, *life;
		bool unlisted;
	} cases[] = {
		{ "allow_short_lived = true, max_ttl_seconds = 600",
		    "5 minutes", true },
		{ "allow_short_lived = false, max_ttl_seconds = 600",
		    "5 minutes", false },
		/* It was issued when the profile still said otherwise. */
		{ "allow_short_lived = true, max_ttl_seconds = 600",
		    "1 day", false },
		{ "allow_short_lived = true, max_ttl_seconds = 600, "
		    "updated_at = now() + '1 s'::interval", "5 minutes",
		    false },
	};
	struct ctx *c = ctx();

	for (size_t i = 0; i < NELEM(cases); i++) {
		t_sql("UPDATE certificate_profiles SET updated_at = now() - "
		    "'1 s'::interval; UPDATE certificate_profiles SET %s",
		    cases[i].profile);
		version((int)i, cases[i].life);
		cr_expect_eq(revoking(c, arena_printf(c->a, "10000%zu", i),
		    "superseded"), E_OK);
		cr_expect_eq(t_number("SELECT count(*) FROM "
		    "certificate_revocations WHERE unlisted"),
		    cases[i].unlisted, "%zu", i);
		t_sql("UPDATE certificate_revocations SET unlisted = false");
	}
	opened_close();
}

Test(revoke, ends_the_open_work_of_the_certificate)
{
	struct ctx *c = ctx();

	version(1, "1 day");
	t_job("j", "c", t_csr("c.example.com"));
	cr_expect_eq(revoking(c, NULL, "cessationOfOperation"), E_OK);
	cr_expect_str_eq(t_text("SELECT status FROM jobs"), "Cancelled");
	opened_close();
}

/* In a process of its own, which waits for what this one has locked. */
static pid_t
revoke_many_and_wait(void)
{
	const struct revoke_criteria all = {
		.reason = "superseded", .issuer_id = "iss-local",
	};
	struct revoke_totals totals;
	struct err e = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		enrolled_revoke(t_ctx_again(), &all, &totals, &e);
		_exit(0);
	}
	t_await(1, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
	    "transactionid = pg_current_xact_id()::xid");
	return pid;
}

Test(revoke, of_many_sees_a_version_that_is_just_being_stored)
{
	struct ctx *c = ctx();
	pid_t pid;

	(void)c;
	version(1, "1 day");
	t_sql("UPDATE managed_certificates SET source = 'EST'");
	t_sql("BEGIN");
	version(2, "1 day");
	pid = revoke_many_and_wait();
	t_sql("COMMIT");
	waitpid(pid, NULL, 0);
	cr_expect_str_eq(t_text("SELECT status FROM managed_certificates"),
	    "Revoked");
	cr_expect_str_eq(t_text("SELECT string_agg(serial_number, ', ' ORDER "
	    "BY serial_number) FROM certificate_revocations"),
	    "100001, 100002");
	opened_close();
}

Test(revoke, knows_the_reasons)
{
	cr_expect_eq(revocation_code("unspecified"), 0);
	cr_expect_eq(revocation_code("privilegeWithdrawn"), 9);
	cr_expect_eq(revocation_code("aaCompromise"), -1);
}

/* ---- What is answered about it ------------------------------------- */

static struct stash *stash;

/* REQUEST and, behind its list, requestExtensions. */
static struct bytes
extend(struct ctx *c, struct bytes request, struct bytes extensions)
{
	struct buf b = BUF(c->a);
	struct bytes in, tbs;
	size_t outer = der_open(&b, DER_SEQUENCE);
	size_t inner = der_open(&b, DER_SEQUENCE);

	cr_assert(der_take(&request, DER_SEQUENCE, &in));
	cr_assert(der_take(&in, DER_SEQUENCE, &tbs));
	der_raw(&b, tbs);
	der_raw(&b, extensions);
	der_close(&b, inner);
	der_close(&b, outer);
	return (struct bytes){ (unsigned char *)b.p, b.len };
}

static struct ocsp_reply
ask_with(struct ctx *c, struct publisher *p, const char *serial,
    struct bytes extensions)
{
	struct ocsp_reply reply;
	struct bytes request;
	struct err e = { 0 };

	cr_assert_eq(publish_request_for(c, p, "iss-local", serial,
	    &request, &e), OCSP_SUCCESSFUL, "%s", e.msg);
	publish_ocsp(c, p, extend(c, request, extensions), &reply, &e);
	cr_assert_eq(reply.status, OCSP_SUCCESSFUL, "%d: %s", reply.status,
	    e.msg);
	return reply;
}

static struct ocsp_reply
ask(struct ctx *c, struct publisher *p, const char *serial)
{
	return ask_with(c, p, serial, (struct bytes){ 0 });
}

static struct publisher *
publisher(struct ctx *c)
{
	static struct settings set;
	struct err e = { 0 };
	int64_t n;

	set = *c->set;
	set.config_encryption_key = "0123456789abcdef0123456789abcdef";
	c->set = &set;
	cr_assert_eq(responder_sweep(c, &n, &e), 0, "%s: %s", e.msg,
	    e.detail);
	cr_assert_eq(n, 1);
	cr_assert_eq(responder_sweep(c, &n, &e), 0);
	cr_assert_eq(n, 0);
	stash = stash_open(c->set->state_dir, &e);
	cr_assert_not_null(stash, "%s", e.msg);
	unlink(arena_printf(c->a, "%s/certctl.stash.2", c->set->state_dir));
	return publisher_new(stash);
}

Test(publish, says_what_the_database_says_at_that_moment)
{
	struct ctx *c = ctx();
	struct publisher *p = publisher(c);
	struct ocsp_reply reply;

	version(1, "1 day");
	cr_expect_eq(ask(c, p, "100001").n[OCSP_GOOD], 1);
	reply = ask(c, p, "100001");
	cr_expect(reply.signature_kept);
	cr_expect_eq(reply.n[OCSP_GOOD], 1);
	cr_expect_eq(revoking(c, NULL, "certificateHold"), E_OK);
	reply = ask(c, p, "100001");
	cr_expect_eq(reply.n[OCSP_REVOKED], 1);
	cr_expect_not(reply.signature_kept);
	cr_expect_eq(revoking(c, NULL, "removeFromCRL"), E_OK);
	cr_expect_eq(ask(c, p, "100001").n[OCSP_GOOD], 1);
	cr_expect_eq(ask(c, p, "100009").n[OCSP_UNKNOWN], 1);
	publisher_free(p);
	opened_close();
}

/* A nonce of four octets; a wish for SHA-1, or else SHA-384, or SHA-256. */
static const unsigned char nonce[] = {
    0xa2, 0x17, 0x30, 0x15, 0x30, 0x13, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x05,
    0x05, 0x07, 0x30, 0x01, 0x02, 0x04, 0x06, 0x04, 0x04, 0x01, 0x02, 0x03,
    0x04
};
static const unsigned char wish[] = {
    0xa2, 0x3a, 0x30, 0x38, 0x30, 0x36, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x05,
    0x05, 0x07, 0x30, 0x01, 0x08, 0x04, 0x29, 0x30, 0x27, 0x30, 0x09, 0x30,
    0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1d, 0x30, 0x0c, 0x30, 0x0a,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03, 0x30, 0x0c,
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02
};

static bool
holds(struct bytes der, const void *p, size_t len)
{
	return memmem(der.p, der.len, p, len) != NULL;
}

/* A signature is used again for the very same octets, and caches are told to
 * keep an answer, only where the next one who asks gets the same. */
Test(publish, keeps_only_what_others_may_have_too)
{
	static const char sha384[] = "\x2a\x86\x48\xce\x3d\x04\x03\x03";
	struct ctx *c = ctx();
	struct publisher *p = publisher(c);
	struct bytes with_nonce = { nonce, sizeof(nonce) };
	struct bytes with_wish = { wish, sizeof(wish) };
	struct ocsp_reply reply;

	version(1, "1 day");
	cr_expect_not(ask(c, p, "100001").signature_kept);
	reply = ask(c, p, "100001");
	cr_expect(reply.signature_kept);
	cr_expect_gt(reply.next_update, now_s());
	cr_expect_not(holds(reply.der, sha384, 8));
	for (int i = 0; i < 2; i++) {
		reply = ask_with(c, p, "100001", with_nonce);
		cr_expect_not(reply.signature_kept);
		cr_expect(reply.nonce_echoed);
		cr_expect_eq(reply.next_update, 0);
		cr_expect(holds(reply.der, nonce + 4, sizeof(nonce) - 4));
		/* Of the same octets, but by another algorithm. */
		reply = ask_with(c, p, "100001", with_wish);
		cr_expect_not(reply.signature_kept);
		cr_expect(holds(reply.der, sha384, 8));
		/* Anyone can make these up; tomorrow they may be issued. */
		reply = ask(c, p, "100009");
		cr_expect_eq(reply.n[OCSP_UNKNOWN], 1);
		cr_expect_not(reply.signature_kept);
		cr_expect_eq(reply.next_update, 0);
	}
	cr_expect(ask(c, p, "100001").signature_kept);
	publisher_free(p);
	opened_close();
}

/* Clients that remember take the answer with the latest thisUpdate. */
Test(publish, tells_the_latest_change_as_the_latest_news)
{
	struct ctx *c = ctx();
	struct publisher *p = publisher(c);
	int64_t before, held;

	version(1, "1 day");
	before = ask(c, p, "100001").this_update;
	cr_expect_eq(revoking(c, NULL, "certificateHold"), E_OK);
	held = ask(c, p, "100001").this_update;
	cr_expect_gt(held, before);
	cr_expect_eq(revoking(c, NULL, "removeFromCRL"), E_OK);
	t_sql("UPDATE certificate_revocations SET released_at = released_at + "
	    "interval '1 second'");
	cr_expect_gt(ask(c, p, "100001").this_update, held);
	/* No answer outlives the responder that signed it. */
	t_sql("UPDATE ocsp_responders SET not_after = now() + '1 minute'");
	publisher_free(p);
	p = publisher_new(stash);
	cr_expect_leq(ask(c, p, "100001").next_update, now_s() + 60);
	publisher_free(p);
	opened_close();
}

Test(publish, knows_no_such_issuer_or_serial)
{
	struct ctx *c = ctx();
	struct publisher *p = publisher(c);
	static const struct {
		const char *issuer, *serial;
		enum ocsp_status want;
	} cases[] = {
		{ "iss-local", "1", OCSP_SUCCESSFUL },
		{ "iss-nobody", "1", OCSP_UNAUTHORIZED },
		{ "iss-local", "xyz", OCSP_MALFORMED },
		{ "iss-local", "", OCSP_MALFORMED },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct bytes der;
		struct err e = { 0 };

		cr_expect_eq(publish_request_for(c, p, cases[i].issuer,
		    cases[i].serial, &der, &e), cases[i].want, "%zu", i);
		cr_expect_eq(e.code, E_OK);
	}
	publisher_free(p);
	opened_close();
}

Test(publish, follows_a_responder_that_was_rotated)
{
	struct ctx *c = ctx();
	struct publisher *p = publisher(c);
	struct err e = { 0 };
	int64_t n;

	version(1, "1 day");
	cr_expect_eq(ask(c, p, "100001").n[OCSP_GOOD], 1);
	/* Near its end: two workers replace it once. */
	t_sql("UPDATE ocsp_responders SET not_after = now() + '1 minute'");
	cr_assert_eq(responder_sweep(c, &n, &e), 0);
	cr_expect_eq(n, 1);
	cr_assert_eq(responder_sweep(t_ctx_again(), &n, &e), 0);
	cr_expect_eq(n, 0);
	cr_expect_eq(t_number("SELECT count(*) FROM ocsp_responders n JOIN "
	    "ocsp_responders o ON o.id = n.rotated_from"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM audit_events WHERE "
	    "action = 'ocsp_responder_rotated'"), 2);
	cr_expect_eq(ask(c, p, "100001").n[OCSP_GOOD], 1);
	publisher_free(p);
	opened_close();
}
