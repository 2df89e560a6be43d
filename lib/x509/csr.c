#include "x509/csr.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/text.h"
#include "x509/certs.h"
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

static int
check_signature(X509_REQ *req, struct err *e)
{
	int nid = X509_REQ_get_signature_nid(req);

	for (size_t i = 0; i < NELEM(signatures); i++) {
		if (signatures[i] != nid)
			continue;
		if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1)
			return 0;
		return ossl_err(e, E_INVALID, "the request is not signed "
		    "with the key it names");
	}
	return err_set(e, E_INVALID, "signature algorithm %s of the request "
	    "is not accepted", nid == NID_undef ? "unknown" : OBJ_nid2ln(nid));
}

static int
read_key(struct arena *a, X509_REQ *req, struct csr *c, struct err *e)
{
	X509_PUBKEY *p = X509_REQ_get_X509_PUBKEY(req);
	unsigned char *der = NULL;
	int n;

	if (pkey_check(p, &c->key, e) < 0)
		return -1;
	n = i2d_X509_PUBKEY(p, &der);
	c->spki = ossl_take(a, der, n);
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
read_subject(struct arena *a, X509_REQ *req, struct csr *c, struct err *e)
{
	const X509_NAME *in = X509_REQ_get_subject_name(req);
	AUTO(X509_NAME) out = X509_NAME_new();
	const X509_NAME_ENTRY *entry;
	unsigned char *der = NULL;
	int set, last = -1, n;

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

/* The attribute that carries extensions may stand once. */
static int
count_extension_requests(X509_REQ *req)
{
	static const int attributes[] = { NID_ext_req, NID_ms_ext_req };
	int n = 0;

	for (size_t i = 0; i < NELEM(attributes); i++)
		for (int at = -1; (at = X509_REQ_get_attr_by_NID(req,
		    attributes[i], at)) >= 0; )
			n++;
	return n;
}

static int
read_extensions(struct arena *a, X509_REQ *req, struct csr *c, struct err *e)
{
	X509_EXTENSIONS *exts;
	int n = count_extension_requests(req);

	if (n == 0)
		return 0;
	exts = n == 1 ? X509_REQ_get_extensions(req) : NULL;
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
	AUTO(X509_REQ) req = NULL;
	const unsigned char *p = der, *end = p + len;
	struct csr *c = arena_zalloc(a, sizeof(*c));

	if (len > CSR_MAX) {
		err_set(e, E_INVALID, "the request is larger than %d octets",
		    CSR_MAX);
		return NULL;
	}
	req = d2i_X509_REQ(NULL, &p, (long)len);
	if (req == NULL) {
		ossl_err(e, E_INVALID, "not a PKCS#10 request");
		return NULL;
	}
	if (p != end) {
		err_set(e, E_INVALID, "octets follow the PKCS#10 request");
		return NULL;
	}
	if (read_key(a, req, c, e) < 0 || check_signature(req, e) < 0 ||
	    read_subject(a, req, c, e) < 0 ||
	    read_extensions(a, req, c, e) < 0)
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
