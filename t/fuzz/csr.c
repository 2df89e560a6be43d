/*
 * csr_from_der() and everything that may be asked of its result.
 *
 * Nearly every change to a request breaks its signature, which is checked
 * first.  So each input is tried as it is, and again with a key and signature
 * of our own put in, so that names and extensions are reached.
 *
 *	clang -std=gnu17 -g -O1 -D_GNU_SOURCE -Ilib \
 *	    -fsanitize=fuzzer,address,undefined t/fuzz/csr.c \
 *	    lib/base/[a-z]*.c lib/x509/[a-z]*.c -lssl -lcrypto -o fuzz-csr
 *	mkdir -p corpus
 *	./fuzz-csr -max_len=8192 -max_total_time=60 corpus t/fuzz/seeds/csr
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/csr.h"
#include "x509/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was accepted must be fit for a certificate. */
static void
use(const struct csr *c)
{
	struct sans sans = csr_sans(c);
	struct texts ekus = csr_ekus(c);
	struct key_type k = csr_key(c);
	size_t n = strlen(csr_common_name(c));

	if (!utf8_valid(csr_common_name(c), n) || k.bits < 256 ||
	    sans.n > SANS_MAX || csr_subject_der(c).len < 2 ||
	    csr_spki_der(c).len < 32 || strlen(csr_spki_hash(c)) != 64)
		abort();
	for (size_t i = 0; i < sans.n; i++)
		if (blank(sans.v[i].text))
			abort();
	for (size_t i = 0; i < ekus.n; i++)
		if (blank(ekus.v[i]))
			abort();
	(void)csr_wants_ca(c);
}

static void
try(struct arena *a, const void *der, size_t len)
{
	struct err e = { 0 };
	struct csr *c = csr_from_der(a, der, len, &e);

	if (c != NULL)
		use(c);
	else if (e.code != E_INVALID || e.msg[0] == '\0')
		abort();
}

static const struct key *
our_key(void)
{
	static struct arena *a;
	static struct key *k;
	struct err e;

	if (k == NULL) {
		a = arena_new();
		k = key_generate(a, (struct key_type){ "ECDSA", 256 }, &e);
	}
	return k;
}

/* The request IN with our key and signature; false if it is too broken. */
static bool
sign_again(struct arena *a, struct bytes in, struct buf *out)
{
	struct bytes req, info, version, subject, spki, der, signature;
	const struct key *k = our_key();
	struct buf b = BUF(a);
	unsigned char tag, name_tag;
	struct err e;
	size_t seq;

	if (!der_next(&in, &tag, &req) || !der_next(&req, &tag, &info) ||
	    !der_next(&info, &tag, &version) ||
	    !der_next(&info, &name_tag, &subject) ||
	    !der_next(&info, &tag, &spki))
		return false;
	seq = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_INTEGER, version.p, version.len);
	der_put(&b, name_tag, subject.p, subject.len);
	der_raw(&b, key_spki(k));
	der_raw(&b, info);	/* attributes, whatever they are */
	der_close(&b, seq);
	der = (struct bytes){ (unsigned char *)b.p, b.len };
	if (key_sign(k, a, der, &signature, &e) < 0)
		abort();
	seq = der_open(out, DER_SEQUENCE);
	der_raw(out, der);
	der_raw(out, key_algorithm(k));
	der_bits(out, signature.p, signature.len);
	der_close(out, seq);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct buf again = BUF(a);

	try(a, data, len);
	if (sign_again(a, (struct bytes){ data, len }, &again))
		try(a, again.p, again.len);
	arena_free(a);
	return 0;
}
