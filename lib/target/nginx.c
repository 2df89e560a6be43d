/*
 * NGINX.  It has no directive for a chain: cert_path must hold the chain too
 * for it to be served, so it does unless chain_path gives the chain a file of
 * its own, as existing configurations do; fullchain_path is a file with both
 * in any case.
 */
#include "base/err.h"
#include "target/files.h"

struct nginx_conf {
	const char *cert_path, *chain_path, *fullchain_path, *key_path;
	struct owner_conf cert, chain, key;
	struct hooks_conf hooks;
};

static const struct field nginx_fields[] = {
	FIELD(struct nginx_conf, cert_path, TEXT, F_REQ, 1024),
	FIELD(struct nginx_conf, chain_path, TEXT, F_OMIT, 1024),
	FIELD(struct nginx_conf, fullchain_path, TEXT, F_OMIT, 1024),
	FIELD(struct nginx_conf, key_path, TEXT, F_OMIT, 1024),
	OWNER_FIELDS(struct nginx_conf, cert, "cert_file"),
	OWNER_FIELDS(struct nginx_conf, chain, "chain_file"),
	OWNER_FIELDS(struct nginx_conf, key, "key_file"),
	HOOKS_FIELDS(struct nginx_conf, hooks, F_REQ),
	FIELD_END
};

static int
nginx_check(const void *conf, struct err *e)
{
	const struct nginx_conf *c = conf;

	return hooks_check(&c->hooks, e);
}

static int
nginx_deploy(struct arena *a, const void *conf, const struct deploy_args *args,
    enum deploy_outcome *outcome, struct err *e)
{
	const struct nginx_conf *c = conf;
	struct bytes full = pem_join(a, args->cert_pem, args->chain_pem, NULL);
	struct bytes leaf = pem_join(a, args->cert_pem, NULL, NULL);
	struct plan p = {
		.type = "NGINX",
		.backup_retention = c->hooks.backup_retention,
	};

	hooks_make(a, &c->hooks, args->fingerprint, &p.hooks);
	if (blank(c->chain_path))
		plan_add(&p, c->cert_path, full, false, &c->cert);
	else
		plan_add(&p, c->cert_path, leaf, false, &c->cert);
	if (blank(c->chain_path) && !blank(args->chain_pem))
		p.hooks.chain_min = 2;
	if (!blank(c->chain_path) && !blank(args->chain_pem))
		plan_add(&p, c->chain_path, pem_join(a, NULL, args->chain_pem,
		    NULL), false, &c->chain);
	if (!blank(c->fullchain_path))
		plan_add(&p, c->fullchain_path, full, false, &c->cert);
	if (!blank(c->key_path))
		plan_add(&p, c->key_path, pem_join(a, NULL, NULL,
		    args->key_pem), true, &c->key);
	return files_deploy(a, &p, args->state_dir, outcome, e);
}

const struct target_type target_nginx = {
	.name = "NGINX",
	.conf = nginx_fields,
	.conf_size = sizeof(struct nginx_conf),
	.check = nginx_check,
	.deploy = nginx_deploy,
};
