/*
 * ocsp_request_read() against OpenSSL: what it takes for a request, OpenSSL
 * does too, and both see the same certificates.  The answer to it is one that
 * OpenSSL reads, about these certificates.
 *
 *	t/fuzz/run 60 ocsp
 */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "x509/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
same_serial(const char *hex, OCSP_ONEREQ *one)
{
	ASN1_INTEGER *n;
	BIGNUM *ours = NULL, *theirs;

	OCSP_id_get0_info(NULL, NULL, NULL, &n,
	    OCSP_onereq_get0_id(one));
	if (ASN1_STRING_type(n) == V_ASN1_NEG_INTEGER) {
		if (*hex != '-')
			abort();
		return;
	}
	theirs = ASN1_INTEGER_to_BN(n, NULL);
	if (theirs == NULL || BN_hex2bn(&ours, hex) == 0 ||
	    BN_cmp(ours, theirs) != 0 || strlen(hex) % 2 != 0)
		abort();
	BN_free(ours);
	BN_free(theirs);
}

static struct bytes
answer(struct arena *a, const struct ocsp_request *rq)
{
	static const unsigned char octets[64], algorithm[] = { 0x30, 0x0a,
	    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
	const struct ocsp_signer s = { .key_hash = { octets, 20 } };
	struct ocsp_answer answers[OCSP_MAX_IDS];

	for (size_t i = 0; i < rq->n; i++)
		answers[i] = (struct ocsp_answer){
			.id_der = rq->id[i].der, .status = i % 3,
			.reason = (int)i % 11, .revoked_at = 1600000000,
			.this_update = 1700000000, .next_update = 1700003600,
		};
	return ocsp_assemble(a, &s, ocsp_data(a, &s, answers, rq->n,
	    1700000000, rq->nonce), (struct bytes){ algorithm,
	    sizeof(algorithm) }, (struct bytes){ octets, sizeof(octets) });
}

static void
check_answer(struct bytes der, OCSP_REQUEST *rq)
{
	const unsigned char *p = der.p;
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	OCSP_BASICRESP *basic = r == NULL ? NULL :
	    OCSP_response_get1_basic(r);

	if (basic == NULL || p != der.p + der.len ||
	    OCSP_resp_count(basic) != OCSP_request_onereq_count(rq))
		abort();
	for (int i = 0; i < OCSP_resp_count(basic); i++)
		if (OCSP_id_cmp(OCSP_SINGLERESP_get0_id(OCSP_resp_get0(basic,
		    i)), OCSP_onereq_get0_id(OCSP_request_onereq_get0(rq,
		    i))) != 0)
			abort();
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena *a = arena_new();
	struct ocsp_request rq;
	const unsigned char *p = data;
	OCSP_REQUEST *theirs;

	if (ocsp_request_read(a, (struct bytes){ data, len }, &rq) ==
	    OCSP_SUCCESSFUL) {
		if (rq.n == 0 || rq.n > OCSP_MAX_IDS ||
		    rq.nonce.len > OCSP_MAX_NONCE ||
		    rq.n_preferred > OCSP_MAX_PREFERRED)
			abort();
		theirs = d2i_OCSP_REQUEST(NULL, &p, (long)len);
		if (theirs != NULL) {
			if (OCSP_request_onereq_count(theirs) != (int)rq.n)
				abort();
			for (size_t i = 0; i < rq.n; i++)
				same_serial(rq.id[i].serial_hex,
				    OCSP_request_onereq_get0(theirs, (int)i));
			check_answer(answer(a, &rq), theirs);
		}
		OCSP_REQUEST_free(theirs);
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
