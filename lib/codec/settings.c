#include "codec/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/settings_value.h"
#include "codec/yaml.h"

extern char **environ;

#define PREFIX "CERTCTL_"
#define DEFAULT_FILE "/etc/certctl/certctl.yaml"

#define S(m, as, t, f, text, ...)					\
	{ .name = PREFIX as, .type = FT_##t, .flags = (f),		\
	  .off = offsetof(struct settings, m), .doc = text,		\
	  FIELD_MORE(__VA_ARGS__) }

enum {
	YEAR_S = 366 * 86400,
	SOCKET_PATH_MAX = 107,	/* of a unix socket, unix(7) */
	BASE_URL_MAX = 200,
};

const struct field settings_fields[] = {
	S(database_url, "DATABASE_URL", TEXT, F_SECRET,
	    "connection string, any libpq form"),
	S(run_dir, "RUN_DIR", TEXT, 0,
	    "directory of what the processes of this host share"),
	S(state_dir, "STATE_DIR", TEXT, 0,
	    "directory of CA keys; mode 0700"),
	S(log_level, "LOG_LEVEL", TEXT, 0, "debug, info, warn or error"),
	S(max_body_size, "MAX_BODY_SIZE", INT, 0,
	    "request body limit in octets", 1 << 26, 1024),
	S(cors_origins, "CORS_ORIGINS", TEXTS, 0,
	    "origins that browsers may call from"),
	S(auth_type, "AUTH_TYPE", TEXT, 0, "api-key, or none: no "
	    "authentication and nobody is admin"),
	S(auth_secret, "AUTH_SECRET", TEXTS, F_SECRET, "keys without a name "
	    "(legacy-key-0, ...), used if API_KEYS_NAMED is empty"),
	S(api_keys_named, "API_KEYS_NAMED", TEXTS, F_SECRET,
	    "name:key or name:key:admin"),
	S(agent_bootstrap_token, "AGENT_BOOTSTRAP_TOKEN", TEXT, F_SECRET,
	    "what a new agent shows to register"),
	S(agent_bootstrap_token_deny_empty, "AGENT_BOOTSTRAP_TOKEN_DENY_EMPTY",
	    BOOL, 0, "refuse to start without a bootstrap token"),
	S(config_encryption_key, "CONFIG_ENCRYPTION_KEY", TEXT, F_SECRET,
	    "passphrase, 32 octets or more, that seals issuer and target "
	    "configurations"),
	S(rate_limit_enabled, "RATE_LIMIT_ENABLED", BOOL, 0,
	    "limit requests by key, and by address without one"),
	S(rate_limit_rps, "RATE_LIMIT_RPS", REAL, 0,
	    "requests a second and address", 1000000000, 0),
	S(rate_limit_burst, "RATE_LIMIT_BURST", INT, 0,
	    "requests at once and address", 1000000000, 1),
	S(rate_limit_per_user_rps, "RATE_LIMIT_PER_USER_RPS", REAL, 0,
	    "requests a second and key; 0 is as by address", 1000000000, 0),
	S(rate_limit_per_user_burst, "RATE_LIMIT_PER_USER_BURST", INT, 0,
	    "requests at once and key; 0 is as by address", 1000000000, 0),
	S(audit_agent_traffic, "AUDIT_AGENT_TRAFFIC", BOOL, 0,
	    "record heartbeats and empty work polls too"),
	S(keygen_mode, "KEYGEN_MODE", TEXT, 0,
	    "agent: keys are made where they are used"),
	S(ca_cert_path, "CA_CERT_PATH", TEXT, 0,
	    "CA certificate of iss-local; empty: it makes its own"),
	S(ca_key_path, "CA_KEY_PATH", TEXT, 0, "and its key"),
	S(pki_base_url, "PKI_BASE_URL", TEXT, 0, "http:// address of "
	    "/.well-known/pki, written into certificates; empty: none is"),
	S(crl_dir, "CRL_DIR", TEXT, 0, "directory of finished CRLs, which the "
	    "web server serves as files; empty: they are only in the database"),
	S(crl_generation_interval, "CRL_GENERATION_INTERVAL", DURATION, 0,
	    "between two CRLs of a CA without a revocation", YEAR_S, 60),
	S(crl_validity, "CRL_VALIDITY", DURATION, 0,
	    "from thisUpdate to nextUpdate", YEAR_S, 300),
	S(crl_overlap, "CRL_OVERLAP", DURATION, 0,
	    "a new CRL comes at least this long before nextUpdate",
	    YEAR_S, 60),
	S(crl_debounce, "CRL_DEBOUNCE", DURATION, 0, "wait for more "
	    "revocations before a new CRL; compromises do not wait", 3600, 0),
	S(crl_shard_entries, "CRL_SHARD_ENTRIES", INT, 0, "entries past which "
	    "a CRL is cut into shards; 0: never", 100000000, 0),
	S(ocsp_rate_limit_per_ip_min, "OCSP_RATE_LIMIT_PER_IP_MIN", INT, 0,
	    "OCSP requests a minute and address; 0: no limit",
	    1000000000, 0),
	S(ocsp_responder_validity, "OCSP_RESPONDER_VALIDITY", DURATION, 0,
	    "life of an OCSP responder's certificate", YEAR_S, 3600),
	S(ocsp_responder_rotation_grace, "OCSP_RESPONDER_ROTATION_GRACE",
	    DURATION, 0, "it is replaced so long before its end", YEAR_S, 60),
	S(crl_delta, "CRL_DELTA", BOOL, 0, "publish delta CRLs too"),
	S(signer_socket, "SIGNER_SOCKET", TEXT, 0, "socket of certctl-signer; "
	    "empty: signer.sock in the run directory"),
	S(signer_allow, "SIGNER_ALLOW", TEXTS, 0, "users that may ask "
	    "certctl-signer, beside its own and root: USER, or USER:KIND+KIND "
	    "of certificate, ca, ocsp, crl"),
	S(signer_key_dirs, "SIGNER_KEY_DIRS", TEXTS, 0, "directories of CA "
	    "keys that certctl-signer did not make"),
	S(signer_pkcs11_module, "SIGNER_PKCS11_MODULE", TEXT, 0,
	    "PKCS#11 library; empty: those p11-kit knows"),
	S(signer_pin_file, "SIGNER_PIN_FILE", TEXT, 0, "file with the PIN of "
	    "tokens whose URI names no pin-source"),
	S(est_enabled, "EST_ENABLED", BOOL, 0,
	    "serve EST (RFC 7030) below /.well-known/est"),
	S(est_profiles, "EST_PROFILES", TEXTS, 0, "labels of the EST "
	    "profiles; empty: one profile without a label"),
	S(renewal_check_interval, "SCHEDULER_RENEWAL_CHECK_INTERVAL", DURATION,
	    0, "between two renewal checks", YEAR_S, 60),
	S(job_processor_interval, "SCHEDULER_JOB_PROCESSOR_INTERVAL",
	    DURATION, 0, "between two looks for work; 0s: four a second",
	    3600, 0),
	S(job_claim_limit, "SCHEDULER_JOB_CLAIM_LIMIT", INT, 0,
	    "jobs an issuing process claims at once", 1000, 1),
	S(renewal_concurrency, "RENEWAL_CONCURRENCY", INT, 0,
	    "processes that issue at the same time in one worker", 64, 1),
	S(retry_interval, "SCHEDULER_RETRY_INTERVAL", DURATION, 0,
	    "between two looks for failed jobs that are due again",
	    YEAR_S, 1),
	S(job_timeout_interval, "JOB_TIMEOUT_INTERVAL", DURATION, 0,
	    "between two runs of the job reaper", YEAR_S, 1),
	S(job_awaiting_csr_timeout, "JOB_AWAITING_CSR_TIMEOUT", DURATION, 0,
	    "how long a job waits for its CSR", YEAR_S, 1),
	S(job_awaiting_approval_timeout, "JOB_AWAITING_APPROVAL_TIMEOUT",
	    DURATION, 0, "how long a job waits for approval", YEAR_S, 1),
	S(agent_health_check_interval, "SCHEDULER_AGENT_HEALTH_CHECK_INTERVAL",
	    DURATION, 0, "between two agent health checks", YEAR_S, 1),
	S(short_lived_expiry_check_interval,
	    "SHORT_LIVED_EXPIRY_CHECK_INTERVAL", DURATION, 0,
	    "between two sweeps of expired certificates", YEAR_S, 1),
	FIELD_END
};

