/* An issuing certificate with the certificates above it, ready to issue. */
#ifndef CERTCTL_X509_CA_H
#define CERTCTL_X509_CA_H

#include "x509/cert.h"

struct ca;	/* opaque; dies with the arena it was read into */

/*
 * Read PEM: the issuing CA first, then, if there, each one's issuer.
 * E_INVALID unless all are CAs that may sign certificates, each one issued
 * the one before it, and their path lengths allow an end entity below.
 */
struct ca *ca_from_pem(struct arena *a, const char *pem, struct err *e);

/* Borrowed from C. */
const struct x509_cert *ca_cert(const struct ca *c);
struct bytes ca_subject_der(const struct ca *c);
struct bytes ca_spki_der(const struct ca *c);
struct bytes ca_key_id(const struct ca *c);

/* The whole PEM text it was read from, newline at its end. */
const char *ca_pem(const struct ca *c);

/* E_INVALID with the dates unless all of C is valid at AT. */
int ca_check_valid(const struct ca *c, int64_t at, struct err *e);

/* E_INVALID if a name in TBS lies outside the name constraints of C. */
int ca_check_names(const struct ca *c, struct arena *a, struct bytes tbs,
    struct err *e);

/* E_INVALID unless SIGNATURE is of TBS by the key of C. */
int ca_check_signature(const struct ca *c, struct bytes tbs,
    struct bytes signature, struct err *e);

/*
 * Read the certificate DER; E_INVALID unless C issued it: name, key id and
 * signature.
 */
int ca_read_issued(const struct ca *c, struct arena *a, struct bytes der,
    struct x509_cert *out, struct err *e);

#endif
