#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "domain/ca_key.h"
#include "domain/opened.h"
#include "fixture.h"
#include "x509/crl.h"

static struct settings set;

/* A context with settings to change and one CA key. */
static struct ctx *
ctx(void)
{
	struct ctx *c = t_ctx();
	struct err e = { 0 };
	int64_t n;

	set = *c->set;
	set.pki_base_url = "http://pki.example.com";
	c->set = &set;
	cr_assert_eq(ca_key_sweep(c, &n, &e), 0, "%s: %s", e.msg, e.detail);
	t_certificate("c");
	return c;
}

/* Entries for serials FIRST to LAST that end at NOT_AFTER. */
static void
revoked(int first, int last, const char *not_after)
{
	t_sql("INSERT INTO certificate_revocations (id, certificate_id, "
	    "issuer_id, ca_key_id, serial_number, reason, revoked_by, "
	    "not_after) SELECT 'rev-' || n, 'c', 'iss-local', k.id, "
	    "'10' || lpad(to_hex(n), 38, '0'), 'superseded', 'test', %s "
	    "FROM ca_keys k, generate_series(%d, %d) n",
	    not_after, first, last);
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
}

/* How many lists a sweep makes; E has what went wrong. */
static int64_t
made_by(int (*sweep)(struct ctx *, int64_t *, struct err *), struct ctx *c,
    struct err *e)
{
	int64_t n = 0;

	*e = (struct err){ 0 };
	sweep(c, &n, e);
	return n;
}

static int64_t
made(struct ctx *c, struct err *e)
{
	return made_by(crl_sweep, c, e);
}

static void
make(struct ctx *c)
{
	struct err e;

	cr_assert_eq(made(c, &e), 1, "%s: %s", e.msg, e.detail);
}

static struct bytes
stored(struct ctx *c, const char *scope)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct err e = { 0 };

	db_add(b, Q_CRL_GET, db_text("iss-local"), db_text(scope));
	cr_assert_eq(db_run(b, &e), 0);
	cr_assert_eq(db_count(b, 0), 1, "%s", scope);
	return db_bytes_at(b, 0, 0, "der");
}

static X509_CRL *
list(struct ctx *c, const char *scope)
{
	struct bytes der = stored(c, scope);
	const unsigned char *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);

	cr_assert_not_null(crl, "%s", scope);
	cr_assert_eq(p, der.p + der.len);
	return crl;
}

static int
entries(struct ctx *c, const char *scope)
{
	X509_CRL *crl = list(c, scope);
	int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

	X509_CRL_free(crl);
	return n < 0 ? 0 : n;
}

static int64_t
number_in(struct ctx *c, const char *scope, int nid)
{
	X509_CRL *crl = list(c, scope);
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, nid, NULL, NULL);
	int64_t v = n != NULL ? ASN1_INTEGER_get(n) : 0;

	ASN1_INTEGER_free(n);
	X509_CRL_free(crl);
	return v;
}

Test(crl, is_made_when_it_is_wanted_or_due_and_not_else)
{
	struct ctx *c = ctx();
	struct err e;

	make(c);
	cr_expect_eq(number_in(c, "full", NID_crl_number), 1);
	cr_expect_eq(entries(c, "full"), 0);
	cr_expect_eq(made(c, &e), 0);
	revoked(1, 3, "now() + interval '1 day'");
	make(c);
	cr_expect_eq(number_in(c, "full", NID_crl_number), 2);
	cr_expect_eq(entries(c, "full"), 3);
	/* More of them may come until then. */
	t_sql("UPDATE ca_keys SET crl_wanted_at = now() + interval '2 s'");
	cr_expect_eq(made(c, &e), 0);
	t_sql("UPDATE ca_keys SET crl_wanted_at = NULL");
	t_sql("UPDATE crls SET generated_at = now() - interval '1 hour'");
	make(c);
	/* By a worker whose clock is behind. */
	t_sql("UPDATE crls SET this_update = now() - interval '2 hours'");
	cr_expect_eq(made(c, &e), 0);
	t_sql("UPDATE crls SET next_update = now() + interval '1 hour'");
	make(c);
	cr_expect_eq(made(c, &e), 0);
	cr_expect_eq(number_in(c, "full", NID_crl_number), 4);
	cr_expect_eq(t_number("SELECT count(*) FROM crl_generation_events "
	    "WHERE succeeded AND crl_number BETWEEN 1 AND 4"), 4);
	opened_close();
}

