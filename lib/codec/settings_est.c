#include <ctype.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "codec/settings_value.h"

#define EST "CERTCTL_EST_"
#define EST_PROFILE EST "PROFILE_"

#define E(m, as, t, f, text, ...)					\
	{ .name = as, .type = FT_##t, .flags = (f),			\
	  .off = offsetof(struct est_settings, m), .doc = text,		\
	  FIELD_MORE(__VA_ARGS__) }

/* What follows CERTCTL_EST_PROFILE_<NAME>_, or CERTCTL_EST_. */
static const struct field est_fields[] = {
	E(issuer_id, "ISSUER_ID", TEXT, 0, "the issuer; without a label "
	    "iss-local by default"),
	E(profile_id, "PROFILE_ID", TEXT, 0,
	    "the certificate profile that says what may be issued"),
	E(enrollment_password, "ENROLLMENT_PASSWORD", TEXT, F_SECRET,
	    "HTTP Basic password; any user name goes with it"),
	E(allowed_auth_modes, "ALLOWED_AUTH_MODES", TEXTS, 0, "basic, mtls; "
	    "or none: anyone may enrol.  Empty: those that are set up"),
	E(mtls_enabled, "MTLS_ENABLED", BOOL, 0,
	    "accept client certificates; needs a label"),
	E(mtls_client_ca_trust_bundle_path,
	    "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH", TEXT, 0, "PEM of the CAs, "
	    "and CAs below them, whose certificates are accepted"),
	E(channel_binding_required, "CHANNEL_BINDING_REQUIRED", BOOL, 0,
	    "refused: no web server exports what RFC 9266 needs"),
	E(rate_limit_per_principal_24h, "RATE_LIMIT_PER_PRINCIPAL_24H", INT, 0,
	    "enrolments a day for one name from one address; 0: no limit",
	    1000000, 0),
	E(serverkeygen_enabled, "SERVERKEYGEN_ENABLED", BOOL, 0,
	    "make keys for clients that ask; needs a certificate profile"),
	E(csrattrs_template, "CSRATTRS_TEMPLATE", BOOL, 0,
	    "csrattrs carries the template of RFC 9908 too"),
	E(owner_id, "OWNER_ID", TEXT, 0,
	    "owner of what is enrolled; o-est by default"),
	E(team_id, "TEAM_ID", TEXT, 0, "its team; the owner's by default"),
	E(renewal_policy_id, "RENEWAL_POLICY_ID", TEXT, 0, "its renewal "
	    "policy, for warnings: clients renew for themselves; rp-default "
	    "by default"),
	FIELD_END
};


/* The same without a label, but for what differs. */
static const struct est_settings est_defaults = {
	.label = "",
	.issuer_id = "iss-local",
	.owner_id = "o-est",
	.renewal_policy_id = "rp-default",
};

bool
est_setting_keep(struct arena *a, const char *name, const char *value,
    struct settings *s)
{
	if (strncmp(name, EST, strlen(EST)) != 0)
		return false;
	texts_add(a, &s->est_names, name);
	texts_add(a, &s->est_values, value);
	return true;
}

/* The name behind LABEL's prefix if NAME begins with it, else NULL.  Shells
 * allow no hyphen in a name: an underscore stands for it. */
static const char *
behind(const char *name, const char *label)
{
	if (strncmp(name, EST_PROFILE, strlen(EST_PROFILE)) != 0)
		return NULL;
	for (name += strlen(EST_PROFILE); *label != '\0'; name++, label++)
		if (*name != toupper((unsigned char)*label) &&
		    !(*label == '-' && *name == '_'))
			return NULL;
	return *name == '_' ? name + 1 : NULL;
}

/* Set what NAME says in every profile it is of; *USED tells if there is one. */
static int
set(struct arena *a, const char *name, const char *value, struct settings *s,
    bool *used, struct err *e)
{
	struct field f;
	const struct field *found;
	const char *suffix;

	/* Without a profile to be of, that of no label says nothing. */
	suffix = name + strlen(EST);
	*used = field_find(est_fields, suffix, strlen(suffix)) != NULL;
	for (size_t i = 0; i < s->n_est; i++) {
		suffix = *s->est[i].label == '\0' ? name + strlen(EST) :
		    behind(name, s->est[i].label);
		found = suffix == NULL ? NULL :
		    field_find(est_fields, suffix, strlen(suffix));
		if (found == NULL)
			continue;
		f = *found;
		f.name = name;
		if (setting_set(a, &f, value, &s->est[i], e) < 0)
			return -1;
		*used = true;
	}
	return 0;
}

/* Without labels there is one profile that has none; beside labels there is
 * one if somebody says who may use it. */
static void
make_profiles(struct arena *a, struct settings *s)
{
	struct est_settings *p;

	s->est = arena_zalloc(a, (s->est_profiles.n + 1) * sizeof(*s->est));
	if (s->est_profiles.n == 0 ||
	    texts_has(&s->est_names, EST "ALLOWED_AUTH_MODES"))
		s->est[s->n_est++] = est_defaults;
	for (size_t i = 0; i < s->est_profiles.n; i++) {
		p = &s->est[s->n_est++];
		*p = est_defaults;
		p->label = lower(a, s->est_profiles.v[i]);
		p->issuer_id = "";
	}
}

int
est_settings_read(struct arena *a, struct settings *s, struct err *e)
{
	const char *name;
	bool used;

	make_profiles(a, s);
	for (size_t i = 0; i < s->est_names.n; i++) {
		name = s->est_names.v[i];
		if (set(a, name, s->est_values.v[i], s, &used, e) < 0)
			return -1;
		if (!used)
			return err_set(e, E_INVALID, "unknown setting %s, or "
			    "of a profile that CERTCTL_EST_PROFILES does not "
			    "name", name);
	}
	return 0;
}

static void
print_prefix(FILE *out, const char *label)
{
	fputs(*label == '\0' ? EST : EST_PROFILE, out);
	for (const char *p = label; *p != '\0'; p++)
		fputc(*p == '-' ? '_' : toupper((unsigned char)*p), out);
	if (*label != '\0')
		fputc('_', out);
}

void
est_settings_print(FILE *out, const struct settings *s)
{
	for (size_t i = 0; i < s->n_est; i++)
		for (const struct field *f = est_fields; f->name != NULL;
		    f++) {
			print_prefix(out, s->est[i].label);
			fputs(f->name, out);
			setting_print(out, f, &s->est[i]);
		}
}

void
est_settings_reference(FILE *out)
{
	for (const struct field *f = est_fields; f->name != NULL; f++)
		setting_describe(out, EST_PROFILE "<NAME>_", f,
		    &(struct est_settings){ 0 });
}
