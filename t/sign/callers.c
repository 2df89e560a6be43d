/* Who may ask the signer for what. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "codec/settings.h"
#include "sign/sign.h"
#include "signer/signer.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"
#include "x509/name.h"

enum { DAEMON = 1, BIN = 2, NOBODY = 65534 };

static struct arena *a;
static struct err e;
static struct settings set;
static pid_t pid;
static struct signer *ca;

static void
setup(void)
{
	bool made;

	a = arena_new();
	set = t_signer_settings(a, t_dir(a));
	pid = t_signer_start(a, &set);
	cr_assert_eq(sign_create_key("iss.key", (struct key_type){ "ECDSA",
	    256 }, &made, &e), 0, "%s", e.msg);
	ca = t_sign_open(a, "iss.key", &e);
	cr_assert_not_null(ca, "%s", e.msg);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(callers, .init = setup, .fini = teardown, .timeout = 60);

static struct texts
one(const char *v)
{
	return (struct texts){ arena_memdup(a, &v, sizeof(v)), 1 };
}

Test(callers, are_read_from_the_setting)
{
	enum { LEAF = 1 << KIND_CERTIFICATE, CA = 1 << KIND_CA,
	    OCSP = 1 << KIND_OCSP, CRL = 1 << KIND_CRL };
	static const struct {
		const char *text;
		uid_t uid;
		unsigned may;		/* 0: refused */
	} cases[] = {
		{ "daemon", DAEMON, LEAF | CA | OCSP | CRL },
		{ "4321", 4321, LEAF | CA | OCSP | CRL },
		{ "daemon:certificate", DAEMON, LEAF },
		{ "daemon:ca", DAEMON, CA },
		{ "4321:crl+ocsp", 4321, CRL | OCSP },
		{ "daemon:", DAEMON, 0 },
		{ "daemon:cert", DAEMON, 0 },
		{ "daemon:certificates", DAEMON, 0 },
		{ "daemon:crl+", DAEMON, 0 },
		{ "daemon:+crl", DAEMON, 0 },
		{ "daemon:crl,ocsp", DAEMON, 0 },
		{ "no such user", 0, 0 },
		{ ":crl", 0, 0 },
		{ "", 0, 0 },
		{ "4294967295", 0, 0 },
		{ "-1", 0, 0 },
	};
	struct caller out[CALLERS_MAX];

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct texts allow = one(cases[i].text);

		e = (struct err){ 0 };
		cr_expect_eq(callers_read(&allow, out, &e),
		    cases[i].may == 0 ? -1 : 3, "%s", cases[i].text);
		if (cases[i].may == 0) {
			cr_expect_eq(e.code, E_INVALID);
			continue;
		}
		cr_expect_eq(out[2].uid, cases[i].uid, "%s", cases[i].text);
		cr_expect_eq(out[2].may, cases[i].may, "%s", cases[i].text);
	}
}

Test(callers, are_not_more_than_there_is_room_for)
{
	const char *v[CALLERS_MAX];
	struct texts allow = { v, CALLERS_MAX };
	struct caller out[CALLERS_MAX];

	for (size_t i = 0; i < NELEM(v); i++)
		v[i] = "daemon";
	cr_expect_eq(callers_read(&allow, out, &e), -1);
	allow.n = CALLERS_MAX - 2;
	cr_expect_eq(callers_read(&allow, out, &e), CALLERS_MAX);
}

/* ---- What each may ask for ---- */

static struct bytes
leaf(bool authority, bool ocsp)
{
	static const char *purpose[] = { "OCSPSigning" };
	struct tbs t = {
		.algorithm = sign_algorithm(ca),
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, "x"),
		.spki = key_spki(t_key(a)),
		.not_before = T_CA_FROM,
		.not_after = T_CA_TO,
		.ca = authority,
		.key_usage = authority ? USAGE_KEY_CERT_SIGN :
		    USAGE_DIGITAL_SIGNATURE,
		.ekus = { purpose, ocsp },
	};
	struct bytes der;

	serial_new(t.serial);
	cr_assert_eq(tbs_make(a, &t, &der, &e), 0, "%s", e.msg);
	return der;
}

static struct bytes
list(void)
{
	const struct t_list l = {
		.version = "\x01", .algorithm = sign_algorithm(ca),
		.issuer = name_of(a, "CA"), .this_update = T_CA_FROM,
		.next_update = T_CA_TO, .number = true,
	};

	return t_make_list(a, &l);
}

/* Ask for one of each kind, and for a key; what is granted, as bits of enum
 * kind and one more. */
static int
ask_for_all(void)
{
	struct bytes signature;
	int got = 0;
	bool made;

	if (sign_tbs(ca, a, leaf(false, false), 0, &signature, &e) == 0)
		got |= 1 << KIND_CERTIFICATE;
	if (sign_tbs(ca, a, leaf(true, false), SIGN_CA, &signature, &e) == 0)
		got |= 1 << KIND_CA;
	if (sign_tbs(ca, a, leaf(false, true), SIGN_OCSP, &signature, &e) == 0)
		got |= 1 << KIND_OCSP;
	if (sign_crl(ca, a, list(), &signature, &e) == 0)
		got |= 1 << KIND_CRL;
	if (sign_create_key("new.key", (struct key_type){ "ECDSA", 256 },
	    &made, &e) == 0)
		got |= 1 << KIND__MAX;
	return got;
}

/* The same asked by the user UID, in a process of its own; a code, negative, if
 * not even the key may be looked at. */
static int
as_user(uid_t uid)
{
	struct err why = { 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (setuid(uid) < 0)
			_exit(255);
		_exit(sign_open("iss.key", &why) == NULL ?
		    128 + (int)why.code : ask_for_all());
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status) < 128 ? WEXITSTATUS(status) :
	    128 - WEXITSTATUS(status);
}

/* Start the signer anew for ALLOW. */
static void
allow(const char *const *v, size_t n)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	set.signer_allow = (struct texts){ (const char **)(uintptr_t)v, n };
	pid = t_signer_start(a, &set);
	cr_assert_eq(chmod(set.state_dir, 0755), 0);
	cr_assert_eq(chmod(set.signer_socket, 0666), 0);
}

Test(callers, get_what_they_are_named_for_and_no_more)
{
	static const char *const v[] = {
		"daemon", "bin:certificate", "bin:crl", "4321:ca",
	};

	if (geteuid() != 0)
		cr_skip_test("only root can be somebody else");
	t_sign_bind(a, ca);
	allow(v, NELEM(v));
	cr_expect_eq(as_user(NOBODY), -E_FORBIDDEN);
	cr_expect_eq(as_user(DAEMON), (1 << (KIND__MAX + 1)) - 1);
	cr_expect_eq(as_user(BIN), 1 << KIND_CERTIFICATE | 1 << KIND_CRL);
	cr_expect_eq(as_user(4321), 1 << KIND_CA | 1 << KIND__MAX);
	allow(v, 1);
	cr_expect_eq(as_user(BIN), -E_FORBIDDEN);
}

Test(callers, name_the_ca_they_sign_under)
{
	struct bytes signature, der;

	cr_expect_eq(ask_for_all(), 1 << KIND__MAX, "a key and no more");
	cr_expect_eq(e.code, E_FORBIDDEN, "%s", e.msg);
	cr_expect_eq(t_ca_der(a, ca, &der, &e), 0, "its own certificate");
	cr_expect_eq(sign_tbs(ca, a, leaf(false, false), 0, &signature, &e),
	    -1);
	sign_bind(ca, der);
	cr_expect_eq(ask_for_all(), (1 << (KIND__MAX + 1)) - 1);
}
