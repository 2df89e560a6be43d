/* Certificates as OpenSSL objects, for this room. */
#ifndef CERTCTL_X509_CERTS_H
#define CERTCTL_X509_CERTS_H

#include "x509/cert.h"
#include "x509/ossl.h"

int cert_read(struct arena *a, X509 *x, struct x509_cert *out,
    struct err *e);

/* The certificates of PEM, freed with A; never none on success. */
int certs_read_pem(struct arena *a, const char *pem, X509 ***out, size_t *n,
    struct err *e);

/* E_INVALID unless ISSUER issued SUBJECT: names, key ids and signature. */
int cert_check_issued(X509 *issuer, X509 *subject, struct err *e);

/*
 * G as a SAN; false for a type that we have no name for.  Its text is NULL if
 * it is not text, or no address.
 */
bool san_of_general(struct arena *a, const GENERAL_NAME *g, struct san *out);

#endif
