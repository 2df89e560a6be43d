#include <criterion/criterion.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "issuer/issuer.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"
#include "x509/cert.h"
#include "x509/digest.h"

enum { DAY_S = 86400 };

static struct arena *a;
static struct err e;
static char *dir;
static const struct issuer_type *generic;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
	t_signer(a, dir);
	generic = issuer_type_find("GenericCA");
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(generic_ca, .init = setup, .fini = teardown, .timeout = 60);

static void
close_issuer(void *i)
{
	issuer_close(i);
}

static struct issuer *
open_with(const char *conf, const char *ca_cert_pem)
{
	struct issuer_env env = { "iss-local", dir, ca_cert_pem };
	struct issuer *i = issuer_open(generic, conf, &env, &e);

	if (i != NULL)
		arena_defer(a, close_issuer, i);
	return i;
}

static struct issuer *
open_ok(const char *conf)
{
	struct issuer *i = open_with(conf, NULL);

	cr_assert_not_null(i, "%s", e.msg);
	return i;
}

static struct csr *
request(struct key *k, const char *cn, const char *san)
{
	const char *v[] = { san };
	struct texts sans = { v, san != NULL };
	char *pem = csr_make(a, k, cn, &sans, &e);
	struct csr *c = pem != NULL ? csr_from_pem(a, pem, &e) : NULL;

	cr_assert_not_null(c, "%s", e.msg);
	return c;
}

static struct issue_args
args_for(struct key *k)
{
	return (struct issue_args){
		.csr = request(k, "www.example.com", "www.example.com"),
		.common_name = "www.example.com",
		.now = now_s(),
	};
}

static struct issue_intent
prepare(struct issuer *i, const struct issue_args *args)
{
	struct issue_intent in;

	cr_assert_eq(issuer_prepare(i, a, args, &in, &e), 0, "%s", e.msg);
	return in;
}

static struct issued
issue(struct issuer *i, const struct issue_args *args,
    struct x509_cert *cert)
{
	struct issue_intent in = prepare(i, args);
	struct x509_cert *certs;
	struct issued out;
	size_t n;

	cr_assert_eq(issuer_finish(i, a, in.tbs, &out, &e), 0, "%s", e.msg);
	cr_assert_eq(certs_from_pem(a, out.cert_pem, &certs, &n, &e), 0);
	cr_assert_eq(n, 1);
	*cert = certs[0];
	return out;
}

enum { SERIALS = 10000, BITS = 160 };

static int
by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* How many of SERIALS have each bit. */
static void
count_bits(const char *serial, int ones[BITS])
{
	unsigned char p[BITS / 8];

	cr_assert(hex_decode(serial, sizeof(p) * 2, p));
	for (size_t i = 0; i < BITS; i++)
		ones[i] += p[i / 8] >> (7 - i % 8) & 1;
}

/* As they stand in certificates that were signed. */
Test(generic_ca, never_gives_a_serial_number_twice)
{
	static const char *serials[SERIALS];
	static int ones[BITS];
	struct key *k = key_generate(a, (struct key_type){ "ECDSA", 256 },
	    &e);
	struct issuer *i = open_ok("{}");
	struct issue_args args = args_for(k);
	struct x509_cert cert;
	int random = 0;

	for (size_t n = 0; n < SERIALS; n++) {
		issue(i, &args, &cert);
		cr_assert_eq(strlen(cert.serial), 40, "%s", cert.serial);
		cr_assert_lt(cert.serial[0], '8', "%s", cert.serial);
		serials[n] = cert.serial;
		count_bits(cert.serial, ones);
	}
	qsort(serials, SERIALS, sizeof(*serials), by_text);
	for (size_t n = 1; n < SERIALS; n++)
		cr_assert_str_neq(serials[n - 1], serials[n]);
	/* A fair bit is farther from the middle once in some 10^15 times. */
	for (size_t n = 0; n < BITS; n++)
		random += abs(ones[n] - SERIALS / 2) < 400;
	cr_expect_geq(random, 128);
}

