/*
 * Enrollment over Secure Transport (RFC 7030, 8951, 9908): its messages, to
 * and from plain values.
 */
#ifndef CERTCTL_PROTO_EST_H
#define CERTCTL_PROTO_EST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/util.h"
#include "x509/key.h"

struct arena;
struct buf;

enum { EST_KEYS_MAX = 8 };

/* HTTP status for a failure: the client's faults are never 5xx. */
int est_status(enum err_code code);

/*
 * The PKCS#10 request in BODY, as DER in A: base64 of it with any white space,
 * or, from old clients, PEM or the DER itself.  E_UNSUPPORTED if CONTENT_TYPE
 * is clearly another thing's; E_INVALID.  What DER it is is not looked at.
 */
int est_read_csr(struct arena *a, const char *content_type, const char *body,
    size_t len, struct bytes *der, struct err *e);

/* User and password of the header AUTHORIZATION (RFC 7617), in A and wiped
 * with it; false if it is none, or the user is empty. */
bool est_basic(struct arena *a, const char *authorization, const char **user,
    const char **password);

/* What a client is asked to put into its request. */
struct est_attrs {
	struct key_type keys[EST_KEYS_MAX];	/* any of them, best first */
	size_t n_keys;
	struct texts ekus, required;	/* as profiles spell them */
	bool template;			/* and once more as RFC 9908 has it */
};

/* CsrAttrs, DER in A (RFC 8951 section 3.5); no octets if nothing is asked. */
int est_csrattrs(struct arena *a, const struct est_attrs *t,
    struct bytes *out, struct err *e);

/*
 * The two parts of a serverkeygen reply (RFC 7030 section 4.4.2) into BODY,
 * the key first; SEALED tells its form.  Returns the content type, in A.
 */
const char *est_key_reply(struct arena *a, struct buf *body,
    struct bytes key, bool sealed, struct bytes certs);

/* What is counted of a profile, by the processes of a host together. */
enum est_counter {
	EST_SUCCESS_SIMPLEENROLL,
	EST_SUCCESS_SIMPLEREENROLL,
	EST_SUCCESS_SERVERKEYGEN,
	EST_AUTH_FAILED_BASIC,
	EST_AUTH_FAILED_MTLS,
	EST_AUTH_FAILED_CHANNEL_BINDING,
	EST_CSR_INVALID,
	EST_CSR_POLICY_VIOLATION,
	EST_CSR_SIGNATURE_MISMATCH,
	EST_RATE_LIMITED,
	EST_ISSUER_ERROR,
	EST_INTERNAL_ERROR,
	EST__COUNTERS
};

/* Its name, and its place among what the host counts (base/shared.h). */
const char *est_counter_name(enum est_counter c);
uint64_t est_counter_key(const char *label, enum est_counter c);

/* Content types of replies. */
extern const char est_certs_type[], est_csrattrs_type[];

#endif
