#include "x509/ocsp.h"

#include <criterion/criterion.h>
#include <openssl/ocsp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/der.h"
#include "t/x509/fixture.h"

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

TestSuite(ocsp, .init = setup, .fini = teardown);

static const unsigned char hash[32] = { 1, 2, 3 };

static struct bytes
request(const char *serial)
{
	struct bytes h = { hash, sizeof(hash) }, der;

	cr_assert(ocsp_request_make(a, h, h, serial, &der), "%s", serial);
	return der;
}

/* As OpenSSL makes one, with N ids and a nonce of LEN octets (-1: none). */
static struct bytes
openssl_request(int n, int len)
{
	static const EVP_MD *(*const mds[])(void) = { EVP_sha1, EVP_sha256,
	    EVP_sha384, EVP_sha512 };
	OCSP_REQUEST *rq = OCSP_REQUEST_new();
	X509_NAME *name = X509_NAME_new();
	ASN1_BIT_STRING *key = ASN1_BIT_STRING_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	unsigned char nonce[256] = { 0 }, *der = NULL;
	struct bytes out;
	int size;

	ASN1_BIT_STRING_set(key, nonce, 65);
	for (int i = 0; i < n; i++) {
		ASN1_INTEGER_set(serial, i + 1);
		OCSP_request_add0_id(rq, OCSP_cert_id_new(mds[i % 4](), name,
		    key, serial));
	}
	if (len >= 0)
		OCSP_request_add1_nonce(rq, nonce, len);
	size = i2d_OCSP_REQUEST(rq, &der);
	cr_assert_gt(size, 0);
	out = (struct bytes){ arena_memdup(a, der, (size_t)size),
	    (size_t)size };
	OPENSSL_free(der);
	ASN1_INTEGER_free(serial);
	ASN1_BIT_STRING_free(key);
	X509_NAME_free(name);
	OCSP_REQUEST_free(rq);
	return out;
}

Test(ocsp, request_is_read_as_openssl_makes_it)
{
	struct ocsp_request rq;

	cr_assert_eq(ocsp_request_read(a, openssl_request(4, 16), &rq),
	    OCSP_SUCCESSFUL);
	cr_assert_eq(rq.n, 4);
	cr_expect_str_eq(rq.id[2].serial_hex, "03");
	cr_expect_eq(rq.nonce.len, 16);
	cr_expect_eq(rq.n_preferred, 0);
	for (size_t i = 0; i < 4; i++) {
		static const unsigned char key[65];
		struct bytes want = ocsp_hash(a, rq.id[i].hash,
		    (struct bytes){ key, sizeof(key) });

		cr_expect_eq(rq.id[i].hash, i);
		cr_expect_eq(rq.id[i].key_hash.len, want.len);
		cr_expect_eq(memcmp(rq.id[i].key_hash.p, want.p, want.len), 0);
	}
}

static void
put_hex(struct buf *b, const char *hex)
{
	size_t len = strlen(hex);
	unsigned char *p = arena_alloc(a, len + 1);

	cr_assert(len == 0 || hex_decode(hex, len, p), "%s", hex);
	der_raw(b, (struct bytes){ p, len / 2 });
}

/* A request for one certificate, its parts in hex: what stands before the list
 * and behind it, and of the CertID the hash algorithm and the serial. */
static enum ocsp_status
read_hex(const char *before, const char *hash_alg, const char *serial,
    const char *behind, struct ocsp_request *rq)
{
	static const char hashes[] = "0414" "00112233445566778899"
	    "00112233445566778899" "0414" "00112233445566778899"
	    "00112233445566778899";
	const char *id = arena_printf(a, "%s%s02%02zx%s", hash_alg, hashes,
	    strlen(serial) / 2, serial);
	struct buf b = BUF(a);
	size_t mark[5];

	mark[0] = der_open(&b, DER_SEQUENCE);
	mark[1] = der_open(&b, DER_SEQUENCE);
	put_hex(&b, before);
	for (size_t i = 2; i < NELEM(mark); i++)
		mark[i] = der_open(&b, DER_SEQUENCE);
	put_hex(&b, id);
	for (size_t i = NELEM(mark); i-- > 2; )
		der_close(&b, mark[i]);
	put_hex(&b, behind);
	der_close(&b, mark[1]);
	der_close(&b, mark[0]);
	return ocsp_request_read(a, (struct bytes){ (unsigned char *)b.p,
	    b.len }, rq);
}

#define SHA1_ALG "300906052b0e03021a0500"
#define ODD_ALG "30060604120a0b0c"	/* nobody's */

