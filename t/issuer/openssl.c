/*
 * What we issue, judged by somebody else: the openssl program, strictly.
 */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "issuer/issuer.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"

static struct arena *a;
static struct err e;
static char *dir;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
	t_signer(a, dir);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(openssl, .init = setup, .fini = teardown, .timeout = 120);

#define TEXTS(...) { (const char *[]){ __VA_ARGS__ }, \
	sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *) }

static const char *
in_dir(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static struct issuer *
open_issuer(const char *conf)
{
	struct issuer_env env = { "iss-local", dir, NULL };
	struct issuer *i = issuer_open(issuer_type_find("local"), conf, &env,
	    &e);

	cr_assert_not_null(i, "%s", e.msg);
	return i;
}

/* Issue for K and leave leaf.pem and chain.pem in the directory. */
static void
issue(struct issuer *i, struct key *k, struct issue_args args)
{
	struct texts none = { 0 };
	const char *pem = csr_make(a, k, args.common_name, &none, &e);
	struct issue_intent in;
	struct issued out;

	cr_assert_not_null(pem, "%s", e.msg);
	args.csr = csr_from_pem(a, pem, &e);
	args.now = now_s();
	cr_assert_not_null(args.csr, "%s", e.msg);
	cr_assert_eq(issuer_prepare(i, a, &args, &in, &e), 0, "%s", e.msg);
	cr_assert_eq(issuer_finish(i, a, in.tbs, &out, &e), 0, "%s", e.msg);
	t_write(in_dir("leaf.pem"), out.cert_pem, 0644);
	t_write(in_dir("chain.pem"), out.chain_pem, 0644);
}

static void
expect_verifies(const char *trust, const char *purpose)
{
	const char *argv[] = { "openssl", "verify", "-x509_strict", "-CAfile",
	    trust, "-untrusted", in_dir("chain.pem"), "-purpose", purpose,
	    in_dir("leaf.pem"), NULL };

	cr_expect_not_null(t_run(a, argv), "%s", purpose);
}

static void
expect_text(const char *file, const char *const *want)
{
	const char *argv[] = { "openssl", "x509", "-noout", "-text", "-in",
	    in_dir(file), NULL };
	const char *text = t_run(a, argv);

	cr_assert_not_null(text);
	for (; *want != NULL; want++)
		cr_expect_not_null(strstr(text, *want), "\"%s\" in\n%s",
		    *want, text);
}

static void
expect_no_text(const char *file, const char *const *unwanted)
{
	const char *argv[] = { "openssl", "x509", "-noout", "-text", "-in",
	    in_dir(file), NULL };
	const char *text = t_run(a, argv);

	for (; *unwanted != NULL; unwanted++)
		cr_expect_null(strstr(text, *unwanted), "\"%s\" in\n%s",
		    *unwanted, text);
}

Test(openssl, accepts_every_kind_of_ca_and_leaf)
{
	static const char *const confs[] = {
		"{}", "{\"key_size\":384}", "{\"key_algorithm\":\"RSA\"}",
		"{\"key_algorithm\":\"RSA\",\"key_size\":2048}",
	};
	static const struct key_type leaves[] = {
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "ECDSA", 521 },
		{ "RSA", 2048 }, { "Ed25519", 256 },
	};
	struct issue_args args = { .common_name = "www.example.com" };

	for (size_t n = 0; n < NELEM(confs); n++) {
		struct issuer *i;

		dir = t_dir(a);
		t_signer(a, dir);
		i = open_issuer(confs[n]);
		for (size_t k = 0; k < NELEM(leaves); k++) {
			issue(i, t_key_of(a, leaves[k].algorithm,
			    leaves[k].bits), args);
			expect_verifies(in_dir("chain.pem"), "sslserver");
			expect_verifies(in_dir("chain.pem"), "sslclient");
		}
		issuer_close(i);
	}
}

Test(openssl, reads_what_a_server_certificate_must_carry)
{
	struct profile_rules p = { .ekus = TEXTS("serverAuth"),
	    .must_staple = true };
	struct issue_args args = {
		.common_name = "www.example.com",
		.sans = TEXTS("*.example.com", "192.0.2.1", "2001:db8::1",
		    "ops@example.com", "spiffe://example.com/x"),
		.profile = &p,
		.aia_ocsp_url = "http://pki.example.com/ocsp/iss-local",
		.aia_issuer_url = "http://pki.example.com/ca/iss-local.cer",
		.cdp_url = "http://pki.example.com/crl/iss-local",
	};
	static const char *const want[] = {
		"Version: 3", "ecdsa-with-SHA256", "CN = CertCtl Local CA",
		"Subject: CN = www.example.com",
		"Basic Constraints: critical\n                CA:FALSE\n",
		"Key Usage: critical\n                Digital Signature\n",
		"Extended Key Usage: \n"
		"                TLS Web Server Authentication\n",
		"Subject Key Identifier:", "Authority Key Identifier:",
		"DNS:www.example.com, DNS:*.example.com, "
		"IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, "
		"email:ops@example.com, URI:spiffe://example.com/x",
		"OCSP - URI:http://pki.example.com/ocsp/iss-local",
		"CA Issuers - URI:http://pki.example.com/ca/iss-local.cer",
		"URI:http://pki.example.com/crl/iss-local",
		"TLS Feature: \n                status_request\n", NULL };
	struct issuer *i = open_issuer("{}");

	issue(i, t_key(a), args);
	expect_text("leaf.pem", want);
	expect_verifies(in_dir("chain.pem"), "sslserver");
	issuer_close(i);
}

