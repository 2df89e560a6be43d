#include "agent/job.h"

const struct field job_fields[] = {
	FIELD(struct job, id, TEXT, F_REQ),
	FIELD(struct job, type, TEXT, 0),
	FIELD(struct job, status, TEXT, 0),
	FIELD(struct job, certificate_id, TEXT, 0),
	FIELD(struct job, common_name, TEXT, F_OMIT),
	FIELD(struct job, sans, TEXTS, F_OMIT),
	FIELD(struct job, key_algorithm, TEXT, F_OMIT),
	FIELD(struct job, key_size, INT, F_OMIT),
	FIELD(struct job, target_id, TEXT, F_OMIT),
	FIELD(struct job, target_type, TEXT, F_OMIT),
	FIELD(struct job, target_config, JSON, F_OMIT),
	FIELD(struct job, fingerprint, TEXT, F_OMIT),
	FIELD(struct job, result, TEXT, F_RO | F_OMIT),
	FIELD(struct job, error, TEXT, F_RO | F_OMIT),
	FIELD(struct job, verify, BOOL, F_RO | F_OMIT),
	FIELD(struct job, verified, BOOL, F_RO | F_OMIT),
	FIELD(struct job, expected_fingerprint, TEXT, F_RO | F_OMIT),
	FIELD(struct job, actual_fingerprint, TEXT, F_RO | F_OMIT),
	FIELD(struct job, verify_error, TEXT, F_RO | F_OMIT),
	FIELD_END
};