Test(crl, numbers_rise_though_the_clock_was_set_back)
{
	struct ctx *c = ctx();

	make(c);
	revoked(1, 1, "now() + interval '1 day'");
	t_sql("UPDATE ca_keys SET crl_wanted_at = now() + interval '1 hour', "
	    "crl_leased_until = now() + interval '65 minutes';"
	    "UPDATE crls SET this_update = this_update + interval '1 hour', "
	    "next_update = next_update + interval '1 hour'");
	make(c);
	cr_expect_eq(number_in(c, "full", NID_crl_number), 2);
	cr_expect_eq(entries(c, "full"), 1);
	opened_close();
}

static void *
let_go_soon(void *held)
{
	sleep_ms(300);
	t_let_go(held);
	return NULL;
}

Test(crl, of_a_row_that_revocations_hold_waits_its_turn)
{
	struct ctx *c = ctx();
	void *held = t_hold("UPDATE ca_keys SET crl_wanted_at = now()");
	pthread_t other;

	cr_assert_eq(pthread_create(&other, NULL, let_go_soon, held), 0);
	make(c);
	pthread_join(other, NULL);
	opened_close();
}

Test(crl, of_a_worker_that_was_overtaken_is_not_stored)
{
	struct ctx *c = ctx();

	make(c);
	t_sql("UPDATE crls SET number = 100");
	revoked(1, 1, "now() + interval '1 day'");
	make(c);
	cr_expect_eq(t_number("SELECT number FROM crls"), 100);
	cr_expect_eq(entries(c, "full"), 0);
	opened_close();
}

Test(crl, that_is_long_is_made_apart)
{
	struct ctx *c = ctx();
	struct err e;

	make(c);
	t_sql("UPDATE crls SET revoked_count = 20001; "
	    "UPDATE ca_keys SET crl_wanted_at = now()");
	cr_expect_eq(made(c, &e), 0);
	cr_expect_eq(made_by(crl_sweep_long, c, &e), 1, "%s", e.msg);
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
	cr_expect_eq(made_by(crl_sweep_long, c, &e), 0);
	make(c);
	opened_close();
}

Test(crl, is_later_than_the_one_before)
{
	struct ctx *c = ctx();
	int64_t before;

	make(c);
	for (int i = 0; i < 3; i++) {
		before = t_number("SELECT extract(epoch FROM this_update)"
		    "::bigint FROM crls");
		t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
		make(c);
		cr_expect_gt(t_number("SELECT extract(epoch FROM this_update)"
		    "::bigint FROM crls"), before);
	}
	opened_close();
}

Test(crl, does_not_list_what_is_too_short_to_revoke)
{
	struct ctx *c = ctx();

	revoked(1, 3, "now() + interval '5 minutes'");
	t_sql("UPDATE certificate_revocations SET unlisted = true "
	    "WHERE id = 'rev-2'");
	make(c);
	cr_expect_eq(entries(c, "full"), 2);
	opened_close();
}

Test(crl, of_a_worker_that_died_is_made_by_another)
{
	struct ctx *c = ctx();
	struct err e;

	make(c);
	t_sql("UPDATE ca_keys SET crl_leased_until = now() + '1 minute'");
	cr_expect_eq(made(c, &e), 0);
	t_sql("UPDATE ca_keys SET crl_leased_until = now() - '1 s'::interval");
	make(c);
	cr_expect_eq(made(c, &e), 0);
	opened_close();
}

Test(crl, lists_what_expired_once_more)
{
	struct ctx *c = ctx();

	revoked(1, 2, "now() + interval '1 day'");
	revoked(3, 3, "now() - interval '1 hour'");
	make(c);
	cr_expect_eq(entries(c, "full"), 3);
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(entries(c, "full"), 2);
	opened_close();
}

