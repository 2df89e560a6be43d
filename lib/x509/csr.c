#include "x509/csr.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/text.h"
#include "x509/certs.h"
#include "x509/csr_parts.h"
#include "x509/digest.h"
#include "x509/eku.h"
#include "x509/name.h"
#include "x509/pkey.h"

enum { PEM_TEXT_MAX = 2 * CSR_MAX };

struct csr {
	struct key_type key;
	const char *common_name;
	struct sans sans;
	struct texts ekus;
	bool wants_ca;
	struct bytes subject, spki;
	char spki_hash[SHA256_HEX + 1];
};

const char csr_bad_signature[] =
    "the request is not signed with the key it names";

/* Digests that two requests can share are no proof of possession. */
static const int signatures[] = {
	NID_sha256WithRSAEncryption,
	NID_sha384WithRSAEncryption,
	NID_sha512WithRSAEncryption,
	NID_ecdsa_with_SHA256,
	NID_ecdsa_with_SHA384,
	NID_ecdsa_with_SHA512,
	NID_ED25519,
};

/* The key K signed PARTS, in a way that may be relied on. */
static int
check_signature(const struct csr_parts *parts, EVP_PKEY *k, struct err *e)
{
	const unsigned char *p = parts->algorithm.p;
	AUTO(X509_ALGOR) id = d2i_X509_ALGOR(NULL, &p,
	    (long)parts->algorithm.len);
	AUTO(EVP_MD_CTX) m = EVP_MD_CTX_new();
	const ASN1_OBJECT *o = NULL;
	int nid, digest, key;
	size_t i;

	if (id != NULL)
		X509_ALGOR_get0(&o, NULL, NULL, id);
	nid = o != NULL ? OBJ_obj2nid(o) : NID_undef;
	for (i = 0; i < NELEM(signatures); i++)
		if (signatures[i] == nid)
			break;
	if (i == NELEM(signatures) ||
	    OBJ_find_sigid_algs(nid, &digest, &key) != 1)
		return ossl_err(e, E_INVALID, "signature algorithm %s of the "
		    "request is not accepted", nid == NID_undef ? "unknown" :
		    OBJ_nid2ln(nid));
	if (m == NULL || EVP_PKEY_get_base_id(k) != key ||
	    EVP_DigestVerifyInit_ex(m, NULL, digest == NID_undef ? NULL :
	    OBJ_nid2sn(digest), NULL, NULL, k, NULL) != 1 ||
	    EVP_DigestVerify(m, parts->signature.p, parts->signature.len,
	    parts->info.p, parts->info.len) != 1)
		return ossl_err(e, E_INVALID, "%s", csr_bad_signature);
	return 0;
}

static int
read_key(struct arena *a, const struct csr_parts *parts, struct csr *c,
    struct err *e)
{
	AUTO(EVP_PKEY) k = NULL;

	c->spki = parts->spki;
	k = pkey_read(a, &c->spki, &c->key, e);
	if (k == NULL || check_signature(parts, k, e) < 0)
		return -1;
	sha256_hex(c->spki.p, c->spki.len, c->spki_hash);
	return 0;
}

static int
check_attribute(const X509_NAME_ENTRY *entry, struct err *e)
{
	bool cn = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) ==
	    NID_commonName;
	unsigned char *text = NULL;
	int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	int rc;

	if (n < 0)
		return ossl_err(e, E_INVALID,
		    "an attribute of the subject is not text");
	rc = cn ? name_check_labels("the common name", (char *)text,
	    (size_t)n, e) :
	    name_check_text("the subject", (char *)text, (size_t)n, e);
	OPENSSL_free(text);
	return rc;
}

/*
 * The subject attribute by attribute: OpenSSL keeps the octets of a name as
 * they came, and a certificate must not carry BER.
 */
static int
read_subject(struct arena *a, const struct csr_parts *parts, struct csr *c,
    struct err *e)
{
	const unsigned char *p = parts->subject.p;
	AUTO(X509_NAME) in = d2i_X509_NAME(NULL, &p,
	    (long)parts->subject.len);
	AUTO(X509_NAME) out = X509_NAME_new();
	const X509_NAME_ENTRY *entry;
	unsigned char *der = NULL;
	int set, last = -1, n;

