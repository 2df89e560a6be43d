#include "t/x509/fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/file.h"
#include "x509/der.h"

char *
t_data(struct arena *a, const char *name)
{
	struct bytes text;
	struct err e = { 0 };

	cr_assert_eq(file_read(a, arena_printf(a, "%s/%s", T_DATA, name),
	    1024 * 1024, &text, &e), 0, "%s", e.msg);
	return (char *)(uintptr_t)text.p;
}

static void
remove_dir(void *dir)
{
	const char *argv[] = { "rm", "-rf", dir, NULL };
	struct arena *a = arena_new();
	struct exec_result r;
	struct err e;

	exec_run(a, argv, NULL, 10000, &r, &e);
	arena_free(a);
}

char *
t_dir(struct arena *a)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = arena_printf(a, "%s/certctl-t-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");

	cr_assert_not_null(mkdtemp(dir));
	arena_defer(a, remove_dir, dir);
	return dir;
}

void
t_write(const char *path, const char *text, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t len = strlen(text);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	cr_assert_eq(fchmod(fd, (mode_t)mode), 0);
	close(fd);
}

const char *
t_run(struct arena *a, const char *const *argv)
{
	struct exec_result r;
	struct err e = { 0 };

	cr_assert_eq(exec_run(a, argv, NULL, 20000, &r, &e), 0, "%s", e.msg);
	if (r.status == 0)
		return r.output;
	cr_log_warn("%s %s: %s", argv[0], argv[1], r.output);
	return NULL;
}

struct key *
t_key_of(struct arena *a, const char *algorithm, int bits)
{
	struct key_type type = { algorithm, bits };
	struct err e = { 0 };
	struct key *k = key_generate(a, type, &e);

	cr_assert_not_null(k, "%s", e.msg);
	return k;
}

struct key *
t_key(struct arena *a)
{
	return t_key_of(a, "ECDSA", 256);
}

static void
put_subject(struct buf *b, const struct t_request *r)
{
	size_t name = der_open(b, DER_SEQUENCE), set, attr;

	if (r->cn != NULL) {
		set = der_open(b, DER_SET);
		attr = der_open(b, DER_SEQUENCE);
		der_put(b, DER_OID, "\x55\x04\x03", 3);
		der_put(b, DER_UTF8_STRING, r->cn, r->cn_len);
		der_close(b, attr);
		der_close(b, set);
	}
	der_close(b, name);
}

static void
put_attribute(struct buf *b, const struct t_request *r)
{
	size_t attr = der_open(b, DER_SEQUENCE), set, exts, ext, value, names;

	der_put(b, DER_OID, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", 9);
	set = der_open(b, DER_SET);
	exts = der_open(b, DER_SEQUENCE);
	ext = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, "\x55\x1d\x11", 3);
	value = der_open(b, DER_OCTET_STRING);
	names = der_open(b, DER_SEQUENCE);
	for (size_t i = 0; i < r->n; i++)
		der_put(b, r->names[i].tag, r->names[i].p, r->names[i].len);
	der_close(b, names);
	der_close(b, value);
	der_close(b, ext);
	der_close(b, exts);
	der_close(b, set);
	der_close(b, attr);
}

struct bytes
t_forge(struct arena *a, const struct t_request *r)
{
	struct key *k = t_key(a), *signer = r->other_key ? t_key(a) : k;
	struct buf info = BUF(a), req = BUF(a);
	size_t seq = der_open(&info, DER_SEQUENCE), attributes;
	struct bytes der, signature;
	struct err e = { 0 };

	der_put(&info, DER_INTEGER, "\0", 1);
	put_subject(&info, r);
	der_raw(&info, key_spki(k));
	attributes = der_open(&info, DER_CONSTRUCTED);
	if (r->n != 0)
		put_attribute(&info, r);
	if (r->twice)
		put_attribute(&info, r);
	der_close(&info, attributes);
	der_close(&info, seq);
	der = (struct bytes){ (unsigned char *)info.p, info.len };
	cr_assert_eq(key_sign(signer, a, der, &signature, &e), 0, "%s", e.msg);
	seq = der_open(&req, DER_SEQUENCE);
	der_raw(&req, der);
	der_raw(&req, key_algorithm(k));
	der_bits(&req, signature.p, signature.len);
	der_close(&req, seq);
	return (struct bytes){ (unsigned char *)req.p, req.len };
}
