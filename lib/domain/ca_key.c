#include "domain/ca_key.h"

#include "domain/opened.h"
#include "issuer/authority.h"
#include "issuer/issuer.h"

int
ca_key_keep(struct ctx *c, const char *issuer_id, const struct issuer *issuer,
    const char **id, struct err *e)
{
	const char *pem = issuer_ca_cert(issuer);
	const char *ref = issuer_key_ref(issuer);
	struct authority_id k;
	struct db_batch *b;

	*id = NULL;
	if (pem == NULL || ref == NULL)
		return 0;
	if (authority_identify(c->a, pem, &k, e) < 0)
		return -1;
	b = db_batch(c->db, c->a);
	db_add(b, Q_CA_KEY_KEEP, db_text(k.id), db_text(issuer_id),
	    db_text(pem), db_text(ref), db_bytes(k.subject),
	    db_time(k.not_after));
	db_add(b, Q_CA_KEY_ASSIGN, db_text(k.id), db_text(issuer_id));
	if (db_run(b, e) < 0)
		return -1;
	*id = k.id;
	return 0;
}

/* The column ca_keys.name. */
enum { NAME_LEN = 16 };

void
ca_key_locations(struct ctx *c, const char *id, struct issue_args *args)
{
	const char *base = c->set->pki_base_url;

	if (blank(base) || id == NULL)
		return;
	args->aia_ocsp_url = arena_printf(c->a, "%s/ocsp/%.*s", base,
	    NAME_LEN, id);
	args->aia_issuer_url = arena_printf(c->a, "%s/ca/%.*s.cer", base,
	    NAME_LEN, id);
	args->cdp_url = arena_printf(c->a, "%s/crl/%.*s", base, NAME_LEN, id);
	args->cdp_sharded = c->set->crl_shard_entries > 0;
}

static const struct field issuer_row_fields[] = {
	FIELD(struct issuer_row, issuer_id, TEXT, 0),
	FIELD(struct issuer_row, issuer_type, TEXT, 0),
	FIELD(struct issuer_row, config, JSON, 0),
	FIELD(struct issuer_row, ca_cert_pem, TEXT, 0),
	FIELD(struct issuer_row, issuer_revision, INT, 0),
	FIELD_END
};

int
ca_key_sweep(struct ctx *c, int64_t *n, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct issuer_row row;
	struct db_rows rows;
	int rc = 0;

	*n = 0;
	db_add_args(b, Q_ISSUERS_ENABLED, NULL, 0);
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, issuer_row_fields);
	for (int i = 0; i < rows.n; i++) {
		row = (struct issuer_row){ 0 };
		db_row(&rows, i, &row);
		row.encrypted_config = db_bytes_at(b, 0, i,
		    "encrypted_config");
		if (opened_get(c, &row, e) == NULL) {
			rc = -1;
			(*n)++;
		}
	}
	return rc;
}
