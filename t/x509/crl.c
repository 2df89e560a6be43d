#include "x509/crl.h"

#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "t/x509/fixture.h"
#include "x509/name.h"

static struct arena *a;
static struct err e;

static void
setup(void)
{
	a = arena_new();
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(crl, .init = setup, .fini = teardown);

static struct crl_head
head(struct key *k)
{
	return (struct crl_head){
		.algorithm = key_algorithm(k), .issuer = name_of(a, "CA"),
		.authority_key_id = { (const unsigned char *)"\x01\x02", 2 },
		.number = 0x80, .this_update = 1700000000,
		.next_update = 1700086400,
	};
}

static struct bytes
finish(struct key *k, struct crl_writer *w)
{
	struct bytes tbs = crl_end(w), signature;

	cr_assert_eq(key_sign(k, a, tbs, &signature, &e), 0, "%s", e.msg);
	return crl_assemble(w, signature);
}

static X509_CRL *
decode(struct bytes der)
{
	const unsigned char *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);

	cr_assert_not_null(crl);
	cr_assert_eq(p, der.p + der.len);
	return crl;
}

Test(crl, is_what_openssl_reads)
{
	struct key *k = t_key(a);
	struct crl_head h = head(k);
	struct crl_writer *w = crl_begin(a, &h);
	struct bytes spki = key_spki(k), der;
	const unsigned char *p = spki.p;
	EVP_PKEY *public = d2i_PUBKEY(NULL, &p, (long)spki.len);
	X509_CRL *crl;
	ASN1_INTEGER *n;
	X509_REVOKED *r;
	struct tm tm;

	cr_assert_eq(crl_add(w, "0a", 1600000000, 0, &e), 0);
	cr_assert_eq(crl_add(w, "80ff", 2600000000, 1, &e), 0);
	der = finish(k, w);
	crl = decode(der);
	cr_expect_eq(X509_CRL_verify(crl, public), 1);
	cr_expect_eq(X509_CRL_get_version(crl), 1);
	n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	cr_expect_eq(ASN1_INTEGER_get(n), 0x80);
	ASN1_INTEGER_free(n);
	cr_expect_geq(X509_CRL_get_ext_by_NID(crl,
	    NID_authority_key_identifier, -1), 0);
	cr_assert_eq(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 2);
	r = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 0);
	cr_expect_eq(X509_REVOKED_get_ext_count(r), 0);
	r = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 1);
	cr_expect_eq(ASN1_INTEGER_get(X509_REVOKED_get0_serialNumber(r)),
	    0x80ff);
	/* From 2050 on the other form of time. */
	cr_expect_eq(ASN1_STRING_type(X509_REVOKED_get0_revocationDate(r)),
	    V_ASN1_GENERALIZEDTIME);
	ASN1_TIME_to_tm(X509_REVOKED_get0_revocationDate(r), &tm);
	cr_expect_eq(tm.tm_year, 2052 - 1900);
	EVP_PKEY_free(public);
	X509_CRL_free(crl);
}

Test(crl, of_a_part_says_so_critically)
{
	struct key *k = t_key(a);
	struct crl_head h = head(k);
	X509_CRL *crl;
	int critical;
	void *ext;

	h.distribution_point = "http://x/crl/1/shard-1";
	crl = decode(finish(k, crl_begin(a, &h)));
	ext = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point,
	    &critical, NULL);
	cr_expect_not_null(ext);
	cr_expect_eq(critical, 1);
	ISSUING_DIST_POINT_free(ext);
	X509_CRL_free(crl);

	h = head(k);
	h.base_number = 3;
	crl = decode(finish(k, crl_begin(a, &h)));
	ext = X509_CRL_get_ext_d2i(crl, NID_delta_crl, &critical, NULL);
	cr_expect_eq(ASN1_INTEGER_get(ext), 3);
	cr_expect_eq(critical, 1);
	ASN1_INTEGER_free(ext);
	X509_CRL_free(crl);

	h = head(k);
	h.freshest_url = "http://x/crl/1/delta";
	crl = decode(finish(k, crl_begin(a, &h)));
	ext = X509_CRL_get_ext_d2i(crl, NID_freshest_crl, &critical, NULL);
	cr_expect_eq(sk_DIST_POINT_num(ext), 1);
	cr_expect_eq(critical, 0);
	CRL_DIST_POINTS_free(ext);
	X509_CRL_free(crl);
}

static void
collect(void *arg, struct bytes serial)
{
	texts_add(a, arg, hex_encode(a, serial.p, serial.len));
}

Test(crl, gives_its_entries_back)
{
	struct key *k = t_key(a);
	struct crl_head h = head(k);
	struct crl_writer *w = crl_begin(a, &h);
	struct texts found = { 0 };
	struct bytes der;

	cr_assert_eq(crl_each(finish(k, crl_begin(a, &h)), collect, &found,
	    &e), 0);
	cr_expect_eq(found.n, 0);
	cr_assert_eq(crl_add(w, "7f", 1, 0, &e), 0);
	cr_assert_eq(crl_add(w, "ff01", 1, 5, &e), 0);
	der = finish(k, w);
	cr_assert_eq(crl_each(der, collect, &found, &e), 0);
	cr_assert_eq(found.n, 2);
	cr_expect_str_eq(found.v[0], "7f");
	cr_expect_str_eq(found.v[1], "00ff01");
	for (size_t cut = 1; cut < der.len; cut++)
		cr_expect_eq(crl_each((struct bytes){ der.p, der.len - cut },
		    collect, &found, &e), -1, "%zu", cut);
}

Test(crl, of_any_length_is_whole)
{
	static const int lengths[] = { 0, 1, 2, 3, 200, 1300, 70000 };
	struct key *k = t_key(a);
	struct crl_head h = head(k);
	struct crl_writer *w;
	X509_CRL *crl;
	char serial[9];
	int n;

	for (size_t i = 0; i < NELEM(lengths); i++) {
		/* Nobody knows before how many there will be. */
		h.entries = i % 2 == 0 ? lengths[i] : 0;
		w = crl_begin(a, &h);
		for (int v = 0; v < lengths[i]; v++) {
			snprintf(serial, sizeof(serial), "%08x", v + 1);
			cr_assert_eq(crl_add(w, serial, 1700000000, 4, &e), 0);
		}
		crl = decode(finish(k, w));
		n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
		cr_expect_eq(n < 0 ? 0 : n, lengths[i]);
		X509_CRL_free(crl);
	}
}

Test(crl, lists_no_serial_that_is_none)
{
	static const char *const bad[] = { "", "x", "abc", "zz",
	    "000102030405060708090a0b0c0d0e0f1011121314" };
	struct key *k = t_key(a);
	struct crl_head h = head(k);

	for (size_t i = 0; i < NELEM(bad); i++)
		cr_expect_eq(crl_add(crl_begin(a, &h), bad[i], 1, 0, &e), -1,
		    "\"%s\"", bad[i]);
}

Test(crl, shard_of_a_serial_never_changes)
{
	cr_expect_eq(crl_shard("1000000000000000000000000000000000000000"),
	    0);
	cr_expect_eq(crl_shard("10000000000000000000000000000000000000bf"),
	    63);
	cr_expect_eq(crl_shard("1041"), 1);
}
