/* A token that answers as told. */
#include "signer/pkcs11.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "x509/key.h"

static CK_KEY_TYPE kind;
static struct bytes curve, point;

/* What the token holds of TYPE. */
static struct bytes
held(CK_ATTRIBUTE_TYPE type)
{
	switch (type) {
	case CKA_KEY_TYPE:
		return (struct bytes){ (const unsigned char *)&kind,
		    sizeof(kind) };
	case CKA_ID:
		return (struct bytes){ (const unsigned char *)"\1", 1 };
	case CKA_EC_PARAMS:
		return curve;
	case CKA_EC_POINT:
		return point;
	default:
		return (struct bytes){ 0 };
	}
}

static CK_RV
get_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE *v, CK_ULONG n)
{
	struct bytes b = held(v->type);

	(void)session;
	(void)object;
	cr_assert_eq(n, 1);
	if (b.len == 0)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	if (b.len > v->ulValueLen)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(v->pValue, b.p, b.len);
	v->ulValueLen = b.len;
	return CKR_OK;
}

static CK_RV
find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *want, CK_ULONG n)
{
	(void)session;
	(void)want;
	(void)n;
	return CKR_OK;
}

static CK_RV
find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max,
    CK_ULONG *n)
{
	(void)session;
	(void)max;
	out[0] = 1;
	*n = 1;
	return CKR_OK;
}

static CK_RV
find_final(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

static CK_FUNCTION_LIST functions = {
	.C_GetAttributeValue = get_value,
	.C_FindObjectsInit = find_init,
	.C_FindObjects = find,
	.C_FindObjectsFinal = find_final,
};

static const struct session session = { .fn = &functions };

/* A point that is not wrapped may look as if it were: its second octet, of its
 * x, may be any. */
Test(pkcs11, takes_a_point_wrapped_or_not)
{
	static const unsigned char p256[] = "\x06\x08\x2a\x86\x48\xce\x3d\x03"
	    "\x01\x07";
	unsigned char wrapped[2 + 65] = { 0x04, 65, 0x04 };
	struct arena *a = arena_new();
	struct bytes spki, bits;
	struct err e = { 0 };

	kind = CKK_EC;
	curve = (struct bytes){ p256, sizeof(p256) - 1 };
	for (unsigned second = 0; second < 256; second++) {
		wrapped[3] = (unsigned char)second;
		for (size_t skip = 0; skip <= 2; skip += 2) {
			point = (struct bytes){ wrapped + skip,
			    sizeof(wrapped) - skip };
			cr_assert_eq(public_spki(&session, a, 1, &spki, &e),
			    0, "%s", e.msg);
			cr_assert_eq(spki_bits(spki, &bits, &e), 0);
			cr_expect(bytes_eq(bits, (struct bytes){ wrapped + 2,
			    65 }), "%02x, %zu", second, skip);
		}
	}
	arena_free(a);
}

Test(pkcs11, knows_two_kinds_of_keys)
{
	struct arena *a = arena_new();
	struct bytes spki;
	struct err e = { 0 };

	kind = CKK_DSA;
	cr_expect_eq(public_spki(&session, a, 1, &spki, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	kind = CKK_RSA;
	cr_expect_eq(public_spki(&session, a, 1, &spki, &e), -1,
	    "a modulus it does not tell");
	cr_expect_eq(e.code, E_INVALID);
	arena_free(a);
}

/* A token that was lost is waited for, and opened anew; one that will not is
 * not. */
Test(pkcs11, tells_what_passes_from_what_does_not)
{
	static const struct {
		CK_RV rv;
		enum err_code want;
	} cases[] = {
		{ CKR_DEVICE_REMOVED, E_UNAVAILABLE },
		{ CKR_SESSION_HANDLE_INVALID, E_UNAVAILABLE },
		{ CKR_OPERATION_ACTIVE, E_UNAVAILABLE },
		{ CKR_KEY_HANDLE_INVALID, E_UNAVAILABLE },
		{ CKR_GENERAL_ERROR, E_UNAVAILABLE },
		{ CKR_MECHANISM_INVALID, E_INVALID },
		{ CKR_KEY_FUNCTION_NOT_PERMITTED, E_INVALID },
		{ CKR_KEY_TYPE_INCONSISTENT, E_INVALID },
	};
	struct err e;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(token_unusable(&e, cases[i].rv), -1);
		cr_expect_eq(e.code, cases[i].want, "case %zu", i);
		cr_expect_neq(e.detail[0], '\0');
	}
}
