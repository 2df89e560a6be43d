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

/*
 * An INTEGER that is not negative, in as few octets as it takes (X.690 section
 * 8.3.2), at most as many as a serial number may have (RFC 5280 section
 * 4.1.2.2).
 */
static bool
take_number(struct bytes *in, struct bytes *n)
{
	return der_take(in, DER_INTEGER, n) && n->len > 0 &&
	    n->len <= SERIAL_LEN && n->p[0] < 0x80 &&
	    (n->len == 1 || n->p[0] != 0 || n->p[1] >= 0x80);
}

/* An OBJECT IDENTIFIER whose every part is in as few octets as it takes
 * (X.690 section 8.19.2): another spelling would be another one to us. */
static bool
take_oid(struct bytes *in, struct bytes *id)
{
	bool begins = true;

	if (!der_take(in, DER_OID, id) || id->len == 0)
		return false;
	for (size_t i = 0; i < id->len; i++) {
		if (begins && id->p[i] == 0x80)
			return false;
		begins = id->p[i] < 0x80;
	}
	return begins;
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
take_validity(struct bytes *in, int64_t *from, int64_t *to)
{
	struct bytes v;

	return der_take(in, DER_SEQUENCE, &v) && take_time(&v, from) &&
	    take_time(&v, to) && v.len == 0;
}

/* BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, ... } */
static bool
is_end_entity(struct bytes value)
{
	return equal(value, "\x30\x00", 2);
}

/* Neither keyCertSign nor cRLSign, and no second octet (decipherOnly), in the
 * one way to write that (X.690 section 11.2). */
static bool
signs_no_certificates(struct bytes value)
{
	struct bytes bits;

	return der_take(&value, DER_BIT_STRING, &bits) && value.len == 0 &&
	    bits.len == 2 && bits.p[0] < 8 &&
	    (bits.p[1] & ((2u << bits.p[0]) - 1)) == 1u << bits.p[0] &&
	    (bits.p[1] & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN)) == 0;
}

/* False unless VALUE is a list of purposes; *OCSP if it allows that one. */
static bool
read_purposes(struct bytes value, bool *ocsp)
{
	struct bytes list, id;

	if (!der_take(&value, DER_SEQUENCE, &list) || value.len != 0 ||
	    list.len == 0)
		return false;
	while (list.len > 0) {
		if (!take_oid(&list, &id))
			return false;
		/* id-kp-OCSPSigning, anyExtendedKeyUsage */
		if (equal(id, "\x2b\x06\x01\x05\x05\x07\x03\x09", 8) ||
		    equal(id, "\x55\x1d\x25\x00", 4))
			*ocsp = true;
	}
	return true;
}

/* The extensions we know, and what a certificate with one must be. */
static const struct known {
	const char *id;
	size_t len;
	bool ca, ocsp;
} known[] = {
#define ID(s) s, sizeof(s) - 1
#define ID_PE "\x2b\x06\x01\x05\x05\x07\x01"
	{ ID("\x55\x1d\x0e"), false, false },	/* subjectKeyIdentifier */
	{ ID("\x55\x1d\x0f"), false, false },	/* keyUsage */
	{ ID("\x55\x1d\x11"), false, false },	/* subjectAltName */
	{ ID("\x55\x1d\x13"), false, false },	/* basicConstraints */
	{ ID("\x55\x1d\x1e"), true, false },	/* nameConstraints */
	{ ID("\x55\x1d\x1f"), false, false },	/* cRLDistributionPoints */
	{ ID("\x55\x1d\x20"), false, false },	/* certificatePolicies */
	{ ID("\x55\x1d\x21"), true, false },	/* policyMappings */
	{ ID("\x55\x1d\x23"), false, false },	/* authorityKeyIdentifier */
	{ ID("\x55\x1d\x24"), true, false },	/* policyConstraints */
	{ ID("\x55\x1d\x25"), false, false },	/* extKeyUsage */
	{ ID("\x55\x1d\x2e"), false, false },	/* freshestCRL */
	{ ID("\x55\x1d\x36"), true, false },	/* inhibitAnyPolicy */
	{ ID("\x55\x1d\x38"), false, false },	/* noRevAvail */
	{ ID(ID_PE "\x01"), false, false },	/* authorityInfoAccess */
	{ ID(ID_PE "\x0b"), false, false },	/* subjectInfoAccess */
	{ ID(ID_PE "\x18"), false, false },	/* tlsfeature */
	/* ocsp-nocheck */
	{ ID("\x2b\x06\x01\x05\x05\x07\x30\x01\x05"), false, true },
};

static const struct known *
find_known(struct bytes id)
{
	for (size_t i = 0; i < NELEM(known); i++)
		if (equal(id, known[i].id, known[i].len))
			return &known[i];
	return NULL;
}

struct extension {
	struct bytes id, value;
};

static bool
take_extension(struct bytes *in, struct extension *out)
{
	struct bytes x, critical;

	if (!der_take(in, DER_SEQUENCE, &x) || !take_oid(&x, &out->id))
		return false;
	if (x.len > 0 && x.p[0] == DER_BOOLEAN &&
	    (!der_take(&x, DER_BOOLEAN, &critical) ||
	    !equal(critical, "\xff", 1)))
		return false;
	return der_take(&x, DER_OCTET_STRING, &out->value) && x.len == 0;
}

