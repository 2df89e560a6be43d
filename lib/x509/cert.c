#include "x509/cert.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/text.h"
#include "x509/certs.h"
#include "x509/digest.h"
#include "x509/pem.h"
#include "x509/pkey.h"
#include "x509/tbs.h"

enum {
	DER_MAX = 256 * 1024,
	PEM_TEXT_MAX = 4 * 1024 * 1024,
	CERTS_MAX = 256,
};

/* RFC 2253, but letters beyond ASCII as they are. */
#define NAME_FLAGS (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)

static const char *
name_text(struct arena *a, const X509_NAME *n)
{
	AUTO(BIO) out = BIO_new(BIO_s_mem());
	const char *text = NULL;
	char *p;
	long len;

	if (out != NULL && X509_NAME_print_ex(out, n, 0, NAME_FLAGS) >= 0) {
		len = BIO_get_mem_data(out, &p);
		if (len == 0)
			text = "";
		else if (utf8_valid(p, (size_t)len))
			text = arena_strndup(a, p, (size_t)len);
	}
	return text;
}

static const char *
ip_text(struct arena *a, const ASN1_OCTET_STRING *ip)
{
	int len = ASN1_STRING_length(ip);
	char out[INET6_ADDRSTRLEN];

	if (len != 4 && len != 16)
		return NULL;
	inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip),
	    out, sizeof(out));
	return arena_strdup(a, out);
}

/* IA5String, but peers put UTF-8 there: the octets as they are, or NULL. */
static const char *
ia5_text(struct arena *a, const ASN1_STRING *s)
{
	const char *p = (const char *)ASN1_STRING_get0_data(s);
	size_t len = (size_t)ASN1_STRING_length(s);

	return utf8_valid(p, len) ? arena_strndup(a, p, len) : NULL;
}

bool
san_of_general(struct arena *a, const GENERAL_NAME *g, struct san *out)
{
	static const struct {
		int type;
		enum san_type san;
	} types[] = {
		{ GEN_DNS, SAN_DNS }, { GEN_IPADD, SAN_IP },
		{ GEN_EMAIL, SAN_EMAIL }, { GEN_URI, SAN_URI },
	};
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(g, &type);

	for (size_t i = 0; i < NELEM(types); i++) {
		if (types[i].type != type)
			continue;
		out->type = types[i].san;
		out->text = type == GEN_IPADD ? ip_text(a, s) :
		    ia5_text(a, s);
		return true;
	}
	return false;
}

static int
read_sans(struct arena *a, X509 *x, struct sans *out, struct err *e)
{
	int found;
	AUTO(GENERAL_NAMES) names = X509_get_ext_d2i(x, NID_subject_alt_name,
	    &found, NULL);
	struct san s;

	if (names == NULL && found != -1)
		return ossl_err(e, E_INVALID,
		    "the certificate's subjectAltName is damaged");
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		if (!san_of_general(a, sk_GENERAL_NAME_value(names, i), &s))
			continue;
		if (s.text == NULL)
			return ossl_err(e, E_INVALID,
			    "a subjectAltName of the certificate is not text");
		sans_add(a, out, s);
	}
	return 0;
}

/* Serials of old CAs may be negative; the sign is not part of the octets. */
static const char *
serial_text(struct arena *a, const ASN1_INTEGER *s)
{
	int len = ASN1_STRING_length(s);

	return len == 0 ? "00" : hex_encode(a, ASN1_STRING_get0_data(s),
	    (size_t)len);
}

const char *
serial_parse(struct arena *a, const char *text)
{
	char out[2 * SERIAL_LEN + 1];
	size_t n = 0;

	text += strspn(text, " ");
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	if (text[strspn(text, "0123456789abcdefABCDEF: ")] != '\0' ||
	    strpbrk(text, "0123456789abcdefABCDEF") == NULL)
		return NULL;
	for (text += strspn(text, "0: "); *text != '\0'; text++) {
		if (*text == ':' || *text == ' ')
			continue;
		if (n == sizeof(out) - 1)
			return NULL;
		out[n++] = *text;
	}
	out[n] = '\0';
	/* Octets, so an even number of digits; nothing left was zero. */
	return lower(a, arena_printf(a, "%s%s%s", n % 2 == 1 ? "0" : "",
	    n == 0 ? "00" : "", out));
}

