/*
 * What a PKCS#10 request says beside its key and names: its attributes
 * (RFC 2986 section 4.1), read from DER as it came.
 */
#ifndef CERTCTL_X509_CSR_ATTRS_H
#define CERTCTL_X509_CSR_ATTRS_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/ext.h"

struct arena;
struct err;
struct key;

/* How the client wants a key that is made for it (RFC 7030 section 4.4.1). */
struct key_wish {
	struct bytes capabilities;	/* SMIMECapabilities; empty: none */
	struct bytes symmetric_id;	/* DecryptKeyIdentifier */
	struct bytes asymmetric_id;	/* AsymmetricDecryptKeyIdentifier */
};

/* E_INVALID if DER is not a request in DER, or an attribute is malformed. */
int csr_key_wish(struct bytes der, struct key_wish *out, struct err *e);

/* E_INVALID names the first of NAMES, as profiles spell them, that neither
 * the subject nor the attributes hold. */
int csr_require(struct bytes der, const struct texts *names, struct err *e);

/* E_INVALID if the request wants another name than it bears, by RFC 6402's
 * ChangeSubjectName: none is given here. */
int csr_keeps_name(struct bytes der, struct err *e);

/*
 * DER with K's public key and signature in place of its own, which may be
 * anything: what remains is what the client asks for.
 */
int csr_rekey(struct arena *a, struct bytes der, const struct key *k,
    struct bytes *out, struct err *e);

/* The whole SubjectPublicKeyInfo of DER. */
int csr_spki_of(struct bytes der, struct bytes *out, struct err *e);

/* An attribute by the name profiles use; NULL if it is not known.  IN_SUBJECT
 * tells whether it is one of names. */
const struct oid *attribute_find(const char *name, bool *in_subject);

#endif
