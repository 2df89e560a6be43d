#include "x509/csr_attrs.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "x509/csr_parts.h"
#include "x509/der.h"
#include "x509/key.h"

#define ID_AT(n) { "\x55\x04" n, 3 }
#define ID_PKCS9(n) { "\x2a\x86\x48\x86\xf7\x0d\x01\x09" n, 9 }
#define ID_AA(n) { "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02" n, 11 }

static const struct oid smime_capabilities = ID_PKCS9("\x0f");
static const struct oid decrypt_key_id = ID_AA("\x25");
static const struct oid asymm_decrypt_key_id = ID_AA("\x36");
static const struct oid change_subject_name = {
	"\x2b\x06\x01\x05\x05\x07\x07\x24", 8 };

static const struct {
	const char *name;
	bool in_subject;
	struct oid id;
} attributes[] = {
	{ "commonName",             true,  ID_AT("\x03") },
	{ "surname",                true,  ID_AT("\x04") },
	{ "serialNumber",           true,  ID_AT("\x05") },
	{ "deviceSerialNumber",     true,  ID_AT("\x05") },
	{ "countryName",            true,  ID_AT("\x06") },
	{ "localityName",           true,  ID_AT("\x07") },
	{ "stateOrProvinceName",    true,  ID_AT("\x08") },
	{ "organizationName",       true,  ID_AT("\x0a") },
	{ "organizationalUnitName", true,  ID_AT("\x0b") },
	{ "title",                  true,  ID_AT("\x0c") },
	{ "emailAddress",           true,  ID_PKCS9("\x01") },
	{ "unstructuredName",       false, ID_PKCS9("\x02") },
	{ "challengePassword",      false, ID_PKCS9("\x07") },
	{ "unstructuredAddress",    false, ID_PKCS9("\x08") },
	{ "extensionRequest",       false, ID_PKCS9("\x0e") },
};

const struct oid *
attribute_find(const char *name, bool *in_subject)
{
	for (size_t i = 0; i < NELEM(attributes); i++)
		if (streq(attributes[i].name, name)) {
			*in_subject = attributes[i].in_subject;
			return &attributes[i].id;
		}
	return NULL;
}

static bool
read_info(struct bytes in, struct csr_parts *out)
{
	struct bytes info;

	if (!der_take(&in, DER_SEQUENCE, &info) ||
	    !der_take(&info, DER_INTEGER, &out->version) ||
	    !der_take_whole(&info, DER_SEQUENCE, &out->subject) ||
	    !der_take_whole(&info, DER_SEQUENCE, &out->spki))
		return false;
	/* Some clients leave out an empty set of attributes. */
	return info.len == 0 || (der_take(&info, DER_CONSTRUCTED,
	    &out->attributes) && info.len == 0);
}

int
csr_parts_read(struct bytes der, struct csr_parts *out, struct err *e)
{
	struct bytes req, bits;

	*out = (struct csr_parts){ 0 };
	if (!der_take(&der, DER_SEQUENCE, &req) ||
	    !der_take_whole(&req, DER_SEQUENCE, &out->info) ||
	    !der_take_whole(&req, DER_SEQUENCE, &out->algorithm) ||
	    !der_take(&req, DER_BIT_STRING, &bits) || bits.len == 0 ||
	    bits.p[0] != 0 || req.len != 0 || !read_info(out->info, out))
		return err_set(e, E_INVALID, "not a PKCS#10 request in DER");
	if (der.len != 0)
		return err_set(e, E_INVALID,
		    "octets follow the PKCS#10 request");
	out->signature = (struct bytes){ bits.p + 1, bits.len - 1 };
	return 0;
}

static bool
is_oid(struct bytes content, const struct oid *id)
{
	return content.len == id->len &&
	    memcmp(content.p, id->p, id->len) == 0;
}

int
csr_attribute(struct bytes in, const struct oid *id,
    unsigned char *tag, struct bytes *value, struct bytes *whole)
{
	struct bytes attr, type, values;
	const unsigned char *from;
	int n = 0;

	while (in.len > 0) {
		if (!der_take(&in, DER_SEQUENCE, &attr) ||
		    !der_take(&attr, DER_OID, &type))
			return -1;
		if (!is_oid(type, id) || n++ > 0)
			continue;
		if (!der_take(&attr, DER_SET, &values))
			return -1;
		from = values.p;
		if (!der_next(&values, tag, value))
			return -1;
		if (whole != NULL)
			*whole = (struct bytes){ from,
			    (size_t)(values.p - from) };
	}
	return n;
}

