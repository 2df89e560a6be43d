/*
 * TBSCertificate (RFC 5280 section 4.1): what a CA signs.
 *
 * Built here octet by octet from plain values, not from extension text, which
 * costs more than the signature.
 */
#ifndef CERTCTL_X509_TBS_H
#define CERTCTL_X509_TBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "x509/ext.h"
#include "x509/san.h"

struct arena;
struct err;

enum { SERIAL_LEN = 20, SERIAL_HEX = 40 };

struct tbs {
	unsigned char serial[SERIAL_LEN];
	struct bytes algorithm;		/* AlgorithmIdentifier, of the CA */
	struct bytes issuer, subject;	/* Name */
	struct bytes spki;
	int64_t not_before, not_after;
	bool ca;
	unsigned char key_usage;	/* USAGE_ bits */
	struct texts ekus;		/* none: no extension */
	struct bytes authority_key_id;	/* empty: no extension */
	struct sans sans;		/* none: no extension */
	const char *ocsp_url, *issuer_url;	/* blank: left out */
	struct texts crl_urls;
	bool must_staple, no_rev_avail;
	bool ocsp_nocheck;		/* an OCSP responder's */
};

/*
 * A random serial: positive, 20 octets, its first hex digit never 0, so that
 * its number, its octets and its 40 digits are the same in every spelling.
 */
void serial_new(unsigned char serial[SERIAL_LEN]);

/* E_INVALID for an EKU that is not known. */
int tbs_make(struct arena *a, const struct tbs *t, struct bytes *der,
    struct err *e);

/* What the holder of a CA key must know of a TBSCertificate before it signs. */
struct tbs_info {
	const char *serial;		/* lower-case hex */
	/* Whole elements of the TBS. */
	struct bytes algorithm, issuer, subject, spki;
	bool ca;			/* not surely an end entity's */
	bool ocsp;			/* could sign OCSP answers */
	bool unknown;			/* has an extension we do not know */
	int64_t not_before, not_after;
};

/*
 * E_INVALID if TBS is not one whole TBSCertificate, version 3, with a positive
 * serial number, in DER.  What subject, public key and names hold is not
 * looked at.
 */
int tbs_read(struct arena *a, struct bytes tbs, struct tbs_info *out,
    struct err *e);

/* What a TBSCertList (RFC 5280 section 5.1.2) says of itself. */
struct tbs_list_info {
	const char *number;		/* lower-case hex */
	struct bytes algorithm, issuer;	/* whole elements of the TBS */
	int64_t this_update, next_update;
	size_t entries;
};

/*
 * E_INVALID if TBS is not one whole TBSCertList, version 2, with a number and
 * a next update.  No TBSCertificate is one: where it has its validity, a list
 * has a time.
 */
int tbs_list_read(struct arena *a, struct bytes tbs,
    struct tbs_list_info *out, struct err *e);

/* What a CA certificate, DER, grants to its key. */
struct ca_grant {
	struct bytes subject, spki;	/* borrowed from the certificate */
	int64_t not_before, not_after;
};

/* E_INVALID if DER is not one whole certificate. */
int ca_grant_read(struct bytes der, struct ca_grant *out, struct err *e);

/* The Certificate: TBS, ALGORITHM and SIGNATURE put together. */
struct bytes cert_assemble(struct arena *a, struct bytes tbs,
    struct bytes algorithm, struct bytes signature);

#endif
