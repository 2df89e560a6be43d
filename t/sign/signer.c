/* certctl-signer as its callers meet it. */
#include "signer/signer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "codec/json.h"
#include "sign/sign.h"
#include "sign/wire.h"
#include "t/sign/fixture.h"
#include "t/x509/fixture.h"
#include "x509/digest.h"
#include "x509/name.h"

enum { FROM = T_CA_FROM, TO = T_CA_TO };

static struct arena *a;
static struct err e;
static char *dir;
static struct settings set;
static pid_t pid;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
	set = t_signer_settings(a, dir);
	pid = t_signer_start(a, &set);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(signer, .init = setup, .fini = teardown, .timeout = 60);

/* A new CA's. */
static struct signer *
open_new(const char *ref)
{
	struct signer *s;
	bool made;

	cr_assert_eq(sign_create_key(ref, (struct key_type){ "ECDSA", 256 },
	    &made, &e), 0, "%s", e.msg);
	s = t_sign_open(a, ref, &e);
	cr_assert_not_null(s, "%s", e.msg);
	t_sign_bind(a, s);
	return s;
}

static struct tbs
leaf(const struct signer *s)
{
	struct tbs t = {
		.algorithm = sign_algorithm(s),
		.issuer = name_of(a, "CA"),
		.subject = name_of(a, "x"),
		.spki = sign_spki(s),
		.not_before = FROM,
		.not_after = TO,
		.key_usage = USAGE_DIGITAL_SIGNATURE,
	};

	serial_new(t.serial);
	return t;
}

static struct bytes
make(const struct tbs *t)
{
	struct bytes der;

	cr_assert_eq(tbs_make(a, t, &der, &e), 0, "%s", e.msg);
	return der;
}

static struct t_list
list_of(const struct signer *s)
{
	return (struct t_list){
		.version = "\x01", .algorithm = sign_algorithm(s),
		.issuer = name_of(a, "CA"), .this_update = FROM,
		.next_update = FROM + 3600, .number = true,
	};
}

static const char *
record(void)
{
	struct bytes text;

	cr_assert_eq(file_read(a, arena_printf(a, "%s/signer/audit.log", dir),
	    1 << 20, &text, &e), 0, "%s", e.msg);
	return (const char *)text.p;
}

/* The chain of the record holds; how many lines it has. */
static size_t
check_record(void)
{
	const char *p = record(), *end;
	char prev[SHA256_HEX + 1];
	size_t n;

	memset(prev, '0', SHA256_HEX);
	prev[SHA256_HEX] = '\0';
	for (n = 0; *p != '\0'; p = end + 1, n++) {
		end = strchr(p, '\n');
		cr_assert_not_null(end);
		if (*p == '{') {
			struct json *j = json_parse(a, p, (size_t)(end - p),
			    &e);

			cr_assert_not_null(j, "%s", e.msg);
			cr_expect_str_eq(json_text(json_member(a, j, "prev")),
			    prev, "line %zu", n);
		}
		sha256_hex(p, (size_t)(end - p), prev);
	}
	return n;
}

Test(signer, holds_a_certificate_to_the_cas_own)
{
	struct signer *s = open_new("iss.key");
	static const struct {
		const char *what, *issuer;
		int64_t from, to;
		enum err_code want;
	} cases[] = {
		{ "all of it", "CA", FROM, TO, E_OK },
		{ "another issuer", "CB", FROM, TO, E_FORBIDDEN },
		{ "too late", "CA", FROM, TO + 1, E_FORBIDDEN },
		{ "too early", "CA", FROM - 1, TO, E_FORBIDDEN },
	};
	struct bytes signature;

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct tbs t = leaf(s);

		e = (struct err){ 0 };
		t.issuer = name_of(a, cases[i].issuer);
		t.not_before = cases[i].from;
		t.not_after = cases[i].to;
		sign_tbs(s, a, make(&t), 0, &signature, &e);
		cr_expect_eq(e.code, cases[i].want, "%s: %s", cases[i].what,
		    e.msg);
	}
}

