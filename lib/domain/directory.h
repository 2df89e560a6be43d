/* Teams, owners, profiles and renewal policies: see domain/resource.h. */
#ifndef CERTCTL_DOMAIN_DIRECTORY_H
#define CERTCTL_DOMAIN_DIRECTORY_H

#include "base/field.h"

struct arena;
struct err;
struct profile_rules;

struct profile {
	const char *id, *name, *description;
	const char *allowed_key_algorithms;	/* JSON: [{algorithm, min_size}] */
	int64_t max_ttl_seconds;		/* 0: no cap */
	struct texts allowed_ekus, required_san_patterns;
	struct texts required_csr_attributes;
	const char *spiffe_uri_pattern, *acme_auth_mode;
	bool allow_short_lived, must_staple, requires_approval, enabled;
	int64_t created_at, updated_at;
};

/* The columns of a statement that joins certificate_profiles, read into the
 * struct profile M of S. */
#define PROFILE_RULE_FIELDS(S, M)					\
	FIELD_AS(S, M.enabled, "profile_enabled", BOOL, 0),		\
	FIELD_AS(S, M.allowed_key_algorithms, "allowed_key_algorithms",	\
	    JSONS, 0),							\
	FIELD_AS(S, M.max_ttl_seconds, "max_ttl_seconds", INT, 0),	\
	FIELD_AS(S, M.allowed_ekus, "allowed_ekus", TEXTS, 0),		\
	FIELD_AS(S, M.required_san_patterns, "required_san_patterns",	\
	    TEXTS, 0),							\
	FIELD_AS(S, M.spiffe_uri_pattern, "spiffe_uri_pattern", TEXT, 0), \
	FIELD_AS(S, M.must_staple, "must_staple", BOOL, 0),		\
	FIELD_AS(S, M.allow_short_lived, "allow_short_lived", BOOL, 0)

/*
 * The rules of P as issuers check them, in A.  E_INVALID if its key rules are
 * not what profile_keys_read() takes: it then allows nothing.
 */
int profile_rules(struct arena *a, const struct profile *p,
    struct profile_rules *out, struct err *e);

#endif
