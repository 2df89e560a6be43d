#include "x509/ext.h"

#include <arpa/inet.h>

#include "base/buf.h"
#include "base/err.h"
#include "x509/der.h"
#include "x509/eku.h"
#include "x509/san.h"

#define ID_CE(n) { "\x55\x1d" n, 3 }
#define ID_PKIX(n) { "\x2b\x06\x01\x05\x05\x07" n, sizeof(n) + 5 }

static const struct oid id_ski = ID_CE("\x0e");
static const struct oid id_key_usage = ID_CE("\x0f");
static const struct oid id_san = ID_CE("\x11");
static const struct oid id_basic_constraints = ID_CE("\x13");
static const struct oid id_crl_points = ID_CE("\x1f");
static const struct oid id_aki = ID_CE("\x23");
static const struct oid id_eku = ID_CE("\x25");
static const struct oid id_no_rev_avail = ID_CE("\x38");
static const struct oid id_authority_info = ID_PKIX("\x01\x01");
static const struct oid id_ocsp_nocheck = ID_PKIX("\x30\x01\x05");
static const struct oid id_tls_feature = ID_PKIX("\x01\x18");

enum {	/* GeneralName choices */
	GN_EMAIL = DER_CONTEXT + 1,
	GN_DNS = DER_CONTEXT + 2,
	GN_URI = DER_CONTEXT + 6,
	GN_IP = DER_CONTEXT + 7,
};

struct ext
ext_open(struct buf *b, struct oid id, bool critical)
{
	struct ext x;

	x.seq = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, id.p, id.len);
	if (critical)
		der_true(b);
	x.value = der_open(b, DER_OCTET_STRING);
	return x;
}

void
ext_close(struct buf *b, struct ext x)
{
	der_close(b, x.value);
	der_close(b, x.seq);
}

void
ext_basic_constraints(struct buf *b, bool ca)
{
	struct ext x = ext_open(b, id_basic_constraints, true);
	size_t seq = der_open(b, DER_SEQUENCE);

	if (ca)
		der_true(b);
	der_close(b, seq);
	ext_close(b, x);
}

void
ext_key_usage(struct buf *b, unsigned char usage)
{
	struct ext x = ext_open(b, id_key_usage, true);

	der_flags(b, usage);
	ext_close(b, x);
}

int
ext_eku(struct buf *b, const struct texts *ekus, struct err *e)
{
	/* A time stamping certificate says so alone and critically (RFC 3161
	 * section 2.3). */
	bool critical = ekus->n == 1 && streq(ekus->v[0], "timeStamping");
	struct ext x = ext_open(b, id_eku, critical);
	size_t seq = der_open(b, DER_SEQUENCE);
	const struct eku *eku;

	for (size_t i = 0; i < ekus->n; i++) {
		eku = eku_find(ekus->v[i]);
		if (eku == NULL)
			return err_set(e, E_INVALID, "extended key usage "
			    "\"%s\" is not known", ekus->v[i]);
		der_put(b, DER_OID, eku->oid, EKU_OID_LEN);
	}
	der_close(b, seq);
	ext_close(b, x);
	return 0;
}

void
ext_subject_key_id(struct buf *b, const void *id, size_t len)
{
	struct ext x = ext_open(b, id_ski, false);

	der_put(b, DER_OCTET_STRING, id, len);
	ext_close(b, x);
}

void
ext_authority_key_id(struct buf *b, struct bytes id)
{
	struct ext x = ext_open(b, id_aki, false);
	size_t seq = der_open(b, DER_SEQUENCE);

	der_put(b, DER_CONTEXT, id.p, id.len);
	der_close(b, seq);
	ext_close(b, x);
}

static int
put_ip(struct buf *b, const char *text, struct err *e)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	unsigned char ip[16];

	if (inet_pton(family, text, ip) != 1)
		return err_set(e, E_INVALID, "\"%s\" is not an IP address",
		    text);
	der_put(b, GN_IP, ip, family == AF_INET6 ? 16 : 4);
	return 0;
}

int
ext_sans(struct buf *b, const struct sans *sans, bool critical,
    struct err *e)
{
	static const unsigned char tags[] = {
		[SAN_DNS] = GN_DNS, [SAN_EMAIL] = GN_EMAIL, [SAN_URI] = GN_URI,
	};
	struct ext x = ext_open(b, id_san, critical);
	size_t seq = der_open(b, DER_SEQUENCE);
	const struct san *s;

	for (s = sans->v; s < sans->v + sans->n; s++) {
		if (s->type != SAN_IP)
			der_put(b, tags[s->type], s->text, strlen(s->text));
		else if (put_ip(b, s->text, e) < 0)
			return -1;
	}
	der_close(b, seq);
	ext_close(b, x);
	return 0;
}

static void
put_access(struct buf *b, struct oid method, const char *url)
{
	size_t seq;

	if (blank(url))
		return;
	seq = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, method.p, method.len);
	der_put(b, GN_URI, url, strlen(url));
	der_close(b, seq);
}

void
ext_authority_info(struct buf *b, const char *ocsp_url,
    const char *issuer_url)
{
	static const struct oid ocsp = ID_PKIX("\x30\x01");
	static const struct oid ca_issuers = ID_PKIX("\x30\x02");
	struct ext x;
	size_t seq;

	if (blank(ocsp_url) && blank(issuer_url))
		return;
	x = ext_open(b, id_authority_info, false);
	seq = der_open(b, DER_SEQUENCE);
	put_access(b, ocsp, ocsp_url);
	put_access(b, ca_issuers, issuer_url);
	der_close(b, seq);
	ext_close(b, x);
}

void
ext_crl_points(struct buf *b, const struct texts *urls)
{
	struct ext x;
	size_t seq, point, name, full;

	if (urls->n == 0)
		return;
	x = ext_open(b, id_crl_points, false);
	seq = der_open(b, DER_SEQUENCE);
	for (size_t i = 0; i < urls->n; i++) {
		point = der_open(b, DER_SEQUENCE);
		name = der_open(b, DER_CONSTRUCTED);
		full = der_open(b, DER_CONSTRUCTED);
		der_put(b, GN_URI, urls->v[i], strlen(urls->v[i]));
		der_close(b, full);
		der_close(b, name);
		der_close(b, point);
	}
	der_close(b, seq);
	ext_close(b, x);
}

void
ext_must_staple(struct buf *b)
{
	struct ext x = ext_open(b, id_tls_feature, false);
	size_t seq = der_open(b, DER_SEQUENCE);

	der_put(b, DER_INTEGER, "\x05", 1);	/* status_request */
	der_close(b, seq);
	ext_close(b, x);
}

void
ext_no_rev_avail(struct buf *b)
{
	struct ext x = ext_open(b, id_no_rev_avail, false);

	der_put(b, DER_NULL, NULL, 0);
	ext_close(b, x);
}

void
ext_ocsp_nocheck(struct buf *b)
{
	struct ext x = ext_open(b, id_ocsp_nocheck, false);

	der_put(b, DER_NULL, NULL, 0);
	ext_close(b, x);
}
