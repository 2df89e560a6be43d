/*
 * crl_each() against OpenSSL: of a list that OpenSSL reads and that is as
 * certctl makes them, it sees every entry.
 *
 *	t/fuzz/run 60 crl
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/err.h"
#include "x509/crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
count(void *arg, struct bytes serial)
{
	if (serial.len == 0)
		abort();
	++*(int *)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const unsigned char *p = data;
	struct err e = { 0 };
	X509_CRL *crl;
	int ours = 0, theirs;

	if (crl_each((struct bytes){ data, len }, count, &ours, &e) == 0) {
		crl = d2i_X509_CRL(NULL, &p, (long)len);
		theirs = crl == NULL || X509_CRL_get_REVOKED(crl) == NULL ?
		    0 : sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
		if (crl != NULL && X509_CRL_get0_nextUpdate(crl) != NULL &&
		    ours != theirs)
			abort();
		X509_CRL_free(crl);
	} else if (e.code != E_INVALID) {
		abort();
	}
	ERR_clear_error();
	return 0;
}
