/*
 * Enrolment: a certificate for whoever asks and may have it, at once.
 *
 * The promise is kept that every certificate is in the inventory: its record
 * and its intent are durable before the signature, in the same flight that
 * finds out what stands against it; the certificate and its audit go in a
 * second one, which leaves a record that is new as it was written.  What cannot be signed at once becomes a job, and the client
 * that repeats its request gets what came of it.
 */
#ifndef CERTCTL_DOMAIN_ENROL_H
#define CERTCTL_DOMAIN_ENROL_H

#include "domain/ctx.h"
#include "x509/csr.h"
#include "x509/san.h"

/* What the settings say of a profile; its texts live as long as the process. */
struct enrol_conf {
	const char *label;		/* "" if it has none */
	const char *issuer_id;
	const char *profile_id;		/* blank: no rules */
	const char *owner_id, *team_id;	/* team blank: the owner's */
	const char *renewal_policy_id;
};

struct enroller;	/* with what the database says, looked up once */

struct enroller *enroller_new(const struct enrol_conf *conf);
void enroller_free(struct enroller *en);

/*
 * Look up what EN needs and open its issuer, unless that was done a moment ago
 * or the database is away.  E_INVALID
 * if something is not there, is disabled or cannot hand out a CA certificate;
 * E_UNAVAILABLE if that may pass.
 */
int enroller_ready(struct ctx *c, struct enroller *en, struct err *e);

enum { ENROL_KEYS_MAX = 8 };

/*
 * What the certificate profile of an enroller that is ready says: the kinds of
 * key it allows, best first, each of the least size that is made; extended key
 * usages; attributes a request must have.  None of each without a profile.
 */
size_t enroller_key_types(const struct enroller *en,
    struct key_type out[ENROL_KEYS_MAX]);
struct texts enroller_ekus(const struct enroller *en);
struct texts enroller_required(const struct enroller *en);

/* The CA, those above it, and earlier ones that are still valid: DER, each
 * once, borrowed.  *ROOTED tells if a self-signed one is among them. */
const struct bytes *enroller_ca_certs(const struct enroller *en, size_t *n,
    bool *rooted);

/* The certificate a client proved to hold. */
struct enrol_client {
	const char *fingerprint;
	struct bytes subject;		/* DER */
	struct sans sans;
};

/* E_UNAUTHORIZED if it is ours and revoked, or another profile's; *OURS tells
 * if it is ours at all. */
int enrol_check_client(struct ctx *c, const struct enroller *en,
    const struct enrol_client *client, bool *ours, struct err *e);

struct enrol_args {
	const char *action;		/* for the audit: est_simple_enroll */
	struct bytes csr_der;
	const struct csr *csr;
	const struct enrol_client *client;	/* NULL: known otherwise */
	bool renew;			/* only what it has already */
	bool at_once;			/* a later answer would be of no use */
};

enum enrol_fault {
	ENROL_FAULT_NONE,
	ENROL_FAULT_POLICY,	/* the profile does not allow it */
	ENROL_FAULT_CLIENT,	/* its certificate is not good for this */
	ENROL_FAULT_ISSUER,
	ENROL_FAULT_INTERNAL,
};

struct enrolled {
	bool pending;			/* come back with the same request */
	const char *certificate_id, *serial;
	struct bytes der;		/* the certificate, in C's arena */
	enum enrol_fault fault;		/* on failure: whose it is */
};

/*
 * Issue ARGS' certificate.  E_INVALID for what the profile forbids, or names
 * that are not those of the certificate that is renewed; E_UNAUTHORIZED for
 * the client's certificate; E_CONFLICT for what is disabled or on hold;
 * E_UNAVAILABLE.  Failures are not recorded here: see enrol_note().
 */
int enrol(struct ctx *c, struct enroller *en, const struct enrol_args *args,
    struct enrolled *out, struct err *e);

/* Record a refusal: ACTION, why, and of CSR (may be NULL) what it asked for. */
void enrol_note(struct ctx *c, const struct enroller *en, const char *action,
    const struct csr *csr, const char *reason);

#endif
