/* Inside this room: a PKCS#10 request in its parts (RFC 2986 section 4). */
#ifndef CERTCTL_X509_CSR_PARTS_H
#define CERTCTL_X509_CSR_PARTS_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/ext.h"

struct err;

/* All borrowed from the request. */
struct csr_parts {
	struct bytes info;		/* whole: what is signed */
	struct bytes version;		/* content */
	struct bytes subject, spki;	/* whole elements */
	struct bytes attributes;	/* content of [0] */
	struct bytes algorithm;		/* whole element */
	struct bytes signature;		/* its octets */
};

/* E_INVALID unless DER is one request in DER and nothing more.  What its
 * elements hold is not looked at. */
int csr_parts_read(struct bytes der, struct csr_parts *out, struct err *e);

/*
 * The first value of attribute ID in IN, the attributes: its TAG and content,
 * and in *WHOLE, unless that is NULL, all of it.  How many such attributes
 * there are; -1 if they, or the value, are damaged.
 */
int csr_attribute(struct bytes in, const struct oid *id,
    unsigned char *tag, struct bytes *value, struct bytes *whole);

#endif
