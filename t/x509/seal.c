#include "x509/seal.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

static const char passphrase[] = "a passphrase of more than 32 octets";

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

TestSuite(seal, .init = setup, .fini = teardown);

Test(seal, refuses_a_short_passphrase)
{
	cr_assert_null(seal_new("0123456789012345678901234567890", &e));
	cr_expect_eq(e.code, E_INVALID);
}

Test(seal, opens_in_another_process_what_one_closed)
{
	static const char secret[] = "{\"token\":\"hunter2\"}";
	struct seal *writer = seal_new(passphrase, &e);
	struct seal *reader = seal_new(passphrase, &e);
	struct bytes blob, again, text;

	cr_assert_eq(seal_close(writer, a, secret, strlen(secret), &blob, &e),
	    0);
	cr_expect_eq(blob.len, 1 + 16 + 12 + strlen(secret) + 16);
	cr_expect_eq(blob.p[0], 3);
	cr_assert_eq(seal_open(reader, a, blob, &text, &e), 0, "%s", e.msg);
	cr_expect_str_eq((const char *)text.p, secret);
	cr_assert_eq(seal_open(writer, a, blob, &text, &e), 0, "%s", e.msg);
	cr_expect_eq(text.len, strlen(secret));
	cr_assert_eq(seal_close(writer, a, secret, strlen(secret), &again,
	    &e), 0);
	cr_expect_neq(memcmp(blob.p, again.p, blob.len), 0,
	    "a nonce was used twice");
	seal_free(writer);
	seal_free(reader);
}

Test(seal, derives_once_per_salt)
{
	struct seal *s = seal_new(passphrase, &e);
	struct bytes blob, text;
	int64_t first, rest;

	first = mono_us();
	cr_assert_eq(seal_close(s, a, "x", 1, &blob, &e), 0);
	first = mono_us() - first;
	rest = mono_us();
	for (int i = 0; i < 100; i++)
		cr_assert_eq(seal_open(s, a, blob, &text, &e), 0);
	rest = mono_us() - rest;
	cr_expect_lt(rest, first, "100 reads took %lld us, one KDF %lld",
	    (long long)rest, (long long)first);
	seal_free(s);
}

Test(seal, refuses_what_was_changed)
{
	struct seal *s = seal_new(passphrase, &e);
	struct seal *other = seal_new("another passphrase, 32 octets long.",
	    &e);
	struct bytes blob, text, bad;
	static const size_t changed[] = { 0, 1, 17, 29, 34, 50 };
	unsigned char *copy;

	cr_assert_eq(seal_close(s, a, "secret", 6, &blob, &e), 0);
	for (size_t i = 0; i < NELEM(changed); i++) {
		copy = arena_memdup(a, blob.p, blob.len);
		copy[changed[i]] ^= 1;
		bad = (struct bytes){ copy, blob.len };
		e.code = E_OK;
		cr_expect_eq(seal_open(s, a, bad, &text, &e), -1, "%zu",
		    changed[i]);
		cr_expect_eq(e.code, E_INTERNAL);
	}
	for (size_t n = 0; n < blob.len; n += 8) {
		bad = (struct bytes){ blob.p, n };
		cr_expect_eq(seal_open(s, a, bad, &text, &e), -1, "%zu", n);
	}
	cr_expect_eq(seal_open(other, a, blob, &text, &e), -1);
	seal_free(s);
	seal_free(other);
}