Test(signer, binds_a_key_to_its_own_certificate_only)
{
	struct signer *s = open_new("iss.key"), *other = open_new("b.key");
	struct tbs t = leaf(s);
	struct bytes signature, der;

	cr_assert_eq(t_ca_der(a, other, &der, &e), 0, "%s", e.msg);
	sign_bind(s, der);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	sign_bind(s, (struct bytes){ (const unsigned char *)"x", 1 });
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), -1);
	cr_expect_eq(check_record(), 3, "the CAs' own");
}

Test(signer, signs_an_ocsp_responder_only_if_asked_to)
{
	struct signer *s = open_new("iss.key");
	const char *v[] = { "OCSPSigning" };
	struct tbs t = leaf(s);
	struct bytes signature;

	t.ekus = (struct texts){ v, 1 };
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), -1);
	cr_expect_eq(e.code, E_FORBIDDEN, "%s", e.msg);
	cr_expect_eq(sign_tbs(s, a, make(&t), SIGN_CA, &signature, &e), -1);
	cr_expect_eq(sign_tbs(s, a, make(&t), SIGN_OCSP, &signature, &e), 0);
	cr_expect_not_null(strstr(record(), "\"kind\":\"ocsp\""));
}

/* TBS with the extension OID in place of its subjectKeyIdentifier's. */
static struct bytes
with_extension(struct bytes tbs, unsigned char last)
{
	unsigned char *p = arena_memdup(a, tbs.p, tbs.len);
	unsigned char *at = memmem(p, tbs.len, "\x06\x03\x55\x1d\x0e", 5);

	cr_assert_not_null(at);
	at[4] = last;
	return (struct bytes){ p, tbs.len };
}

Test(signer, refuses_extensions_it_does_not_know)
{
	struct signer *s = open_new("iss.key");
	static const unsigned char forbidden[] = {
		0x1e, 0x21, 0x24, 0x36, 0x10, 0x12, 0x7f,
	};
	struct tbs t = leaf(s);
	struct bytes signature;

	for (size_t i = 0; i < NELEM(forbidden); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(sign_tbs(s, a, with_extension(make(&t),
		    forbidden[i]), 0, &signature, &e), -1);
		cr_expect_eq(e.code, E_FORBIDDEN, "2.5.29.%d: %s",
		    forbidden[i], e.msg);
	}
	cr_expect_eq(sign_tbs(s, a, with_extension(make(&t), 0x1f), 0,
	    &signature, &e), 0);
}

Test(signer, signs_lists_and_nothing_like_them)
{
	struct signer *s = open_new("iss.key");
	struct tbs t = leaf(s);
	struct t_list good = list_of(s), l[8];
	struct bytes signature;

	for (size_t i = 0; i < NELEM(l); i++)
		l[i] = good;
	l[0].version = NULL;
	l[1].version = "\x02";
	l[2].algorithm = (struct bytes){ (const unsigned char *)
	    "\x30\x05\x06\x03\x2b\x65\x70", 7 };
	l[3].next_update = 0;
	l[4].next_update = l[4].this_update;
	l[5].number = false;
	l[6].issuer = (struct bytes){ (const unsigned char *)"\x05\x00", 2 };
	l[7].issuer = name_of(a, "CB");
	cr_expect_eq(sign_crl(s, a, t_make_list(a, &good), &signature, &e), 0,
	    "%s", e.msg);
	good.entries = 3;
	cr_expect_eq(sign_crl(s, a, t_make_list(a, &good), &signature, &e), 0);
	for (size_t i = 0; i < NELEM(l); i++)
		cr_expect_eq(sign_crl(s, a, t_make_list(a, &l[i]), &signature,
		    &e), -1, "case %zu", i);
	cr_expect_eq(sign_crl(s, a, make(&t), &signature, &e), -1);
	cr_expect_eq(sign_tbs(s, a, t_make_list(a, &good), SIGN_CA | SIGN_OCSP,
	    &signature, &e), -1);
	cr_expect_eq(check_record(), 3);
}

