#include "x509/cms.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "t/x509/fixture.h"
#include "x509/cert.h"
#include "x509/csr_attrs.h"
#include "x509/der.h"
#include "x509/digest.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/tbs.h"

static struct arena *a;
static struct err e;
static char *dir;

static void
setup(void)
{
	a = arena_new();
	e = (struct err){ 0 };
	dir = t_dir(a);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(cms, .init = setup, .fini = teardown);

/* A certificate of K for K. */
static struct bytes
certify(const struct key *k, const char *name)
{
	struct tbs t = {
		.algorithm = key_algorithm(k), .subject = name_of(a, name),
		.issuer = name_of(a, name), .spki = key_spki(k),
		.not_before = 1700000000, .not_after = 2600000000,
		.key_usage = USAGE_DIGITAL_SIGNATURE,
	};
	struct bytes tbs, signature;

	serial_new(t.serial);
	cr_assert_eq(tbs_make(a, &t, &tbs, &e), 0, "%s", e.msg);
	cr_assert_eq(key_sign(k, a, tbs, &signature, &e), 0, "%s", e.msg);
	return cert_assemble(a, tbs, t.algorithm, signature);
}

static const char *
path(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

/* OpenSSL's view of DER in a PEM block of KIND. */
static const char *
openssl(const char *kind, struct bytes der, const char *const *args)
{
	const char *argv[16] = { "openssl" };
	size_t n = 1;

	t_write(path("in"), pem_make(a, kind, der), 0600);
	for (; *args != NULL; args++)
		argv[n++] = *args;
	argv[n++] = "-in";
	argv[n] = path("in");
	return t_run(a, argv);
}

Test(cms, carries_certificates_alone)
{
	struct bytes certs[] = {
		certify(t_key(a), "one"), certify(t_key(a), "two"),
	};
	struct bytes both = cms_certs_only(a, certs, 2);
	struct bytes turned[] = { certs[1], certs[0] };
	struct bytes again = cms_certs_only(a, turned, 2);
	const char *text = openssl("PKCS7", both, (const char *const[]){
	    "pkcs7", "-print_certs", "-noout", NULL });

	cr_assert_not_null(text);
	cr_expect_not_null(strstr(text, "CN = one"));
	cr_expect_not_null(strstr(text, "CN = two"));
	cr_expect(both.len == again.len &&
	    memcmp(both.p, again.p, both.len) == 0, "a set has one order");
}

Test(cms, writes_private_keys_that_others_read)
{
	static const struct {
		const char *algorithm;
		int bits;
	} kinds[] = { { "ECDSA", 256 }, { "RSA", 2048 }, { "Ed25519", 256 } };
	struct bytes der;

	for (size_t i = 0; i < NELEM(kinds); i++) {
		struct key *k = t_key_of(a, kinds[i].algorithm, kinds[i].bits);
		struct key *same;

		cr_assert_eq(cms_private_key(a, k, &der, &e), 0);
		same = key_from_pem(a, pem_make(a, "PRIVATE KEY", der), &e);
		cr_assert_not_null(same, "%s", e.msg);
		cr_expect(streq(key_spki_hash(a, k), key_spki_hash(a, same)));
	}
}

static const char aes128[] =
    "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x02";
static const char des3[] =
    "\x30\x0a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x07";

Test(cms, seals_a_key_for_one_reader)
{
	static const struct {
		const char *algorithm;
		int bits;
	} readers[] = { { "RSA", 2048 }, { "ECDSA", 256 } };
	struct key *k = t_key(a);
	struct bytes cert = certify(k, "new"), sealed;

	for (size_t i = 0; i < NELEM(readers); i++) {
		struct key *to = t_key_of(a, readers[i].algorithm,
		    readers[i].bits);
		struct cms_recipient r = {
			.spki = key_spki(to),
			.key_id = { (const unsigned char *)"name", 4 },
			.capabilities = { (const unsigned char *)aes128,
			    sizeof(aes128) - 1 },
		};

		cr_assert_eq(cms_seal_key(a, k, cert, &r, &sealed, &e), 0,
		    "%s: %s", e.msg, e.detail);
		cr_expect_not_null(memmem(sealed.p, sealed.len, "name", 4));
		cr_expect_not_null(memmem(sealed.p, sealed.len, aes128 + 2,
		    sizeof(aes128) - 3));
		t_write(path("key"), key_to_pem(a, to, &e), 0600);
		cr_expect_not_null(openssl("CMS", sealed,
		    (const char *const[]){ "cms", "-decrypt", "-inform", "PEM",
		    "-out", "/dev/null", "-inkey", path("key"), NULL }));
	}
}

Test(cms, tells_before_what_it_cannot_seal)
{
	struct key *k = t_key(a), *ed = t_key_of(a, "Ed25519", 256);
	struct cms_recipient good = { .spki = key_spki(k) };
	struct cms_recipient cipher = {
		.spki = key_spki(k),
		.capabilities = { (const unsigned char *)des3,
		    sizeof(des3) - 1 },
	};
	struct cms_recipient reader = { .spki = key_spki(ed) };
	struct cms_recipient nobody = { .spki = { 0 } };

	cr_expect_eq(cms_can_seal_key(k, &good, &e), 0, "%s", e.msg);
	cr_expect_eq(cms_can_seal_key(k, &cipher, &e), -1);
	cr_expect_eq(cms_can_seal_key(k, &reader, &e), -1);
	cr_expect_eq(cms_can_seal_key(k, &nobody, &e), -1);
	cr_expect_eq(cms_can_seal_key(ed, &good, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
}

Test(cms, knows_a_key_by_its_usual_names)
{
	struct key *k = t_key(a), *other = t_key(a);
	unsigned char md[SHA256_LEN];
	struct bytes bits;

	cr_assert_eq(spki_bits(key_spki(k), &bits, &e), 0);
	sha1(bits.p, bits.len, md);
	cr_expect(key_id_is(key_spki(k), (struct bytes){ md, SHA1_LEN }));
	cr_expect_not(key_id_is(key_spki(other),
	    (struct bytes){ md, SHA1_LEN }));
	cr_expect_not(key_id_is(key_spki(k), (struct bytes){ md, 4 }));
	sha256(bits.p, bits.len, md);
	cr_expect(key_id_is(key_spki(k), (struct bytes){ md, 20 }));
	sha256(key_spki(k).p, key_spki(k).len, md);
	cr_expect(key_id_is(key_spki(k), (struct bytes){ md, SHA256_LEN }));
}
