#include "issuer/issuer.h"

#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "issuer/types.h"

struct issuer {
	struct arena *a;
	const struct issuer_type *type;
	void *self;
};

/* Names of the contract whose connectors are not built yet. */
#define LATER(n, l) (&(const struct issuer_type){ .name = (n), .label = (l) })

const struct issuer_type *const issuer_types[] = {
	&issuer_generic_ca,
	LATER("ACME", "ACME"),
	LATER("StepCA", "Smallstep CA"),
	LATER("OpenSSL", "Custom script"),
	LATER("VaultPKI", "Vault PKI"),
	LATER("DigiCert", "DigiCert CertCentral"),
	LATER("Sectigo", "Sectigo Certificate Manager"),
	LATER("GoogleCAS", "Google CA Service"),
	LATER("AWSACMPCA", "AWS Private CA"),
	LATER("Entrust", "Entrust CA Gateway"),
	LATER("GlobalSign", "GlobalSign Atlas"),
	LATER("EJBCA", "EJBCA"),
	NULL,
};

static const struct {
	const char *alias, *name;
} aliases[] = {
	{ "local", "GenericCA" },
	{ "local_ca", "GenericCA" },
};

const struct issuer_type *
issuer_type_find(const char *name)
{
	const struct issuer_type *const *t;

	for (size_t i = 0; i < NELEM(aliases); i++)
		if (strcasecmp(aliases[i].alias, name) == 0)
			name = aliases[i].name;
	for (t = issuer_types; *t != NULL; t++)
		if (strcasecmp((*t)->name, name) == 0)
			return *t;
	return NULL;
}

bool
issuer_type_available(const struct issuer_type *t)
{
	return t->open != NULL;
}

/* CONF_JSON as T's struct, defaults filled in, in A; NULL with E_INVALID. */
static void *
read_conf(struct arena *a, const struct issuer_type *t,
    const char *conf_json, struct err *e)
{
	const char *text = blank(conf_json) ? "{}" : conf_json;
	struct json *j;
	void *conf;

	if (!issuer_type_available(t)) {
		err_set(e, E_INVALID, "issuer type %s is not available yet",
		    t->name);
		return NULL;
	}
	j = json_parse(a, text, strlen(text), e);
	if (j == NULL)
		return NULL;
	conf = arena_zalloc(a, t->conf_size);
	t->defaults(conf);
	if (json_read(a, j, t->conf, JSON_STRICT, conf, e) < 0)
		return NULL;
	return conf;
}

int
issuer_check_conf(const struct issuer_type *t, const char *conf_json,
    struct err *e)
{
	struct arena *a = arena_new();
	void *conf = read_conf(a, t, conf_json, e);
	int rc = conf != NULL ? t->check(conf, e) : -1;

	arena_free(a);
	return rc;
}

char *
issuer_redact_conf(struct arena *a, const struct issuer_type *t,
    const char *conf_json)
{
	struct buf b = BUF(a);
	struct err ignored = { 0 };
	void *conf = read_conf(a, t, conf_json, &ignored);

	if (conf == NULL)
		return arena_strdup(a, "{}");
	json_write(&b, t->conf, conf, NULL);
	return buf_str(&b);
}

struct issuer *
issuer_open(const struct issuer_type *t, const char *conf_json,
    const struct issuer_env *env, struct err *e)
{
	struct arena *a = arena_new();
	struct issuer *i = arena_zalloc(a, sizeof(*i));
	void *conf = read_conf(a, t, conf_json, e);

	i->a = a;
	i->type = t;
	if (conf != NULL && t->check(conf, e) == 0)
		i->self = t->open(conf, env, e);
	if (i->self == NULL) {
		issuer_close(i);
		return NULL;
	}
	return i;
}

void
issuer_close(struct issuer *i)
{
	if (i == NULL)
		return;
	if (i->self != NULL)
		i->type->close(i->self);
	arena_free(i->a);
}

const char *
issuer_ca_cert(const struct issuer *i)
{
	return i->type->ca_cert != NULL ? i->type->ca_cert(i->self) : NULL;
}

const char *
issuer_key_ref(const struct issuer *i)
{
	return i->type->key_ref != NULL ? i->type->key_ref(i->self) : NULL;
}

static int
cannot(const struct issuer *i, const char *what, struct err *e)
{
	return err_set(e, E_INVALID, "issuer type %s cannot %s",
	    i->type->name, what);
}

int
issuer_prepare(struct issuer *i, struct arena *a,
    const struct issue_args *args, struct issue_intent *out, struct err *e)
{
	if (i->type->prepare == NULL)
		return cannot(i, "prepare certificates", e);
	if (issuer_check_csr(args->csr, args->profile, e) < 0)
		return -1;
	return i->type->prepare(i->self, a, args, out, e);
}

int
issuer_finish(struct issuer *i, struct arena *a, struct bytes tbs,
    struct issued *out, struct err *e)
{
	if (i->type->finish == NULL)
		return cannot(i, "sign certificates", e);
	return i->type->finish(i->self, a, tbs, out, e);
}
