/*
 * HAProxy: one file holds leaf, chain and key.  In a "crt" directory every
 * file without a dot before its name is loaded, so nothing else of ours may
 * ever lie there under another kind of name.
 */
#include "base/err.h"
#include "target/files.h"

struct haproxy_conf {
	const char *pem_path;
	struct owner_conf pem;
	struct hooks_conf hooks;
};

static const struct field haproxy_fields[] = {
	FIELD(struct haproxy_conf, pem_path, TEXT, F_REQ, 1024),
	OWNER_FIELDS(struct haproxy_conf, pem, "pem_file"),
	HOOKS_FIELDS(struct haproxy_conf, hooks, F_OMIT),
	FIELD_END
};

static int
haproxy_check(const void *conf, struct err *e)
{
	const struct haproxy_conf *c = conf;

	return hooks_check(&c->hooks, e);
}

static int
haproxy_deploy(struct arena *a, const void *conf,
    const struct deploy_args *args, enum deploy_outcome *outcome,
    struct err *e)
{
	const struct haproxy_conf *c = conf;
	struct plan p = {
		.type = "HAProxy",
		.backup_retention = c->hooks.backup_retention,
	};

	hooks_make(a, &c->hooks, args->fingerprint, &p.hooks);
	if (!blank(args->chain_pem))
		p.hooks.chain_min = 2;
	plan_add(&p, c->pem_path, pem_join(a, args->cert_pem, args->chain_pem,
	    args->key_pem), true, &c->pem);
	return files_deploy(a, &p, args->state_dir, outcome, e);
}

const struct target_type target_haproxy = {
	.name = "HAProxy",
	.conf = haproxy_fields,
	.conf_size = sizeof(struct haproxy_conf),
	.check = haproxy_check,
	.deploy = haproxy_deploy,
};
