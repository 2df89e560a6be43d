#include "x509/cms.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "x509/der.h"
#include "x509/digest.h"
#include "x509/key.h"
#include "x509/ossl.h"
#include "x509/pkey.h"

AUTO_FREE(CMS_ContentInfo, CMS_ContentInfo_free)
AUTO_FREE(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)
AUTO_FREE(ASN1_OBJECT, ASN1_OBJECT_free)
AUTO_FREE(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)

static const unsigned char id_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
    0x01, 0x07, 0x01 };
static const unsigned char id_signed_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7,
    0x0d, 0x01, 0x07, 0x02 };

/* The order of DER sets (X.690 section 11.6). */
static int
compare(const void *x, const void *y)
{
	const struct bytes *a = x, *b = y;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->p, b->p, n);

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

struct bytes
cms_certs_only(struct arena *a, const struct bytes *certs, size_t n)
{
	struct bytes *sorted = arena_memdup(a, certs, n * sizeof(*certs));
	struct buf b = BUF(a);
	size_t info, explicit, data, part;

	qsort(sorted, n, sizeof(*sorted), compare);
	info = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, id_signed_data, sizeof(id_signed_data));
	explicit = der_open(&b, DER_CONSTRUCTED);
	data = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_INTEGER, "\x01", 1);
	der_put(&b, DER_SET, NULL, 0);
	part = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, id_data, sizeof(id_data));
	der_close(&b, part);
	part = der_open(&b, DER_CONSTRUCTED);
	for (size_t i = 0; i < n; i++)
		der_raw(&b, sorted[i]);
	der_close(&b, part);
	der_put(&b, DER_SET, NULL, 0);
	der_close(&b, data);
	der_close(&b, explicit);
	der_close(&b, info);
	return (struct bytes){ (unsigned char *)b.p, b.len };
}

int
cms_private_key(struct arena *a, const struct key *k, struct bytes *out,
    struct err *e)
{
	AUTO(PKCS8_PRIV_KEY_INFO) p8 = EVP_PKEY2PKCS8(key_pkey(k));
	unsigned char *der = NULL, *copy;
	int n = p8 != NULL ? i2d_PKCS8_PRIV_KEY_INFO(p8, &der) : -1;

	if (n < 0)
		return ossl_err(e, E_INTERNAL, "cannot write the private key");
	copy = arena_memdup(a, der, (size_t)n);
	arena_wipe(a, copy, (size_t)n);
	OPENSSL_clear_free(der, (size_t)n);
	*out = (struct bytes){ copy, (size_t)n };
	return 0;
}

static const struct {
	const char *oid;	/* content octets */
	const EVP_CIPHER *(*cipher)(void);
} ciphers[] = {
	{ "\x60\x86\x48\x01\x65\x03\x04\x01\x2a", EVP_aes_256_cbc },
	{ "\x60\x86\x48\x01\x65\x03\x04\x01\x16", EVP_aes_192_cbc },
	{ "\x60\x86\x48\x01\x65\x03\x04\x01\x02", EVP_aes_128_cbc },
};

enum { CIPHER_OID_LEN = 9 };

/* The first capability that is ours; NULL if none is. */
static const EVP_CIPHER *
choose_cipher(struct bytes capabilities)
{
	struct bytes one, oid;
	unsigned char tag;

	if (capabilities.len == 0)
		return EVP_aes_256_cbc();
	while (der_next(&capabilities, &tag, &one)) {
		if (!der_next(&one, &tag, &oid) || oid.len != CIPHER_OID_LEN)
			continue;
		for (size_t i = 0; i < NELEM(ciphers); i++)
			if (memcmp(ciphers[i].oid, oid.p, oid.len) == 0)
				return ciphers[i].cipher();
	}
	return NULL;
}

static struct bytes
take_cms(struct arena *a, CMS_ContentInfo *cms)
{
	unsigned char *der = NULL;
	int n = i2d_CMS_ContentInfo(cms, &der);

	return ossl_take(a, der, n);
}

/* The same of what holds a private key, wiped here and with A. */
static struct bytes
take_secret(struct arena *a, CMS_ContentInfo *cms)
{
	ASN1_OCTET_STRING **content = CMS_get0_content(cms);
	unsigned char *der = NULL, *copy;
	int n = i2d_CMS_ContentInfo(cms, &der);

	if (n < 0 || content == NULL || *content == NULL)
		abort();
	copy = arena_memdup(a, der, (size_t)n);
	arena_wipe(a, copy, (size_t)n);
	OPENSSL_clear_free(der, (size_t)n);
	OPENSSL_cleanse((void *)(uintptr_t)ASN1_STRING_get0_data(*content),
	    (size_t)ASN1_STRING_length(*content));
	return (struct bytes){ copy, (size_t)n };
}

/* AsymmetricKeyPackage (RFC 5958 section 2): a sequence of one. */
static int
key_package(struct arena *a, const struct key *k, struct bytes *out,
    struct err *e)
{
	struct buf b = BUF(a);
	struct bytes p8;
	size_t seq;

	if (cms_private_key(a, k, &p8, e) < 0)
		return -1;
	/* In one piece: what a buffer leaves when it grows is not wiped. */
	buf_room(&b, p8.len + 16);
	seq = der_open(&b, DER_SEQUENCE);
	der_raw(&b, p8);
	der_close(&b, seq);
	arena_wipe(a, b.p, b.len);
	*out = (struct bytes){ (unsigned char *)b.p, b.len };
	return 0;
}