static bool
seen(const struct extension *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_eq(v[i].id, v[n].id))
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
	const struct known *k;
	size_t n;

	out->ca = out->ocsp = out->unknown = false;
	if (!der_take(in, DER_CONSTRUCTED + 3, &outer) ||
	    !der_take(&outer, DER_SEQUENCE, &list) || outer.len != 0)
		return false;
	for (n = 0; list.len > 0; n++) {
		if (n == EXTENSIONS_MAX || !take_extension(&list, &v[n]) ||
		    seen(v, n))
			return false;
		if (equal(v[n].id, "\x55\x1d\x13", 3))
			end_entity = is_end_entity(v[n].value);
		else if (equal(v[n].id, "\x55\x1d\x0f", 3))
			signs_none = signs_no_certificates(v[n].value);
		else if (equal(v[n].id, "\x55\x1d\x25", 3) &&
		    !read_purposes(v[n].value, &out->ocsp))
			return false;
		k = find_known(v[n].id);
		out->unknown |= k == NULL;
		out->ca |= k != NULL && k->ca;
		out->ocsp |= k != NULL && k->ocsp;
	}
	out->ca |= !end_entity || !signs_none;
	return true;
}

static bool
read_fields(struct bytes in, struct bytes *serial, struct tbs_info *out)
{
	struct bytes tbs, part, version;

	if (!der_take(&in, DER_SEQUENCE, &tbs) || in.len != 0 ||
	    !der_take(&tbs, DER_CONSTRUCTED, &part) ||
	    !der_take(&part, DER_INTEGER, &version) || part.len != 0 ||
	    !equal(version, "\x02", 1) || !take_number(&tbs, serial) ||
	    equal(*serial, "\0", 1))
		return false;
	return der_take_whole(&tbs, DER_SEQUENCE, &out->algorithm) &&
	    der_take_whole(&tbs, DER_SEQUENCE, &out->issuer) &&
	    take_validity(&tbs, &out->not_before, &out->not_after) &&
	    der_take_whole(&tbs, DER_SEQUENCE, &out->subject) &&
	    der_take_whole(&tbs, DER_SEQUENCE, &out->spki) &&
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

/* The number of revoked certificates in IN, each one whole; false if not. */
static bool
count_entries(struct bytes in, size_t *n)
{
	struct bytes entry, part;
	int64_t at;

	for (*n = 0; in.len > 0; (*n)++)
		if (!der_take(&in, DER_SEQUENCE, &entry) ||
		    !der_take(&entry, DER_INTEGER, &part) || part.len == 0 ||
		    !take_time(&entry, &at) ||
		    (entry.len > 0 && !der_take(&entry, DER_SEQUENCE, &part)) ||
		    entry.len != 0)
			return false;
	return true;
}

/* The cRLNumber among the extensions in IN. */
static bool
find_number(struct bytes in, struct bytes *number)
{
	struct extension v[EXTENSIONS_MAX];
	struct bytes list, value;
	bool found = false;
	size_t n;

	if (!der_take(&in, DER_SEQUENCE, &list) || in.len != 0)
		return false;
	for (n = 0; list.len > 0; n++) {
		if (n == EXTENSIONS_MAX || !take_extension(&list, &v[n]) ||
		    seen(v, n))
			return false;
		if (!equal(v[n].id, "\x55\x1d\x14", 3))
			continue;
		value = v[n].value;
		found = take_number(&value, number) && value.len == 0;
		if (!found)
			return false;
	}
	return found;
}

static bool
read_list(struct bytes in, struct bytes *number, struct tbs_list_info *out)
{
	struct bytes list, part;

	if (!der_take(&in, DER_SEQUENCE, &list) || in.len != 0 ||
	    !der_take(&list, DER_INTEGER, &part) || !equal(part, "\x01", 1) ||
	    !der_take_whole(&list, DER_SEQUENCE, &out->algorithm) ||
	    !der_take_whole(&list, DER_SEQUENCE, &out->issuer) ||
	    !take_time(&list, &out->this_update) ||
	    !take_time(&list, &out->next_update))
		return false;
	out->entries = 0;
	if (list.len > 0 && list.p[0] == DER_SEQUENCE &&
	    (!der_take(&list, DER_SEQUENCE, &part) || part.len == 0 ||
	    !count_entries(part, &out->entries)))
		return false;
	return der_take(&list, DER_CONSTRUCTED, &part) && list.len == 0 &&
	    find_number(part, number);
}

int
tbs_list_read(struct arena *a, struct bytes tbs, struct tbs_list_info *out,
    struct err *e)
{
	struct tbs_list_info info;
	struct bytes number;

	if (!read_list(tbs, &number, &info))
		return err_set(e, E_INVALID,
		    "what is to be signed is not a CRL with a number");
	info.number = hex_encode(a, number.p, number.len);
	*out = info;
	return 0;
}

static bool
read_grant(struct bytes in, struct ca_grant *out)
{
	struct bytes cert, tbs, part;

	if (!der_take(&in, DER_SEQUENCE, &cert) || in.len != 0 ||
	    !der_take(&cert, DER_SEQUENCE, &tbs))
		return false;
	/* Version 1 has none; old roots are such. */
	if (tbs.len > 0 && tbs.p[0] == DER_CONSTRUCTED &&
	    !der_take(&tbs, DER_CONSTRUCTED, &part))
		return false;
	return der_take(&tbs, DER_INTEGER, &part) &&
	    der_take(&tbs, DER_SEQUENCE, &part) &&		/* algorithm */
	    der_take(&tbs, DER_SEQUENCE, &part) &&		/* issuer */
	    take_validity(&tbs, &out->not_before, &out->not_after) &&
	    der_take_whole(&tbs, DER_SEQUENCE, &out->subject) &&
	    der_take_whole(&tbs, DER_SEQUENCE, &out->spki);
}

int
ca_grant_read(struct bytes der, struct ca_grant *out, struct err *e)
{
	struct ca_grant g;

	if (!read_grant(der, &g))
		return err_set(e, E_INVALID, "the CA certificate is damaged");
	*out = g;
	return 0;
}