Test(crl, is_not_made_without_an_entry_that_has_not_expired)
{
	struct ctx *c = ctx();
	struct err e;

	revoked(1, 3, "now() + interval '1 day'");
	make(c);
	t_sql("ALTER TABLE certificate_revocations DISABLE TRIGGER "
	    "keep_unexpired; DELETE FROM certificate_revocations "
	    "WHERE id = 'rev-2'; UPDATE ca_keys SET crl_wanted_at = now()");
	cr_expect_eq(made(c, &e), 0);
	cr_expect_eq(e.code, E_INTERNAL);
	cr_expect_not_null(strstr(e.msg, "lacks 1 unexpired"), "%s", e.msg);
	cr_expect_eq(entries(c, "full"), 3);
	cr_expect_eq(t_number("SELECT count(*) FROM crl_generation_events "
	    "WHERE NOT succeeded AND error LIKE '%%lacks%%'"), 1);
	/* Not again at once, but soon. */
	cr_expect_eq(made(c, &e), 0);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE "
	    "crl_wanted_at BETWEEN now() AND now() + interval '15 s'"), 1);
	t_sql("INSERT INTO certificate_revocations SELECT 'rev-2', "
	    "certificate_id, issuer_id, ca_key_id, "
	    "left(serial_number, 39) || '2', reason, revoked_by, revoked_at, "
	    "released_at, not_after FROM certificate_revocations "
	    "WHERE id = 'rev-1'; UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(number_in(c, "full", NID_crl_number), 3);
	opened_close();
}

Test(crl, lets_go_what_was_taken_off_hold)
{
	struct ctx *c = ctx();

	revoked(1, 2, "now() + interval '1 day'");
	make(c);
	t_sql("UPDATE certificate_revocations SET released_at = now() "
	    "WHERE id = 'rev-1'; UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(entries(c, "full"), 1);
	opened_close();
}

static int
reason_of(struct ctx *c, const char *scope, const char *serial)
{
	X509_CRL *crl = list(c, scope);
	BIGNUM *n = NULL;
	ASN1_INTEGER *want;
	X509_REVOKED *r;
	ASN1_ENUMERATED *code;
	int reason = -1;

	BN_hex2bn(&n, serial);
	want = BN_to_ASN1_INTEGER(n, NULL);
	for (int i = 0; i < sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
	    i++) {
		r = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), i);
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(r),
		    want) != 0)
			continue;
		code = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
		reason = code == NULL ? 0 : (int)ASN1_ENUMERATED_get(code);
		ASN1_ENUMERATED_free(code);
	}
	ASN1_INTEGER_free(want);
	BN_free(n);
	X509_CRL_free(crl);
	return reason;
}

