#include "x509/pkey.h"

#include <openssl/core_names.h>

#include "base/arena.h"
#include "x509/der.h"
#include "x509/digest.h"

enum {
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192,	/* beyond it a check costs more than it says */
	EXPONENT_BITS_MIN = 17,	/* FIPS 186-5 section A.1.1 */
	EXPONENT_BITS_MAX = 256,
};

static const struct {
	int nid;
	const char *algorithm;
	int bits;		/* 0: as the key says */
} types[] = {
	{ EVP_PKEY_RSA,     "RSA",     0 },
	{ EVP_PKEY_EC,      "ECDSA",   0 },
	{ EVP_PKEY_ED25519, "Ed25519", 256 },
};

struct key_type
pkey_type(const EVP_PKEY *k)
{
	struct key_type t = { .bits = EVP_PKEY_get_bits(k) };
	int nid = EVP_PKEY_get_base_id(k);

	for (size_t i = 0; i < NELEM(types); i++) {
		if (types[i].nid != nid)
			continue;
		t.algorithm = types[i].algorithm;
		if (types[i].bits != 0)
			t.bits = types[i].bits;
		return t;
	}
	t.algorithm = OBJ_nid2ln(nid);
	if (t.algorithm == NULL)
		t.algorithm = "unknown";
	return t;
}

static int
check_rsa(const EVP_PKEY *k, int param, const void *value, struct err *e)
{
	BIGNUM *exponent = NULL;
	int bits = EVP_PKEY_get_bits(k), n = 0;

	(void)value;
	if (param != V_ASN1_NULL)
		return err_set(e, E_INVALID, "the RSA key is encoded wrongly");
	if (bits < RSA_BITS_MIN)
		return err_set(e, E_INVALID, "an RSA key of %d bits is too "
		    "weak; %d is the least", bits, RSA_BITS_MIN);
	if (bits > RSA_BITS_MAX)
		return err_set(e, E_INVALID, "an RSA key of %d bits is too "
		    "large; %d is the most", bits, RSA_BITS_MAX);
	if (EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
	    BN_is_odd(exponent))
		n = BN_num_bits(exponent);
	BN_free(exponent);
	if (n < EXPONENT_BITS_MIN || n > EXPONENT_BITS_MAX)
		return err_set(e, E_INVALID, "the RSA exponent must be odd "
		    "and of %d to %d bits", EXPONENT_BITS_MIN,
		    EXPONENT_BITS_MAX);
	return 0;
}

static int
check_ec(const EVP_PKEY *k, int param, const void *value, struct err *e)
{
	int curve = param == V_ASN1_OBJECT ? OBJ_obj2nid(value) : NID_undef;

	(void)k;
	if (curve != NID_X9_62_prime256v1 && curve != NID_secp384r1 &&
	    curve != NID_secp521r1)
		return err_set(e, E_INVALID,
		    "an elliptic curve key must be on P-256, P-384 or P-521");
	return 0;
}

static int
check_ed25519(const EVP_PKEY *k, int param, const void *value, struct err *e)
{
	(void)k;
	(void)value;
	if (param != V_ASN1_UNDEF)
		return err_set(e, E_INVALID,
		    "the Ed25519 key is encoded wrongly");
	return 0;
}

/* By the algorithm that is written, not by what OpenSSL makes of it. */
static const struct {
	int nid;
	int (*check)(const EVP_PKEY *, int, const void *, struct err *);
} accepted[] = {
	{ NID_rsaEncryption,      check_rsa },
	{ NID_X9_62_id_ecPublicKey, check_ec },
	{ NID_ED25519,            check_ed25519 },
};

int
pkey_check(X509_PUBKEY *p, struct key_type *out, struct err *e)
{
	const EVP_PKEY *k = X509_PUBKEY_get0(p);
	const ASN1_OBJECT *algorithm;
	const void *value;
	X509_ALGOR *id;
	int param;

	if (k == NULL)
		return ossl_err(e, E_INVALID,
		    "the public key is damaged or of an unknown kind");
	X509_PUBKEY_get0_param(NULL, NULL, NULL, &id, p);
	X509_ALGOR_get0(&algorithm, &param, &value, id);
	for (size_t i = 0; i < NELEM(accepted); i++) {
		if (accepted[i].nid != OBJ_obj2nid(algorithm))
			continue;
		if (accepted[i].check(k, param, value, e) < 0)
			return -1;
		*out = pkey_type(k);
		return 0;
	}
	return err_set(e, E_INVALID, "a %s key is not accepted; RSA, ECDSA "
	    "and Ed25519 are", pkey_type(k).algorithm);
}