Test(generic_ca, keeps_the_ca_it_made)
{
	const char *first = arena_strdup(a, issuer_ca_cert(open_ok("{}")));
	struct x509_cert *ca;
	size_t n;

	cr_expect_str_eq(issuer_ca_cert(open_ok("{}")), first);
	/* A later configuration does not replace it. */
	cr_expect_str_eq(issuer_ca_cert(open_ok(
	    "{\"ca_common_name\":\"Other\",\"key_algorithm\":\"RSA\"}")),
	    first);
	cr_assert_eq(certs_from_pem(a, first, &ca, &n, &e), 0);
	cr_expect_eq(n, 1);
	cr_expect(ca->is_ca);
	cr_expect_str_eq(ca->subject, "CN=CertCtl Local CA");
	cr_expect_str_eq(ca->issuer, ca->subject);
	cr_expect_eq(strlen(ca->serial), 40);
	cr_expect_eq((ca->not_after - ca->not_before - 300) / DAY_S, 3650);
	cr_expect_str_eq(ca->key.algorithm, "ECDSA");
	cr_expect_eq(ca->key.bits, 256);
}

Test(generic_ca, takes_the_certificate_that_was_stored)
{
	const char *pem = arena_strdup(a, issuer_ca_cert(open_ok("{}")));
	const char *file = arena_printf(a, "%s/ca/iss-local.pem", dir);
	const char *key = arena_printf(a, "%s/ca/iss-local.key", dir);

	cr_assert_eq(unlink(file), 0);
	cr_assert_not_null(open_with("{}", pem), "%s", e.msg);
	cr_expect_neq(access(file, F_OK), 0);
	/* Where the key is missing, a new one would be another CA's. */
	cr_assert_eq(unlink(key), 0);
	cr_expect_null(open_with("{}", pem));
	cr_expect_not_null(strstr(e.msg, key), "%s", e.msg);
	cr_expect_neq(access(key, F_OK), 0);
	cr_assert_not_null(open_with("{}", NULL), "%s", e.msg);
	cr_expect_null(open_with("{}", pem));
	cr_expect_not_null(strstr(e.msg, "does not belong"), "%s", e.msg);
}

Test(generic_ca, makes_no_key_for_a_certificate_that_lost_its_own)
{
	const char *key = arena_printf(a, "%s/ca/iss-local.key", dir);

	open_ok("{}");
	cr_assert_eq(unlink(key), 0);
	cr_expect_null(open_with("{}", NULL));
	cr_expect_neq(access(key, F_OK), 0);
}

Test(generic_ca, is_one_ca_when_many_processes_start)
{
	enum { MANY = 8 };
	char hash[MANY][SHA256_HEX + 1];
	const char *pem;
	int fd[2], status;

	cr_assert_eq(pipe(fd), 0);
	for (int i = 0; i < MANY; i++) {
		if (fork() != 0)
			continue;
		struct issuer *is = open_with("{}", NULL);

		if (is == NULL)
			_exit(1);
		pem = issuer_ca_cert(is);
		_exit(write(fd[1], sha256_hex(pem, strlen(pem), hash[0]),
		    sizeof(hash[0])) != sizeof(hash[0]));
	}
	for (int i = 0; i < MANY; i++) {
		cr_assert_gt(wait(&status), 0);
		cr_assert_eq(status, 0);
	}
	for (int i = 0; i < MANY; i++) {
		cr_assert_eq(read(fd[0], hash[i], sizeof(hash[i])),
		    sizeof(hash[i]));
		cr_expect_str_eq(hash[i], hash[0]);
	}
}

Test(generic_ca, issues_what_was_prepared)
{
	struct issuer *i = open_ok("{}");
	struct issue_args args = args_for(t_key(a));
	struct issue_intent in = prepare(i, &args);
	struct issued out, again;
	struct x509_cert *cert;
	char hash[SHA256_HEX + 1];
	size_t n;

	cr_expect_str_eq(in.tbs_hash, sha256_hex(in.tbs.p, in.tbs.len, hash));
	cr_expect_eq(strlen(in.serial), 40);
	cr_assert_eq(issuer_finish(i, a, in.tbs, &out, &e), 0, "%s", e.msg);
	cr_assert_eq(certs_from_pem(a, out.cert_pem, &cert, &n, &e), 0);
	cr_expect_str_eq(cert->serial, in.serial);
	cr_expect_eq(cert->not_before, in.not_before);
	cr_expect_eq(cert->not_after, in.not_after);
	cr_expect_eq(in.not_after, args.now + 90 * DAY_S);
	cr_expect_leq(in.not_before, args.now);
	cr_expect_str_eq(cert->spki_hash, csr_spki_hash(args.csr));
	cr_expect_str_eq(cert->subject, "CN=www.example.com");
	cr_expect_str_eq(out.chain_pem, issuer_ca_cert(i));
	cr_expect_str_eq(out.order_id, arena_printf(a, "local-%s",
	    in.serial));
	/* After a crash another process finishes the same certificate. */
	cr_assert_eq(issuer_finish(open_ok("{}"), a, in.tbs, &again, &e), 0,
	    "%s", e.msg);
	cr_assert_eq(certs_from_pem(a, again.cert_pem, &cert, &n, &e), 0);
	cr_expect_str_eq(cert->serial, in.serial);
}