Test(ocsp, parts_of_a_request)
{
	static const struct {
		const char *before, *alg, *serial, *behind;
		enum ocsp_status want;
	} cases[] = {
		{ "", SHA1_ALG, "1234", "", OCSP_SUCCESSFUL },
		/* The version's default, another version, two of them. */
		{ "a003020100", SHA1_ALG, "1234", "", OCSP_SUCCESSFUL },
		{ "a003020101", SHA1_ALG, "1234", "", OCSP_MALFORMED },
		{ "a006020100020100", SHA1_ALG, "1234", "", OCSP_MALFORMED },
		/* A name of who asks. */
		{ "a1048602783a", SHA1_ALG, "1234", "", OCSP_SUCCESSFUL },
		/* A hash that is not known, and one of another length. */
		{ "", ODD_ALG, "1234", "", OCSP_SUCCESSFUL },
		{ "", "300d06096086480165030402010500", "1234", "",
		    OCSP_MALFORMED },
		/* Parameters of a hash: none, and some other than NULL. */
		{ "", "300706052b0e03021a", "1234", "", OCSP_SUCCESSFUL },
		{ "", "300906052b0e03021a0300", "1234", "", OCSP_MALFORMED },
		{ "", "300b06052b0e03021a04021234", "1234", "",
		    OCSP_MALFORMED },
		{ "", "300a06052b0e03021a050100", "1234", "",
		    OCSP_MALFORMED },
		{ "", "300b06052b0e03021a05000500", "1234", "",
		    OCSP_MALFORMED },
		/* Serial numbers: none, padded, too long. */
		{ "", SHA1_ALG, "", "", OCSP_MALFORMED },
		{ "", SHA1_ALG, "0012", "", OCSP_MALFORMED },
		{ "", SHA1_ALG, "111111111111111111111111111111111111111111"
		    "111111111111111111111111", "", OCSP_MALFORMED },
		/* Extensions: an unknown one, that one critical, none, cut. */
		{ "", SHA1_ALG, "1234", "a20a3008300606022a030400",
		    OCSP_SUCCESSFUL },
		{ "", SHA1_ALG, "1234", "a20d300b300906022a030101ff0400",
		    OCSP_MALFORMED },
		{ "", SHA1_ALG, "1234", "a2023000", OCSP_SUCCESSFUL },
		{ "", SHA1_ALG, "1234", "a2053003300106", OCSP_MALFORMED },
		/* Preferred algorithms that are none. */
		{ "", SHA1_ALG, "1234", "a2133011300f06092b0601050507300108"
		    "04023000", OCSP_SUCCESSFUL },
		{ "", SHA1_ALG, "1234", "a2133011300f06092b0601050507300108"
		    "04020500", OCSP_MALFORMED },
		/* Something behind it all. */
		{ "", SHA1_ALG, "1234", "0500", OCSP_MALFORMED },
	};
	struct ocsp_request rq;

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(read_hex(cases[i].before, cases[i].alg,
		    cases[i].serial, cases[i].behind, &rq), cases[i].want,
		    "%zu", i);
	/* What is negative is nobody's, not even that of the same octets. */
	cr_assert_eq(read_hex("", SHA1_ALG, "ff", "", &rq), OCSP_SUCCESSFUL);
	cr_expect_str_eq(rq.id[0].serial_hex, "-ff");
	cr_assert_eq(read_hex("", ODD_ALG, "12", "", &rq), OCSP_SUCCESSFUL);
	cr_expect_eq(rq.id[0].hash, OCSP_HASH_UNKNOWN);
}

/* RFC 6960 section 4.4.7: the first in the list that the key can. */
Test(ocsp, preferred_algorithm_is_honoured_if_the_key_allows)
{
	static const char rsa[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
	static const char sha1[] = "\x2a\x86\x48\xce\x3d\x04\x01";
	static const char sha2[][9] = { "\x2a\x86\x48\xce\x3d\x04\x03\x02",
	    "\x2a\x86\x48\xce\x3d\x04\x03\x03",
	    "\x2a\x86\x48\xce\x3d\x04\x03\x04" };
	static const struct {
		const char *asked[3];
		char want;
	} cases[] = {
		{ { NULL }, 2 }, { { sha2[0] }, 2 }, { { sha2[1] }, 3 },
		{ { sha2[2] }, 4 }, { { sha1 }, 2 }, { { rsa }, 2 },
		{ { sha1, rsa, sha2[1] }, 3 }, { { sha2[1], sha2[0] }, 3 },
	};
	const struct ocsp_signer s = { .key = t_key(a) };

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ocsp_request rq = { 0 };
		struct bytes got;

		for (size_t k = 0; k < 3 && cases[i].asked[k] != NULL; k++)
			rq.preferred[rq.n_preferred++] = (struct bytes){
				(const unsigned char *)cases[i].asked[k],
				strlen(cases[i].asked[k]),
			};
		got = ocsp_algorithm(&s, &rq);
		cr_assert_eq(got.len, 12, "%zu", i);
		cr_expect_eq(got.p[11], cases[i].want, "%zu", i);
	}
}