int
spki_bits(struct bytes spki, struct bytes *bits, struct err *e)
{
	struct bytes info, part = { 0 };
	unsigned char tag;

	/* SEQUENCE { AlgorithmIdentifier, BIT STRING of whole octets } */
	if (!der_next(&spki, &tag, &info) || tag != DER_SEQUENCE ||
	    !der_next(&info, &tag, &part) || tag != DER_SEQUENCE ||
	    !der_next(&info, &tag, &part) || tag != DER_BIT_STRING ||
	    part.len < 2 || part.p[0] != 0)
		return err_set(e, E_INVALID, "the public key is damaged");
	*bits = (struct bytes){ part.p + 1, part.len - 1 };
	return 0;
}

/* Curves by their SubjectPublicKeyInfo up to the point, uncompressed. */
#define EC_SPKI(head, curve, bits)					\
	head "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" curve bits "\0\x04"

static const struct {
	const char *head;
	size_t head_len, len;
	const char *group;
	int bits;
} curves[] = {
	{ EC_SPKI("\x30\x59\x30\x13", "\x06\x08\x2a\x86\x48\xce\x3d\x03"
	    "\x01\x07", "\x03\x42"), 27, 91, "P-256", 256 },
	{ EC_SPKI("\x30\x76\x30\x10", "\x06\x05\x2b\x81\x04\x00\x22",
	    "\x03\x62"), 24, 120, "P-384", 384 },
};

/*
 * OpenSSL 3.0 takes as long to find a decoder for a key as to verify with it.
 * For the curves everyone uses there is nothing to find: 1 with the key, 0 if
 * it is none of these.
 */
static int
read_known_curve(struct bytes spki, EVP_PKEY **out, struct key_type *type)
{
	AUTO(EVP_PKEY_CTX) c = NULL;
	OSSL_PARAM params[3];
	size_t i;

	for (i = 0; i < NELEM(curves); i++)
		if (spki.len == curves[i].len && memcmp(spki.p,
		    curves[i].head, curves[i].head_len) == 0)
			break;
	if (i == NELEM(curves))
		return 0;
	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curves[i].group,
	    0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	    (void *)(uintptr_t)(spki.p + curves[i].head_len - 1),
	    spki.len - curves[i].head_len + 1);
	params[2] = OSSL_PARAM_construct_end();
	c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (c == NULL || EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, out, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return 0;
	*type = (struct key_type){ "ECDSA", curves[i].bits };
	return 1;
}

EVP_PKEY *
pkey_read(struct arena *a, struct bytes *spki, struct key_type *type,
    struct err *e)
{
	const unsigned char *p = spki->p;
	AUTO(X509_PUBKEY) pub = NULL;
	EVP_PKEY *k = NULL;
	unsigned char *der = NULL;
	int n;

	if (read_known_curve(*spki, &k, type) == 1) {
		spki->p = arena_memdup(a, spki->p, spki->len);
		return k;
	}
	pub = d2i_X509_PUBKEY(NULL, &p, (long)spki->len);
	if (pub == NULL || p != spki->p + spki->len) {
		ossl_err(e, E_INVALID,
		    "the public key is damaged or of an unknown kind");
		return NULL;
	}
	if (pkey_check(pub, type, e) < 0)
		return NULL;
	n = i2d_X509_PUBKEY(pub, &der);
	*spki = ossl_take(a, der, n);
	return X509_PUBKEY_get(pub);
}

int
spki_key_id(struct bytes spki, unsigned char id[KEY_ID_LEN], struct err *e)
{
	unsigned char md[SHA256_LEN];
	struct bytes bits;

	if (spki_bits(spki, &bits, e) < 0)
		return -1;
	sha256(bits.p, bits.len, md);
	memcpy(id, md, KEY_ID_LEN);
	return 0;
}