Test(generic_ca, signs_nothing_but_what_it_prepared)
{
	struct issuer *i = open_ok("{}"), *other;
	struct issue_args args = args_for(t_key(a));
	struct issue_intent in = prepare(i, &args);
	struct bytes bad;
	struct issued out;

	bad = (struct bytes){ in.tbs.p, in.tbs.len - 1 };
	cr_expect_eq(issuer_finish(i, a, bad, &out, &e), -1);
	dir = t_dir(a);
	other = open_ok("{\"ca_common_name\":\"Other CA\"}");
	cr_expect_eq(issuer_finish(other, a, in.tbs, &out, &e), -1,
	    "another CA's certificate was signed");
}

Test(generic_ca, lifetime_is_cut)
{
	const struct {
		const char *conf;
		int64_t max_ttl, at, want;
	} cases[] = {
		{ "{\"validity_days\":30}", 0, 0, 30 * DAY_S },
		{ "{\"validity_days\":30}", 3600, 0, 3600 },
		{ "{\"validity_days\":1}", 7 * DAY_S, 0, DAY_S },
		{ "{\"validity_days\":30000}", 0, 0, 3650 * DAY_S },
		{ "{\"validity_days\":30}", 0, 3640 * DAY_S, 10 * DAY_S },
	};

	for (size_t n = 0; n < NELEM(cases); n++) {
		struct profile_rules p = {
			.max_ttl_seconds = cases[n].max_ttl,
		};
		struct issue_args args = args_for(t_key(a));
		struct issuer *i = open_ok(cases[n].conf);
		struct issue_intent in;

		args.profile = &p;
		args.now += cases[n].at;
		in = prepare(i, &args);
		cr_expect(in.not_after - args.now <= cases[n].want &&
		    in.not_after - args.now > cases[n].want - 60,
		    "case %zu: %lld", n, (long long)(in.not_after - args.now));
		cr_expect_leq(in.not_before, args.now);
	}
}

Test(generic_ca, that_has_expired_issues_nothing)
{
	struct issuer *i = open_ok("{}");
	struct issue_args args = args_for(t_key(a));
	struct issue_intent in;

	args.now += (int64_t)3651 * DAY_S;
	cr_expect_eq(issuer_prepare(i, a, &args, &in, &e), -1);
	cr_expect_not_null(strstr(e.msg, "is valid from"), "%s", e.msg);
}

Test(generic_ca, fails_closed_on_the_profile)
{
	const char *bad[] = { "evil.com" }, *pattern[] = { "*.example.com" };
	struct profile_rules p = { .san_patterns = { pattern, 1 } };
	struct issuer *i = open_ok("{}");
	struct issue_args args = args_for(t_key(a));
	struct issue_intent in;

	args.profile = &p;
	cr_expect_eq(issuer_prepare(i, a, &args, &in, &e), 0, "%s", e.msg);
	/* The record's names are bound by the profile as well. */
	args.sans = (struct texts){ bad, 1 };
	cr_expect_eq(issuer_prepare(i, a, &args, &in, &e), -1);
	args.sans.n = 0;
	p.n_keys = 1;
	p.keys[0].algorithm = "RSA";
	cr_expect_eq(issuer_prepare(i, a, &args, &in, &e), -1);
}

Test(generic_ca, a_long_common_name_lives_in_the_names)
{
	const char *host = "a-label-that-goes-on-and-on."
	    "another-label-that-goes-on-and-on.example.com";
	struct issuer *i = open_ok("{}");
	struct issue_args args = {
		.csr = request(t_key(a), host, NULL),
		.common_name = host,
		.now = now_s(),
	};
	struct x509_cert cert;

	issue(i, &args, &cert);
	cr_expect_str_eq(cert.subject, "");
	cr_assert_eq(cert.sans.n, 1);
	cr_expect_str_eq(cert.sans.v[0].text, host);
	args.common_name = NULL;
	cr_expect_eq(issuer_prepare(i, a, &args, &(struct issue_intent){ 0 },
	    &e), -1, "a certificate for nothing");
}

static void
openssl_ok(const char *const *argv)
{
	cr_assert_not_null(t_run(a, argv), "%s %s", argv[1], argv[2]);
}

