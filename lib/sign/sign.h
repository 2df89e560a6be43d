/*
 * Asking certctl-signer, the holder of CA keys, for a signature.
 *
 * This is the only way to one.  No key is ever mapped here: a struct signer
 * is a key's name, its public half and what it signs with; all of a process's
 * share one connection, which is made again when it is lost.
 *
 * Every call that asks the signer fails with E_UNAVAILABLE if it cannot be
 * reached, is too busy, or cannot use the key's token or write its record: the
 * same call may be made again later.  Signing twice is harmless; each
 * signature is recorded before it leaves the signer.
 * E_FORBIDDEN also means that this process's account may not ask for that
 * (CERTCTL_SIGNER_ALLOW).
 *
 * A key is named by
 *
 *	iss-local.key		a file the signer made in its own directory
 *	/etc/pki/ca.key		a file below one of CERTCTL_SIGNER_KEY_DIRS
 *	pkcs11:token=..;object=..	a key on a token (RFC 7512)
 */
#ifndef CERTCTL_SIGN_SIGN_H
#define CERTCTL_SIGN_SIGN_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/key.h"

struct arena;
struct err;
struct signer;	/* one CA key, by name; no caller sees its octets */

/* Where the signer listens; said once, before anything else here. */
void sign_use(const char *socket_path);

/*
 * Ask for the key KEY_REF names.  E_INVALID if its file is open to group or
 * others, is not a key of a supported type, or is missing; E_FORBIDDEN if it
 * lies where the signer may not look.
 */
struct signer *sign_open(const char *key_ref, struct err *e);
void sign_close(struct signer *s);

/*
 * The certificate this CA key signs with, DER: the signer holds the issuer's
 * name and the validity of everything it signs to it.  Before this is said,
 * the key signs nothing but a CA certificate for itself.
 */
void sign_bind(struct signer *s, struct bytes ca_der);

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

/* AlgorithmIdentifier, DER, that S signs with: it stands in the TBS. */
struct bytes sign_algorithm(const struct signer *s);

/* What a certificate may be beyond an end entity's. */
enum {
	SIGN_CA = 1 << 0,
	SIGN_OCSP = 1 << 1,	/* id-kp-OCSPSigning */
};

/*
 * Sign the TBSCertificate TBS.  The signer checks it first: it is DER, its
 * signature algorithm is ours, it ends after it begins, it fits the CA's
 * certificate, has only extensions that are known, and is surely an end
 * entity's unless ALLOW says more.  E_INVALID or E_FORBIDDEN otherwise.
 */
int sign_tbs(struct signer *s, struct arena *a, struct bytes tbs,
    unsigned allow, struct bytes *signature, struct err *e);

/*
 * Sign the TBSCertList TBS, 256 MiB at most: version 2, our algorithm,
 * thisUpdate before nextUpdate, with a number.  E_INVALID otherwise.
 */
int sign_crl(struct signer *s, struct arena *a, struct bytes tbs,
    struct bytes *signature, struct err *e);

#endif