Test(crl, delta_says_what_changed_since_its_base)
{
	struct ctx *c = ctx();

	set.crl_delta = true;
	revoked(1, 50, "now() + interval '1 day'");
	make(c);		/* nothing to add to yet */
	t_sql("UPDATE certificate_revocations SET revoked_at = now() - "
	    "interval '10 minutes'; UPDATE crls SET this_update = now() - "
	    "interval '5 minutes'");
	revoked(51, 52, "now() + interval '1 day'");
	t_sql("UPDATE certificate_revocations SET released_at = now() "
	    "WHERE id = 'rev-7'");
	make(c);
	cr_expect_eq(entries(c, "full"), 51);
	cr_expect_eq(entries(c, "delta"), 3);
	cr_expect_eq(number_in(c, "delta", NID_crl_number), 2);
	cr_expect_eq(number_in(c, "delta", NID_delta_crl), 1);
	cr_expect_eq(reason_of(c, "delta",
	    "1000000000000000000000000000000000000007"), 8);
	cr_expect_eq(reason_of(c, "delta",
	    "1000000000000000000000000000000000000033"), 4);
	/* The base stays until it is as old as the time between two lists. */
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(number_in(c, "delta", NID_crl_number), 3);
	cr_expect_eq(number_in(c, "delta", NID_delta_crl), 1);
	t_sql("UPDATE crls SET base_update = now() - interval '2 hours'; "
	    "UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(number_in(c, "delta", NID_delta_crl), 3);
	opened_close();
}

Test(crl, delta_has_what_was_revoked_after_the_clock_was_set_back)
{
	struct ctx *c = ctx();

	set.crl_delta = true;
	make(c);
	revoked(1, 1, "now() + interval '1 day'");
	make(c);
	cr_expect_eq(entries(c, "delta"), 1);
	/* As if all until now had been an hour later. */
	t_sql("UPDATE crls SET this_update = this_update + interval '1 hour', "
	    "base_update = base_update + interval '1 hour', next_update = "
	    "next_update + interval '1 hour'; UPDATE certificate_revocations "
	    "SET revoked_at = revoked_at + interval '1 hour', "
	    "released_at = now()");
	revoked(2, 2, "now() + interval '1 day'");
	make(c);
	cr_expect_eq(entries(c, "full"), 1);
	cr_expect_eq(entries(c, "delta"), 2);
	cr_expect_eq(reason_of(c, "delta",
	    "1000000000000000000000000000000000000001"), 8);
	cr_expect_eq(number_in(c, "delta", NID_delta_crl), 2);
	revoked(3, 3, "now() + interval '1 day'");
	make(c);
	cr_expect_geq(entries(c, "delta"), 1);
	cr_expect_eq(reason_of(c, "delta",
	    "1000000000000000000000000000000000000003"), 4);
	opened_close();
}

/* The critical extension that says where a shard belongs. */
static bool
names(X509_CRL *crl, const char *url)
{
	int critical = 0;
	ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(crl,
	    NID_issuing_distribution_point, &critical, NULL);
	GENERAL_NAME *name;
	bool same;

	if (idp == NULL)
		return false;
	name = sk_GENERAL_NAME_value(idp->distpoint->name.fullname, 0);
	same = critical == 1 && strcmp((const char *)ASN1_STRING_get0_data(
	    name->d.uniformResourceIdentifier), url) == 0;
	ISSUING_DIST_POINT_free(idp);
	return same;
}

Test(crl, past_a_size_is_cut_into_shards_that_certificates_name)
{
	struct ctx *c = ctx();
	const char *name;
	char scope[16], url[128];
	int sum = 0;
	X509_CRL *crl;

	set.crl_shard_entries = 100;
	revoked(1, 200, "now() + interval '1 day'");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM crls"), 1);
	/* Until then the address of a shard leads to the list that is whole. */
	cr_expect_eq(entries(c, "shard-7"), 200);
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM crls"), 1 + CRL_SHARDS);
	name = t_text("SELECT name FROM ca_keys");
	for (int i = 0; i < CRL_SHARDS; i++) {
		snprintf(scope, sizeof(scope), "shard-%d", i);
		snprintf(url, sizeof(url), "http://pki.example.com/crl/%s/%s",
		    name, scope);
		crl = list(c, scope);
		cr_expect(names(crl, url), "%s", scope);
		X509_CRL_free(crl);
		sum += entries(c, scope);
	}
	cr_expect_eq(sum, 200);
	cr_expect_eq(entries(c, "full"), 200);
	crl = list(c, "full");
	cr_expect_not(names(crl, ""));
	X509_CRL_free(crl);
	snprintf(scope, sizeof(scope), "shard-%u",
	    crl_shard("1000000000000000000000000000000000000033"));
	cr_expect_eq(reason_of(c, scope,
	    "1000000000000000000000000000000000000033"), 4);
	/* Certificates name them now, so they stay. */
	set.crl_shard_entries = 0;
	t_sql("UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM crls WHERE number = 3"),
	    1 + CRL_SHARDS);
	opened_close();
}

Test(crl, of_a_retired_key_ends_after_its_last_certificate)
{
	struct ctx *c = ctx();
	struct err e;

	make(c);
	t_job("j", "c", t_csr("c.example.com"));
	t_sql("INSERT INTO certificate_versions (id, certificate_id, "
	    "issuer_id, serial_number, not_before, not_after, "
	    "fingerprint_sha256, spki_sha256, pem_chain, csr_pem, "
	    "key_algorithm, key_size, ca_key_id) SELECT 'v', 'c', "
	    "'iss-local', '10', now(), now() + interval '1 day', '', '', '', "
	    "'', 'ECDSA', 256, id FROM ca_keys");
	t_sql("UPDATE issuer_ca_keys SET active = false; "
	    "UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE closed"), 0);
	t_sql("UPDATE certificate_versions SET not_after = now() - "
	    "interval '2 minutes'; UPDATE ca_keys SET crl_wanted_at = now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE closed"), 1);
	t_sql("UPDATE crls SET next_update = now()");
	cr_expect_eq(made(c, &e), 0);
	/* But what somebody still wants on it is put there. */
	revoked(1, 1, "now() + interval '1 minute'");
	make(c);
	cr_expect_eq(t_number("SELECT revoked_count FROM crls"), 1);
	opened_close();
}

