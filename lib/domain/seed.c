#include "domain/seed.h"

#include "base/buf.h"
#include "codec/json.h"
#include "domain/connector.h"
#include "issuer/issuer.h"
#include "x509/seal.h"

static const char local_id[] = "iss-local";

struct seeded {
	const char *type, *config, *source;
};

static const struct field seeded_fields[] = {
	FIELD(struct seeded, type, TEXT, 0),
	FIELD(struct seeded, config, JSON, 0),
	FIELD(struct seeded, source, TEXT, 0),
	FIELD_END
};

struct ca_files {
	const char *ca_cert_path, *ca_key_path;
};

static const struct field ca_files_fields[] = {
	FIELD(struct ca_files, ca_cert_path, TEXT, 0),
	FIELD(struct ca_files, ca_key_path, TEXT, 0),
	FIELD_END
};

/* True if the configuration CONF names the CA files that are set. */
static bool
up_to_date(struct ctx *c, const char *conf)
{
	struct ca_files f = { 0 };
	struct err ignored;
	struct json *j = json_parse(c->a, conf, strlen(conf), &ignored);

	return j != NULL &&
	    json_read(c->a, j, ca_files_fields, 0, &f, &ignored) == 0 &&
	    streq(or_empty(f.ca_cert_path), c->set->ca_cert_path) &&
	    streq(or_empty(f.ca_key_path), c->set->ca_key_path);
}

static int
add_update(struct ctx *c, struct db_batch *b, const char *type,
    struct err *e)
{
	const struct issuer_type *t = issuer_type_find(type);
	const struct ca_files f = {
		c->set->ca_cert_path, c->set->ca_key_path,
	};
	struct buf conf = BUF(c->a);
	struct bytes sealed = { 0 };
	const char *shown;
	struct seal *seal;

	json_write(&conf, ca_files_fields, &f, NULL);
	shown = buf_str(&conf);
	/* Without a key the paths stay in the clear: they are no secret. */
	if (!blank(c->set->config_encryption_key)) {
		seal = ctx_seal(c, e);
		if (seal == NULL || seal_close(seal, c->a, conf.p, conf.len,
		    &sealed, e) < 0)
			return -1;
		shown = issuer_redact_conf(c->a, t, shown);
	}
	db_add(b, Q_ISSUER_ENV_SET, db_text(local_id), db_text(shown),
	    db_bytes(sealed));
	ctx_audit(c, b, "update_issuer", "issuer", local_id,
	    "{\"source\":\"env\"}");
	return 0;
}

int
seed_local_issuer(struct ctx *c, bool *changed, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct seeded row = { 0 };
	struct db_rows rows;
	const char *conf;
	struct err ignored;

	*changed = false;
	if (blank(c->set->ca_cert_path))
		return 0;
	db_begin(c->db);
	db_add(b, Q_ISSUER_LOCK, db_text(local_id));
	if (db_run(b, e) < 0)
		goto fail;
	rows = db_rows(b, 0, seeded_fields);
	if (rows.n > 0)
		db_row(&rows, 0, &row);
	if (!streq(or_empty(row.source), "env"))
		goto unchanged;
	/* One sealed under another key is replaced as well. */
	conf = config_open(c, db_bytes_at(b, 0, 0, "encrypted_config"),
	    row.config, &ignored);
	if (conf != NULL && up_to_date(c, conf))
		goto unchanged;
	b = db_batch(c->db, c->a);
	if (add_update(c, b, row.type, e) < 0 || db_run_commit(b, e) < 0)
		goto fail;
	*changed = true;
	return 0;
unchanged:
	db_rollback(c->db);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}
