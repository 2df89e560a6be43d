#include "sign/sign.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "codec/settings.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"
#include "x509/der.h"
#include "x509/name.h"
#include "x509/tbs.h"

static const struct key_type p256 = { "ECDSA", 256 };

static struct arena *a;
static struct err e;
static char *dir, *path;
static struct settings set;
static pid_t holder;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
	set = t_signer_settings(a, dir);
	holder = t_signer_start(a, &set);
	path = arena_printf(a, "%s/ca/iss.key", dir);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(sign, .init = setup, .fini = teardown, .timeout = 60);

static unsigned
mode_of(const char *p)
{
	struct stat st;

	cr_assert_eq(stat(p, &st), 0, "%s", p);
	return st.st_mode & 07777;
}

static struct signer *
open_new(struct key_type type)
{
	struct signer *s;
	bool made;

	cr_assert_eq(sign_create_key(path, type, &made, &e), 0, "%s", e.msg);
	cr_assert(made);
	s = sign_open(path, &e);
	cr_assert_not_null(s, "%s", e.msg);
	return s;
}

static struct bytes
make_tbs(const struct signer *s, bool ca, int64_t life)
{
	struct tbs t = {
		.algorithm = sign_algorithm(s),
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, "x"),
		.spki = sign_spki(s),
		.not_before = 1700000000,
		.not_after = 1700000000 + life,
		.ca = ca,
		.key_usage = ca ? USAGE_KEY_CERT_SIGN :
		    USAGE_DIGITAL_SIGNATURE,
	};
	struct bytes der;

	serial_new(t.serial);
	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	return der;
}

Test(sign, makes_a_key_once_and_for_nobody_else)
{
	struct signer *s = open_new(p256), *again;
	bool made = true;

	cr_expect_eq(mode_of(path), 0600);
	cr_expect_eq(mode_of(arena_printf(a, "%s/ca", dir)), 0700);
	cr_assert_eq(sign_create_key(path, p256, &made, &e), 0);
	cr_expect_not(made);
	again = sign_open(path, &e);
	cr_assert_not_null(again);
	cr_expect_eq(memcmp(sign_spki(s).p, sign_spki(again).p,
	    sign_spki(s).len), 0, "the key was replaced");
	sign_close(s);
	sign_close(again);
	sign_close(NULL);
}

Test(sign, refuses_a_directory_that_others_enter)
{
	bool made;

	cr_assert_eq(mkdir(arena_printf(a, "%s/ca", dir), 0755), 0);
	cr_expect_eq(sign_create_key(path, p256, &made, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_not_null(strstr(e.msg, "0755"), "%s", e.msg);
}

Test(sign, refuses_a_key_that_others_may_read)
{
	static const unsigned modes[] = { 0640, 0604, 0660, 0610, 0601, 0666 };

	sign_close(open_new(p256));
	for (size_t i = 0; i < NELEM(modes); i++) {
		e = (struct err){ 0 };
		cr_assert_eq(chmod(path, modes[i]), 0);
		cr_expect_null(sign_open(path, &e), "%04o", modes[i]);
		cr_expect_eq(e.code, E_INVALID);
	}
	cr_assert_eq(chmod(path, 0400), 0);
	sign_close(sign_open(path, &e));
}

Test(sign, refuses_files_that_are_no_ca_key)
{
	const struct { const char *text; } cases[] = {
		{ "" }, { "x" },
		{ key_to_pem(a, t_key_of(a, "Ed25519", 256), &e) },
		{ key_to_pem(a, t_key_of(a, "ECDSA", 521), &e) },
		{ key_to_pem(a, t_key_of(a, "RSA", 2304), &e) },
	};
	const char *file = arena_printf(a, "%s/k", dir);

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		t_write(file, cases[i].text, 0600);
		cr_expect_null(sign_open(file, &e), "case %zu", i);
		cr_expect_eq(e.code, E_INVALID);
	}
	e = (struct err){ 0 };
	cr_expect_null(sign_open(arena_printf(a, "%s/none", dir), &e));
	cr_expect_eq(e.code, E_INVALID);
	e = (struct err){ 0 };
	cr_assert_eq(mkdir(arena_printf(a, "%s/sub", dir), 0700), 0);
	cr_expect_null(sign_open(arena_printf(a, "%s/sub", dir), &e));
	cr_expect_eq(e.code, E_INVALID);
}

Test(sign, makes_no_key_a_ca_may_not_have)
{
	static const struct key_type types[] = {
		{ "RSA", 1024 }, { "RSA", 2304 }, { "ECDSA", 521 },
		{ "Ed25519", 256 }, { "", 0 },
	};
	bool made;

	for (size_t i = 0; i < NELEM(types); i++)
		cr_expect_eq(sign_create_key(path, types[i], &made, &e), -1);
	cr_expect_neq(access(path, F_OK), 0);
}

Test(sign, lets_one_of_many_processes_make_the_key)
{
	enum { MANY = 8 };
	int winners = 0, status;
	bool made;

	for (int i = 0; i < MANY; i++)
		if (fork() == 0)
			_exit(sign_create_key(path, p256, &made, &e) < 0 ? 2 :
			    made);
	for (int i = 0; i < MANY; i++) {
		cr_assert_gt(wait(&status), 0);
		cr_expect_lt(WEXITSTATUS(status), 2);
		winners += WEXITSTATUS(status) == 1;
	}
	cr_expect_eq(winners, 1);
	sign_close(sign_open(path, &e));
}

Test(sign, signs_with_every_kind_of_ca_key)
{
	static const struct key_type types[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "RSA", 2048 },
	};
	struct bytes signature;

	for (size_t i = 0; i < NELEM(types); i++) {
		struct signer *s;

		path = arena_printf(a, "%s/ca/%zu.key", dir, i);
		s = open_new(types[i]);
		t_sign_bind(a, s);
		cr_expect_eq(sign_tbs(s, a, make_tbs(s, false, 60), 0,
		    &signature, &e), 0, "%s", e.msg);
		cr_expect_gt(signature.len, 64);
		sign_close(s);
	}
}

Test(sign, looks_at_what_it_signs)
{
	struct signer *s = open_new(p256), *other;
	struct bytes signature, tbs = make_tbs(s, false, 60);
	struct bytes shorter = { tbs.p, tbs.len - 1 };
	struct bytes none = { tbs.p, 0 };

	path = arena_printf(a, "%s/ca/other.key", dir);
	other = open_new((struct key_type){ "ECDSA", 384 });
	t_sign_bind(a, s);
	t_sign_bind(a, other);
	cr_expect_eq(sign_tbs(s, a, tbs, 0, &signature, &e), 0);
	cr_expect_eq(sign_tbs(s, a, shorter, 0, &signature, &e), -1);
	cr_expect_eq(sign_tbs(s, a, none, 0, &signature, &e), -1);
	cr_expect_eq(sign_tbs(other, a, tbs, 0, &signature, &e), -1,
	    "another algorithm");
	cr_expect_eq(sign_tbs(s, a, make_tbs(s, true, 60), 0, &signature,
	    &e), -1, "a CA");
	cr_expect_eq(e.code, E_FORBIDDEN);
	cr_expect_eq(sign_tbs(s, a, make_tbs(s, true, 60), SIGN_CA, &signature,
	    &e), 0);
	cr_expect_eq(sign_tbs(s, a, make_tbs(s, false, 0), 0, &signature,
	    &e), -1, "no lifetime");
	sign_close(s);
	sign_close(other);
}
