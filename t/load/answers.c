/* What was answered: parsed and verified by OpenSSL once the load has ended. */
#include "t/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	COMPLAINTS = 10,
	VERIFIERS = 2,
};

enum result { GOOD, REVOKED, UNKNOWN, MALFORMED, BROKEN, WRONG };

struct record {
	int64_t due, sent, got;
	uint32_t n;
	uint8_t kind, result, reason, unused;
};

static struct record *records;
static int64_t to_wall_us;		/* from the monotonic clock */

static int64_t
seconds_of(const ASN1_GENERALIZEDTIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

/* Does BASIC carry S's nonce, or none if none was sent? */
static bool
nonce_fits(const struct shot *s, OCSP_BASICRESP *basic)
{
	int at = OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce,
	    -1);
	const ASN1_OCTET_STRING *value;

	if (kinds[s->kind].nonce == 0 || at < 0)
		return kinds[s->kind].nonce == 0 && at < 0;
	value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(basic, at));
	return ASN1_STRING_length(value) == NONCE + 2 &&
	    memcmp(ASN1_STRING_get0_data(value) + 2, s->nonce, NONCE) == 0;
}

static bool
id_fits(const struct shot *s, const OCSP_SINGLERESP *single)
{
	const struct kind *k = &kinds[s->kind];
	unsigned char want[sizeof(k->id)], *der = NULL;
	int len = i2d_OCSP_CERTID(OCSP_SINGLERESP_get0_id(single), &der);
	bool same;

	memcpy(want, k->id, k->id_len);
	put_serial(want + k->id_serial, s->n);
	same = (size_t)len == k->id_len && memcmp(der, want, k->id_len) == 0;
	OPENSSL_free(der);
	return same;
}

/* A responder is looked at once, as relying parties do; then its key counts. */
static bool
signature_fits(OCSP_BASICRESP *basic)
{
	static X509 *known;
	static X509_STORE *store;
	X509 *cert = sk_X509_value(OCSP_resp_get0_certs(basic), 0);

	if (store == NULL) {
		store = X509_STORE_new();
		X509_STORE_add_cert(store, ca);
	}
	if (known == NULL || cert == NULL || X509_cmp(known, cert) != 0) {
		if (OCSP_basic_verify(basic, NULL, store, 0) != 1)
			return false;
		X509_free(known);
		known = X509_dup(cert);
		return true;
	}
	return ASN1_item_verify(ASN1_ITEM_rptr(OCSP_RESPDATA),
	    OCSP_resp_get0_tbs_sigalg(basic), (ASN1_BIT_STRING *)(uintptr_t)
	    OCSP_resp_get0_signature(basic), OCSP_resp_get0_respdata(basic),
	    X509_get0_pubkey(known)) == 1;
}

static const char *
check_basic(const struct shot *s, OCSP_BASICRESP *basic, struct record *r)
{
	ASN1_GENERALIZEDTIME *revoked, *from, *to;
	OCSP_SINGLERESP *single = OCSP_resp_get0(basic, 0);
	int64_t got = (s->got + to_wall_us) / 1000000;
	int reason = -1, status;

	if (OCSP_resp_count(basic) != 1 || !id_fits(s, single))
		return "another certificate's";
	if (!nonce_fits(s, basic))
		return "another nonce";
	status = OCSP_single_get0_status(single, &reason, &revoked, &from,
	    &to);
	if (seconds_of(from) > got || seconds_of(to) <= got)
		return "not valid now";
	if (kinds[s->kind].nonce > 0 && seconds_of(
	    OCSP_resp_get0_produced_at(basic)) < got - 5)
		return "made before it was asked for";
	if (!signature_fits(basic))
		return "not signed";
	r->result = (uint8_t)status;
	r->reason = (uint8_t)(reason < 0 ? 0 : reason);
	return NULL;
}

/* What is wrong with the answer to S, or NULL with R filled. */
static const char *
check(const struct shot *s, const unsigned char *body, struct record *r)
{
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	const char *why = "no successful answer";

	if (s->status != 200)
		return s->status == 0 ? "no answer" : "not 200";
	if (kind_is_bad(&kinds[s->kind])) {
		r->result = MALFORMED;
		return s->body_len == 5 && memcmp(body, "\x30\x03\x0a\x01\x01",
		    5) == 0 ? NULL : "not malformedRequest";
	}
	response = d2i_OCSP_RESPONSE(NULL, &body, s->body_len);
	basic = response == NULL || OCSP_response_status(response) != 0 ?
	    NULL : OCSP_response_get1_basic(response);
	if (basic != NULL)
		why = check_basic(s, basic, r);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return why;
}

static int
check_share(unsigned share)
{
	const char *why;
	int wrong = 0;

	for (size_t i = share; i < n_shots; i += VERIFIERS) {
		struct shot *s = &shots[i];
		struct record *r = &records[i];

		*r = (struct record){ s->due, s->sent, s->got, s->n,
		    (uint8_t)s->kind, 0, 0, 0 };
		why = check(s, bodies[i], r);
		if (why == NULL)
			continue;
		r->result = s->status == 200 ? WRONG : BROKEN;
		if (wrong++ < COMPLAINTS)
			fprintf(stderr, "%s, certificate %u: %s (HTTP %u)\n",
			    kinds[s->kind].name, s->n, why, s->status);
	}
	return wrong > 0;
}

/* Signatures take longer to verify than to make. */
static bool
check_all(void)
{
	int status, bad = 0;

	for (unsigned i = 0; i < VERIFIERS; i++)
		if (fork() == 0)
			_exit(check_share(i));
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}

bool
answers_check(size_t most)
{
	FILE *out = fopen(opt.out, "w");
	bool bad;

	records = room_for(most, sizeof(*records));
	to_wall_us = now_ns() / 1000 - mono_us();
	bad = check_all();
	if (out == NULL || fwrite(records, sizeof(*records), n_shots, out) !=
	    n_shots || fclose(out) != 0)
		die(opt.out);
	return bad;
}
