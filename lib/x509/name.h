/*
 * What a name in a certificate may hold, and the Name with a commonName
 * alone (RFC 5280 section 4.1.2.4).
 */
#ifndef CERTCTL_X509_NAME_H
#define CERTCTL_X509_NAME_H

#include <stddef.h>

#include "base/util.h"

struct arena;
struct err;

enum { COMMON_NAME_MAX = 64 };	/* characters; RFC 5280 appendix A.1 */

/*
 * E_INVALID with the reason if the LEN octets at S are not UTF-8 or hold a
 * control, bidirectional or invisible character: a name must look like what
 * it is.  WHAT names it in the message.
 */
int name_check_text(const char *what, const char *s, size_t len,
    struct err *e);

/*
 * The same, and no dot-separated label may mix ASCII letters or digits with
 * others: one Cyrillic letter in a Latin word deceives the reader.
 */
int name_check_labels(const char *what, const char *s, size_t len,
    struct err *e);

/* Name of COMMON_NAME alone; empty if that is blank or too long for one. */
struct bytes name_of(struct arena *a, const char *common_name);

#endif
