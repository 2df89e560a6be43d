/*
 * OCSP (RFC 6960, RFC 9654 nonces): requests in, responses out, octets only.
 *
 * Requests are hostile: read by der_next(), every size bounded.
 */
#ifndef CERTCTL_X509_OCSP_H
#define CERTCTL_X509_OCSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct arena;
struct err;
struct key;

enum { OCSP_MAX_REQUEST = 8192, OCSP_MAX_IDS = 16, OCSP_MAX_NONCE = 128,
	OCSP_MAX_PREFERRED = 8 };

/* OCSPResponseStatus. */
enum ocsp_status {
	OCSP_SUCCESSFUL = 0,
	OCSP_MALFORMED = 1,
	OCSP_INTERNAL_ERROR = 2,
	OCSP_TRY_LATER = 3,
	OCSP_SIG_REQUIRED = 5,
	OCSP_UNAUTHORIZED = 6,
};

enum ocsp_hash { OCSP_SHA1, OCSP_SHA256, OCSP_SHA384, OCSP_SHA512,
	OCSP_HASH_UNKNOWN };

struct ocsp_id {
	struct bytes der;		/* CertID as sent: echoed as it is */
	enum ocsp_hash hash;
	struct bytes name_hash, key_hash;
	struct bytes serial;		/* INTEGER's octets as sent */
	/* Canonical: lower case, no zeros in front beyond an even length; "-"
	 * before what is negative, as none of ours is. */
	const char *serial_hex;
};

struct ocsp_request {
	struct ocsp_id id[OCSP_MAX_IDS];
	size_t n;
	struct bytes nonce;		/* none: no octets */
	bool nonce_malformed;
	/* Of signature algorithms, in the client's order; more are ignored. */
	struct bytes preferred[OCSP_MAX_PREFERRED];
	size_t n_preferred;
};

/* OCSP_SUCCESSFUL, or the status to answer with; borrowed from DER and A. */
enum ocsp_status ocsp_request_read(struct arena *a, struct bytes der,
    struct ocsp_request *out);

/* A request for one certificate by SHA-256 hashes of its issuer, without a
 * nonce, in A; false if SERIAL_HEX is no serial number. */
bool ocsp_request_make(struct arena *a, struct bytes name_hash,
    struct bytes key_hash, const char *serial_hex, struct bytes *der);

/* P's hash as CertIDs have it, in A; H is a known one. */
struct bytes ocsp_hash(struct arena *a, enum ocsp_hash h, struct bytes p);

enum ocsp_cert_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };

struct ocsp_answer {
	struct bytes id_der;
	enum ocsp_cert_status status;
	int64_t revoked_at;		/* if revoked */
	int reason;			/* CRLReason; 0 leaves it out */
	int64_t this_update, next_update;
};

/* A delegated responder: its key and its certificate. */
struct ocsp_signer {
	const struct key *key;
	struct bytes cert_der;		/* included in every response */
	struct bytes key_hash;		/* SHA-1 of the key, for byKey */
};

/* What S signs with: what RQ prefers if it can (RFC 6960 section 4.4.7), or
 * else key_algorithm(). */
struct bytes ocsp_algorithm(const struct ocsp_signer *s,
    const struct ocsp_request *rq);

/* The ResponseData, which S's key has to sign, in A. */
struct bytes ocsp_data(struct arena *a, const struct ocsp_signer *s,
    const struct ocsp_answer *answers, size_t n, int64_t produced_at,
    struct bytes nonce);

/* The whole response, in A. */
struct bytes ocsp_assemble(struct arena *a, const struct ocsp_signer *s,
    struct bytes data, struct bytes algorithm, struct bytes signature);

/* An error response: five octets, static. */
struct bytes ocsp_error(enum ocsp_status status);

#endif
