/* Extended key usages by the names profiles use (RFC 5280 section 4.2.1.12). */
#ifndef CERTCTL_X509_EKU_H
#define CERTCTL_X509_EKU_H

#include <stddef.h>

enum { EKU_OID_LEN = 8 };

struct eku {
	const char *name;
	const char *oid;	/* EKU_OID_LEN octets */
};

/* The row called NAME, or with this object identifier, or NULL. */
const struct eku *eku_find(const char *name);
const struct eku *eku_find_oid(const void *oid, size_t len);

#endif