/* SignedData over K's package, without the ContentInfo around it. */
static int
sign_package(struct arena *a, const struct key *k, struct bytes cert_der,
    struct bytes *out, struct err *e)
{
	AUTO(ASN1_OBJECT) type = OBJ_txt2obj("2.16.840.1.101.2.1.2.78.5", 1);
	AUTO(X509) cert = ossl_cert(cert_der.p, cert_der.len);
	AUTO(CMS_ContentInfo) cms = NULL;
	AUTO(BIO) in = NULL;
	struct bytes package, der, info, oid;
	unsigned char tag;

	if (key_package(a, k, &package, e) < 0)
		return -1;
	in = BIO_new_mem_buf(package.p, (int)package.len);
	if (in != NULL && cert != NULL)
		cms = CMS_sign(cert, key_pkey(k), NULL, in,
		    CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP);
	if (cms == NULL || type == NULL ||
	    CMS_set1_eContentType(cms, type) != 1 ||
	    CMS_final(cms, in, NULL, CMS_BINARY) != 1)
		return ossl_err(e, E_INTERNAL, "cannot sign the key package");
	der = take_secret(a, cms);
	if (!der_next(&der, &tag, &info) || !der_next(&info, &tag, &oid) ||
	    !der_next(&info, &tag, out))
		return err_set(e, E_INTERNAL, "cannot sign the key package");
	return 0;
}

/* A certificate that says nothing but TO's key and its name, for OpenSSL. */
static X509 *
recipient_cert(const struct cms_recipient *to, const struct key *k)
{
	const unsigned char *p = to->spki.p;
	AUTO(EVP_PKEY) pkey = d2i_PUBKEY(NULL, &p, (long)to->spki.len);
	AUTO(ASN1_OCTET_STRING) id = ASN1_OCTET_STRING_new();
	X509 *x = X509_new();

	if (pkey != NULL && id != NULL && x != NULL &&
	    ASN1_OCTET_STRING_set(id, to->key_id.p,
	    (int)to->key_id.len) == 1 &&
	    X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 1) != NULL &&
	    X509_set_pubkey(x, pkey) == 1 &&
	    X509_add1_ext_i2d(x, NID_subject_key_identifier, id, 0, 0) == 1 &&
	    X509_sign(x, key_pkey(k), EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

static bool
add_recipient(CMS_ContentInfo *cms, X509 *x)
{
	CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, x,
	    CMS_USE_KEYID | CMS_KEY_PARAM);

	if (ri == NULL)
		return false;
	/* OpenSSL would derive with SHA-1. */
	return CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_AGREE ||
	    EVP_PKEY_CTX_set_ecdh_kdf_md(CMS_RecipientInfo_get0_pkey_ctx(ri),
	    EVP_sha256()) == 1;
}

int
cms_can_seal_key(const struct key *k, const struct cms_recipient *to,
    struct err *e)
{
	const unsigned char *p = to->spki.p;
	AUTO(EVP_PKEY) pkey = d2i_PUBKEY(NULL, &p, (long)to->spki.len);
	const char *ours = key_type_of(k).algorithm;
	const char *theirs = pkey != NULL ? pkey_type(pkey).algorithm : "";

	ERR_clear_error();
	if (choose_cipher(to->capabilities) == NULL)
		return err_set(e, E_INVALID, "none of the ciphers the request "
		    "names for the new key is AES in CBC mode");
	if (!streq(ours, "RSA") && !streq(ours, "ECDSA"))
		return err_set(e, E_INVALID, "a key of type %s cannot be sent "
		    "encrypted", ours);
	if (!streq(theirs, "RSA") && !streq(theirs, "ECDSA"))
		return err_set(e, E_INVALID, "nothing can be encrypted to the "
		    "key that is named for the new one");
	return 0;
}

int
cms_seal_key(struct arena *a, const struct key *k, struct bytes cert_der,
    const struct cms_recipient *to, struct bytes *out, struct err *e)
{
	const EVP_CIPHER *cipher = choose_cipher(to->capabilities);
	AUTO(CMS_ContentInfo) cms = NULL;
	AUTO(X509) x = NULL;
	AUTO(BIO) in = NULL;
	struct bytes package;

	if (cms_can_seal_key(k, to, e) < 0 ||
	    sign_package(a, k, cert_der, &package, e) < 0)
		return -1;
	x = recipient_cert(to, k);
	in = BIO_new_mem_buf(package.p, (int)package.len);
	cms = CMS_encrypt(NULL, in, cipher,
	    CMS_PARTIAL | CMS_BINARY | CMS_USE_KEYID);
	if (x == NULL || in == NULL || cms == NULL || !add_recipient(cms, x) ||
	    CMS_set1_eContentType(cms, OBJ_nid2obj(NID_pkcs7_signed)) != 1 ||
	    CMS_final(cms, in, NULL, CMS_BINARY) != 1)
		return ossl_err(e, E_INTERNAL, "cannot encrypt the new key");
	*out = take_cms(a, cms);
	ERR_clear_error();
	return 0;
}

bool
key_id_is(struct bytes spki, struct bytes id)
{
	unsigned char md[SHA256_LEN];
	struct bytes bits;
	struct err ignored;

	if (spki_bits(spki, &bits, &ignored) < 0)
		return false;
	sha1(bits.p, bits.len, md);
	if (id.len == SHA1_LEN && memcmp(id.p, md, id.len) == 0)
		return true;
	sha256(bits.p, bits.len, md);
	if (id.len == KEY_ID_LEN && memcmp(id.p, md, id.len) == 0)
		return true;
	sha256(spki.p, spki.len, md);
	return id.len == SHA256_LEN && memcmp(id.p, md, id.len) == 0;
}
