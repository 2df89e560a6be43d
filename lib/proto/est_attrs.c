/* CSR attributes (RFC 8951 section 3.5, RFC 9908). */
#include "base/arena.h"
#include "base/buf.h"
#include "proto/est.h"
#include "x509/csr_attrs.h"
#include "x509/der.h"
#include "x509/ext.h"

#define ID_PKCS9(n) { "\x2a\x86\x48\x86\xf7\x0d\x01\x09" n, 9 }
#define ID_AA(n) { "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02" n, 11 }

static const struct oid id_extension_request = ID_PKCS9("\x0e");
static const struct oid id_template = ID_AA("\x3d");
static const struct oid id_extension_template = ID_AA("\x3e");
static const struct oid id_rsa = {
	"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9 };
static const struct oid id_ec = { "\x2a\x86\x48\xce\x3d\x02\x01", 7 };
static const struct oid id_ed25519 = { "\x2b\x65\x70", 3 };
static const struct oid id_san = { "\x55\x1d\x11", 3 };

static const struct {
	int bits;
	struct oid id;
} curves[] = {
	{ 256, { "\x2a\x86\x48\xce\x3d\x03\x01\x07", 8 } },
	{ 384, { "\x2b\x81\x04\x00\x22", 5 } },
	{ 521, { "\x2b\x81\x04\x00\x23", 5 } },
};

/* An Attribute being written: between these two, its only value. */
struct attribute {
	size_t seq, set;
};

static struct attribute
attribute_open(struct buf *b, const struct oid *id)
{
	struct attribute x;

	x.seq = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, id->p, id->len);
	x.set = der_open(b, DER_SET);
	return x;
}

static void
attribute_close(struct buf *b, struct attribute x)
{
	der_close(b, x.set);
	der_close(b, x.seq);
}

static void
put_number(struct buf *b, int n)
{
	unsigned char p[2] = { (unsigned char)(n >> 8), (unsigned char)n };

	der_uint(b, p, sizeof(p));
}

static const struct oid *
curve_of(int bits)
{
	for (size_t i = 0; i < NELEM(curves); i++)
		if (bits <= curves[i].bits)
			return &curves[i].id;
	return &curves[NELEM(curves) - 1].id;
}

static void
put_key_type(struct buf *b, struct key_type k)
{
	const struct oid *curve;
	struct attribute x;

	if (streq(k.algorithm, "RSA")) {
		x = attribute_open(b, &id_rsa);
		put_number(b, k.bits);
		attribute_close(b, x);
	} else if (streq(k.algorithm, "ECDSA")) {
		curve = curve_of(k.bits);
		x = attribute_open(b, &id_ec);
		der_put(b, DER_OID, curve->p, curve->len);
		attribute_close(b, x);
	} else {
		der_put(b, DER_OID, id_ed25519.p, id_ed25519.len);
	}
}

static int
put_extensions(struct buf *b, const struct est_attrs *t, struct err *e)
{
	struct attribute x = attribute_open(b, &id_extension_request);
	size_t seq = der_open(b, DER_SEQUENCE);
	int rc = ext_eku(b, &t->ekus, e);

	der_close(b, seq);
	attribute_close(b, x);
	return rc;
}

/* Attributes of the subject without values: the client's to fill in. */
static void
put_subject(struct buf *b, const struct est_attrs *t)
{
	size_t name = der_open(b, DER_SEQUENCE), rdn, attr;
	const struct oid *id;
	bool in_subject;

	for (size_t i = 0; i < t->required.n; i++) {
		id = attribute_find(t->required.v[i], &in_subject);
		if (id == NULL || !in_subject)
			continue;
		rdn = der_open(b, DER_SET);
		attr = der_open(b, DER_SEQUENCE);
		der_put(b, DER_OID, id->p, id->len);
		der_close(b, attr);
		der_close(b, rdn);
	}
	der_close(b, name);
}

/* A key of BITS that is nobody's, where RSA has no other place for a size. */
static void
put_rsa_placeholder(struct buf *b, int bits)
{
	unsigned char modulus[16384 / 8] = { 0x80 };
	size_t len = (size_t)bits / 8, bit_string, seq;

	if (len < 2 || len > sizeof(modulus))
		return;
	modulus[len - 1] = 1;
	bit_string = der_open(b, DER_BIT_STRING);
	buf_putc(b, 0);
	seq = der_open(b, DER_SEQUENCE);
	der_uint(b, modulus, len);
	der_uint(b, "\x01\x00\x01", 3);
	der_close(b, seq);
	der_close(b, bit_string);
}

static void
put_key_template(struct buf *b, struct key_type k)
{
	bool rsa = streq(k.algorithm, "RSA"), ec = streq(k.algorithm, "ECDSA");
	const struct oid *id = rsa ? &id_rsa : ec ? &id_ec : &id_ed25519;
	const struct oid *curve = curve_of(k.bits);
	size_t info = der_open(b, DER_CONSTRUCTED), seq;

	seq = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, id->p, id->len);
	if (rsa)
		der_put(b, DER_NULL, NULL, 0);
	else if (ec)
		der_put(b, DER_OID, curve->p, curve->len);
	der_close(b, seq);
	if (rsa)
		put_rsa_placeholder(b, k.bits);
	der_close(b, info);
}

/* Extended key usages as they must be, alternative names as the client has
 * them. */
static int
put_extension_templates(struct buf *b, const struct est_attrs *t,
    struct err *e)
{
	struct attribute x = attribute_open(b, &id_extension_template);
	size_t seq = der_open(b, DER_SEQUENCE), san;
	int rc = t->ekus.n > 0 ? ext_eku(b, &t->ekus, e) : 0;

	san = der_open(b, DER_SEQUENCE);
	der_put(b, DER_OID, id_san.p, id_san.len);
	der_close(b, san);
	der_close(b, seq);
	attribute_close(b, x);
	return rc;
}

/* CertificationRequestInfoTemplate (RFC 9908 section 3.4). */
static int
put_template(struct buf *b, const struct est_attrs *t, struct err *e)
{
	struct attribute x = attribute_open(b, &id_template);
	size_t seq = der_open(b, DER_SEQUENCE), attrs;
	int rc;

	der_put(b, DER_INTEGER, "\0", 1);
	if (t->required.n > 0)
		put_subject(b, t);
	if (t->n_keys > 0)
		put_key_template(b, t->keys[0]);
	attrs = der_open(b, DER_CONSTRUCTED + 1);
	rc = put_extension_templates(b, t, e);
	der_close(b, attrs);
	der_close(b, seq);
	attribute_close(b, x);
	return rc;
}

int
est_csrattrs(struct arena *a, const struct est_attrs *t, struct bytes *out,
    struct err *e)
{
	struct buf b = BUF(a);
	size_t seq = der_open(&b, DER_SEQUENCE), empty = b.len;

	for (size_t i = 0; i < t->n_keys; i++)
		put_key_type(&b, t->keys[i]);
	if ((t->ekus.n > 0 && put_extensions(&b, t, e) < 0) ||
	    (t->template && put_template(&b, t, e) < 0))
		return -1;
	*out = (struct bytes){ 0 };
	if (b.len == empty)
		return 0;
	der_close(&b, seq);
	*out = (struct bytes){ (unsigned char *)b.p, b.len };
	return 0;
}
