#include "base/arena.h"
#include "base/buf.h"
#include "pkcs11.h"
#include "x509/der.h"

enum {
	VALUE_MAX = 2048,	/* octets of an attribute */
	P256_POINT = 65,	/* of a point as it is, uncompressed */
	P384_POINT = 97,
};

int
token_err(struct err *e, enum err_code code, const char *what, CK_RV rv)
{
	err_set(e, code, "%s", what);
	return err_detail(e, "%s", p11_kit_strerror(rv));
}

int
token_unusable(struct err *e, CK_RV rv)
{
	static const CK_RV for_good[] = {
		CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_SIZE_RANGE,
		CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID,
		CKR_MECHANISM_PARAM_INVALID, CKR_DATA_LEN_RANGE,
	};

	for (size_t i = 0; i < NELEM(for_good); i++)
		if (rv == for_good[i])
			return token_err(e, E_INVALID, "the token does not "
			    "sign with the CA key", rv);
	return token_err(e, E_UNAVAILABLE, "the token that holds the CA key "
	    "cannot be used", rv);
}

CK_RV
session_find(const struct session *s, CK_OBJECT_CLASS kind,
    const CK_ATTRIBUTE *label, const CK_ATTRIBUTE *id, CK_OBJECT_HANDLE out[2],
    CK_ULONG *n)
{
	CK_ATTRIBUTE want[3] = { { CKA_CLASS, &kind, sizeof(kind) } };
	CK_ULONG k = 1;
	CK_RV rv;

	if (label != NULL)
		want[k++] = *label;
	if (id != NULL)
		want[k++] = *id;
	rv = s->fn->C_FindObjectsInit(s->handle, want, k);
	if (rv != CKR_OK)
		return rv;
	rv = s->fn->C_FindObjects(s->handle, out, 2, n);
	s->fn->C_FindObjectsFinal(s->handle);
	return rv;
}

static int
get_value(const struct session *s, struct arena *a, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_TYPE type, struct bytes *out, struct err *e)
{
	unsigned char *p = arena_alloc(a, VALUE_MAX);
	CK_ATTRIBUTE v = { type, p, VALUE_MAX };
	CK_RV rv = s->fn->C_GetAttributeValue(s->handle, object, &v, 1);

	if (rv == CKR_OK && v.ulValueLen > 0 && v.ulValueLen <= VALUE_MAX) {
		*out = (struct bytes){ p, v.ulValueLen };
		return 0;
	}
	if (rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	    rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL)
		return token_err(e, E_INVALID, "the token does not tell the "
		    "public half of the key", rv);
	return token_unusable(e, rv);
}

static int
rsa_spki(const struct session *s, struct arena *a, CK_OBJECT_HANDLE key,
    struct bytes *spki, struct err *e)
{
	struct bytes modulus, exponent;
	struct buf b = BUF(a), inner = BUF(a);
	size_t seq, part;

	if (get_value(s, a, key, CKA_MODULUS, &modulus, e) < 0 ||
	    get_value(s, a, key, CKA_PUBLIC_EXPONENT, &exponent, e) < 0)
		return -1;
	seq = der_open(&inner, DER_SEQUENCE);
	der_uint(&inner, modulus.p, modulus.len);
	der_uint(&inner, exponent.p, exponent.len);
	der_close(&inner, seq);
	seq = der_open(&b, DER_SEQUENCE);
	part = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);
	der_put(&b, DER_NULL, NULL, 0);
	der_close(&b, part);
	der_bits(&b, inner.p, inner.len);
	der_close(&b, seq);
	*spki = buf_bytes(&b);
	return 0;
}

/* The public object beside KEY: of the same id, or of the same label. */
static int
find_public(const struct session *s, struct arena *a, CK_OBJECT_HANDLE key,
    CK_OBJECT_HANDLE *out, struct err *e)
{
	static const CK_ATTRIBUTE_TYPE by[] = { CKA_ID, CKA_LABEL };
	CK_OBJECT_HANDLE found[2];
	struct bytes value;
	struct err why = { 0 };
	CK_ATTRIBUTE same;
	CK_ULONG n;

	for (size_t i = 0; i < NELEM(by); i++) {
		if (get_value(s, a, key, by[i], &value, &why) < 0)
			continue;
		same = (CK_ATTRIBUTE){ by[i], (void *)(uintptr_t)value.p,
		    value.len };
		n = 0;
		if (session_find(s, CKO_PUBLIC_KEY, &same, NULL, found, &n) ==
		    CKR_OK && n == 1) {
			*out = found[0];
			return 0;
		}
	}
	return err_set(e, why.code == E_UNAVAILABLE ? E_UNAVAILABLE :
	    E_INVALID, "the token holds no public key beside the private one");
}

/* An EC point as it is, or wrapped in an OCTET STRING: both are met, and both
 * begin with 4, so the length tells. */
static struct bytes
unwrap_point(struct bytes p)
{
	struct bytes in = p, content;

	if (p.len == P256_POINT || p.len == P384_POINT ||
	    !der_take(&in, DER_OCTET_STRING, &content) || in.len != 0)
		return p;
	return content;
}

static int
ec_spki(const struct session *s, struct arena *a, CK_OBJECT_HANDLE key,
    struct bytes *spki, struct err *e)
{
	struct bytes curve, point;
	CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
	struct buf b = BUF(a);
	size_t seq, part;

	if (find_public(s, a, key, &public, e) < 0 ||
	    get_value(s, a, public, CKA_EC_PARAMS, &curve, e) < 0 ||
	    get_value(s, a, public, CKA_EC_POINT, &point, e) < 0)
		return -1;
	point = unwrap_point(point);
	seq = der_open(&b, DER_SEQUENCE);
	part = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, "\x2a\x86\x48\xce\x3d\x02\x01", 7);
	der_raw(&b, curve);
	der_close(&b, part);
	der_bits(&b, point.p, point.len);
	der_close(&b, seq);
	*spki = buf_bytes(&b);
	return 0;
}

int
public_spki(const struct session *s, struct arena *a, CK_OBJECT_HANDLE key,
    struct bytes *spki, struct err *e)
{
	CK_KEY_TYPE type;
	CK_ATTRIBUTE v = { CKA_KEY_TYPE, &type, sizeof(type) };
	CK_RV rv = s->fn->C_GetAttributeValue(s->handle, key, &v, 1);

	if (rv != CKR_OK)
		return token_unusable(e, rv);
	if (type == CKK_RSA)
		return rsa_spki(s, a, key, spki, e);
	if (type == CKK_EC)
		return ec_spki(s, a, key, spki, e);
	return err_set(e, E_INVALID,
	    "the key on the token is neither an RSA nor an EC key");
}
