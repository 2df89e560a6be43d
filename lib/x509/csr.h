/*
 * PKCS#10 certification requests (RFC 2986).
 *
 * A request is decoded and its self-signature checked once, in csr_from_der().
 * Holding a struct csr is the proof: no accessor below can fail.
 */
#ifndef CERTCTL_X509_CSR_H
#define CERTCTL_X509_CSR_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/key.h"
#include "x509/san.h"

struct arena;
struct err;
struct csr;	/* opaque; dies with the arena it was decoded into */

enum { CSR_MAX = 64 * 1024 };	/* octets of DER */

/*
 * Decode LEN octets of DER.  Returns NULL with E_INVALID and the reason if the
 * octets are not PKCS#10 and nothing more, if the requester did not sign with
 * the key it names (SHA-256 or better), if the key is weaker than RSA 2048 or
 * P-256 or on another curve than P-256, P-384 and P-521, if there are more
 * than SANS_MAX names, one of a type we cannot issue or two common names, or
 * if a name holds what no certificate should carry: NUL and other control
 * characters, bidirectional or zero-width characters, a label that mixes
 * scripts.
 *
 * A dNSName that is an address, e-mail address or URI by its form is taken as
 * that: agents in the field write every SAN as a dNSName.
 */
struct csr *csr_from_der(struct arena *a, const void *der, size_t len,
    struct err *e);

/* The message of csr_from_der() for a signature that is another key's. */
extern const char csr_bad_signature[];

/*
 * The same from one PEM block "CERTIFICATE REQUEST" (or, from old programs,
 * "NEW CERTIFICATE REQUEST"), white space around it.
 */
struct csr *csr_from_pem(struct arena *a, const char *pem, struct err *e);

/* "RSA", "ECDSA" or "Ed25519"; RSA modulus or EC field size, so 3072 or 256. */
struct key_type csr_key(const struct csr *c);

/* The subject's commonName, or "". */
const char *csr_common_name(const struct csr *c);

/* All subjectAltNames, in the order asked for. */
struct sans csr_sans(const struct csr *c);

/*
 * The extended key usages asked for: the names profiles use, OpenSSL's short
 * name or the dotted identifier for others.
 */
struct texts csr_ekus(const struct csr *c);

/* True if the request asks for CA:TRUE. */
bool csr_wants_ca(const struct csr *c);

/* Subject and SubjectPublicKeyInfo, DER, borrowed; no name is 30 00. */
struct bytes csr_subject_der(const struct csr *c);
struct bytes csr_spki_der(const struct csr *c);

/* SHA-256 hex of the SubjectPublicKeyInfo. */
const char *csr_spki_hash(const struct csr *c);

/*
 * Make a request for KEY: subject CN alone (none if COMMON_NAME is blank or
 * longer than the 64 characters a CN may have), SANS by type.  PEM, in A.
 */
char *csr_make(struct arena *a, const struct key *k, const char *common_name,
    const struct texts *sans, struct err *e);

#endif
