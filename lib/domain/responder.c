/* OCSP responders: a key and a certificate for each CA key, in good time. */
#include "base/text.h"
#include "domain/ca_key.h"
#include "issuer/authority.h"
#include "x509/key.h"
#include "x509/seal.h"

struct wanted {
	const char *id, *issuer_id, *cert_pem, *key_ref, *rotated_from;
};

static const struct field wanted_fields[] = {
	FIELD(struct wanted, id, TEXT, 0),
	FIELD(struct wanted, issuer_id, TEXT, 0),
	FIELD(struct wanted, cert_pem, TEXT, 0),
	FIELD(struct wanted, key_ref, TEXT, 0),
	FIELD(struct wanted, rotated_from, TEXT, 0),
	FIELD_END
};

static int
seal_key(struct ctx *c, const struct key *key, struct bytes *sealed,
    struct err *e)
{
	struct seal *seal = ctx_seal(c, e);
	char *pem = seal != NULL ? key_to_pem(c->a, key, e) : NULL;

	return pem == NULL ? -1 :
	    seal_close(seal, c->a, pem, strlen(pem), sealed, e);
}

/* Store it; *NEW is false if another process was quicker. */
static int
store(struct ctx *c, const struct wanted *w, const struct responder_cert *cert,
    struct bytes sealed, bool *new, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	const char *id = id_new(c->a, "ocsp");

	db_begin(c->db);
	db_add(b, Q_RESPONDER_STORE, db_text(id), db_text(w->id),
	    db_text(cert->pem), db_text(cert->serial), db_bytes(sealed),
	    db_text("ECDSA-P256"), db_time(cert->not_before),
	    db_time(cert->not_after), db_text(w->rotated_from));
	if (db_run(b, e) < 0)
		goto fail;
	*new = db_count(b, 0) > 0;
	if (!*new) {
		db_rollback(c->db);
		return 0;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "ocsp_responder_rotated", "issuer", w->issuer_id,
	    arena_printf(c->a, "{\"ca_key_id\":\"%s\",\"serial\":\"%s\"}",
	    w->id, cert->serial));
	if (ctx_commit(c, b, 200, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}

static int
rotate(struct ctx *c, const struct wanted *w, bool *new, struct err *e)
{
	const struct key_type type = { "ECDSA", 256 };
	struct authority *t = authority_open(w->cert_pem, w->key_ref, e);
	struct key *key = key_generate(c->a, type, e);
	struct responder_cert cert;
	struct bytes sealed;
	int rc = -1;

	if (t != NULL && key != NULL && authority_certify_responder(t, c->a,
	    key, c->set->ocsp_responder_validity, &cert, e) == 0 &&
	    seal_key(c, key, &sealed, e) == 0)
		rc = store(c, w, &cert, sealed, new, e);
	authority_close(t);
	return rc;
}

int
publication_forget(struct ctx *c, int64_t *n, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add_args(b, Q_RESPONDERS_FORGET, NULL, 0);
	db_add_args(b, Q_CRL_EVENTS_FORGET, NULL, 0);
	if (db_run(b, e) < 0)
		return -1;
	*n = db_count(b, 0) + db_count(b, 1);
	return 0;
}

int
responder_sweep(struct ctx *c, int64_t *n, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct db_rows rows;
	struct wanted w;
	bool new = false;
	int rc = 0;

	*n = 0;
	db_add(b, Q_RESPONDERS_WANTED,
	    db_int(c->set->ocsp_responder_rotation_grace));
	db_add_args(b, Q_REVOCATIONS_NOTIFY, NULL, 0);
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, wanted_fields);
	for (int i = 0; i < rows.n; i++) {
		w = (struct wanted){ 0 };
		db_row(&rows, i, &w);
		if (rotate(c, &w, &new, e) < 0)
			rc = err_prefix(e, "OCSP responder of \"%s\"",
			    w.issuer_id);
		else
			*n += new;
	}
	return rc;
}