static const struct settings defaults = {
	.max_body_size = 1048576,
	.log_level = "info",
	.run_dir = "/run/certctl",
	.state_dir = "/var/lib/certctl",
	.database_url = "postgres://localhost/certctl",
	.auth_type = "api-key",
	.agent_bootstrap_token_deny_empty = true,
	.rate_limit_enabled = true,
	.rate_limit_rps = 50,
	.rate_limit_burst = 100,
	.keygen_mode = "agent",
	.ocsp_rate_limit_per_ip_min = 1000,
	.ocsp_responder_validity = 30 * 86400,
	.ocsp_responder_rotation_grace = 7 * 86400,
	.crl_generation_interval = 3600,
	.crl_validity = 24 * 3600,
	.crl_overlap = 2 * 3600,
	.crl_debounce = 2,
	.renewal_check_interval = 3600,
	.job_claim_limit = 8,
	.renewal_concurrency = 4,
	.retry_interval = 10,
	.job_timeout_interval = 600,
	.job_awaiting_csr_timeout = 24 * 3600,
	.job_awaiting_approval_timeout = 168 * 3600,
	.agent_health_check_interval = 30,
	.short_lived_expiry_check_interval = 30,
};

/* Read by other programs, or before the settings are. */
static const char *const foreign[] = {
	PREFIX "CONFIG_FILE", PREFIX "SERVER_URL", PREFIX "API_KEY",
	PREFIX "SERVER_CA_BUNDLE_PATH", PREFIX "SERVER_TLS_INSECURE_SKIP_VERIFY",
	PREFIX "AGENT_ID", PREFIX "AGENT_NAME", PREFIX "KEY_DIR",
	PREFIX "DISCOVERY_DIRS", PREFIX "EST_URL", PREFIX "EST_USER",
	PREFIX "EST_PASSWORD",
};