Test(ocsp, more_preferences_than_are_kept_are_ignored)
{
	struct buf list = BUF(a), all = BUF(a);
	struct ocsp_request rq;
	size_t outer, seq, mark, value;

	outer = der_open(&all, DER_CONSTRUCTED + 2);
	seq = der_open(&all, DER_SEQUENCE);
	mark = der_open(&list, DER_SEQUENCE);
	for (int i = 0; i < OCSP_MAX_PREFERRED + 4; i++)
		der_raw(&list, (struct bytes){ (const unsigned char *)
		    "\x30\x0c\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03"
		    "\x03", 14 });
	der_close(&list, mark);
	mark = der_open(&all, DER_SEQUENCE);
	der_put(&all, DER_OID, "\x2b\x06\x01\x05\x05\x07\x30\x01\x08", 9);
	value = der_open(&all, DER_OCTET_STRING);
	der_raw(&all, (struct bytes){ (unsigned char *)list.p, list.len });
	der_close(&all, value);
	der_close(&all, mark);
	der_close(&all, seq);
	der_close(&all, outer);
	cr_assert_eq(read_hex("", SHA1_ALG, "1234", hex_encode(a, all.p,
	    all.len), &rq), OCSP_SUCCESSFUL);
	cr_expect_eq(rq.n_preferred, OCSP_MAX_PREFERRED);
	cr_expect_eq(rq.preferred[0].len, 8);
}

Test(ocsp, request_limits)
{
	static const struct {
		int n, nonce;
		enum ocsp_status want;
	} cases[] = {
		{ 1, -1, OCSP_SUCCESSFUL }, { 16, 128, OCSP_SUCCESSFUL },
		{ 1, 1, OCSP_SUCCESSFUL }, { 17, -1, OCSP_MALFORMED },
		{ 0, -1, OCSP_MALFORMED }, { 1, 129, OCSP_MALFORMED },
	};
	struct ocsp_request rq;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_eq(ocsp_request_read(a, openssl_request(cases[i].n,
		    cases[i].nonce), &rq), cases[i].want, "%zu", i);
		cr_expect_eq(rq.nonce_malformed, cases[i].nonce == 129);
	}
}

Test(ocsp, request_that_is_cut_or_padded_is_malformed)
{
	struct bytes der = openssl_request(2, 32), copy;
	struct ocsp_request rq;
	unsigned char *p;

	for (size_t cut = 1; cut <= der.len; cut++)
		cr_expect_eq(ocsp_request_read(a, (struct bytes){ der.p,
		    der.len - cut }, &rq), OCSP_MALFORMED, "%zu", cut);
	p = arena_zalloc(a, der.len + 1);
	memcpy(p, der.p, der.len);
	copy = (struct bytes){ p, der.len + 1 };
	cr_expect_eq(ocsp_request_read(a, copy, &rq), OCSP_MALFORMED);
}

Test(ocsp, serial_has_one_spelling)
{
	static const struct {
		const char *asked, *read;
	} cases[] = {
		{ "1", "01" }, { "01", "01" }, { "0a1b", "0a1b" },
		{ "a1b", "0a1b" }, { "ff", "ff" }, { "00ff", "ff" },
		{ "0", "00" }, { "AbCd", "abcd" },
	};
	struct ocsp_request rq;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_assert_eq(ocsp_request_read(a, request(cases[i].asked),
		    &rq), OCSP_SUCCESSFUL, "%s", cases[i].asked);
		cr_expect_str_eq(rq.id[0].serial_hex, cases[i].read);
	}
	cr_expect_not(ocsp_request_make(a, rq.id[0].name_hash,
	    rq.id[0].key_hash, "xyz", &(struct bytes){ 0 }));
	cr_expect_not(ocsp_request_make(a, rq.id[0].name_hash,
	    rq.id[0].key_hash, "", &(struct bytes){ 0 }));
}