/* A CA certificate made by openssl with EXTENSIONS, at dir/ca.pem, .key. */
static void
openssl_ca(const char *const *extensions)
{
	const char *key = arena_printf(a, "%s/ca.key", dir);
	const char *conf = arena_printf(a, "%s/req.conf", dir);
	const char *argv[32] = { "openssl", "req", "-x509", "-newkey", "ec",
	    "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-subj",
	    "/O=Corp/CN=Corp CA", "-days", "30", "-keyout", key, "-out",
	    arena_printf(a, "%s/ca.pem", dir), "-config", conf };
	size_t n = 18;

	/* The system's would add extensions of its own. */
	t_write(conf, "[req]\ndistinguished_name=dn\n[dn]\n", 0600);
	for (; *extensions != NULL; extensions++) {
		argv[n++] = "-addext";
		argv[n++] = *extensions;
	}
	openssl_ok(argv);
	cr_assert_eq(chmod(key, 0600), 0);
}

static char *
file_conf(void)
{
	return arena_printf(a, "{\"ca_cert_path\":\"%s/ca.pem\","
	    "\"ca_key_path\":\"%s/ca.key\"}", dir, dir);
}

Test(generic_ca, honours_name_constraints)
{
	static const char *const limits[] = {
		"basicConstraints=critical,CA:TRUE",
		"keyUsage=critical,keyCertSign,cRLSign",
		"nameConstraints=critical,permitted;DNS:example.com,"
		"excluded;DNS:secret.example.com,"
		"excluded;IP:192.0.2.0/255.255.255.0,"
		"permitted;email:example.com,"
		"permitted;URI:.example.com", NULL };
	static const struct { const char *name; bool ok; } cases[] = {
		{ "www.example.com", true },
		{ "example.com", true },
		{ "www.secret.example.com", false },
		{ "www.example.org", false },
		{ "localhost", false },
		{ "192.0.2.1", false },
		{ "198.51.100.1", true },
		{ "ops@example.com", true },
		{ "ops@example.org", false },
		{ "https://www.example.com/x", true },
		{ "https://www.example.org/x", false },
	};
	struct issuer *i;
	struct key *k = t_key(a);

	openssl_ca(limits);
	i = open_ok(file_conf());
	for (size_t n = 0; n < NELEM(cases); n++) {
		struct issue_args args = {
			.csr = request(k, NULL, cases[n].name),
			.now = now_s(),
		};
		struct issue_intent in;

		e = (struct err){ 0 };
		cr_expect_eq(issuer_prepare(i, a, &args, &in, &e) == 0,
		    cases[n].ok, "%s: %s", cases[n].name, e.msg);
	}
}

Test(generic_ca, refuses_files_that_cannot_issue)
{
	static const char *const not_ca[] = {
		"basicConstraints=critical,CA:FALSE", NULL };
	static const char *const no_sign[] = {
		"basicConstraints=critical,CA:TRUE",
		"keyUsage=critical,cRLSign", NULL };
	static const char *const fine[] = {
		"basicConstraints=critical,CA:TRUE",
		"keyUsage=critical,keyCertSign,cRLSign", NULL };
	const char *key = arena_printf(a, "%s/ca.key", dir);

	cr_expect_null(open_with(file_conf(), NULL));
	openssl_ca(not_ca);
	cr_expect_null(open_with(file_conf(), NULL));
	cr_expect_not_null(strstr(e.msg, "CA:TRUE"), "%s", e.msg);
	openssl_ca(no_sign);
	cr_expect_null(open_with(file_conf(), NULL));
	cr_expect_not_null(strstr(e.msg, "keyCertSign"), "%s", e.msg);
	openssl_ca(fine);
	cr_expect_not_null(open_with(file_conf(), NULL), "%s", e.msg);
	cr_assert_eq(chmod(key, 0640), 0);
	cr_expect_null(open_with(file_conf(), NULL));
	cr_expect_not_null(strstr(e.msg, "0640"), "%s", e.msg);
	t_write(key, key_to_pem(a, t_key(a), &e), 0600);
	cr_expect_null(open_with(file_conf(), NULL));
	cr_expect_not_null(strstr(e.msg, "does not belong"), "%s", e.msg);
}

Test(generic_ca, takes_no_issuer_id_that_leaves_its_directory)
{
	struct issuer_env env = { "../x", dir, NULL };

	cr_expect_null(issuer_open(generic, "{}", &env, &e));
	cr_expect_eq(e.code, E_INVALID);
}
