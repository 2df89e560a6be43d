#include "x509/key.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"
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

TestSuite(key, .init = setup, .fini = teardown);

Test(key, survives_its_pem)
{
	static const struct key_type types[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "ECDSA", 521 },
		{ "RSA", 2048 }, { "RSA", 3072 }, { "Ed25519", 256 },
	};

	for (size_t i = 0; i < NELEM(types); i++) {
		struct key *k = key_generate(a, types[i], &e), *again;
		struct key_type type;
		char *pem;

		cr_assert_not_null(k, "%s", e.msg);
		pem = key_to_pem(a, k, &e);
		cr_assert_not_null(pem, "%s", e.msg);
		cr_expect_eq(strncmp(pem, "-----BEGIN PRIVATE KEY-----\n", 28),
		    0);
		again = key_from_pem(a, pem, &e);
		cr_assert_not_null(again, "%s", e.msg);
		type = key_type_of(again);
		cr_expect_str_eq(type.algorithm, types[i].algorithm);
		cr_expect_eq(type.bits, types[i].bits);
		cr_expect_str_eq(key_spki_hash(a, k), key_spki_hash(a, again));
	}
}

Test(key, of_another_type_is_not_made)
{
	static const struct key_type types[] = {
		{ "ECDSA", 224 }, { "ECDSA", 0 }, { "RSA", 1024 },
		{ "RSA", 8192 }, { "RSA", 0 }, { "DSA", 2048 }, { "", 0 },
	};

	for (size_t i = 0; i < NELEM(types); i++) {
		e.code = E_OK;
		cr_expect_null(key_generate(a, types[i], &e));
		cr_expect_eq(e.code, E_INVALID);
	}
}

/* The forms of a private key that openssl writes. */
static const char *
openssl_key(const char *const *argv)
{
	const char *pem = t_run(a, argv);

	cr_assert_not_null(pem);
	return pem;
}

Test(key, is_read_in_every_form)
{
	static const char *const forms[][10] = {
		{ "openssl", "ecparam", "-name", "prime256v1", "-genkey" },
		{ "openssl", "ecparam", "-name", "secp384r1", "-genkey",
		  "-noout" },
		{ "openssl", "genrsa", "-traditional", "2048" },
		{ "openssl", "genpkey", "-algorithm", "ed25519" },
	};

	for (size_t i = 0; i < NELEM(forms); i++)
		cr_expect_not_null(key_from_pem(a, openssl_key(forms[i]), &e),
		    "%zu: %s", i, e.msg);
}

Test(key, of_a_kind_we_cannot_use_is_refused)
{
	static const char *const forms[][10] = {
		{ "openssl", "ecparam", "-name", "secp256k1", "-genkey",
		  "-noout" },
		{ "openssl", "ecparam", "-name", "prime256v1", "-param_enc",
		  "explicit", "-genkey", "-noout" },
		{ "openssl", "genrsa", "1024" },
		{ "openssl", "genpkey", "-algorithm", "ed448" },
		{ "openssl", "genpkey", "-algorithm", "ed25519", "-aes256",
		  "-pass", "pass:secret" },
	};
	static const char *const texts[] = {
		"", "x", "-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n"
		"-----END PRIVATE KEY-----\n",
	};

	for (size_t i = 0; i < NELEM(forms); i++) {
		e.code = E_OK;
		cr_expect_null(key_from_pem(a, openssl_key(forms[i]), &e),
		    "%zu", i);
		cr_expect_eq(e.code, E_INVALID);
	}
	for (size_t i = 0; i < NELEM(texts); i++)
		cr_expect_null(key_from_pem(a, texts[i], &e), "%s", texts[i]);
}