static bool
in_attributes(struct bytes in, const struct oid *id)
{
	struct bytes value;
	unsigned char tag;

	return csr_attribute(in, id, &tag, &value, NULL) > 0;
}

/* Is there a value of ID in the Name NAME? */
static bool
in_name(struct bytes name, const struct oid *id)
{
	struct bytes rdns, rdn, attr, type;
	unsigned char tag;

	if (!der_next(&name, &tag, &rdns))
		return false;
	while (der_next(&rdns, &tag, &rdn))
		while (der_next(&rdn, &tag, &attr))
			if (der_next(&attr, &tag, &type) && tag == DER_OID &&
			    is_oid(type, id))
				return true;
	return false;
}

int
csr_require(struct bytes der, const struct texts *names, struct err *e)
{
	const struct oid *id;
	struct csr_parts parts;
	bool in_subject;

	if (names->n == 0)
		return 0;
	if (csr_parts_read(der, &parts, e) < 0)
		return -1;
	for (size_t i = 0; i < names->n; i++) {
		id = attribute_find(names->v[i], &in_subject);
		if (id == NULL)
			return err_set(e, E_INVALID, "the profile requires "
			    "\"%.64s\", which is not known", names->v[i]);
		if (!in_name(parts.subject, id) &&
		    !in_attributes(parts.attributes, id))
			return err_set(e, E_INVALID, "the profile requires "
			    "%s, which the request lacks", names->v[i]);
	}
	return 0;
}

static int
read_wish(struct bytes attrs, const struct oid *id, unsigned char want,
    struct bytes *out, struct err *e)
{
	unsigned char tag;
	int n = csr_attribute(attrs, id, &tag, out, NULL);

	if (n < 0 || (n > 0 && (tag != want || out->len == 0)))
		return err_set(e, E_INVALID, "the request says in a malformed "
		    "way how the new key is to be encrypted");
	return 0;
}

int
csr_keeps_name(struct bytes der, struct err *e)
{
	struct csr_parts p;
	struct bytes value;
	unsigned char tag;

	if (csr_parts_read(der, &p, e) < 0)
		return -1;
	return csr_attribute(p.attributes, &change_subject_name, &tag, &value,
	    NULL) == 0 ? 0 : err_set(e, E_INVALID,
	    "ChangeSubjectName: no name is changed here");
}

int
csr_key_wish(struct bytes der, struct key_wish *out, struct err *e)
{
	struct csr_parts parts;

	*out = (struct key_wish){ 0 };
	if (csr_parts_read(der, &parts, e) < 0 ||
	    read_wish(parts.attributes, &smime_capabilities, DER_SEQUENCE,
	    &out->capabilities, e) < 0 ||
	    read_wish(parts.attributes, &decrypt_key_id, DER_OCTET_STRING,
	    &out->symmetric_id, e) < 0)
		return -1;
	return read_wish(parts.attributes, &asymm_decrypt_key_id,
	    DER_OCTET_STRING, &out->asymmetric_id, e);
}

int
csr_rekey(struct arena *a, struct bytes der, const struct key *k,
    struct bytes *out, struct err *e)
{
	struct buf b = BUF(a), whole = BUF(a);
	struct bytes info, signature;
	struct csr_parts parts;
	size_t seq;

	if (csr_parts_read(der, &parts, e) < 0)
		return -1;
	seq = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_INTEGER, parts.version.p, parts.version.len);
	der_raw(&b, parts.subject);
	der_raw(&b, key_spki(k));
	der_put(&b, DER_CONSTRUCTED, parts.attributes.p, parts.attributes.len);
	der_close(&b, seq);
	info = (struct bytes){ (unsigned char *)b.p, b.len };
	if (key_sign(k, a, info, &signature, e) < 0)
		return -1;
	seq = der_open(&whole, DER_SEQUENCE);
	der_raw(&whole, info);
	der_raw(&whole, key_algorithm(k));
	der_bits(&whole, signature.p, signature.len);
	der_close(&whole, seq);
	*out = (struct bytes){ (unsigned char *)whole.p, whole.len };
	return 0;
}

int
csr_spki_of(struct bytes der, struct bytes *out, struct err *e)
{
	struct csr_parts parts;

	if (csr_parts_read(der, &parts, e) < 0)
		return -1;
	*out = parts.spki;
	return 0;
}
