#include "domain/directory.h"

#include <ctype.h>

#include "base/text.h"
#include "codec/json.h"
#include "domain/resource.h"
#include "issuer/issuer.h"

struct team {
	const char *id, *name, *description;
	int64_t created_at, updated_at;
};

static const struct field team_fields[] = {
	FIELD(struct team, id, TEXT, F_RO),
	FIELD(struct team, name, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct team, description, TEXT, 0, 10000),
	FIELD(struct team, created_at, TIME, F_RO),
	FIELD(struct team, updated_at, TIME, F_RO),
	FIELD_END
};

static size_t
team_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct team *t = obj;

	(void)c;
	out[0] = db_text(t->id);
	out[1] = db_text(t->name);
	out[2] = db_str(t->description);
	return 3;
}

const struct resource resource_team = {
	.name = "team",
	.verb_name = "team",
	.id_prefix = "team",
	.view = { &list_teams, team_fields, sizeof(struct team) },
	.get = Q_TEAM_GET,
	.lock = Q_TEAM_LOCK,
	.insert = Q_TEAM_INSERT,
	.update = Q_TEAM_UPDATE,
	.delete = Q_TEAM_DELETE,
	.args = team_args,
};

struct owner {
	const char *id, *name, *email, *team_id;
	int64_t created_at, updated_at;
};

static const struct field owner_fields[] = {
	FIELD(struct owner, id, TEXT, F_RO),
	FIELD(struct owner, name, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct owner, email, TEXT, F_LINE, 255),
	FIELD(struct owner, team_id, TEXT, 0, 255),
	FIELD(struct owner, created_at, TIME, F_RO),
	FIELD(struct owner, updated_at, TIME, F_RO),
	FIELD_END
};

static size_t
owner_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct owner *o = obj;

	(void)c;
	out[0] = db_text(o->id);
	out[1] = db_text(o->name);
	out[2] = db_str(o->email);
	out[3] = db_opt(o->team_id);
	return 4;
}

const struct resource resource_owner = {
	.name = "owner",
	.verb_name = "owner",
	.id_prefix = "owner",
	.view = { &list_owners, owner_fields, sizeof(struct owner) },
	.get = Q_OWNER_GET,
	.lock = Q_OWNER_LOCK,
	.insert = Q_OWNER_INSERT,
	.update = Q_OWNER_UPDATE,
	.delete = Q_OWNER_DELETE,
	.args = owner_args,
};

static const struct field profile_fields[] = {
	FIELD(struct profile, id, TEXT, F_RO),
	FIELD(struct profile, name, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct profile, description, TEXT, 0, 10000),
	FIELD(struct profile, allowed_key_algorithms, JSONS, 0),
	FIELD(struct profile, max_ttl_seconds, INT, 0, INT32_MAX),
	FIELD(struct profile, allowed_ekus, TEXTS, 0, 5),
	FIELD(struct profile, required_san_patterns, TEXTS, 0, 100),
	FIELD(struct profile, spiffe_uri_pattern, TEXT, 0, 512),
	FIELD(struct profile, allow_short_lived, BOOL, 0),
	FIELD(struct profile, must_staple, BOOL, 0),
	FIELD(struct profile, enabled, BOOL, 0),
	FIELD(struct profile, required_csr_attributes, TEXTS, F_OMIT, 100),
	FIELD(struct profile, acme_auth_mode, TEXT, F_OMIT, 64),
	FIELD(struct profile, requires_approval, BOOL, F_OMIT),
	FIELD(struct profile, created_at, TIME, F_RO),
	FIELD(struct profile, updated_at, TIME, F_RO),
	FIELD_END
};

static void
profile_defaults(struct ctx *c, void *obj)
{
	struct profile *p = obj;

	p->allowed_key_algorithms =
	    "[{\"algorithm\":\"ECDSA\",\"min_size\":256},"
	    "{\"algorithm\":\"RSA\",\"min_size\":2048}]";
	texts_add(c->a, &p->allowed_ekus, "serverAuth");
	p->acme_auth_mode = "trust_authenticated";
}

struct key_rule {
	const char *algorithm;
	int64_t min_size;
};

static const struct field key_rule_fields[] = {
	FIELD(struct key_rule, algorithm, TEXT, F_REQ, 16),
	FIELD(struct key_rule, min_size, INT, 0, 16384),
	FIELD_END
};

