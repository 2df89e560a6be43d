/* EST profiles: from the settings to what serves requests. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "fcgi/est/est.h"

static struct est_profile *profiles;
static size_t n_profiles;

static int
refuse(const struct est_settings *s, struct err *e, const char *why)
{
	if (blank(s->label))
		return err_set(e, E_INVALID, "EST profile without a label: %s",
		    why);
	return err_set(e, E_INVALID, "EST profile \"%s\": %s", s->label, why);
}

static int
check_label(const char *label, struct err *e)
{
	static const char *const taken[] = {
		"cacerts", "csrattrs", "est", "fullcmc", "serverkeygen",
		"simpleenroll", "simplereenroll",
	};
	size_t n = strlen(label);

	if (label[strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-")] !=
	    '\0' || *label == '-' || (n > 0 && label[n - 1] == '-'))
		return err_set(e, E_INVALID, "CERTCTL_EST_PROFILES: \"%s\" is "
		    "no label: letters, digits and hyphens between them",
		    label);
	if (n > 64)
		return err_set(e, E_INVALID, "CERTCTL_EST_PROFILES: a label "
		    "is longer than 64 characters");
	for (size_t i = 0; i < NELEM(taken); i++)
		if (streq(label, taken[i]))
			return err_set(e, E_INVALID, "CERTCTL_EST_PROFILES: "
			    "\"%s\" is the name of an operation and cannot be "
			    "a label", label);
	return 0;
}

static int
check_labels(const struct settings *set, struct err *e)
{
	for (size_t i = 0; i < set->n_est; i++) {
		if (check_label(set->est[i].label, e) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (streq(set->est[i].label, set->est[k].label))
				return err_set(e, E_INVALID,
				    "CERTCTL_EST_PROFILES: \"%s\" is named "
				    "twice", set->est[i].label);
	}
	return 0;
}

/* Modes that are listed, or all that are set up. */
static bool
has_mode(const struct est_settings *s, const char *mode, bool set_up)
{
	if (s->allowed_auth_modes.n == 0)
		return set_up;
	return texts_has(&s->allowed_auth_modes, mode);
}

static void
read_modes(const struct est_settings *s, struct est_profile *p)
{
	p->basic = has_mode(s, "basic", !blank(s->enrollment_password));
	p->mtls = s->mtls_enabled && has_mode(s, "mtls", true);
	p->none = has_mode(s, "none", false);
}

static int
check_modes(const struct est_settings *s, struct err *e)
{
	struct est_profile p = { 0 };
	const char *mode;

	for (size_t i = 0; i < s->allowed_auth_modes.n; i++) {
		mode = s->allowed_auth_modes.v[i];
		if (!streq(mode, "basic") && !streq(mode, "mtls") &&
		    !streq(mode, "none"))
			return refuse(s, e, "ALLOWED_AUTH_MODES has a word "
			    "other than basic, mtls and none");
		if (streq(mode, "mtls") && !s->mtls_enabled)
			return refuse(s, e, "ALLOWED_AUTH_MODES lists mtls, "
			    "but MTLS_ENABLED is false");
		if (streq(mode, "basic") && blank(s->enrollment_password))
			return refuse(s, e, "ALLOWED_AUTH_MODES lists basic, "
			    "but ENROLLMENT_PASSWORD is empty");
	}
	read_modes(s, &p);
	if (!p.basic && !p.mtls && !p.none)
		return refuse(s, e, "anyone could enrol: set up a password or "
		    "client certificates, or say so with "
		    "ALLOWED_AUTH_MODES=none");
	return 0;
}

static int
check_mtls(const struct est_settings *s, struct err *e)
{
	struct arena *a;
	int rc;

	if (s->channel_binding_required && !s->mtls_enabled)
		return refuse(s, e, "CHANNEL_BINDING_REQUIRED needs "
		    "MTLS_ENABLED");
	if (s->channel_binding_required)
		return refuse(s, e, "CHANNEL_BINDING_REQUIRED cannot be met: "
		    "neither NGINX nor Apache hands on the TLS exporter of "
		    "RFC 9266");
	if (!s->mtls_enabled)
		return 0;
	if (blank(s->label))
		return refuse(s, e, "MTLS_ENABLED needs a label");
	if (blank(s->mtls_client_ca_trust_bundle_path))
		return refuse(s, e, "MTLS_ENABLED needs "
		    "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH");
	a = arena_new();
	rc = trust_from_file(a, s->mtls_client_ca_trust_bundle_path, now_s(),
	    e) != NULL ? 0 : err_prefix(e, "EST profile \"%s\"", s->label);
	arena_free(a);
	return rc;
}

