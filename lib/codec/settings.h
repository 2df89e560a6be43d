/*
 * Settings: CERTCTL_* variables, and the same names in a YAML file; the
 * variable wins.
 *
 * One table describes them all; the reference in docs/ is made from it.
 */
#ifndef CERTCTL_CODEC_SETTINGS_H
#define CERTCTL_CODEC_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/field.h"

struct arena;
struct err;

/* One EST profile: CERTCTL_EST_PROFILE_<NAME>_..., or CERTCTL_EST_... for
 * the one without a label. */
struct est_settings {
	const char *label;		/* in its URLs; "" if it has none */
	const char *issuer_id, *profile_id;
	const char *enrollment_password;
	struct texts allowed_auth_modes;
	bool mtls_enabled, channel_binding_required;
	const char *mtls_client_ca_trust_bundle_path;
	int64_t rate_limit_per_principal_24h;
	bool serverkeygen_enabled, csrattrs_template;
	const char *owner_id, *team_id, *renewal_policy_id;
};

struct settings {
	/* HTTP */
	int64_t max_body_size;
	struct texts cors_origins;
	/* processes */
	const char *log_level, *run_dir, *state_dir;
	/* database */
	const char *database_url;
	/* access */
	const char *auth_type;
	struct texts auth_secret, api_keys_named;
	const char *agent_bootstrap_token;
	bool agent_bootstrap_token_deny_empty;
	const char *config_encryption_key;
	/* rate limits */
	bool rate_limit_enabled;
	double rate_limit_rps, rate_limit_per_user_rps;
	int64_t rate_limit_burst, rate_limit_per_user_burst;
	/* audit */
	bool audit_agent_traffic;
	/* issuing */
	const char *keygen_mode, *ca_cert_path, *ca_key_path;
	const char *pki_base_url;
	/* revocation, seconds */
	const char *crl_dir;
	int64_t crl_generation_interval, crl_validity, crl_overlap;
	int64_t crl_debounce, crl_shard_entries;
	bool crl_delta;
	int64_t ocsp_rate_limit_per_ip_min;
	int64_t ocsp_responder_validity, ocsp_responder_rotation_grace;
	/* signer */
	const char *signer_socket, *signer_pkcs11_module, *signer_pin_file;
	struct texts signer_allow, signer_key_dirs;
	/* EST */
	bool est_enabled;
	struct texts est_profiles;	/* labels */
	struct est_settings *est;	/* one each, and one without a label */
	size_t n_est;
	struct texts est_names, est_values;	/* as they came */
	/* scheduler, seconds */
	int64_t renewal_check_interval, job_processor_interval;
	int64_t job_claim_limit, renewal_concurrency, retry_interval;
	int64_t job_timeout_interval, job_awaiting_csr_timeout;
	int64_t job_awaiting_approval_timeout, agent_health_check_interval;
	int64_t short_lived_expiry_check_interval;
};

extern const struct field settings_fields[];

/*
 * Read the file (CERTCTL_CONFIG_FILE, else /etc/certctl/certctl.yaml if it is
 * there) and the environment over the defaults.  E_INVALID names the first
 * unknown name or bad value; nothing starts with half a configuration.
 */
int settings_load(struct arena *a, struct settings *s, struct err *e);

/* One "NAME=value" line each, secrets masked. */
void settings_print(FILE *out, const struct settings *s);

/* A Markdown table row each: name, type, default, meaning. */
void settings_reference(FILE *out);

#endif
