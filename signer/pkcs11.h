/* What the files about PKCS#11 tokens share. */
#ifndef CERTCTL_SIGNER_PKCS11_H
#define CERTCTL_SIGNER_PKCS11_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include "base/err.h"
#include "base/util.h"

struct arena;

struct session {
	CK_FUNCTION_LIST *fn;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE handle;
};

/* err_set(), with what the token said as the detail. */
int token_err(struct err *e, enum err_code code, const char *what, CK_RV rv);

/* E_UNAVAILABLE, or E_INVALID where another try would end the same way. */
int token_unusable(struct err *e, CK_RV rv);

/* The objects of class KIND with LABEL and ID (NULL: any), two at most. */
CK_RV session_find(const struct session *s, CK_OBJECT_CLASS kind,
    const CK_ATTRIBUTE *label, const CK_ATTRIBUTE *id, CK_OBJECT_HANDLE out[2],
    CK_ULONG *n);

/* SubjectPublicKeyInfo of the private KEY, in A.  E_INVALID if the token does
 * not tell it. */
int public_spki(const struct session *s, struct arena *a,
    CK_OBJECT_HANDLE key, struct bytes *spki, struct err *e);

#endif