int
cert_read(struct arena *a, X509 *x, struct x509_cert *out, struct err *e)
{
	struct x509_cert c = { 0 };
	unsigned char *der = NULL, *spki = NULL;
	struct bytes info;
	int n = i2d_X509(x, &der);
	const EVP_PKEY *k = X509_get0_pubkey(x);

	c.der = ossl_take(a, der, n);
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
	info = ossl_take(a, spki, n);
	c.pem = pem_make(a, "CERTIFICATE", c.der);
	c.serial = serial_text(a, X509_get0_serialNumber(x));
	c.fingerprint = sha256_hex(c.der.p, c.der.len,
	    arena_alloc(a, SHA256_HEX + 1));
	c.spki_hash = sha256_hex(info.p, info.len,
	    arena_alloc(a, SHA256_HEX + 1));
	c.common_name = ossl_common_name(a, X509_get_subject_name(x));
	c.subject = name_text(a, X509_get_subject_name(x));
	c.issuer = name_text(a, X509_get_issuer_name(x));
	if (c.common_name == NULL || c.subject == NULL || c.issuer == NULL)
		return ossl_err(e, E_INVALID,
		    "a name in the certificate is not text");
	c.key = k != NULL ? pkey_type(k) : (struct key_type){ "unknown", 0 };
	c.is_ca = X509_check_ca(x) == 1;
	if (read_sans(a, x, &c.sans, e) < 0 ||
	    ossl_time(X509_get0_notBefore(x), &c.not_before, e) < 0 ||
	    ossl_time(X509_get0_notAfter(x), &c.not_after, e) < 0)
		return -1;
	ERR_clear_error();
	*out = c;
	return 0;
}

int
cert_from_der(struct arena *a, const void *der, size_t len,
    struct x509_cert *out, struct err *e)
{
	AUTO(X509) x = len <= DER_MAX ? ossl_cert(der, len) : NULL;

	if (x == NULL)
		return ossl_err(e, E_INVALID, "not a DER certificate");
	return cert_read(a, x, out, e);
}

/* The next block of IN that is a certificate: 1, or 0 at the end, or -1. */
static int
next_pem(BIO *in, X509 **out)
{
	char *name, *header;
	unsigned char *der;
	long len;

	*out = NULL;
	while (PEM_read_bio(in, &name, &header, &der, &len) == 1) {
		bool wanted = streq(name, PEM_STRING_X509);

		if (wanted)
			*out = ossl_cert(der, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
		if (wanted)
			return *out != NULL ? 1 : -1;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return -1;
	ERR_clear_error();
	return 0;
}

static void
free_x509(void *x)
{
	X509_free(x);
}

int
certs_read_pem(struct arena *a, const char *pem, X509 ***out, size_t *n,
    struct err *e)
{
	AUTO(BIO) in = NULL;
	X509 **v = arena_alloc(a, CERTS_MAX * sizeof(*v)), *x;
	size_t len = strlen(pem), count = 0;
	int more;

	if (len > PEM_TEXT_MAX)
		return err_set(e, E_INVALID, "the PEM text is too large");
	in = BIO_new_mem_buf(pem, (int)len);
	while ((more = next_pem(in, &x)) == 1) {
		arena_defer(a, free_x509, x);
		if (count == CERTS_MAX)
			return err_set(e, E_INVALID,
			    "more than %d certificates", CERTS_MAX);
		v[count++] = x;
	}
	if (more < 0)
		return ossl_err(e, E_INVALID, "certificate %zu of the PEM "
		    "text is damaged", count + 1);
	if (count == 0)
		return err_set(e, E_INVALID,
		    "the text holds no certificate in PEM");
	*out = v;
	*n = count;
	return 0;
}

int
certs_from_pem(struct arena *a, const char *pem, struct x509_cert **out,
    size_t *n, struct err *e)
{
	struct x509_cert *certs;
	X509 **x;
	size_t count;

	if (certs_read_pem(a, pem, &x, &count, e) < 0)
		return -1;
	certs = arena_alloc(a, count * sizeof(*certs));
	for (size_t i = 0; i < count; i++)
		if (cert_read(a, x[i], &certs[i], e) < 0)
			return -1;
	*out = certs;
	*n = count;
	return 0;
}

int
cert_check_issued(X509 *issuer, X509 *subject, struct err *e)
{
	if (X509_check_issued(issuer, subject) != X509_V_OK ||
	    X509_verify(subject, X509_get0_pubkey(issuer)) != 1)
		return ossl_err(e, E_INVALID, "the signature does not verify");
	return 0;
}

static int
check_chain(struct arena *a, X509 *leaf, const char *chain_pem,
    struct err *e)
{
	X509 **x, *below = leaf;
	size_t n;

	if (certs_read_pem(a, chain_pem, &x, &n, e) < 0)
		return err_prefix(e, "chain");
	for (size_t i = 0; i < n; below = x[i++])
		if (cert_check_issued(x[i], below, e) < 0)
			return err_set(e, E_INVALID, "certificate %zu of the "
			    "chain did not issue the one before it", i + 1);
	return 0;
}

int
cert_check_pair(struct arena *a, const char *cert_pem, const char *chain_pem,
    const char *key_pem, struct err *e)
{
	X509 **x;
	struct key *k;
	size_t n;

	if (certs_read_pem(a, cert_pem, &x, &n, e) < 0 ||
	    (k = key_from_pem(a, key_pem, e)) == NULL)
		return -1;
	if (X509_check_private_key(x[0], key_pkey(k)) != 1)
		return ossl_err(e, E_INVALID,
		    "the private key does not belong to the certificate");
	return blank(chain_pem) ? 0 : check_chain(a, x[0], chain_pem, e);
}