static bool
is_foreign(const char *name)
{
	for (size_t i = 0; i < NELEM(foreign); i++)
		if (streq(name, foreign[i]))
			return true;
	/* The demo and the tests keep their own beside ours. */
	return strncmp(name, PREFIX "DEMO_", 13) == 0 ||
	    strncmp(name, PREFIX "TEST_", 13) == 0;
}

static int
bad(const struct field *f, const char *want, struct err *e)
{
	return err_set(e, E_INVALID, "%s %s", f->name, want);
}

static int
in_bounds(const struct field *f, int64_t v, struct err *e)
{
	if (v < f->min || (f->max > 0 && v > f->max))
		return err_set(e, E_INVALID, "%s must be between %" PRId64
		    " and %" PRId64 "%s", f->name, f->min, f->max,
		    f->type == FT_DURATION ? " seconds" : "");
	return 0;
}

static int
set_bool(const struct field *f, const char *v, void *s, struct err *e)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "true", true }, { "1", true }, { "yes", true },
		{ "false", false }, { "0", false }, { "no", false },
	};

	for (size_t i = 0; i < NELEM(words); i++)
		if (streq(v, words[i].text)) {
			*FIELD_PTR(bool, s, f) = words[i].value;
			return 0;
		}
	return bad(f, "must be true or false", e);
}

static int
set_real(const struct field *f, const char *v, void *s, struct err *e)
{
	char *end;
	double d;

	errno = 0;
	d = strtod(v, &end);
	/* Neither hexadecimal nor words: "inf" and "nan" are numbers to C. */
	if (v[strspn(v, "0123456789+-.eE")] != '\0' || *end != '\0' ||
	    errno != 0 || d < (double)f->min || d > (double)f->max)
		return err_set(e, E_INVALID, "%s must be a number between %"
		    PRId64 " and %" PRId64, f->name, f->min, f->max);
	*FIELD_PTR(double, s, f) = d;
	return 0;
}

int
setting_set(struct arena *a, const struct field *f, const char *v, void *s,
    struct err *e)
{
	int64_t n;

	switch (f->type) {
	case FT_TEXT:
		*FIELD_PTR(const char *, s, f) = v;
		return 0;
	case FT_TEXTS:
		*FIELD_PTR(struct texts, s, f) = split_list(a, v);
		return 0;
	case FT_BOOL:
		return set_bool(f, v, s, e);
	case FT_INT:
		if (!int_parse(v, INT64_MIN, INT64_MAX, &n))
			return bad(f, "must be an integer", e);
		break;
	case FT_DURATION:
		if (duration_parse(v, &n, e) < 0)
			return err_prefix(e, "%s", f->name);
		break;
	case FT_REAL:
		return set_real(f, v, s, e);
	default:
		return bad(f, "cannot be set", e);
	}
	if (in_bounds(f, n, e) < 0)
		return -1;
	*FIELD_PTR(int64_t, s, f) = n;
	return 0;
}

