#include "proto/est.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
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

TestSuite(est, .init = setup, .fini = teardown);

#define B64 "MAMCAQU="		/* 30 03 02 01 05 */

Test(est, reads_a_request_in_every_form)
{
	static const struct {
		const char *type, *body;
		enum err_code want;
	} cases[] = {
		{ "application/pkcs10", B64, E_OK },
		{ "", B64 "\r\n", E_OK },
		{ "application/x-www-form-urlencoded", " \tMAMC\r\n AQU=\n",
		    E_OK },
		{ "application/pkcs10; charset=x", "MAMCAQU", E_OK },
		{ "text/plain", "-----BEGIN CERTIFICATE REQUEST-----\n" B64
		    "\n-----END CERTIFICATE REQUEST-----\n", E_OK },
		{ "", "-----BEGIN NEW CERTIFICATE REQUEST-----\r\n" B64
		    "\r\n-----END NEW CERTIFICATE REQUEST-----\r\n\r\n",
		    E_OK },
		{ "", "-----BEGIN CERTIFICATE-----\n" B64
		    "\n-----END CERTIFICATE-----\n", E_INVALID },
		{ "", "-----BEGIN CERTIFICATE REQUEST-----\n" B64, E_INVALID },
		{ "", "", E_INVALID },
		{ "", " \r\n", E_INVALID },
		{ "", "MAMC!QU=", E_INVALID },
		{ "", "MAMCAQU=x", E_INVALID },
		{ "application/json", B64, E_UNSUPPORTED },
		{ "Multipart/Form-Data; boundary=x", B64, E_UNSUPPORTED },
	};
	static const unsigned char want[] = { 0x30, 3, 2, 1, 5 };
	struct bytes der;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		der = (struct bytes){ 0 };
		est_read_csr(a, cases[i].type, cases[i].body,
		    strlen(cases[i].body), &der, &e);
		cr_expect_eq(e.code, cases[i].want, "%zu: %s", i, e.msg);
		if (cases[i].want == E_OK)
			cr_expect(der.len == sizeof(want) &&
			    memcmp(der.p, want, der.len) == 0, "%zu", i);
	}
}

Test(est, reads_a_request_in_der)
{
	static const char body[] = "\x30\x80\x02\x01\x00";
	struct bytes der;

	cr_assert_eq(est_read_csr(a, "application/pkcs10", body, 5, &der, &e),
	    0);
	cr_expect_eq(der.len, 5);
}

