/* PEM (RFC 7468). */
#ifndef CERTCTL_X509_PEM_H
#define CERTCTL_X509_PEM_H

#include "base/util.h"

struct arena;

/* One block LABEL of DER, newline at its end, in A. */
char *pem_make(struct arena *a, const char *label, struct bytes der);

#endif