static int
key_rules(struct arena *a, const char *json, struct profile_rules *out,
    struct err *e)
{
	static const struct {
		const char *algorithm;
		int64_t least;
	} known[] = { { "RSA", 2048 }, { "ECDSA", 256 }, { "Ed25519", 0 } };
	struct json *j = json_parse(a, json, strlen(json), e);
	struct key_rule rule;
	size_t k;

	if (j == NULL)
		return -1;
	if (!json_is_array(j))
		return err_set(e, E_INVALID,
		    "allowed_key_algorithms must be an array");
	if (json_len(j) > NELEM(out->keys))
		return err_set(e, E_INVALID, "allowed_key_algorithms has more "
		    "than %zu rules", NELEM(out->keys));
	for (size_t i = 0; i < json_len(j); i++) {
		rule = (struct key_rule){ 0 };
		if (json_read(a, json_item(a, j, i), key_rule_fields, 0,
		    &rule, e) < 0)
			return err_prefix(e, "allowed_key_algorithms");
		for (k = 0; k < NELEM(known); k++)
			if (streq(known[k].algorithm, rule.algorithm))
				break;
		if (k == NELEM(known))
			return err_set(e, E_INVALID, "allowed_key_algorithms: "
			    "algorithm must be RSA, ECDSA or Ed25519");
		if (rule.min_size < known[k].least)
			return err_set(e, E_INVALID, "allowed_key_algorithms: "
			    "min_size of %s must be at least %lld",
			    rule.algorithm, (long long)known[k].least);
		out->keys[out->n_keys].algorithm = known[k].algorithm;
		out->keys[out->n_keys++].min_size = rule.min_size;
	}
	return 0;
}

int
profile_rules(struct arena *a, const struct profile *p,
    struct profile_rules *out, struct err *e)
{
	*out = (struct profile_rules){
		.id = p->id,
		.max_ttl_seconds = p->max_ttl_seconds,
		.ekus = p->allowed_ekus,
		.san_patterns = p->required_san_patterns,
		.spiffe_uri_pattern = p->spiffe_uri_pattern,
		.must_staple = p->must_staple,
		.short_lived = p->allow_short_lived &&
		    p->max_ttl_seconds > 0 && p->max_ttl_seconds < 3600,
	};
	return key_rules(a, blank(p->allowed_key_algorithms) ? "[]" :
	    p->allowed_key_algorithms, out, e);
}

static int
profile_check(struct ctx *c, void *obj, const void *old, struct err *e)
{
	static const char *const ekus[] = { "serverAuth", "clientAuth",
	    "codeSigning", "emailProtection", "timeStamping" };
	static const struct texts known = { (const char **)(uintptr_t)ekus,
	    NELEM(ekus) };
	struct profile *p = obj;
	struct profile_rules rules;

	(void)old;
	for (size_t i = 0; i < p->allowed_ekus.n; i++)
		if (!texts_has(&known, p->allowed_ekus.v[i]))
			return err_set(e, E_INVALID, "allowed_ekus: \"%.64s\" "
			    "is none of serverAuth, clientAuth, codeSigning, "
			    "emailProtection, timeStamping",
			    p->allowed_ekus.v[i]);
	if (p->allow_short_lived && p->max_ttl_seconds >= 3600)
		return err_set(e, E_INVALID, "allow_short_lived needs "
		    "max_ttl_seconds below 3600");
	if (!streq(p->acme_auth_mode, "trust_authenticated") &&
	    !streq(p->acme_auth_mode, "challenge"))
		return err_set(e, E_INVALID, "acme_auth_mode must be "
		    "trust_authenticated or challenge");
	/* Storing what nothing enforces would promise a gate that is open. */
	if (p->requires_approval)
		return err_set(e, E_INVALID,
		    "requires_approval: approvals are not available yet");
	for (size_t i = 0; i < p->required_san_patterns.n; i++)
		if (issuer_check_pattern(p->required_san_patterns.v[i],
		    e) < 0)
			return err_prefix(e, "required_san_patterns");
	if (!blank(p->spiffe_uri_pattern) &&
	    issuer_check_pattern(p->spiffe_uri_pattern, e) < 0)
		return err_prefix(e, "spiffe_uri_pattern");
	return profile_rules(c->a, p, &rules, e);
}

static size_t
profile_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct profile *p = obj;

	(void)c;
	out[0] = db_text(p->id);
	out[1] = db_text(p->name);
	out[2] = db_str(p->description);
	out[3] = db_text(blank(p->allowed_key_algorithms) ? "[]" :
	    p->allowed_key_algorithms);
	out[4] = db_int(p->max_ttl_seconds);
	out[5] = db_texts(&p->allowed_ekus);
	out[6] = db_texts(&p->required_san_patterns);
	out[7] = db_texts(&p->required_csr_attributes);
	out[8] = db_str(p->spiffe_uri_pattern);
	out[9] = db_bool(p->allow_short_lived);
	out[10] = db_bool(p->must_staple);
	out[11] = db_text(p->acme_auth_mode);
	out[12] = db_bool(p->enabled);
	return 13;
}