Test(crl, of_a_key_goes_on_while_another_issuer_signs_with_it)
{
	struct ctx *c = ctx();
	struct err e;
	int64_t n;

	/* It is the same CA, though nobody told the one of the other. */
	t_sql("INSERT INTO issuers SELECT (jsonb_populate_record(i, "
	    "'{\"id\": \"iss-2\", \"name\": \"second\"}')).* "
	    "FROM issuers i WHERE id = 'iss-local'; "
	    "UPDATE issuers SET config = config || jsonb_build_object("
	    "'ca_cert_path', '%s/ca/iss-local.pem', 'ca_key_path', "
	    "'iss-local.key') WHERE id = 'iss-2'", c->set->state_dir);
	cr_assert_eq(ca_key_sweep(c, &n, &e), 0, "%s: %s", e.msg, e.detail);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys"), 1);
	cr_expect_eq(t_number("SELECT count(*) FROM issuer_ca_keys "
	    "WHERE active"), 2);
	make(c);
	t_sql("UPDATE issuer_ca_keys SET active = false "
	    "WHERE issuer_id = 'iss-local'; UPDATE crls SET next_update = "
	    "now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE closed"), 0);
	/* It never issued anything, so it may go. */
	t_sql("DELETE FROM issuers WHERE id = 'iss-2'; "
	    "UPDATE crls SET next_update = now()");
	make(c);
	cr_expect_eq(t_number("SELECT count(*) FROM ca_keys WHERE closed"), 1);
	t_sql("DELETE FROM issuer_ca_keys");
	cr_assert_eq(responder_sweep(c, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 0);
	opened_close();
}

static struct bytes
file(struct ctx *c, const char *path)
{
	struct err e = { 0 };
	struct bytes b;

	cr_assert_eq(file_read(c->a, path, 1 << 20, &b, &e), 0, "%s", e.msg);
	return b;
}

Test(crl, files_are_what_is_stored)
{
	struct ctx *c = ctx();
	const char *name;
	struct bytes want, got;
	struct err e = { 0 };
	int64_t n;

	set.crl_dir = arena_printf(c->a, "%s/crl", c->set->state_dir);
	cr_assert_eq(mkdir(set.crl_dir, 0755), 0);
	make(c);
	want = stored(c, "full");
	name = t_text("SELECT name FROM ca_keys");
	cr_assert_eq(crl_files_sweep(c, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 2);
	cr_assert_eq(crl_files_sweep(c, &n, &e), 0);
	cr_expect_eq(n, 0);
	/* Nobody keeps in mind what was written. */
	unlink(arena_printf(c->a, "%s/%s.crl", set.crl_dir, name));
	t_sql("UPDATE crls SET revoked_count = 20001");
	cr_assert_eq(crl_files_sweep(c, &n, &e), 0);
	cr_expect_eq(n, 0);
	cr_assert_eq(crl_files_sweep_long(c, &n, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 1);
	for (int i = 0; i < 2; i++) {
		got = file(c, arena_printf(c->a, "%s/%s.crl", set.crl_dir,
		    i == 0 ? name : "iss-local"));
		cr_expect_eq(got.len, want.len);
		cr_expect_eq(memcmp(got.p, want.p, want.len), 0);
		unlink(arena_printf(c->a, "%s/%s.crl", set.crl_dir,
		    i == 0 ? name : "iss-local"));
	}
	unlink(arena_printf(c->a, "%s/.lock", set.crl_dir));
	rmdir(set.crl_dir);
	opened_close();
}

Test(crl, of_a_hundred_thousand_is_quick, .timeout = 60)
{
	struct ctx *c = ctx();
	int64_t began;

	revoked(1, 100000, "now() + interval '1 day'");
	began = mono_us();
	make(c);
	cr_log_info("100,000 entries: %lld ms",
	    (long long)(mono_us() - began) / 1000);
	cr_expect_lt(mono_us() - began, 10000000);
	cr_expect_eq(entries(c, "full"), 100000);
	cr_expect_eq(t_number("SELECT count(*) FROM crl_generation_events e "
	    "JOIN crls c USING (ca_key_id) WHERE e.duration_ms > 0 "
	    "AND e.started_at < c.generated_at AND e.revoked_count = 100000 "
	    "AND e.started_at > now() - interval '1 minute'"), 1);
	opened_close();
}
