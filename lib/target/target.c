#include "target/target.h"

#include "base/arena.h"
#include "codec/json.h"
#include "target/hooks.h"
#include "x509/cert.h"

extern const struct target_type target_nginx, target_apache, target_haproxy;

/*
 * Types that cannot be deployed to yet.  Their configurations are stored and
 * shown, so their secrets have names already.
 */
#define SECRET(name) { name, FT_TEXT, F_SECRET, 0, 0, 0, NULL }
#define LATER(id, type, ...)						\
	static const struct target_type target_##id = {			\
		.name = type,						\
		.conf = (const struct field[]){ __VA_ARGS__ __VA_OPT__(,) \
		    FIELD_END },					\
	}

LATER(traefik, "Traefik");
LATER(caddy, "Caddy");
LATER(envoy, "Envoy");
LATER(postfix, "Postfix");
LATER(dovecot, "Dovecot");
LATER(ssh, "SSH", SECRET("private_key"), SECRET("passphrase"),
    SECRET("password"));
LATER(keystore, "JavaKeystore", SECRET("keystore_password"));
LATER(kubernetes, "KubernetesSecrets");
LATER(f5, "F5", SECRET("password"));
LATER(iis, "IIS", SECRET("winrm_password"));
LATER(wincertstore, "WinCertStore", SECRET("winrm_password"));
LATER(awsacm, "AWSACM");
LATER(azurekeyvault, "AzureKeyVault");

const struct target_type *const target_types[] = {
	&target_nginx,
	&target_apache,
	&target_haproxy,
	&target_traefik,
	&target_caddy,
	&target_envoy,
	&target_postfix,
	&target_dovecot,
	&target_ssh,
	&target_keystore,
	&target_kubernetes,
	&target_f5,
	&target_iis,
	&target_wincertstore,
	&target_awsacm,
	&target_azurekeyvault,
	NULL
};

static const char *const outcome_names[] = {
	[DEPLOY_DONE] = "done",
	[DEPLOY_UNCHANGED] = "unchanged",
	[DEPLOY_PLAN_INVALID] = "plan_invalid",
	[DEPLOY_VALIDATE_FAILED] = "validate_failed",
	[DEPLOY_ROLLED_BACK] = "rolled_back",
	[DEPLOY_ROLLBACK_FAILED] = "rollback_failed",
};

const char *
deploy_outcome_name(enum deploy_outcome o)
{
	return outcome_names[o];
}

const struct target_type *
target_type_find(const char *name)
{
	for (size_t i = 0; target_types[i] != NULL; i++)
		if (streq(target_types[i]->name, name))
			return target_types[i];
	return NULL;
}

/* Read and check CONF_JSON; the struct lives in A.  NULL with E set. */
static void *
read_conf(struct arena *a, const struct target_type *t, const char *conf_json,
    struct err *e)
{
	void *conf = arena_zalloc(a, t->conf_size);
	struct json *j = json_parse(a, conf_json, strlen(conf_json), e);

	if (j == NULL)
		return NULL;
	if (t->deploy == NULL && !json_is_object(j)) {
		err_set(e, E_INVALID, "the configuration is not an object");
		return NULL;
	}
	if (t->deploy == NULL)
		return conf;
	if (t->defaults != NULL)
		t->defaults(conf);
	if (json_read(a, j, t->conf, JSON_STRICT, conf, e) < 0 ||
	    t->check(conf, e) < 0)
		return NULL;
	return conf;
}

int
target_check_conf(const struct target_type *t, const char *conf_json,
    struct err *e)
{
	struct arena *a = arena_new();
	int rc = read_conf(a, t, conf_json, e) != NULL ? 0 : -1;

	arena_free(a);
	return rc;
}

char *
target_redact_conf(struct arena *a, const struct target_type *t,
    const char *conf_json)
{
	struct err e;
	struct json *j = json_parse(a, conf_json, strlen(conf_json), &e);

	if (j == NULL)
		return arena_strdup(a, "{}");
	for (const struct field *f = t->conf; f->name != NULL; f++)
		if (f->flags & F_SECRET)
			json_mask(j, f->name);
	return json_print(a, j);
}

/* The members that say where any file target is served. */
struct any_conf {
	struct hooks_conf hooks;
};

static const struct field any_fields[] = {
	HOOKS_FIELDS(struct any_conf, hooks, 0),
	FIELD_END
};

const char *
target_endpoint(struct arena *a, const struct target_type *t,
    const char *conf_json)
{
	struct any_conf c = { 0 };
	struct hooks h;
	struct err e;
	struct json *j = json_parse(a, conf_json, strlen(conf_json), &e);

	if (t->deploy == NULL || j == NULL ||
	    json_read(a, j, any_fields, 0, &c, &e) < 0)
		return NULL;
	hooks_make(a, &c.hooks, "", &h);
	return !blank(h.endpoint) ? h.endpoint : hooks_address(a, &c.hooks);
}

/* Nothing is installed that does not belong together. */
static int
check_pair(struct arena *a, const struct deploy_args *args, struct err *e)
{
	struct x509_cert *certs;
	size_t n;

	if (certs_from_pem(a, args->cert_pem, &certs, &n, e) < 0)
		return err_prefix(e, "certificate");
	if (!streq(certs[0].fingerprint, args->fingerprint))
		return err_set(e, E_INVALID, "the certificate is not the one "
		    "with fingerprint %s", args->fingerprint);
	return cert_check_pair(a, args->cert_pem, or_empty(args->chain_pem),
	    args->key_pem, e);
}

int
target_deploy(struct arena *a, const struct target_type *t,
    const char *conf_json, const struct deploy_args *args,
    enum deploy_outcome *outcome, struct err *e)
{
	void *conf;

	*outcome = DEPLOY_PLAN_INVALID;
	if (t->deploy == NULL)
		return err_set(e, E_INVALID, "unsupported target type: %s",
		    t->name);
	conf = read_conf(a, t, conf_json, e);
	if (conf == NULL || check_pair(a, args, e) < 0)
		return -1;
	return t->deploy(a, conf, args, outcome, e);
}
