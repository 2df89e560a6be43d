/*
 * Asking the holder of CA keys for a signature.
 *
 * This is the only way to one.  Today the keys are PEM files that this room
 * reads; the interface carries no key, so that they can move to a process of
 * their own without a change outside this room.
 */
#ifndef CERTCTL_SIGN_SIGN_H
#define CERTCTL_SIGN_SIGN_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/key.h"

struct arena;
struct err;
struct signer;	/* one CA key, opened; no caller sees its octets */

/*
 * Open the key KEY_REF names (a file path).  E_INVALID if the file is open to
 * group or others, is not a key of a supported type, or is missing.
 */
struct signer *sign_open(const char *key_ref, struct err *e);
void sign_close(struct signer *s);

/*
 * Make the key KEY_REF names, of TYPE, if there is none: written whole, mode
 * 0600 below a 0700 directory, never over an existing one.  *MADE tells.
 */
int sign_create_key(const char *key_ref, struct key_type type, bool *made,
    struct err *e);

/* E_INVALID unless TYPE is P-256, P-384 or RSA 2048, 3072, 4096. */
int sign_check_type(struct key_type type, struct err *e);

/* The public key, DER SubjectPublicKeyInfo, borrowed from S. */
struct bytes sign_spki(const struct signer *s);

/* AlgorithmIdentifier, DER, that sign_tbs() will use: it stands in the TBS. */
struct bytes sign_algorithm(const struct signer *s);

/*
 * Sign the TBSCertificate TBS.  The holder checks it first: it is DER, its
 * signature algorithm is ours, it ends after it begins, and it is surely an
 * end entity's unless ALLOW_CA.  E_INVALID or E_FORBIDDEN otherwise.
 */
int sign_tbs(struct signer *s, struct arena *a, struct bytes tbs,
    bool allow_ca, struct bytes *signature, struct err *e);

#endif
