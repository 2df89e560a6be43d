#include "domain/opened.h"

#include <stdlib.h>

#include "domain/ca_key.h"
#include "domain/connector.h"
#include "issuer/authority.h"
#include "issuer/issuer.h"

enum { OPENED_MAX = 32 };

static struct opened {
	struct issuer *issuer;	/* NULL: free */
	char *id, *ca_key_id;
	int64_t revision;
} opened[OPENED_MAX];

/* The next to go when all are taken. */
static size_t hand;

static void
forget(struct opened *o)
{
	issuer_close(o->issuer);
	free(o->id);
	free(o->ca_key_id);
	*o = (struct opened){ 0 };
}

void
opened_close(void)
{
	for (size_t i = 0; i < OPENED_MAX; i++)
		forget(&opened[i]);
}

static struct issuer *
find(const struct issuer_row *row)
{
	for (size_t i = 0; i < OPENED_MAX; i++) {
		if (opened[i].issuer == NULL ||
		    !streq(opened[i].id, row->issuer_id))
			continue;
		if (opened[i].revision == row->issuer_revision)
			return opened[i].issuer;
		forget(&opened[i]);
	}
	return NULL;
}

static char *
copy(const char *s)
{
	char *out = s != NULL ? strdup(s) : NULL;

	if (s != NULL && out == NULL)
		abort();
	return out;
}

static void
keep(const struct issuer_row *row, struct issuer *issuer,
    const char *ca_key_id)
{
	struct opened *o = NULL;

	for (size_t i = 0; i < OPENED_MAX && o == NULL; i++)
		if (opened[i].issuer == NULL)
			o = &opened[i];
	if (o == NULL) {
		o = &opened[hand++ % OPENED_MAX];
		forget(o);
	}
	o->id = copy(row->issuer_id);
	o->ca_key_id = copy(ca_key_id);
	o->issuer = issuer;
	o->revision = row->issuer_revision;
}

struct kept {
	const char *ca_cert_pem;
};

static const struct field kept_fields[] = {
	FIELD(struct kept, ca_cert_pem, TEXT, 0),
	FIELD_END
};

/* Store MINE in place of *STORED unless another was quicker; *STORED is what
 * is stored then. */
static int
keep_ca_cert(struct ctx *c, const char *id, const char *mine,
    const char **stored, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct kept k = { 0 };
	struct db_rows rows;

	db_add(b, Q_ISSUER_CA_KEEP, db_text(id), db_text(*stored),
	    db_text(mine));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, kept_fields);
	if (rows.n == 0)
		return err_set(e, E_NOT_FOUND, "issuer \"%s\" is gone", id);
	db_row(&rows, 0, &k);
	*stored = k.ca_cert_pem;
	return 0;
}

static struct issuer *
open_with(struct ctx *c, const struct issuer_row *row, const char *conf,
    struct err *e)
{
	const struct issuer_type *type = issuer_type_find(row->issuer_type);
	struct issuer_env env = {
		.issuer_id = row->issuer_id,
		.state_dir = c->set->state_dir,
		.ca_cert_pem = row->ca_cert_pem,
	};
	const char *mine;
	struct issuer *i;

	if (type == NULL) {
		err_set(e, E_INVALID, "issuer type \"%s\" is not known",
		    row->issuer_type);
		return NULL;
	}
	/* Twice: another process may have stored its certificate first. */
	for (int turn = 0; turn < 2; turn++) {
		i = issuer_open(type, conf, &env, e);
		if (i == NULL)
			return NULL;
		mine = issuer_ca_cert(i);
		if (mine == NULL || streq(mine, or_empty(env.ca_cert_pem)) ||
		    row->ca_key_id != NULL)
			return i;
		if (keep_ca_cert(c, row->issuer_id, mine, &env.ca_cert_pem,
		    e) == 0 && streq(mine, or_empty(env.ca_cert_pem)))
			return i;
		issuer_close(i);
		if (e->code != E_OK)
			return NULL;
	}
	err_set(e, E_CONFLICT, "its CA certificate is not the one that is "
	    "stored");
	return NULL;
}

/* Note the CA key I signs with, or see that it is the one that is noted. */
static int
know_ca_key(struct ctx *c, const struct issuer_row *row, struct issuer *i,
    const char **id, struct err *e)
{
	struct authority_id k;

	if (row->ca_key_id == NULL)
		return ca_key_keep(c, row->issuer_id, i, id, e);
	if (authority_identify(c->a, issuer_ca_cert(i), &k, e) < 0)
		return -1;
	*id = k.id;
	return streq(k.id, row->ca_key_id) ? 0 : err_set(e, E_UNAVAILABLE,
	    "no worker has opened it with its present CA key yet");
}

struct issuer *
opened_get(struct ctx *c, const struct issuer_row *row, struct err *e)
{
	struct issuer *i = find(row);
	struct err why = { 0 };
	const char *conf, *ca_key_id = NULL;

	if (i != NULL)
		return i;
	conf = config_open(c, row->encrypted_config, row->config, &why);
	if (conf != NULL)
		i = open_with(c, row, conf, &why);
	if (i != NULL && know_ca_key(c, row, i, &ca_key_id, &why) < 0) {
		issuer_close(i);
		i = NULL;
	}
	if (i == NULL) {
		*e = why;
		err_prefix(e, "issuer \"%s\"", row->issuer_id);
		return NULL;
	}
	keep(row, i, ca_key_id);
	return i;
}

const char *
opened_ca_key(const struct issuer *issuer)
{
	for (size_t i = 0; i < OPENED_MAX; i++)
		if (opened[i].issuer == issuer)
			return opened[i].ca_key_id;
	return NULL;
}