const struct resource resource_profile = {
	.name = "certificate_profile",
	.verb_name = "profile",
	.id_prefix = "prof",
	.view = { &list_profiles, profile_fields, sizeof(struct profile) },
	.get = Q_PROFILE_GET,
	.lock = Q_PROFILE_LOCK,
	.insert = Q_PROFILE_INSERT,
	.update = Q_PROFILE_UPDATE,
	.delete = Q_PROFILE_DELETE,
	.defaults = profile_defaults,
	.check = profile_check,
	.args = profile_args,
};

struct renewal_policy {
	const char *id, *name;
	int64_t renewal_window_days, max_retries, retry_interval_seconds;
	bool auto_renew;
	const char *alert_thresholds_days;	/* JSON: [30, 14] */
	const char *certificate_profile_id;
	const char *alert_channels, *alert_severity_map;	/* JSON */
	int64_t created_at, updated_at;
};

static const struct field renewal_policy_fields[] = {
	FIELD(struct renewal_policy, id, TEXT, F_RO),
	FIELD(struct renewal_policy, name, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct renewal_policy, renewal_window_days, INT, 0, 365),
	FIELD(struct renewal_policy, auto_renew, BOOL, 0),
	FIELD(struct renewal_policy, max_retries, INT, 0, 10),
	FIELD(struct renewal_policy, retry_interval_seconds, INT, 0, 86400),
	FIELD(struct renewal_policy, alert_thresholds_days, JSONS, 0),
	FIELD(struct renewal_policy, certificate_profile_id, TEXT, F_OMIT,
	    255),
	FIELD(struct renewal_policy, alert_channels, JSON, F_OMIT),
	FIELD(struct renewal_policy, alert_severity_map, JSON, F_OMIT),
	FIELD(struct renewal_policy, created_at, TIME, F_RO),
	FIELD(struct renewal_policy, updated_at, TIME, F_RO),
	FIELD_END
};

/* "rp-" and NAME as [a-z0-9-], 64 characters at most. */
static char *
policy_slug(struct arena *a, const char *name)
{
	char *out = arena_alloc(a, 68), *o = out + 3, *from = o;

	memcpy(out, "rp-", 3);
	for (; *name != '\0' && o - from < 64; name++) {
		if (isalnum((unsigned char)*name) || *name == '-')
			*o++ = (char)tolower((unsigned char)*name);
		else if (*name == ' ')
			*o++ = '-';
	}
	while (o > from && o[-1] == '-')
		o--;
	*o = '\0';
	while (*from == '-')
		from++;
	if (*from == '\0')
		return arena_strdup(a, "rp-policy");
	return arena_printf(a, "rp-%s", from);
}

struct free_id {
	const char *id;
};

static const struct field free_id_fields[] = {
	FIELD(struct free_id, id, TEXT, 0),
	FIELD_END
};

static int
policy_id(struct ctx *c, struct renewal_policy *p, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	const char *slug = policy_slug(c->a, p->name);
	struct texts ids = { 0 };
	struct free_id row;

	texts_add(c->a, &ids, slug);
	for (int i = 2; i <= 10; i++)
		texts_add(c->a, &ids, arena_printf(c->a, "%s-%d", slug, i));
	db_add(b, Q_RENEWAL_POLICY_FREE_ID, db_texts(&ids));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, free_id_fields, &row))
		return err_set(e, E_CONFLICT, "ids %s to %s-10 are all taken",
		    slug, slug);
	p->id = row.id;
	return 0;
}

static int
check_thresholds(struct ctx *c, const char *json, struct err *e)
{
	struct json *j = json_parse(c->a, json, strlen(json), e);
	int64_t days;

	if (j == NULL)
		return -1;
	if (json_len(j) > 16)
		return err_set(e, E_INVALID,
		    "alert_thresholds_days has more than 16 items");
	for (size_t i = 0; i < json_len(j); i++)
		if (!int_parse(json_print(c->a, json_item(c->a, j, i)), 0, 365,
		    &days))
			return err_set(e, E_INVALID, "alert_thresholds_days "
			    "must be integers between 0 and 365");
	return 0;
}

