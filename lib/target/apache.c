/*
 * Apache httpd: SSLCertificateFile is cert_path, SSLCertificateChainFile is
 * chain_path.  Since 2.4.8 the former may hold the chain too, which
 * fullchain_path is for.
 */
#include "base/err.h"
#include "target/files.h"

struct apache_conf {
	const char *cert_path, *chain_path, *fullchain_path, *key_path;
	struct owner_conf cert, chain, key;
	struct hooks_conf hooks;
};

static const struct field apache_fields[] = {
	FIELD(struct apache_conf, cert_path, TEXT, F_REQ, 1024),
	FIELD(struct apache_conf, chain_path, TEXT, F_REQ, 1024),
	FIELD(struct apache_conf, fullchain_path, TEXT, F_OMIT, 1024),
	FIELD(struct apache_conf, key_path, TEXT, F_OMIT, 1024),
	OWNER_FIELDS(struct apache_conf, cert, "cert_file"),
	OWNER_FIELDS(struct apache_conf, chain, "chain_file"),
	OWNER_FIELDS(struct apache_conf, key, "key_file"),
	HOOKS_FIELDS(struct apache_conf, hooks, F_REQ),
	FIELD_END
};

static int
apache_check(const void *conf, struct err *e)
{
	const struct apache_conf *c = conf;

	return hooks_check(&c->hooks, e);
}

static int
apache_deploy(struct arena *a, const void *conf,
    const struct deploy_args *args, enum deploy_outcome *outcome,
    struct err *e)
{
	const struct apache_conf *c = conf;
	struct plan p = {
		.type = "Apache",
		.backup_retention = c->hooks.backup_retention,
	};

	hooks_make(a, &c->hooks, args->fingerprint, &p.hooks);
	plan_add(&p, c->cert_path, pem_join(a, args->cert_pem, NULL, NULL),
	    false, &c->cert);
	if (!blank(args->chain_pem))
		plan_add(&p, c->chain_path, pem_join(a, NULL, args->chain_pem,
		    NULL), false, &c->chain);
	if (!blank(c->fullchain_path))
		plan_add(&p, c->fullchain_path, pem_join(a, args->cert_pem,
		    args->chain_pem, NULL), false, &c->cert);
	if (!blank(c->key_path))
		plan_add(&p, c->key_path, pem_join(a, NULL, NULL,
		    args->key_pem), true, &c->key);
	return files_deploy(a, &p, args->state_dir, outcome, e);
}

const struct target_type target_apache = {
	.name = "Apache",
	.conf = apache_fields,
	.conf_size = sizeof(struct apache_conf),
	.check = apache_check,
	.deploy = apache_deploy,
};
