/* CA keys on a PKCS#11 token, with SoftHSM in its place. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "codec/settings.h"
#include "sign/sign.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"
#include "x509/cert.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define PIN "5678"

static struct arena *a;
static struct err e;
static char *dir;
static struct settings set;
static pid_t pid;

static const char *
in_dir(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static void
init_token(void)
{
	const char *conf = in_dir("softhsm2.conf");

	cr_assert_eq(mkdir(in_dir("tokens"), 0700), 0);
	t_write(conf, arena_printf(a, "directories.tokendir = %s/tokens\n"
	    "objectstore.backend = file\nlog.level = ERROR\n", dir), 0600);
	setenv("SOFTHSM2_CONF", conf, 1);
	cr_assert_not_null(t_run(a, (const char *[]){ "env",
	    arena_printf(a, "SOFTHSM2_CONF=%s", conf), "softhsm2-util",
	    "--init-token", "--free", "--label", "ca", "--so-pin", "1234",
	    "--pin", PIN, NULL }));
}

static void
import_key(const struct key *k, const char *label, const char *id)
{
	const char *file = in_dir("import.pem");

	t_write(file, key_to_pem(a, k, &e), 0600);
	cr_assert_not_null(t_run(a, (const char *[]){ "env",
	    arena_printf(a, "SOFTHSM2_CONF=%s", in_dir("softhsm2.conf")),
	    "softhsm2-util", "--import", file, "--token", "ca", "--label",
	    label, "--id", id, "--pin", PIN, NULL }));
}

static void
setup(void)
{
	if (access(MODULE, R_OK) != 0)
		cr_skip_test("SoftHSM is not installed");
	a = arena_new();
	dir = t_dir(a);
	init_token();
	set = t_signer_settings(a, dir);
	set.signer_pkcs11_module = MODULE;
	set.signer_pin_file = in_dir("pin");
	t_write(set.signer_pin_file, PIN "\n", 0600);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(token, .init = setup, .fini = teardown, .timeout = 60);

/* The signature of S verifies, says the openssl program. */
static void
check_key(struct signer *s, const struct key *k)
{
	const char *file = in_dir("ca.pem");
	const char *argv[] = { "openssl", "verify", "-check_ss_sig",
	    "-no_check_time", "-CAfile", file, file, NULL };
	struct x509_cert cert;
	struct bytes der;

	cr_expect_eq(sign_spki(s).len, key_spki(k).len);
	cr_expect_eq(memcmp(sign_spki(s).p, key_spki(k).p, key_spki(k).len),
	    0);
	cr_assert_eq(t_ca_der(a, s, &der, &e), 0, "%s", e.msg);
	cr_assert_eq(cert_from_der(a, der.p, der.len, &cert, &e), 0);
	t_write(file, cert.pem, 0600);
	cr_expect_not_null(t_run(a, argv));
}

Test(token, signs_with_every_kind_of_key)
{
	static const struct key_type types[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "RSA", 2048 },
	};
	char label[8], id[8];

	t_signer_start(a, &set);
	for (size_t i = 0; i < NELEM(types); i++) {
		struct key *k = t_key_of(a, types[i].algorithm,
		    types[i].bits);
		struct signer *s;

		snprintf(label, sizeof(label), "k%zu", i);
		snprintf(id, sizeof(id), "0%zu", i + 1);
		import_key(k, label, id);
		s = t_sign_open(a, arena_printf(a, "pkcs11:token=ca;object=%s;"
		    "type=private", label), &e);
		cr_assert_not_null(s, "%s", e.msg);
		check_key(s, k);
		s = t_sign_open(a, arena_printf(a, "pkcs11:token=ca;id=%%0%zu",
		    i + 1), &e);
		cr_assert_not_null(s, "%s", e.msg);
		check_key(s, k);
	}
}

Test(token, says_what_is_wrong)
{
	static const struct {
		const char *ref;
		enum err_code want;
	} cases[] = {
		{ "pkcs11:token=ca;object=k", E_OK },
		{ "pkcs11:token=ca;object=none", E_INVALID },
		{ "pkcs11:token=none;object=k", E_UNAVAILABLE },
		{ "pkcs11:token=ca;object=twin", E_INVALID },
		{ "pkcs11:token=ca;object=wrong", E_INVALID },
	};

	import_key(t_key(a), "k", "01");
	import_key(t_key(a), "twin", "02");
	import_key(t_key(a), "twin", "03");
	import_key(t_key_of(a, "ECDSA", 521), "wrong", "04");
	t_signer_start(a, &set);
	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		t_sign_open(a, cases[i].ref, &e);
		cr_expect_eq(e.code, cases[i].want, "%s: %s", cases[i].ref,
		    e.msg);
	}
}

Test(token, is_asked_once_with_a_wrong_pin)
{
	const char *ref = "pkcs11:token=ca;object=k";

	import_key(t_key(a), "k", "01");
	t_write(set.signer_pin_file, "wrong", 0600);
	pid = t_signer_start(a, &set);
	for (int i = 0; i < 20; i++) {
		e = (struct err){ 0 };
		cr_expect_null(t_sign_open(a, ref, &e));
		cr_expect_eq(e.code, E_INVALID, "%s", e.msg);
	}
	t_write(set.signer_pin_file, PIN, 0600);
	kill(pid, SIGHUP);
	e = (struct err){ 0 };
	cr_expect_not_null(t_sign_open(a, ref, &e), "%s", e.msg);
}

Test(token, may_be_taken_away_and_put_back)
{
	struct key *k = t_key(a);
	struct signer *s;
	struct bytes der;
	int64_t end;

	import_key(k, "k", "01");
	t_signer_start(a, &set);
	s = t_sign_open(a, "pkcs11:token=ca;object=k", &e);
	cr_assert_not_null(s, "%s", e.msg);
	check_key(s, k);
	cr_assert_eq(rename(in_dir("tokens"), in_dir("away")), 0);
	cr_assert_eq(mkdir(in_dir("tokens"), 0700), 0);
	cr_expect_eq(t_ca_der(a, s, &der, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE, "%s", e.msg);
	cr_assert_eq(rmdir(in_dir("tokens")), 0);
	cr_assert_eq(rename(in_dir("away"), in_dir("tokens")), 0);
	for (end = mono_us() + 5000000; mono_us() < end; sleep_ms(100))
		if (t_ca_der(a, s, &der, &e) == 0)
			break;
	check_key(s, k);
}
