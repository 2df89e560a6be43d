/*
 * CMS: what is put together must come apart again, whatever is in it, and what
 * a client says of ciphers and keys must do no harm.  t/fuzz/run builds and
 * runs it.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/cms.h"
#include "x509/der.h"
#include "x509/key.h"
#include "x509/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

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

static struct bytes
element(struct bytes *in, unsigned char want)
{
	struct bytes content;
	unsigned char tag;

	if (!der_next(in, &tag, &content) || tag != want)
		abort();
	return content;
}

/* The certificates of the degenerate SignedData DER. */
static struct bytes
certificates(struct bytes der)
{
	struct bytes info = element(&der, DER_SEQUENCE), explicit, data;

	element(&info, DER_OID);
	explicit = element(&info, DER_CONSTRUCTED);
	data = element(&explicit, DER_SEQUENCE);
	element(&data, DER_INTEGER);
	element(&data, DER_SET);
	element(&data, DER_SEQUENCE);
	return element(&data, DER_CONSTRUCTED);
}

static void
try_certs_only(struct arena *a, struct bytes all)
{
	struct bytes certs[8], in = all, content, out;
	const unsigned char *from;
	size_t n = 0, total = 0;
	unsigned char tag;

	for (from = in.p; n < 8 && der_next(&in, &tag, &content); from = in.p) {
		certs[n] = (struct bytes){ from, (size_t)(in.p - from) };
		total += certs[n++].len;
	}
	out = certificates(cms_certs_only(a, certs, n));
	if (out.len != total)
		abort();
	for (size_t i = 0; i < n; i++)
		if (memmem(out.p, out.len, certs[i].p, certs[i].len) == NULL)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct bytes all = { data, len };
	struct cms_recipient as_key = { .spki = all };
	struct cms_recipient as_wish = {
		.spki = key_spki(our_key()), .capabilities = all,
	};
	struct err e = { 0 };

	try_certs_only(a, all);
	if (cms_can_seal_key(our_key(), &as_key, &e) < 0 &&
	    e.code != E_INVALID)
		abort();
	if (cms_can_seal_key(our_key(), &as_wish, &e) < 0 &&
	    e.code != E_INVALID)
		abort();
	(void)key_id_is(all, all);
	(void)name_same(all, all);
	arena_free(a);
	return 0;
}