Test(signer, signs_a_list_of_a_hundred_thousand)
{
	struct signer *s = open_new("iss.key");
	struct t_list l = list_of(s);
	struct bytes signature, tbs, der;
	const char *path = arena_printf(a, "%s/list.crl", dir);
	const char *argv[] = { "openssl", "crl", "-inform", "DER", "-in",
	    path, "-noout", "-crlnumber", NULL };

	l.entries = 100000;
	tbs = t_make_list(a, &l);
	cr_assert_gt(tbs.len, WIRE_MAX);
	cr_assert_eq(sign_crl(s, a, tbs, &signature, &e), 0, "%s", e.msg);
	der = cert_assemble(a, tbs, l.algorithm, signature);
	cr_assert_eq(file_write(path, der.p, der.len, 0600, &e), 0);
	cr_expect_str_eq(or_empty(t_run(a, argv)), "crlNumber=0x07\n");
}

/* ---- The door ---- */

static int
dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const struct timeval wait = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path, set.signer_socket, strlen(set.signer_socket));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)),
	    0);
	return fd;
}

/* Say P with BESIDE; the code of the answer. */
static enum err_code
say(struct bytes p, int beside)
{
	unsigned char buf[WIRE_MAX];
	struct wire_answer w;
	int fd = dial(), ignored;
	long n;

	cr_assert_eq(wire_send(fd, p, beside), 0);
	n = wire_recv(fd, buf, &ignored);
	cr_assert_gt(n, 0, "no answer");
	cr_assert(wire_get_answer((struct bytes){ buf, (size_t)n }, &w));
	close(fd);
	return w.code;
}

static struct wire_request
ask_for(const char *ref)
{
	return (struct wire_request){
		.op = WIRE_INFO,
		.key_ref = { (const unsigned char *)ref, strlen(ref) },
	};
}

Test(signer, answers_whatever_it_is_told)
{
	struct wire_request r = ask_for("iss.key");
	struct bytes good;
	unsigned char *p;

	open_new("iss.key");
	good = wire_put_request(a, &r);
	cr_expect_eq(say(good, -1), E_OK);
	for (size_t n = 1; n < good.len; n++)
		cr_expect_eq(say((struct bytes){ good.p, n }, -1), E_INVALID);
	for (size_t i = 0; i < good.len; i++) {
		p = arena_memdup(a, good.p, good.len);
		p[i] ^= 0xff;
		say((struct bytes){ p, good.len }, -1);
	}
	cr_expect_eq(say(good, 0), E_INVALID, "a descriptor nobody needs");
}

Test(signer, maps_only_what_is_sealed)
{
	struct signer *s = open_new("iss.key");
	struct t_list l = list_of(s);
	struct wire_request r = ask_for("iss.key");
	struct bytes tbs;
	int fd;

	l.entries = 10;
	tbs = t_make_list(a, &l);
	cr_assert_eq(t_ca_der(a, s, &r.ca, &e), 0, "%s", e.msg);
	r.op = WIRE_CRL;
	r.tbs_beside = true;
	fd = wire_seal(tbs);
	cr_expect_eq(say(wire_put_request(a, &r), fd), E_OK);
	cr_expect_eq(say(wire_put_request(a, &r), -1), E_INVALID, "none");
	close(fd);
	fd = memfd_create("t", MFD_ALLOW_SEALING);
	cr_assert_eq(write(fd, tbs.p, tbs.len), (ssize_t)tbs.len);
	cr_expect_eq(say(wire_put_request(a, &r), fd), E_INVALID, "open");
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	cr_expect_eq(say(wire_put_request(a, &r), fd), E_INVALID, "writable");
	close(fd);
	fd = open(arena_printf(a, "%s/signer/audit.log", dir), O_RDONLY);
	cr_expect_eq(say(wire_put_request(a, &r), fd), E_INVALID, "a file");
	close(fd);
	fd = memfd_create("t", MFD_ALLOW_SEALING);
	cr_assert_eq(ftruncate(fd, (off_t)WIRE_TBS_MAX + 1), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE), 0);
	cr_expect_eq(say(wire_put_request(a, &r), fd), E_TOO_LARGE);
	close(fd);
}