static const char *const tiers[] = { "informational", "warning", "critical" };
static const char *const channels[] = { "Email", "Webhook", "Slack", "Teams",
    "PagerDuty", "OpsGenie" };

static int
one_of(const char *const *known, size_t n, const char *s, const char *what,
    struct err *e)
{
	for (size_t i = 0; s != NULL && i < n; i++)
		if (streq(known[i], s))
			return 0;
	return err_set(e, E_INVALID, "%s: \"%.32s\" is not known", what,
	    or_empty(s));
}

/* {"warning": ["Email"]}: tiers to arrays of channels. */
static int
check_channels(struct ctx *c, const char *text, struct err *e)
{
	static const char what[] = "alert_channels";
	struct json *j, *list;
	const char *name;

	if (blank(text))
		return 0;
	j = json_parse(c->a, text, strlen(text), e);
	if (j == NULL)
		return -1;
	for (const void *at = NULL; json_next(j, &at, &name, &list); ) {
		if (one_of(tiers, NELEM(tiers), name, what, e) < 0)
			return -1;
		if (list == NULL || !json_is_array(list))
			return err_set(e, E_INVALID,
			    "%s: %s must be an array", what, name);
		for (size_t i = 0; i < json_len(list); i++)
			if (one_of(channels, NELEM(channels), json_text(
			    json_item(c->a, list, i)), what, e) < 0)
				return -1;
	}
	return 0;
}

/* {"14": "warning"}: days to tiers. */
static int
check_severities(struct ctx *c, const char *text, struct err *e)
{
	static const char what[] = "alert_severity_map";
	struct json *j, *tier;
	const char *days;
	int64_t n;

	if (blank(text))
		return 0;
	j = json_parse(c->a, text, strlen(text), e);
	if (j == NULL)
		return -1;
	for (const void *at = NULL; json_next(j, &at, &days, &tier); ) {
		if (!int_parse(days, 0, 365, &n))
			return err_set(e, E_INVALID, "%s: \"%.32s\" is no "
			    "number of days", what, days);
		if (one_of(tiers, NELEM(tiers), json_text(tier), what, e) < 0)
			return -1;
	}
	return 0;
}

static int
policy_check(struct ctx *c, void *obj, const void *old, struct err *e)
{
	struct renewal_policy *p = obj;

	/* Zero asks for the default, as an omitted member does. */
	if (p->renewal_window_days == 0)
		p->renewal_window_days = 30;
	if (p->retry_interval_seconds == 0)
		p->retry_interval_seconds = 3600;
	if (blank(p->alert_thresholds_days) ||
	    streq(p->alert_thresholds_days, "[]"))
		p->alert_thresholds_days = "[30,14,7,0]";
	if (p->retry_interval_seconds < 60)
		return err_set(e, E_INVALID, "retry_interval_seconds must be "
		    "between 60 and 86400");
	if (check_thresholds(c, p->alert_thresholds_days, e) < 0 ||
	    check_channels(c, p->alert_channels, e) < 0 ||
	    check_severities(c, p->alert_severity_map, e) < 0)
		return -1;
	return old != NULL || p->id != NULL ? 0 : policy_id(c, p, e);
}

static size_t
policy_args(struct ctx *c, void *obj, struct db_arg *out)
{
	struct renewal_policy *p = obj;

	(void)c;
	out[0] = db_text(p->id);
	out[1] = db_text(p->name);
	out[2] = db_int(p->renewal_window_days);
	out[3] = db_bool(p->auto_renew);
	out[4] = db_int(p->max_retries);
	out[5] = db_int(p->retry_interval_seconds);
	out[6] = db_text(p->alert_thresholds_days);
	out[7] = db_opt(p->certificate_profile_id);
	out[8] = db_text(blank(p->alert_channels) ? "{}" : p->alert_channels);
	out[9] = db_text(blank(p->alert_severity_map) ? "{}" :
	    p->alert_severity_map);
	return 10;
}

const struct resource resource_renewal_policy = {
	.name = "renewal_policy",
	.verb_name = "renewal_policy",
	.id_prefix = "rp",
	.view = { &list_renewal_policies, renewal_policy_fields,
	    sizeof(struct renewal_policy) },
	.get = Q_RENEWAL_POLICY_GET,
	.lock = Q_RENEWAL_POLICY_LOCK,
	.insert = Q_RENEWAL_POLICY_INSERT,
	.update = Q_RENEWAL_POLICY_UPDATE,
	.delete = Q_RENEWAL_POLICY_DELETE,
	.check = policy_check,
	.args = policy_args,
};