Test(ocsp, serial_that_is_padded_is_malformed)
{
	struct bytes der = request("1234");
	unsigned char *p = arena_memdup(a, der.p, der.len);
	struct ocsp_request rq;

	cr_assert_eq(p[der.len - 2], 0x12);
	p[der.len - 2] = 0;
	cr_expect_eq(ocsp_request_read(a, (struct bytes){ p, der.len }, &rq),
	    OCSP_MALFORMED);
	p[der.len - 2] = 0xff;
	p[der.len - 1] = 0x80;
	cr_expect_eq(ocsp_request_read(a, (struct bytes){ p, der.len }, &rq),
	    OCSP_MALFORMED);
}

Test(ocsp, response_is_what_openssl_reads)
{
	struct key *k = t_key(a);
	struct ocsp_signer s = {
		.key = k, .key_hash = { hash, 20 },
	};
	struct ocsp_request rq;
	struct ocsp_answer answers[3];
	static const unsigned char with_sha384[] = { 0x2a, 0x86, 0x48, 0xce,
	    0x3d, 0x04, 0x03, 0x03 };
	struct bytes nonce = { hash, 8 }, der, signature, algorithm, spki;
	EVP_PKEY *pkey;
	const unsigned char *p;
	int status, reason;
	ASN1_GENERALIZEDTIME *at, *from, *to;
	OCSP_BASICRESP *basic;
	OCSP_RESPONSE *r;

	cr_assert_eq(ocsp_request_read(a, openssl_request(3, -1), &rq), 0);
	for (size_t i = 0; i < 3; i++)
		answers[i] = (struct ocsp_answer){
			.id_der = rq.id[i].der,
			.status = (enum ocsp_cert_status)i,
			.revoked_at = 1600000000, .reason = 4,
			.this_update = 1700000000, .next_update = 1700003600,
		};
	der = ocsp_data(a, &s, answers, 3, 1700000000, nonce);
	algorithm = key_algorithm_for(k, (struct bytes){ with_sha384, 8 });
	cr_assert_eq(algorithm.len, 12);
	cr_assert_eq(key_sign_as(k, algorithm, a, der, &signature, &e), 0,
	    "%s", e.msg);
	der = ocsp_assemble(a, &s, der, algorithm, signature);
	p = der.p;
	r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	cr_assert_not_null(r);
	cr_expect_eq(OCSP_response_status(r), 0);
	basic = OCSP_response_get1_basic(r);
	cr_assert_not_null(basic);
	cr_assert_eq(OCSP_resp_count(basic), 3);
	for (int i = 0; i < 3; i++) {
		status = OCSP_single_get0_status(OCSP_resp_get0(basic, i),
		    &reason, &at, &from, &to);
		cr_expect_eq(status, i);
		if (status == V_OCSP_CERTSTATUS_REVOKED) {
			cr_expect_eq(reason, 4);
			cr_expect_str_eq((const char *)ASN1_STRING_get0_data(
			    at), "20200913122640Z");
		}
		cr_expect_str_eq((const char *)ASN1_STRING_get0_data(to),
		    "20231114231320Z");
	}
	cr_expect_geq(OCSP_BASICRESP_get_ext_by_NID(basic,
	    NID_id_pkix_OCSP_Nonce, -1), 0);
	spki = key_spki(k);
	p = spki.p;
	pkey = d2i_PUBKEY(NULL, &p, (long)spki.len);
	cr_expect_eq(OBJ_obj2nid(OCSP_resp_get0_tbs_sigalg(basic)->algorithm),
	    NID_ecdsa_with_SHA384);
	cr_expect_eq(ASN1_item_verify(ASN1_ITEM_rptr(OCSP_RESPDATA),
	    OCSP_resp_get0_tbs_sigalg(basic), (ASN1_BIT_STRING *)(uintptr_t)
	    OCSP_resp_get0_signature(basic), OCSP_resp_get0_respdata(basic),
	    pkey), 1);
	EVP_PKEY_free(pkey);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
}

Test(ocsp, error_is_five_octets)
{
	static const enum ocsp_status all[] = { OCSP_MALFORMED,
	    OCSP_INTERNAL_ERROR, OCSP_TRY_LATER, OCSP_SIG_REQUIRED,
	    OCSP_UNAUTHORIZED };

	for (size_t i = 0; i < NELEM(all); i++) {
		struct bytes der = ocsp_error(all[i]);

		cr_assert_eq(der.len, 5);
		cr_expect_eq(memcmp(der.p, "\x30\x03\x0a\x01", 4), 0);
		cr_expect_eq(der.p[4], all[i]);
	}
}
