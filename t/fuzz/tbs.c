/*
 * tbs_read() against OpenSSL: what the holder of a CA key takes for an end
 * entity's must not be a CA's, nor an OCSP responder's, for those who rely on
 * the certificate.
 *
 *	clang -std=gnu17 -g -O1 -D_GNU_SOURCE -Ilib \
 *	    -fsanitize=fuzzer,address,undefined t/fuzz/tbs.c \
 *	    lib/base/[a-z]*.c lib/x509/[a-z]*.c -lssl -lcrypto -o fuzz-tbs
 *	mkdir -p corpus
 *	./fuzz-tbs -max_len=4096 -max_total_time=60 corpus t/fuzz/seeds/tbs
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/arena.h"
#include "x509/ossl.h"
#include "x509/tbs.h"

AUTO_FREE(BIGNUM, BN_free)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* May X sign OCSP responses? */
static bool
signs_ocsp(X509 *x)
{
	return (X509_get_extension_flags(x) & EXFLAG_XKUSAGE) != 0 &&
	    (X509_get_extended_key_usage(x) & (XKU_OCSP_SIGN | XKU_ANYEKU)) !=
	    0;
}

static void
ask_openssl(struct arena *a, struct bytes tbs, struct bytes algorithm,
    const struct tbs_info *info)
{
	struct bytes der = cert_assemble(a, tbs, algorithm, tbs);
	AUTO(X509) x = ossl_cert(der.p, der.len);
	AUTO(BIGNUM) number = NULL;
	int64_t at;
	struct err e;

	if (x == NULL)
		return;
	number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	if (number == NULL)
		abort();
	if (!info->ca && (X509_check_ca(x) != 0 ||
	    (X509_get_extension_flags(x) & EXFLAG_CA) != 0))
		abort();
	if (!info->ocsp && signs_ocsp(x))
		abort();
	if (BN_is_zero(number) || BN_is_negative(number))
		abort();
	if (ossl_time(X509_get0_notAfter(x), &at, &e) < 0 ||
	    at != info->not_after)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct bytes tbs = { data, len };
	struct tbs_info info;
	struct err e = { 0 };

	if (tbs_read(a, tbs, &info, &e) == 0)
		ask_openssl(a, tbs, info.algorithm, &info);
	else if (e.code != E_INVALID)
		abort();
	ERR_clear_error();
	arena_free(a);
	return 0;
}
