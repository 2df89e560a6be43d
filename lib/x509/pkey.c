#include "x509/pkey.h"

#include <openssl/core_names.h>

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
spki_key_id(struct bytes spki, unsigned char id[KEY_ID_LEN], struct err *e)
{
	unsigned char md[SHA256_LEN], tag;
	struct bytes info, part = { 0 };

	/* SEQUENCE { AlgorithmIdentifier, BIT STRING of whole octets } */
	if (!der_next(&spki, &tag, &info) || tag != DER_SEQUENCE ||
	    !der_next(&info, &tag, &part) || tag != DER_SEQUENCE ||
	    !der_next(&info, &tag, &part) || tag != DER_BIT_STRING ||
	    part.len < 2 || part.p[0] != 0)
		return err_set(e, E_INVALID, "the public key is damaged");
	sha256(part.p + 1, part.len - 1, md);
	memcpy(id, md, KEY_ID_LEN);
	return 0;
}
