/*
 * What a caller of certctl-signer may say: the message, and what it asks to
 * have signed.
 *
 * A message that is taken is what its fields encode to again.  The rest of the
 * input is read as a TBSCertList, and as the CA certificate.
 *
 *	clang -std=gnu17 -g -O1 -D_GNU_SOURCE -Ilib \
 *	    -fsanitize=fuzzer,address,undefined t/fuzz/signer.c \
 *	    lib/sign/wire.c lib/base/[a-z]*.c lib/x509/[a-z]*.c \
 *	    -lssl -lcrypto -o fuzz-signer
 *	mkdir -p corpus
 *	./fuzz-signer -max_len=4096 -max_total_time=60 corpus t/fuzz/seeds/signer
 */
#include <stdlib.h>

#include "base/arena.h"
#include "sign/wire.h"
#include "x509/tbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
encode_again(struct arena *a, struct bytes in, const struct wire_request *r)
{
	struct bytes again = wire_put_request(a, r);

	if (again.len != in.len || memcmp(again.p, in.p, in.len) != 0)
		abort();
}

/* A list is no certificate, and a certificate is no list. */
static void
read_as_both(struct arena *a, struct bytes tbs)
{
	struct tbs_list_info list;
	struct ca_grant grant;
	struct tbs_info info;
	struct err e = { 0 };
	bool is_list = tbs_list_read(a, tbs, &list, &e) == 0;

	if (is_list && tbs_read(a, tbs, &info, &e) == 0)
		abort();
	if (is_list && (list.algorithm.p < tbs.p ||
	    list.issuer.p + list.issuer.len > tbs.p + tbs.len))
		abort();
	ca_grant_read(tbs, &grant, &e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct bytes in = { data, len };
	struct wire_request r;
	struct wire_answer w;

	if (wire_get_request(in, &r)) {
		encode_again(a, in, &r);
		read_as_both(a, r.tbs);
		read_as_both(a, r.ca);
	}
	wire_get_answer(in, &w);
	read_as_both(a, in);
	arena_free(a);
	return 0;
}
