/*
 * Certificate extensions (RFC 5280 section 4.2), written as DER.
 *
 * Each function adds one Extension; the caller has opened the SEQUENCE.
 */
#ifndef CERTCTL_X509_EXT_H
#define CERTCTL_X509_EXT_H

#include <stdbool.h>

#include "base/util.h"

struct buf;
struct err;
struct sans;

struct oid {
	const char *p;		/* content octets */
	size_t len;
};

/* An Extension being written: between these two, its value. */
struct ext {
	size_t seq, value;
};
struct ext ext_open(struct buf *b, struct oid id, bool critical);
void ext_close(struct buf *b, struct ext x);

/* Named bits of keyUsage, as der_flags() takes them. */
enum {
	USAGE_DIGITAL_SIGNATURE = 0x80,
	USAGE_CONTENT_COMMITMENT = 0x40,
	USAGE_KEY_ENCIPHERMENT = 0x20,
	USAGE_KEY_CERT_SIGN = 0x04,
	USAGE_CRL_SIGN = 0x02,
};

void ext_basic_constraints(struct buf *b, bool ca);
void ext_key_usage(struct buf *b, unsigned char usage);

/* EKUS by the names profiles use; E_INVALID for any other. */
int ext_eku(struct buf *b, const struct texts *ekus, struct err *e);

void ext_subject_key_id(struct buf *b, const void *id, size_t len);
void ext_authority_key_id(struct buf *b, struct bytes id);

/* Critical where the subject is empty (section 4.2.1.6). */
int ext_sans(struct buf *b, const struct sans *sans, bool critical,
    struct err *e);

/* Blank locations are left out. */
void ext_authority_info(struct buf *b, const char *ocsp_url,
    const char *issuer_url);
void ext_crl_points(struct buf *b, const struct texts *urls);

void ext_must_staple(struct buf *b);	/* RFC 7633 */
void ext_no_rev_avail(struct buf *b);	/* RFC 9608 */
void ext_ocsp_nocheck(struct buf *b);	/* RFC 6960 section 4.2.2.2.1 */

#endif
