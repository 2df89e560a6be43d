#include "issuer/authority.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "sign/sign.h"
#include "x509/ca.h"
#include "x509/der.h"
#include "x509/digest.h"
#include "x509/key.h"
#include "x509/name.h"
#include "x509/tbs.h"

enum { BACKDATE_S = 300 };

struct authority {
	struct arena *a;
	struct ca *ca;
	struct signer *signer;
};

int
authority_identify(struct arena *a, const char *cert_pem,
    struct authority_id *out, struct err *e)
{
	struct ca *ca = ca_from_pem(a, cert_pem, e);
	struct buf whole = BUF(a);

	if (ca == NULL)
		return -1;
	der_raw(&whole, ca_subject_der(ca));
	der_raw(&whole, ca_spki_der(ca));
	out->id = sha256_hex(whole.p, whole.len,
	    arena_alloc(a, SHA256_HEX + 1));
	out->subject = ca_subject_der(ca);
	out->not_after = ca_cert(ca)->not_after;
	return 0;
}

struct authority *
authority_open(const char *cert_pem, const char *key_ref, struct err *e)
{
	struct arena *a = arena_new();
	struct authority *t = arena_zalloc(a, sizeof(*t));

	t->a = a;
	t->ca = ca_from_pem(a, cert_pem, e);
	if (t->ca != NULL)
		t->signer = sign_open(key_ref, e);
	if (t->signer == NULL) {
		authority_close(t);
		return NULL;
	}
	sign_bind(t->signer, ca_cert(t->ca)->der);
	return t;
}

void
authority_close(struct authority *t)
{
	if (t == NULL)
		return;
	sign_close(t->signer);
	arena_free(t->a);
}

struct bytes
authority_algorithm(const struct authority *t)
{
	return sign_algorithm(t->signer);
}

struct bytes
authority_subject(const struct authority *t)
{
	return ca_subject_der(t->ca);
}

struct bytes
authority_key_id(const struct authority *t)
{
	return ca_key_id(t->ca);
}

int
authority_sign_crl(struct authority *t, struct arena *a, struct bytes tbs,
    struct bytes *signature, struct err *e)
{
	return sign_crl(t->signer, a, tbs, signature, e);
}

int
authority_certify_responder(struct authority *t, struct arena *a,
    const struct key *key, int64_t life_s, struct responder_cert *out,
    struct err *e)
{
	const struct x509_cert *ca = ca_cert(t->ca);
	const char *cn = arena_printf(a, "OCSP Responder for %.40s",
	    ca->common_name);
	int64_t now = now_s(), end = now + life_s;
	struct tbs tbs = {
		.algorithm = sign_algorithm(t->signer),
		.issuer = ca_subject_der(t->ca),
		.subject = name_of(a, cn),
		.spki = key_spki(key),
		.not_before = now - BACKDATE_S > ca->not_before ?
		    now - BACKDATE_S : ca->not_before,
		.not_after = end < ca->not_after ? end : ca->not_after,
		.key_usage = USAGE_DIGITAL_SIGNATURE,
		.authority_key_id = ca_key_id(t->ca),
		.ocsp_nocheck = true,
	};
	struct bytes der, signature;
	struct x509_cert cert;

	texts_add(a, &tbs.ekus, "OCSPSigning");
	serial_new(tbs.serial);
	if (tbs_make(a, &tbs, &der, e) < 0 ||
	    sign_tbs(t->signer, a, der, SIGN_OCSP, &signature, e) < 0)
		return -1;
	der = cert_assemble(a, der, tbs.algorithm, signature);
	if (ca_read_issued(t->ca, a, der, &cert, e) < 0)
		return -1;
	*out = (struct responder_cert){
		.pem = cert.pem, .serial = cert.serial,
		.not_before = cert.not_before, .not_after = cert.not_after,
	};
	return 0;
}
