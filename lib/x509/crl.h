/*
 * Certificate revocation lists (RFC 5280 section 5), version 2.
 *
 * A list may hold millions of entries, so it is written as it is read from
 * wherever the entries come: begin, add each, end; the caller has the TBS
 * signed and puts the list together.
 */
#ifndef CERTCTL_X509_CRL_H
#define CERTCTL_X509_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct arena;
struct err;
struct crl_writer;

struct crl_head {
	struct bytes algorithm;		/* AlgorithmIdentifier, of the CA key */
	struct bytes issuer;		/* Name, DER */
	struct bytes authority_key_id;	/* octets of the CA's key id */
	int64_t number;			/* cRLNumber, > 0 */
	int64_t base_number;		/* deltaCRLIndicator; 0: not a delta */
	int64_t this_update, next_update;
	int64_t entries;		/* perhaps so many: memory for them */
	/* A critical issuingDistributionPoint: blank for a complete list. */
	const char *distribution_point;
	const char *freshest_url;	/* where deltas are; blank: none */
};

/* Memory of the list lives in A. */
struct crl_writer *crl_begin(struct arena *a, const struct crl_head *head);

/* SERIAL is lower-case hex; REASON a CRLReason code, 0 leaves it out. */
int crl_add(struct crl_writer *w, const char *serial, int64_t revoked_at,
    int reason, struct err *e);

/* The TBSCertList to be signed, and then the list itself; both are borrowed
 * from the writer, where they share their memory. */
struct bytes crl_end(struct crl_writer *w);
struct bytes crl_assemble(struct crl_writer *w, struct bytes signature);

/*
 * Call EACH for the serial number of every entry, octets as encoded.
 * E_INVALID if DER is no CertificateList, as far as this looks.
 */
int crl_each(struct bytes der, void (*each)(void *arg, struct bytes serial),
    void *arg, struct err *e);

/*
 * Past some size a list is cut into CRL_SHARDS.  The shard of a certificate
 * stands in it when it is issued, so this must never change: it is in the last
 * bits of SERIAL, lower-case hex, which are random.
 */
enum { CRL_SHARDS = 64 };
unsigned crl_shard(const char *serial);

#endif