Test(est, reads_user_and_password)
{
	static const struct {
		const char *header, *user, *password;
	} cases[] = {
		{ "Basic ZXN0OnNlY3JldA==", "est", "secret" },
		{ "basic ZXN0OnNlY3JldA==", "est", "secret" },
		{ "Basic ZXN0Og==", "est", "" },
		{ "Basic ZTphOmI=", "e", "a:b" },
		{ "Basic OnNlY3JldA==", NULL, NULL },	/* no user */
		{ "Basic ZXN0", NULL, NULL },		/* no colon */
		{ "Basic", NULL, NULL },
		{ "Basic %%%", NULL, NULL },
		{ "Bearer ZXN0OnNlY3JldA==", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	const char *user, *password;

	for (size_t i = 0; i < NELEM(cases); i++) {
		bool ok = est_basic(a, cases[i].header, &user, &password);

		cr_expect_eq(ok, cases[i].user != NULL, "%zu", i);
		if (ok)
			cr_expect(streq(user, cases[i].user) &&
			    streq(password, cases[i].password), "%zu", i);
	}
}

static struct texts
texts_of(const char *first, const char *second)
{
	struct texts t = { 0 };

	texts_add(a, &t, first);
	if (second != NULL)
		texts_add(a, &t, second);
	return t;
}

static bool
holds(struct bytes in, const void *p, size_t len)
{
	return memmem(in.p, in.len, p, len) != NULL;
}

static const char extension_request[] =
    "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e";
static const char template[] =
    "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3d";

Test(est, asks_for_nothing_where_nothing_is_to_ask)
{
	struct est_attrs t = { 0 };
	struct bytes der;

	cr_assert_eq(est_csrattrs(a, &t, &der, &e), 0);
	cr_expect_eq(der.len, 0);
}

Test(est, asks_for_extended_key_usage_within_extensions)
{
	struct est_attrs t = { .ekus = texts_of("clientAuth", NULL) };
	struct bytes der;

	cr_assert_eq(est_csrattrs(a, &t, &der, &e), 0, "%s", e.msg);
	cr_expect(holds(der, extension_request, 11));
	cr_expect_not(holds(der, template, 13));
}

Test(est, asks_for_kinds_of_key)
{
	struct est_attrs t = {
		.keys = { { "RSA", 3072 }, { "ECDSA", 384 },
		    { "Ed25519", 256 } },
		.n_keys = 3,
	};
	struct bytes der;

	cr_assert_eq(est_csrattrs(a, &t, &der, &e), 0, "%s", e.msg);
	cr_expect(holds(der, "\x02\x02\x0c\x00", 4), "3072");
	cr_expect(holds(der, "\x06\x05\x2b\x81\x04\x00\x22", 7), "P-384");
	cr_expect(holds(der, "\x06\x03\x2b\x65\x70", 5), "Ed25519");
}

/* RFC 9908: what is to be filled in has no value. */
Test(est, has_a_template_with_subject_key_and_extensions)
{
	struct est_attrs t = {
		.keys = { { "RSA", 2048 } }, .n_keys = 1,
		.ekus = texts_of("serverAuth", NULL),
		.required = texts_of("commonName", "challengePassword"),
		.template = true,
	};
	struct bytes der, in, all, attr;
	unsigned char tag;
	size_t n = 0;

	cr_assert_eq(est_csrattrs(a, &t, &der, &e), 0, "%s", e.msg);
	cr_expect(holds(der, template, 13));
	cr_expect(holds(der, "\x31\x07\x30\x05\x06\x03\x55\x04\x03", 9),
	    "a commonName without a value");
	cr_expect(holds(der, "\x30\x05\x06\x03\x55\x1d\x11", 7),
	    "alternative names without a value");
	cr_expect(holds(der, "\x02\x03\x01\x00\x01", 5), "a placeholder");
	in = der;
	cr_assert(der_next(&in, &tag, &all) && in.len == 0);
	for (; der_next(&all, &tag, &attr); n++)
		;
	cr_expect_eq(all.len, 0);
	cr_expect_eq(n, 3);
}

Test(est, refuses_usages_nobody_knows)
{
	struct est_attrs t = { .ekus = texts_of("teaMaking", NULL) };
	struct bytes der;

	cr_expect_eq(est_csrattrs(a, &t, &der, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
}

Test(est, sends_the_key_before_the_certificate)
{
	struct buf body = BUF(a);
	struct bytes key = { (const unsigned char *)"key", 3 };
	struct bytes certs = { (const unsigned char *)"certs", 5 };
	const char *type = est_key_reply(a, &body, key, false, certs);
	const char *boundary = strstr(type, "boundary=") + 9;
	char *text = buf_str(&body), *first, *second;

	cr_expect_eq(strncmp(type, "multipart/mixed; boundary=", 26), 0);
	cr_expect_eq(strlen(boundary), 57);
	first = strstr(text, "application/pkcs8\r\n");
	second = strstr(text, "smime-type=certs-only\r\n");
	cr_assert(first != NULL && second != NULL);
	cr_expect_lt(first, second);
	cr_expect_not_null(strstr(first, "\r\n\r\na2V5\r\n--"));
	cr_expect_not_null(strstr(second, "\r\n\r\nY2VydHM=\r\n--"));
	cr_expect(streq(text + strlen(text) - 4, "--\r\n"));
	body.len = 0;
	est_key_reply(a, &body, key, true, certs);
	cr_expect_not_null(strstr(buf_str(&body),
	    "application/pkcs7-mime; smime-type=server-generated-key\r\n"));
}

/* Nothing a client does is answered with a 5xx, and no code with 0. */
Test(est, has_a_status_for_every_code)
{
	static const enum err_code theirs[] = {
		E_INVALID, E_UNAUTHORIZED, E_FORBIDDEN, E_NOT_FOUND, E_METHOD,
		E_CONFLICT, E_GONE, E_TOO_LARGE, E_UNPROCESSABLE,
		E_RATE_LIMITED, E_UNSUPPORTED,
	};

	for (enum err_code c = E_INVALID; c < E__MAX; c++)
		cr_expect_geq(est_status(c), 400, "%d", c);
	for (size_t i = 0; i < NELEM(theirs); i++)
		cr_expect_lt(est_status(theirs[i]), 500, "%zu", i);
}

Test(est, names_every_counter_and_keeps_them_apart)
{
	for (enum est_counter c = 0; c < EST__COUNTERS; c++) {
		cr_expect(!blank(est_counter_name(c)));
		cr_expect_neq(est_counter_key("a", c),
		    est_counter_key("b", c));
		for (enum est_counter d = 0; d < c; d++)
			cr_expect_neq(est_counter_key("a", c),
			    est_counter_key("a", d));
	}
}