Test(signer, serves_more_callers_than_it_has_room_for)
{
	struct signer *s = open_new("iss.key");
	struct tbs t = leaf(s);
	struct bytes signature;
	int fd[400];

	for (size_t i = 0; i < NELEM(fd); i++)
		fd[i] = dial();
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0, "%s",
	    e.msg);
	for (size_t i = 0; i < NELEM(fd); i++)
		close(fd[i]);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
}

/* ---- Keys ---- */

Test(signer, looks_for_keys_only_where_it_may)
{
	static const struct {
		const char *ref;
		enum err_code want;
	} cases[] = {
		{ "none.key", E_INVALID },
		{ "/etc/shadow", E_FORBIDDEN },
		{ "%s/../x.key", E_INVALID },
		{ "%s/./x.key", E_INVALID },
		{ "%s//x.key", E_INVALID },
		{ "%s2/x.key", E_FORBIDDEN },
		{ "../signer/audit.log", E_INVALID },
		{ "ca/x.key", E_INVALID },
		{ "..", E_INVALID },
		{ "", E_INVALID },
		{ "pkcs11:", E_INVALID },
		{ "pkcs11:object=x?pin-value=1", E_INVALID },
		{ "pkcs11:nonsense=1;object=x", E_INVALID },
	};
	struct buf b = BUF(a);

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *at = strstr(cases[i].ref, "%s");

		b.len = 0;
		buf_puts(&b, at != NULL ? dir : "");
		buf_puts(&b, at != NULL ? at + 2 : cases[i].ref);
		e = (struct err){ 0 };
		cr_expect_null(t_sign_open(a, buf_str(&b), &e));
		cr_expect_eq(e.code, cases[i].want, "%s: %s", buf_str(&b),
		    e.msg);
	}
}

Test(signer, reads_a_key_again_when_its_file_is_replaced)
{
	const char *path = arena_printf(a, "%s/given.key", dir);
	struct key *first = t_key(a), *second = t_key(a);
	struct bytes spki;

	t_write(path, key_to_pem(a, first, &e), 0600);
	spki = sign_spki(t_sign_open(a, path, &e));
	cr_expect_eq(memcmp(spki.p, key_spki(first).p, spki.len), 0);
	cr_assert_eq(file_write(path, key_to_pem(a, second, &e),
	    strlen(key_to_pem(a, second, &e)), 0600, &e), 0);
	spki = sign_spki(t_sign_open(a, path, &e));
	cr_expect_eq(memcmp(spki.p, key_spki(second).p, spki.len), 0);
	cr_assert_eq(chmod(path, 0640), 0);
	cr_expect_null(t_sign_open(a, path, &e));
	cr_assert_eq(chmod(path, 0600), 0);
	kill(pid, SIGHUP);
	cr_expect_not_null(t_sign_open(a, path, &e));
}

/* ---- Faults ---- */

Test(signer, may_die_and_come_back)
{
	struct signer *s = open_new("iss.key");
	struct tbs t = leaf(s);
	struct bytes signature;

	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	t_signer_kill(pid);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE);
	cr_expect_str_eq(e.msg, "the signer cannot be reached");
	pid = t_signer_start(a, &set);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(check_record(), 3);
	t_signer_kill(pid);
	t_signer_start(a, &set);
	e = (struct err){ 0 };
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	cr_expect_eq(e.code, E_OK, "the old line was lost, and no more");
}

