/*
 * Whatever a client sends to an EST door: body, header, request, wishes.
 * t/fuzz/run builds and runs it.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/est.h"
#include "x509/csr.h"
#include "x509/csr_attrs.h"
#include "x509/der.h"
#include "x509/key.h"

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

/* What was read of DER must lie within it. */
static void
within(struct bytes der, struct bytes part)
{
	if (part.len > 0 && (part.p < der.p ||
	    part.p + part.len > der.p + der.len))
		abort();
}

static void
refused(const struct err *e)
{
	if (e->code != E_INVALID || e->msg[0] == '\0')
		abort();
}

static void
try_request(struct arena *a, struct bytes der)
{
	static const char *names[] = { "commonName", "challengePassword" };
	struct texts required = { names, NELEM(names) };
	struct bytes spki, again;
	struct key_wish wish;
	struct err e = { 0 };
	struct csr *c;

	if (csr_require(der, &required, &e) < 0)
		refused(&e);
	if (csr_key_wish(der, &wish, &e) < 0) {
		refused(&e);
		return;
	}
	within(der, wish.capabilities);
	within(der, wish.symmetric_id);
	within(der, wish.asymmetric_id);
	if (csr_spki_of(der, &spki, &e) < 0 ||
	    csr_rekey(a, der, our_key(), &again, &e) < 0)
		abort();
	within(der, spki);
	c = csr_from_der(a, again.p, again.len, &e);
	if (c == NULL)
		refused(&e);
	else if (!streq(csr_spki_hash(c), key_spki_hash(a, our_key())))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	char *text = arena_strndup(a, (const char *)data, len);
	const char *user, *password;
	struct bytes der = { 0 };
	struct err e = { 0 };

	if (est_basic(a, text, &user, &password) && *user == '\0')
		abort();
	if (est_read_csr(a, "application/pkcs10", (const char *)data, len,
	    &der, &e) < 0)
		refused(&e);
	else
		try_request(a, der);
	try_request(a, (struct bytes){ data, len });
	arena_free(a);
	return 0;
}
