/*
 * One piece of work, as the server hands it out and as the journal keeps it.
 * The members after FINGERPRINT are the journal's: no server can set them.
 */
#ifndef CERTCTL_AGENT_JOB_H
#define CERTCTL_AGENT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field.h"
#include "base/util.h"

struct job {
	const char *id, *type, *status, *certificate_id;
	const char *common_name;	/* of a CSR to be made */
	struct texts sans;
	const char *key_algorithm;	/* blank: ECDSA */
	int64_t key_size;		/* 0: 256, RSA 2048 */
	const char *target_id, *target_type, *target_config;
	const char *fingerprint;	/* of the version to deploy; or blank */

	const char *result;		/* blank, "Completed", "Failed" */
	const char *error;		/* why it failed */
	bool verify;			/* a verification is to be reported */
	bool verified;
	const char *expected_fingerprint, *actual_fingerprint;
	const char *verify_error;
};

/* Work items leave the journal's members alone; JSON_RO reads them too. */
extern const struct field job_fields[];

#endif