Test(openssl, reads_the_usages_of_a_profile)
{
	const struct {
		struct texts ekus;
		const char *algorithm;
		const char *want[4];
	} cases[] = {
		{ TEXTS("serverAuth"), "RSA",
		  { "Digital Signature, Key Encipherment\n",
		    "TLS Web Server Authentication\n" } },
		{ { 0 }, "ECDSA", { "critical\n                "
		  "Digital Signature\n", "TLS Web Server Authentication, "
		  "TLS Web Client Authentication\n" } },
		{ TEXTS("codeSigning"), "RSA", { "critical\n                "
		  "Digital Signature\n", "Code Signing\n" } },
		{ TEXTS("emailProtection"), "ECDSA",
		  { "Digital Signature, Non Repudiation\n",
		    "E-mail Protection\n" } },
		{ TEXTS("timeStamping"), "ECDSA", { "Extended Key Usage: "
		  "critical\n                Time Stamping\n" } },
	};
	struct issuer *i = open_issuer("{}");

	for (size_t n = 0; n < NELEM(cases); n++) {
		struct profile_rules p = { .ekus = cases[n].ekus };
		struct issue_args args = { .common_name = "ops@example.com",
		    .profile = &p };

		issue(i, t_key_of(a, cases[n].algorithm,
		    streq(cases[n].algorithm, "RSA") ? 2048 : 256), args);
		expect_text("leaf.pem", cases[n].want);
		expect_verifies(in_dir("chain.pem"), "any");
	}
	issuer_close(i);
}

Test(openssl, sees_no_locations_in_a_short_lived_certificate)
{
	struct profile_rules p = { .max_ttl_seconds = 600,
	    .short_lived = true, .must_staple = true };
	struct issue_args args = {
		.common_name = "www.example.com", .profile = &p,
		.aia_ocsp_url = "http://pki.example.com/ocsp/iss-local",
		.cdp_url = "http://pki.example.com/crl/iss-local",
	};
	static const char *const want[] = { "No Revocation Available", NULL };
	static const char *const unwanted[] = { "pki.example.com",
		"status_request", NULL };
	struct issuer *i = open_issuer("{}");

	issue(i, t_key(a), args);
	expect_text("leaf.pem", want);
	expect_no_text("leaf.pem", unwanted);
	expect_verifies(in_dir("chain.pem"), "sslserver");
	issuer_close(i);
}

Test(openssl, accepts_a_certificate_without_a_subject)
{
	struct issue_args args = { .sans = TEXTS("www.example.com") };
	static const char *const want[] = { "Subject: \n",
		"Subject Alternative Name: critical\n", NULL };
	struct issuer *i = open_issuer("{}");

	issue(i, t_key(a), args);
	expect_text("leaf.pem", want);
	expect_verifies(in_dir("chain.pem"), "sslserver");
	issuer_close(i);
}

static void
run(const char *const *argv)
{
	cr_assert_not_null(t_run(a, argv), "%s %s", argv[0], argv[1]);
}

/* A root that allows no CA but the issuing ones, and one of these. */
static void
make_two_tiers(void)
{
	const char *root_key = in_dir("root.key"), *root = in_dir("root.pem");
	const char *key = in_dir("ca.key"), *csr = in_dir("ca.csr");
	const char *ext = in_dir("ext"), *conf = in_dir("conf");
	const char *make_root[] = { "openssl", "req", "-config", conf, "-x509",
	    "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Root", "-days",
	    "40", "-keyout", root_key, "-out", root, "-addext",
	    "basicConstraints=critical,CA:TRUE,pathlen:1", "-addext",
	    "keyUsage=critical,keyCertSign,cRLSign", NULL };
	const char *make_csr[] = { "openssl", "req", "-config", conf,
	    "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Corp/CN=Issuing CA",
	    "-keyout", key, "-out", csr, NULL };
	const char *sign_csr[] = { "openssl", "x509", "-req", "-in", csr,
	    "-CA", root, "-CAkey", root_key, "-CAcreateserial", "-days", "20",
	    "-extfile", ext, "-out", in_dir("ca.pem"), NULL };

	t_write(conf, "[req]\ndistinguished_name=dn\n[dn]\n", 0600);
	t_write(ext, "basicConstraints=critical,CA:TRUE,pathlen:0\n"
	    "keyUsage=critical,keyCertSign,cRLSign\n"
	    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n", 0600);
	run(make_root);
	run(make_csr);
	run(sign_csr);
	cr_assert_eq(chmod(key, 0600), 0);
}

Test(openssl, accepts_the_chain_of_a_ca_from_files)
{
	struct issue_args args = { .common_name = "www.example.com" };
	static const char *const want[] = { "sha256WithRSAEncryption",
		"Issuer: O = Corp, CN = Issuing CA", NULL };
	struct issuer *i;

	make_two_tiers();
	i = open_issuer(arena_printf(a, "{\"ca_cert_path\":\"%s\","
	    "\"ca_key_path\":\"%s\",\"validity_days\":365}",
	    in_dir("ca.pem"), in_dir("ca.key")));
	issue(i, t_key(a), args);
	expect_text("leaf.pem", want);
	expect_verifies(in_dir("root.pem"), "sslserver");
	cr_expect_str_eq(t_run(a, (const char *[]){ "cat",
	    in_dir("chain.pem"), NULL }), t_run(a, (const char *[]){ "cat",
	    in_dir("ca.pem"), NULL }), "the CA file as it stands");
	issuer_close(i);
}