int
profiles_check(const struct settings *set, struct err *e)
{
	if (!set->est_enabled)
		return err_set(e, E_INVALID, "CERTCTL_EST_ENABLED is false: "
		    "there is nothing to serve");
	if (check_labels(set, e) < 0)
		return -1;
	for (size_t i = 0; i < set->n_est; i++) {
		const struct est_settings *s = &set->est[i];

		if (blank(s->issuer_id))
			return refuse(s, e, "ISSUER_ID is empty");
		if (check_mtls(s, e) < 0 || check_modes(s, e) < 0)
			return -1;
		if (s->serverkeygen_enabled && blank(s->profile_id))
			return refuse(s, e, "SERVERKEYGEN_ENABLED needs "
			    "PROFILE_ID, which tells the kind of key");
	}
	return 0;
}

/* What the settings name is there.  What may be there in a moment is waited
 * for at each request. */
static int
check_ready(struct ctx *c, struct est_profile *p, struct err *e)
{
	struct err why = { 0 };
	bool rooted;
	size_t n;

	if (enroller_ready(c, p->enroller, &why) == 0) {
		enroller_ca_certs(p->enroller, &n, &rooted);
		if (!rooted)
			log_warn("cacerts lacks the root: add it to the "
			    "issuer's CA file", "issuer_id",
			    p->set->issuer_id, NULL);
		return 0;
	}
	if (why.code == E_INVALID || why.code == E_NOT_FOUND)
		return refuse(p->set, e, why.msg);
	log_err(LOG_WARN, "an EST profile cannot enrol yet", &why, "profile",
	    p->set->label);
	return 0;
}

static void
open_one(const struct est_settings *s, struct est_profile *p)
{
	*p = (struct est_profile){
		.set = s,
		.conf = {
			.label = s->label,
			.issuer_id = s->issuer_id,
			.profile_id = s->profile_id,
			.owner_id = s->owner_id,
			.team_id = s->team_id,
			.renewal_policy_id = s->renewal_policy_id,
		},
	};
	read_modes(s, p);
	if (p->basic)
		sha256(s->enrollment_password,
		    strlen(s->enrollment_password), p->password);
	p->enroller = enroller_new(&p->conf);
}

int
profiles_open(const struct settings *set, struct ctx *c, struct err *e)
{
	profiles = calloc(set->n_est, sizeof(*profiles));
	if (profiles == NULL)
		abort();
	for (size_t i = 0; i < set->n_est; i++)
		open_one(&set->est[i], &profiles[n_profiles++]);
	for (size_t i = 0; i < n_profiles; i++) {
		if (profiles[i].mtls && profile_trust(&profiles[i]) == NULL)
			return refuse(profiles[i].set, e,
			    "the trust bundle cannot be read");
		if (check_ready(c, &profiles[i], e) < 0)
			return -1;
	}
	return 0;
}

void
profiles_close(void)
{
	for (size_t i = 0; i < n_profiles; i++) {
		enroller_free(profiles[i].enroller);
		arena_free(profiles[i].a);
	}
	free(profiles);
	profiles = NULL;
	n_profiles = 0;
}

struct est_profile *
profile_of(const struct web_req *rq, const struct est_op *op, struct err *e)
{
	const char *label = or_empty(rq->param[0]);

	for (size_t i = 0; i < n_profiles; i++) {
		struct est_profile *p = &profiles[i];

		if (streq(p->set->label, label) && (!op->mtls || p->mtls) &&
		    (!op->keygen || p->set->serverkeygen_enabled))
			return p;
	}
	err_set(e, E_NOT_FOUND, "there is no such EST service here");
	return NULL;
}

const struct trust *
profile_trust(struct est_profile *p)
{
	const char *path = p->set->mtls_client_ca_trust_bundle_path;
	struct arena *a;
	struct trust *t;
	struct err e = { 0 };
	struct stat st;

	if (stat(path, &st) < 0 || (p->trust != NULL &&
	    st.st_mtim.tv_sec == p->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == p->seen.st_mtim.tv_nsec &&
	    st.st_ino == p->seen.st_ino && st.st_size == p->seen.st_size))
		return p->trust;
	a = arena_new();
	t = trust_from_file(a, path, now_s(), &e);
	p->seen = st;
	if (t == NULL) {
		log_err(LOG_WARN, "the trust bundle is kept as it was", &e,
		    "profile", p->set->label);
		arena_free(a);
		return p->trust;
	}
	arena_free(p->a);
	p->a = a;
	p->trust = t;
	return t;
}