	if (in == NULL)
		return ossl_err(e, E_INVALID, "the subject is damaged");
	/* Rules look at one; a second one would pass unseen. */
	n = X509_NAME_get_index_by_NID(in, NID_commonName, -1);
	if (n >= 0 && X509_NAME_get_index_by_NID(in, NID_commonName, n) >= 0)
		return err_set(e, E_INVALID,
		    "the subject has more than one common name");
	for (int i = 0; i < X509_NAME_entry_count(in); i++) {
		entry = X509_NAME_get_entry(in, i);
		if (check_attribute(entry, e) < 0)
			return -1;
		set = X509_NAME_ENTRY_set(entry);
		if (X509_NAME_add_entry(out, entry, -1,
		    set == last ? -1 : 0) != 1)
			return ossl_err(e, E_INVALID, "the subject is damaged");
		last = set;
	}
	n = i2d_X509_NAME(out, &der);
	c->subject = ossl_take(a, der, n);
	c->common_name = ossl_common_name(a, in);
	return 0;
}

static int
read_san(struct arena *a, const GENERAL_NAME *g, struct san *out,
    struct err *e)
{
	struct san s, parsed;
	const ASN1_STRING *text;
	int type;

	if (!san_of_general(a, g, &s))
		return err_set(e, E_INVALID, "the request names something "
		    "other than DNS, IP, e-mail and URI");
	if (s.type == SAN_IP) {
		*out = s;
		return s.text != NULL ? 0 : err_set(e, E_INVALID,
		    "an IP address in the request has the wrong length");
	}
	text = GENERAL_NAME_get0_value(g, &type);
	if (name_check_labels("a name in the request",
	    (const char *)ASN1_STRING_get0_data(text),
	    (size_t)ASN1_STRING_length(text), e) < 0 ||
	    san_parse(a, s.text, &parsed, e) < 0)
		return -1;
	if (parsed.type != s.type && s.type != SAN_DNS)
		return err_set(e, E_INVALID,
		    "\"%.256s\" has not the form of its type", s.text);
	*out = parsed;
	return 0;
}

static int
read_sans(struct arena *a, const X509_EXTENSIONS *exts, struct csr *c,
    struct err *e)
{
	int found;
	AUTO(GENERAL_NAMES) names = X509V3_get_d2i(exts,
	    NID_subject_alt_name, &found, NULL);
	struct san s;

	if (names == NULL && found != -1)
		return ossl_err(e, E_INVALID,
		    "the subjectAltName of the request is damaged");
	if (sk_GENERAL_NAME_num(names) > SANS_MAX)
		return err_set(e, E_INVALID,
		    "the request has more than %d names", SANS_MAX);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		if (read_san(a, sk_GENERAL_NAME_value(names, i), &s, e) < 0)
			return -1;
		sans_add(a, &c->sans, s);
	}
	return 0;
}

static const char *
eku_name(struct arena *a, const ASN1_OBJECT *o)
{
	const struct eku *known = eku_find_oid(OBJ_get0_data(o),
	    OBJ_length(o));

	return known != NULL ? known->name : ossl_oid(a, o);
}

static int
read_usage(struct arena *a, const X509_EXTENSIONS *exts, struct csr *c,
    struct err *e)
{
	int ekus_found, basic_found;
	AUTO(EXTENDED_KEY_USAGE) ekus = X509V3_get_d2i(exts,
	    NID_ext_key_usage, &ekus_found, NULL);
	AUTO(BASIC_CONSTRAINTS) basic = X509V3_get_d2i(exts,
	    NID_basic_constraints, &basic_found, NULL);

	if ((ekus == NULL && ekus_found != -1) ||
	    (basic == NULL && basic_found != -1))
		return ossl_err(e, E_INVALID,
		    "an extension of the request is damaged");
	for (int i = 0; i < sk_ASN1_OBJECT_num(ekus); i++)
		texts_add(a, &c->ekus,
		    eku_name(a, sk_ASN1_OBJECT_value(ekus, i)));
	c->wants_ca = basic != NULL && basic->ca != 0;
	return 0;
}