static int
set_named(struct arena *a, const char *name, const char *value,
    struct settings *s, struct err *e)
{
	const struct field *f = field_find(settings_fields, name,
	    strlen(name));

	if (blank(value))
		return 0;
	if (f != NULL)
		return setting_set(a, f, value, s, e);
	if (is_foreign(name) || est_setting_keep(a, name, value, s))
		return 0;
	return err_set(e, E_INVALID, "unknown setting %s", name);
}

static int
load_file(struct arena *a, struct settings *s, struct err *e)
{
	const char *path = getenv(PREFIX "CONFIG_FILE");
	struct yaml_pair *pairs;
	const char *name;
	size_t n;

	if (blank(path)) {
		path = DEFAULT_FILE;
		/* One that may not be read is not the same as none. */
		if (access(path, F_OK) != 0 && errno == ENOENT)
			return 0;
	}
	if (yaml_read_file(a, path, &pairs, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		name = pairs[i].name;
		if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
			return err_set(e, E_INVALID, "%s: unknown setting %s",
			    path, name);
		if (set_named(a, name, pairs[i].value, s, e) < 0)
			return err_prefix(e, "%s", path);
	}
	return 0;
}

static int
load_environment(struct arena *a, struct settings *s, struct err *e)
{
	for (char **v = environ; *v != NULL; v++) {
		const char *eq = strchr(*v, '=');

		if (eq == NULL || strncmp(*v, PREFIX, strlen(PREFIX)) != 0)
			continue;
		if (set_named(a, arena_strndup(a, *v, (size_t)(eq - *v)),
		    eq + 1, s, e) < 0)
			return -1;
	}
	return 0;
}

/* It stands in certificates for good, and paths are put behind it. */
static int
check_base_url(const char *url, struct err *e)
{
	static const char scheme[] = "http://";
	size_t len = strlen(url);

	/* RFC 5280 section 8: to fetch it one would have to trust a
	 * certificate first. */
	if (strncmp(url, scheme, strlen(scheme)) != 0)
		return err_set(e, E_INVALID,
		    "CERTCTL_PKI_BASE_URL must begin with http://");
	if (len > BASE_URL_MAX || url[len - 1] == '/' ||
	    url[strlen(scheme)] == '/' || strpbrk(url, "?#\"<>\\^`{|}") != NULL)
		return err_set(e, E_INVALID, "CERTCTL_PKI_BASE_URL must name "
		    "a host and may name a path, in %d characters at most: no "
		    "\"/\" at the end, no query", BASE_URL_MAX);
	for (; *url != '\0'; url++)
		if (*url <= ' ' || *url > '~')
			return err_set(e, E_INVALID, "CERTCTL_PKI_BASE_URL "
			    "has a character that no URL has");
	return 0;
}

/* What no single value shows. */
static int
check(const struct settings *s, struct err *e)
{
	static const char *const placeholders[] = {
		"change-me-in-production", "change-me-32-char-encryption-key",
	};

	if (!streq(s->auth_type, "api-key") && !streq(s->auth_type, "none"))
		return err_set(e, E_INVALID, "CERTCTL_AUTH_TYPE must be "
		    "api-key or none, not \"%s\"", s->auth_type);
	if (!streq(s->keygen_mode, "agent"))
		return err_set(e, E_INVALID, "CERTCTL_KEYGEN_MODE must be "
		    "agent: private keys stay on the machines that use them");
	if (log_level_parse(s->log_level) < 0)
		return err_set(e, E_INVALID, "CERTCTL_LOG_LEVEL must be "
		    "debug, info, warn or error");
	if (!blank(s->config_encryption_key) &&
	    strlen(s->config_encryption_key) < 32)
		return err_set(e, E_INVALID, "CERTCTL_CONFIG_ENCRYPTION_KEY "
		    "must have at least 32 octets");
	if (blank(s->ca_cert_path) != blank(s->ca_key_path))
		return err_set(e, E_INVALID, "CERTCTL_CA_CERT_PATH and "
		    "CERTCTL_CA_KEY_PATH go together");
	if (strlen(s->signer_socket) > SOCKET_PATH_MAX)
		return err_set(e, E_INVALID, "CERTCTL_SIGNER_SOCKET must have "
		    "at most %d octets", SOCKET_PATH_MAX);
	if (s->crl_validity <= s->crl_generation_interval + s->crl_overlap)
		return err_set(e, E_INVALID, "CERTCTL_CRL_VALIDITY must be "
		    "longer than CERTCTL_CRL_GENERATION_INTERVAL and "
		    "CERTCTL_CRL_OVERLAP together, or a CRL could end before "
		    "the next one is there");
	if (s->ocsp_responder_validity <= s->ocsp_responder_rotation_grace)
		return err_set(e, E_INVALID, "CERTCTL_OCSP_RESPONDER_VALIDITY "
		    "must be longer than "
		    "CERTCTL_OCSP_RESPONDER_ROTATION_GRACE");
	if (!blank(s->pki_base_url) && check_base_url(s->pki_base_url, e) < 0)
		return -1;
	if (s->rate_limit_enabled && s->rate_limit_rps == 0)
		return err_set(e, E_INVALID, "CERTCTL_RATE_LIMIT_RPS of 0 "
		    "would refuse everything: CERTCTL_RATE_LIMIT_ENABLED=false "
		    "is without a limit");
	if (texts_has(&s->cors_origins, "*"))
		return err_set(e, E_INVALID, "CERTCTL_CORS_ORIGINS must name "
		    "the origins: * is refused");
	for (size_t i = 0; i < NELEM(placeholders); i++)
		if (texts_has(&s->auth_secret, placeholders[i]) ||
		    streq(or_empty(s->config_encryption_key), placeholders[i]))
			return err_set(e, E_INVALID,
			    "a secret still has its published example value");
	return 0;
}

int
settings_load(struct arena *a, struct settings *s, struct err *e)
{
	*s = defaults;
	if (load_file(a, s, e) < 0 || load_environment(a, s, e) < 0 ||
	    est_settings_read(a, s, e) < 0)
		return -1;
	if (blank(s->signer_socket))
		s->signer_socket = arena_printf(a, "%s/signer.sock",
		    s->run_dir);
	return check(s, e);
}

static void
print_value(FILE *out, const struct field *f, const void *s)
{
	const struct texts *t;

	switch (f->type) {
	case FT_TEXT:
		fputs(or_empty(*FIELD_CPTR(char *, s, f)), out);
		break;
	case FT_TEXTS:
		t = FIELD_CPTR(struct texts, s, f);
		for (size_t i = 0; i < t->n; i++)
			fprintf(out, "%s%s", i > 0 ? "," : "", t->v[i]);
		break;
	case FT_BOOL:
		fputs(*FIELD_CPTR(bool, s, f) ? "true" : "false", out);
		break;
	case FT_DURATION:
		fprintf(out, "%" PRId64 "s", *FIELD_CPTR(int64_t, s, f));
		break;
	case FT_REAL:
		fprintf(out, "%g", *FIELD_CPTR(double, s, f));
		break;
	default:
		fprintf(out, "%" PRId64, *FIELD_CPTR(int64_t, s, f));
	}
}

void
setting_print(FILE *out, const struct field *f, const void *obj)
{
	fputc('=', out);
	if ((f->flags & F_SECRET) && !field_unset(f, obj))
		fputs("********", out);
	else
		print_value(out, f, obj);
	fputc('\n', out);
}

void
settings_print(FILE *out, const struct settings *s)
{
	for (const struct field *f = settings_fields; f->name != NULL; f++) {
		fputs(f->name, out);
		setting_print(out, f, s);
	}
	est_settings_print(out, s);
}

void
setting_describe(FILE *out, const char *prefix, const struct field *f,
    const void *obj)
{
	static const char *const types[] = {
		[FT_TEXT] = "text", [FT_TEXTS] = "list", [FT_INT] = "integer",
		[FT_BOOL] = "boolean", [FT_DURATION] = "duration",
		[FT_REAL] = "number",
	};

	fprintf(out, "| `%s%s` | %s | ", prefix, f->name, types[f->type]);
	if (field_unset(f, obj) && (f->type == FT_TEXT || f->type == FT_TEXTS))
		fputs("empty", out);
	else
		print_value(out, f, obj);
	fprintf(out, " | %s |\n", f->doc);
}

void
settings_reference(FILE *out)
{
	fputs("| setting | type | default | meaning |\n|---|---|---|---|\n",
	    out);
	for (const struct field *f = settings_fields; f->name != NULL; f++)
		setting_describe(out, "", f, &defaults);
	est_settings_reference(out);
}
