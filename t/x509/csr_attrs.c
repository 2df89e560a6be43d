#include "x509/csr_attrs.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "t/x509/fixture.h"
#include "x509/csr.h"
#include "x509/der.h"

static struct arena *a;
static struct err e;

static void
setup(void)
{
	a = arena_new();
	e = (struct err){ 0 };
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(csr_attrs, .init = setup, .fini = teardown);

static struct bytes
request(void)
{
	static const struct t_name names[] = { T_DNS("dev.test") };
	struct t_request r = { .cn = "dev", .cn_len = 3, .names = names,
	    .n = 1 };

	return t_forge(a, &r);
}

static struct texts
one(const char *name)
{
	struct texts t = { 0 };

	texts_add(a, &t, name);
	return t;
}

Test(csr_attrs, are_required_by_name)
{
	static const struct {
		const char *name;
		int want;
	} cases[] = {
		{ "commonName", 0 }, { "extensionRequest", 0 },
		{ "organizationName", -1 }, { "challengePassword", -1 },
		{ "favouriteColour", -1 },
	};
	struct texts none = { 0 };

	cr_expect_eq(csr_require(request(), &none, &e), 0);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct texts names = one(cases[i].name);

		cr_expect_eq(csr_require(request(), &names, &e),
		    cases[i].want, "%s", cases[i].name);
	}
}

Test(csr_attrs, of_damaged_requests_are_not_read)
{
	struct texts names = one("commonName");
	struct bytes der = request(), cut;
	struct key_wish wish;

	for (size_t n = 0; n < der.len; n++) {
		cut = (struct bytes){ der.p, n };
		cr_expect_eq(csr_key_wish(cut, &wish, &e), -1, "%zu", n);
		cr_expect_eq(csr_require(cut, &names, &e), -1, "%zu", n);
	}
}

Test(csr_attrs, wish_for_nothing_by_themselves)
{
	struct key_wish wish;

	cr_assert_eq(csr_key_wish(request(), &wish, &e), 0, "%s", e.msg);
	cr_expect_eq(wish.capabilities.len + wish.symmetric_id.len +
	    wish.asymmetric_id.len, 0);
}

/* A request whose only attribute is ID with VALUE. */
static struct bytes
with_attribute(const char *id, size_t id_len, const char *value,
    size_t value_len)
{
	struct key *k = t_key(a);
	struct buf b = BUF(a);
	size_t all = der_open(&b, DER_SEQUENCE), info, attrs, attr, set;

	info = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_INTEGER, "\0", 1);
	der_put(&b, DER_SEQUENCE, NULL, 0);
	der_raw(&b, key_spki(k));
	attrs = der_open(&b, DER_CONSTRUCTED);
	attr = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, id, id_len);
	set = der_open(&b, DER_SET);
	buf_add(&b, value, value_len);
	der_close(&b, set);
	der_close(&b, attr);
	der_close(&b, attrs);
	der_close(&b, info);
	der_raw(&b, key_algorithm(k));
	der_bits(&b, "unsigned", 8);
	der_close(&b, all);
	return (struct bytes){ (unsigned char *)b.p, b.len };
}

#define ID_AA "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02"

Test(csr_attrs, name_the_key_to_encrypt_to)
{
	struct key_wish wish;

	cr_assert_eq(csr_key_wish(with_attribute(ID_AA "\x36", 11,
	    "\x04\x03" "abc", 5), &wish, &e), 0, "%s", e.msg);
	cr_expect(wish.asymmetric_id.len == 3 &&
	    memcmp(wish.asymmetric_id.p, "abc", 3) == 0);
	cr_assert_eq(csr_key_wish(with_attribute(ID_AA "\x25", 11,
	    "\x04\x01" "x", 3), &wish, &e), 0, "%s", e.msg);
	cr_expect_eq(wish.symmetric_id.len, 1);
	cr_expect_eq(csr_key_wish(with_attribute(ID_AA "\x36", 11,
	    "\x0c\x01" "x", 3), &wish, &e), -1, "not an octet string");
	cr_expect_eq(csr_key_wish(with_attribute(ID_AA "\x36", 11,
	    "\x04\x00", 2), &wish, &e), -1, "empty");
}

Test(csr_attrs, stay_when_the_key_is_another)
{
	struct key *k = t_key(a);
	struct bytes der;
	struct csr *c;

	cr_assert_eq(csr_rekey(a, request(), k, &der, &e), 0, "%s", e.msg);
	c = csr_from_der(a, der.p, der.len, &e);
	cr_assert_not_null(c, "%s", e.msg);
	cr_expect(streq(csr_spki_hash(c), key_spki_hash(a, k)));
	cr_expect(streq(csr_common_name(c), "dev"));
	cr_expect_eq(csr_sans(c).n, 1);
}
