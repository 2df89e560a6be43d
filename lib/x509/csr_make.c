#include "base/buf.h"
#include "base/err.h"
#include "x509/csr.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/pem.h"

/* attributes [0] { extensionRequest { subjectAltName } } (RFC 2985, 5.4.2) */
static int
put_attributes(struct buf *b, const struct sans *sans, bool critical,
    struct err *e)
{
	static const unsigned char extension_request[] = { 0x2a, 0x86, 0x48,
	    0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e };
	size_t attributes = der_open(b, DER_CONSTRUCTED);
	size_t attribute, set, exts;

	if (sans->n != 0) {
		attribute = der_open(b, DER_SEQUENCE);
		der_put(b, DER_OID, extension_request,
		    sizeof(extension_request));
		set = der_open(b, DER_SET);
		exts = der_open(b, DER_SEQUENCE);
		if (ext_sans(b, sans, critical, e) < 0)
			return -1;
		der_close(b, exts);
		der_close(b, set);
		der_close(b, attribute);
	}
	der_close(b, attributes);
	return 0;
}

static int
parse_names(struct arena *a, const char *common_name,
    const struct texts *sans, struct sans *out, struct err *e)
{
	struct san s;

	if (!blank(common_name) && name_check_labels("the common name",
	    common_name, strlen(common_name), e) < 0)
		return -1;
	for (size_t i = 0; i < sans->n; i++) {
		if (san_parse(a, sans->v[i], &s, e) < 0)
			return -1;
		sans_add(a, out, s);
	}
	return 0;
}

char *
csr_make(struct arena *a, const struct key *k, const char *common_name,
    const struct texts *sans, struct err *e)
{
	struct buf info = BUF(a), req = BUF(a);
	struct bytes subject = name_of(a, common_name), signature, der;
	struct sans names = { 0 };
	size_t seq;

	if (parse_names(a, common_name, sans, &names, e) < 0)
		return NULL;
	seq = der_open(&info, DER_SEQUENCE);
	der_put(&info, DER_INTEGER, "\0", 1);	/* v1 */
	der_raw(&info, subject);
	der_raw(&info, key_spki(k));
	if (put_attributes(&info, &names, subject.len == 2, e) < 0)
		return NULL;
	der_close(&info, seq);
	der = (struct bytes){ (unsigned char *)info.p, info.len };
	if (key_sign(k, a, der, &signature, e) < 0)
		return NULL;
	seq = der_open(&req, DER_SEQUENCE);
	der_raw(&req, der);
	der_raw(&req, key_algorithm(k));
	der_bits(&req, signature.p, signature.len);
	der_close(&req, seq);
	der = (struct bytes){ (unsigned char *)req.p, req.len };
	return pem_make(a, "CERTIFICATE REQUEST", der);
}
