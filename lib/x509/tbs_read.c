#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/der.h"
#include "x509/tbs.h"

/*
 * The holder of a CA key reads what it signs with the strict reader of der.h,
 * not with the library that reads everything: what this does not understand
 * is not signed.
 */

enum { EXTENSIONS_MAX = 32 };

static bool
take(struct bytes *in, unsigned char tag, struct bytes *out)
{
	unsigned char got;

	return der_next(in, &got, out) && got == tag;
}

static bool
equal(struct bytes x, const char *p, size_t len)
{
	return x.len == len && memcmp(x.p, p, len) == 0;
}

/* UTCTime and GeneralizedTime as RFC 5280 section 4.1.2.5 has them. */
static bool
take_time(struct bytes *in, int64_t *at)
{
	static const char form[] = "....-..-..T..:..:..Z";
	char text[sizeof(form)];
	unsigned char tag;
	struct bytes t;
	struct err e;
	size_t n = 0, from = 0;

	if (!der_next(in, &tag, &t) ||
	    !(tag == DER_UTC_TIME ? t.len == 13 :
	    tag == DER_GENERALIZED_TIME && t.len == 15))
		return false;
	if (tag == DER_UTC_TIME) {
		memcpy(text, t.p[0] < '5' ? "20" : "19", 2);
		n = 2;
	}
	for (; n < sizeof(form) - 1; n++)
		text[n] = form[n] == '.' || form[n] == 'Z' ?
		    (char)t.p[from++] : form[n];
	text[n] = '\0';
	/* RFC 3339 also has a leap second and a small "z"; X.509 has not. */
	return text[17] < '6' && text[19] == 'Z' &&
	    rfc3339_parse(text, at, &e) == 0;
}

static bool
read_validity(struct bytes *in, struct tbs_info *out)
{
	struct bytes v;

	return take(in, DER_SEQUENCE, &v) && take_time(&v, &out->not_before) &&
	    take_time(&v, &out->not_after) && v.len == 0;
}

/* BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, ... } */
static bool
is_end_entity(struct bytes value)
{
	return equal(value, "\x30\x00", 2);
}

/* Neither keyCertSign nor cRLSign, and no second octet (decipherOnly). */
static bool
signs_no_certificates(struct bytes value)
{
	struct bytes bits;

	return take(&value, DER_BIT_STRING, &bits) && value.len == 0 &&
	    bits.len == 2 &&
	    (bits.p[1] & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN)) == 0;
}

struct extension {
	struct bytes id, value;
};

static bool
take_extension(struct bytes *in, struct extension *out)
{
	struct bytes x, critical;

	if (!take(in, DER_SEQUENCE, &x) || !take(&x, DER_OID, &out->id))
		return false;
	if (x.len > 0 && x.p[0] == DER_BOOLEAN &&
	    (!take(&x, DER_BOOLEAN, &critical) ||
	    !equal(critical, "\xff", 1)))
		return false;
	return take(&x, DER_OCTET_STRING, &out->value) && x.len == 0;
}

static bool
seen(const struct extension *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].id.len == v[n].id.len &&
		    memcmp(v[i].id.p, v[n].id.p, v[n].id.len) == 0)
			return true;
	return false;
}

/* Sets CA unless the extensions say twice that this is an end entity. */
static bool
read_extensions(struct bytes *in, struct tbs_info *out)
{
	struct extension v[EXTENSIONS_MAX];
	struct bytes outer, list;
	bool end_entity = false, signs_none = false;
	size_t n;

	if (!take(in, DER_CONSTRUCTED + 3, &outer) ||
	    !take(&outer, DER_SEQUENCE, &list) || outer.len != 0)
		return false;
	for (n = 0; list.len > 0; n++) {
		if (n == EXTENSIONS_MAX || !take_extension(&list, &v[n]) ||
		    seen(v, n))
			return false;
		if (equal(v[n].id, "\x55\x1d\x13", 3))
			end_entity = is_end_entity(v[n].value);
		else if (equal(v[n].id, "\x55\x1d\x0f", 3))
			signs_none = signs_no_certificates(v[n].value);
	}
	out->ca = !end_entity || !signs_none;
	return true;
}

static bool
read_fields(struct bytes in, struct bytes *serial, struct tbs_info *out)
{
	struct bytes tbs, part, version;
	const unsigned char *from;

	if (!take(&in, DER_SEQUENCE, &tbs) || in.len != 0 ||
	    !take(&tbs, DER_CONSTRUCTED, &part) ||
	    !take(&part, DER_INTEGER, &version) || part.len != 0 ||
	    !equal(version, "\x02", 1) || !take(&tbs, DER_INTEGER, serial) ||
	    serial->len == 0 || serial->len > SERIAL_LEN ||
	    serial->p[0] >= 0x80)
		return false;
	from = tbs.p;
	if (!take(&tbs, DER_SEQUENCE, &part))
		return false;
	out->algorithm = (struct bytes){ from, (size_t)(tbs.p - from) };
	return take(&tbs, DER_SEQUENCE, &part) &&	/* issuer */
	    read_validity(&tbs, out) &&
	    take(&tbs, DER_SEQUENCE, &part) &&		/* subject */
	    take(&tbs, DER_SEQUENCE, &part) &&		/* public key */
	    read_extensions(&tbs, out) && tbs.len == 0;
}

int
tbs_read(struct arena *a, struct bytes tbs, struct tbs_info *out,
    struct err *e)
{
	struct tbs_info info;
	struct bytes serial;

	if (!read_fields(tbs, &serial, &info))
		return err_set(e, E_INVALID,
		    "what is to be signed is not a certificate");
	info.serial = hex_encode(a, serial.p, serial.len);
	*out = info;
	return 0;
}