Test(signer, is_one_for_its_state)
{
	struct settings twin = set;
	struct err why = { 0 };

	twin.signer_socket = arena_printf(a, "%s/twin.sock", dir);
	cr_expect_eq(signer_run(&twin, &why), -1);
	cr_expect_eq(why.code, E_CONFLICT, "%s", why.msg);
}

Test(signer, puts_its_socket_in_the_place_of_no_file)
{
	struct settings other = set;
	struct bytes text;
	struct err why = { 0 };
	char *path = arena_printf(a, "%s/notes", dir);

	t_write(path, "keep", 0600);
	other.signer_socket = path;
	other.state_dir = t_dir(a);
	cr_expect_eq(signer_run(&other, &why), -1);
	cr_expect_eq(why.code, E_INVALID, "%s", why.msg);
	cr_assert_eq(file_read(a, path, 16, &text, &why), 0, "%s", why.msg);
	cr_expect_eq(text.len, 4);
}

Test(signer, ends_a_torn_line_of_the_record)
{
	struct signer *s = open_new("iss.key");
	const char *path = arena_printf(a, "%s/signer/audit.log", dir);
	struct tbs t = leaf(s);
	struct bytes signature;
	int fd;

	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	t_signer_kill(pid);
	fd = open(path, O_WRONLY | O_APPEND);
	cr_assert_eq(write(fd, "{\"at\":\"20", 9), 9);
	close(fd);
	t_signer_start(a, &set);
	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0, "%s",
	    e.msg);
	cr_expect_not_null(strstr(record(), "\n{\"at\":\"20\n{"));
}

/* The first line of PATH, with its end cut off. */
static const char *
first_line(const char *path)
{
	struct bytes text;
	char *p;

	cr_assert_eq(file_read(a, path, 1 << 20, &text, &e), 0, "%s", e.msg);
	p = arena_strdup(a, (const char *)text.p);
	*strchrnul(p, '\n') = '\0';
	return p;
}

Test(signer, goes_on_with_its_record_in_another_file)
{
	struct signer *s = open_new("iss.key");
	const char *path = arena_printf(a, "%s/signer/audit.log", dir);
	const char *old = arena_printf(a, "%s.1", path);
	char hash[SHA256_HEX + 1];
	struct tbs t = leaf(s);
	struct bytes signature;

	sha256_hex(first_line(path), strlen(first_line(path)), hash);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	cr_expect_not_null(strstr(first_line(path), hash), "removed");
	sha256_hex(first_line(path), strlen(first_line(path)), hash);
	cr_assert_eq(rename(path, old), 0);
	kill(pid, SIGHUP);
	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	cr_expect_not_null(strstr(first_line(path), hash), "rotated");
}

Test(signer, signs_nothing_it_cannot_record)
{
	struct signer *s = open_new("iss.key");
	const char *path = arena_printf(a, "%s/signer/audit.log", dir);
	struct tbs t = leaf(s);
	struct bytes signature;

	cr_assert_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("/dev/full", path), 0);
	kill(pid, SIGHUP);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), -1);
	cr_expect_eq(e.code, E_UNAVAILABLE);
	cr_expect_eq(e.detail[0], '\0', "the path stays in the signer's log");
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0, "%s",
	    e.msg);
}

Test(signer, answers_while_somebody_does_not_listen)
{
	struct signer *s = open_new("iss.key");
	struct wire_request r = ask_for("iss.key");
	struct bytes p = wire_put_request(a, &r), signature;
	struct tbs t = leaf(s);
	int fd = dial(), n = 0;

	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (int64_t end = mono_us() + 500000; mono_us() < end; n++)
		if (wire_send(fd, p, -1) < 0)
			sleep_ms(1);
	cr_expect_eq(sign_tbs(s, a, make(&t), 0, &signature, &e), 0, "%s",
	    e.msg);
	close(fd);
}
