/*
 * Issuers this process has open.
 *
 * Opening one reads keys or connects, so it is done once for each version of
 * its configuration, not once for each certificate.  Processes are
 * single-threaded: the store is the process's.
 */
#ifndef CERTCTL_DOMAIN_OPENED_H
#define CERTCTL_DOMAIN_OPENED_H

#include <stdint.h>

#include "base/util.h"
#include "domain/ctx.h"

struct issuer;

/* Columns of issuers beside others. */
struct issuer_row {
	const char *issuer_id, *issuer_type;
	const char *config;		/* as stored, secrets masked */
	struct bytes encrypted_config;	/* all of it; none: CONFIG is all */
	const char *ca_cert_pem;	/* what it made for itself, or NULL */
	int64_t issuer_revision;	/* changes with the configuration */
	/* The CA key it was last opened with, for a process that may not note
	 * another: E_UNAVAILABLE then, until a worker has.  NULL: note it. */
	const char *ca_key_id;
};

/* Rows for the field table of a struct S with a struct issuer_row M in it;
 * encrypted_config is read with db_bytes_at(). */
#define ISSUER_FIELDS(s, m)						\
	FIELD_AS(s, m.issuer_id, "issuer_id", TEXT, 0),			\
	FIELD_AS(s, m.issuer_type, "issuer_type", TEXT, 0),		\
	FIELD_AS(s, m.config, "config", JSON, 0),			\
	FIELD_AS(s, m.ca_cert_pem, "ca_cert_pem", TEXT, 0),		\
	FIELD_AS(s, m.issuer_revision, "issuer_revision", INT, 0)

/*
 * The issuer of ROW, opened; borrowed until the next call.  A CA certificate
 * it made for itself is stored before it is used for the first time, and what
 * is stored wins.  NULL with the reason: E_UNAVAILABLE is the database's,
 * anything else the issuer's.
 */
struct issuer *opened_get(struct ctx *c, const struct issuer_row *row,
    struct err *e);

/* The CA key an opened issuer signs with; NULL if it signs elsewhere. */
const char *opened_ca_key(const struct issuer *issuer);

/* Close them all. */
void opened_close(void);

#endif