static void
free_extensions(void *exts)
{
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

/* The attributes that carry extensions, ours and Microsoft's. */
static const struct oid extension_requests[] = {
	{ "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", 9 },
	{ "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e", 10 },
};

/* How many there are, which may be one; its value, whole. */
static int
find_extensions(const struct csr_parts *parts, struct bytes *out)
{
	struct bytes value, whole;
	unsigned char tag = 0;
	int all = 0, n;

	for (size_t i = 0; i < NELEM(extension_requests); i++) {
		n = csr_attribute(parts->attributes, &extension_requests[i],
		    &tag, &value, &whole);
		if (n < 0)
			return -1;
		if (n > 0)
			*out = whole;
		all += n;
	}
	return all;
}

static int
read_extensions(struct arena *a, const struct csr_parts *parts,
    struct csr *c, struct err *e)
{
	X509_EXTENSIONS *exts = NULL;
	const unsigned char *p;
	struct bytes whole;
	int n = find_extensions(parts, &whole);

	if (n == 0)
		return 0;
	if (n == 1) {
		p = whole.p;
		exts = d2i_X509_EXTENSIONS(NULL, &p, (long)whole.len);
	}
	if (exts == NULL)
		return ossl_err(e, E_INVALID,
		    "the extensions of the request are damaged");
	arena_defer(a, free_extensions, exts);
	if (read_sans(a, exts, c, e) < 0)
		return -1;
	return read_usage(a, exts, c, e);
}

struct csr *
csr_from_der(struct arena *a, const void *der, size_t len, struct err *e)
{
	struct csr *c = arena_zalloc(a, sizeof(*c));
	struct csr_parts parts;

	if (len > CSR_MAX) {
		err_set(e, E_INVALID, "the request is larger than %d octets",
		    CSR_MAX);
		return NULL;
	}
	if (csr_parts_read((struct bytes){ der, len }, &parts, e) < 0 ||
	    read_key(a, &parts, c, e) < 0 ||
	    read_subject(a, &parts, c, e) < 0 ||
	    read_extensions(a, &parts, c, e) < 0)
		return NULL;
	ERR_clear_error();
	return c;
}

static bool
is_request(const char *name, const char *header)
{
	return *header == '\0' && (streq(name, PEM_STRING_X509_REQ) ||
	    streq(name, PEM_STRING_X509_REQ_OLD));
}

struct csr *
csr_from_pem(struct arena *a, const char *pem, struct err *e)
{
	AUTO(BIO) in = NULL;
	char *name = NULL, *header = NULL, *rest;
	unsigned char *der = NULL;
	struct csr *c = NULL;
	size_t text_len;
	long len = 0, left;

	while (isspace((unsigned char)*pem))
		pem++;
	text_len = strlen(pem);
	if (text_len > PEM_TEXT_MAX) {
		err_set(e, E_INVALID, "the request is larger than %d octets",
		    CSR_MAX);
		return NULL;
	}
	in = BIO_new_mem_buf(pem, (int)text_len);
	if (strncmp(pem, "-----BEGIN ", 11) != 0 ||
	    PEM_read_bio(in, &name, &header, &der, &len) != 1 ||
	    !is_request(name, header)) {
		ossl_err(e, E_INVALID,
		    "the text is not a PEM block CERTIFICATE REQUEST");
		goto out;
	}
	left = BIO_get_mem_data(in, &rest);
	for (; left > 0 && isspace((unsigned char)*rest); left--)
		rest++;
	if (left > 0)
		err_set(e, E_INVALID, "text follows the PEM block");
	else
		c = csr_from_der(a, der, (size_t)len, e);
out:
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return c;
}

struct key_type
csr_key(const struct csr *c)
{
	return c->key;
}

const char *
csr_common_name(const struct csr *c)
{
	return c->common_name;
}

struct sans
csr_sans(const struct csr *c)
{
	return c->sans;
}

struct texts
csr_ekus(const struct csr *c)
{
	return c->ekus;
}

bool
csr_wants_ca(const struct csr *c)
{
	return c->wants_ca;
}

struct bytes
csr_subject_der(const struct csr *c)
{
	return c->subject;
}

struct bytes
csr_spki_der(const struct csr *c)
{
	return c->spki;
}

const char *
csr_spki_hash(const struct csr *c)
{
	return c->spki_hash;
}
