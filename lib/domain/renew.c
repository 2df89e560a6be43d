/* What an operator may ask of a certificate: renew it, deploy it. */
#include "base/buf.h"
#include "base/text.h"
#include "domain/certificate.h"
#include "domain/resource.h"

struct id_row {
	const char *id;
};

static const struct field id_fields[] = {
	FIELD(struct id_row, id, TEXT, 0),
	FIELD_END
};

static const char *
first_id(const struct db_batch *b, size_t i)
{
	struct id_row row = { 0 };

	db_take(b, i, id_fields, &row);
	return row.id;
}

static int
may_renew(const struct certificate *cert, bool force, struct err *e)
{
	unsigned allows = certificate_allows(cert->status);

	if (streq(or_empty(cert->source), "EST"))
		return err_set(e, E_CONFLICT,
		    "the holder of this certificate renews it over EST");
	if ((allows & MAY_RENEW) || (force && (allows & MAY_RENEW_FORCED)))
		return 0;
	if (streq(cert->status, "RenewalInProgress"))
		return err_set(e, E_CONFLICT,
		    "a renewal of this certificate is already under way");
	return err_set(e, E_INVALID, "a certificate that is %s cannot be "
	    "renewed%s", cert->status, allows & MAY_RENEW_FORCED ?
	    " without force" : "");
}

int
certificate_renew(struct ctx *c, const char *id, bool force,
    const char **job_id, struct err *e)
{
	const char *job = id_new(c->a, "job"), *type;
	struct certificate cert;
	struct db_batch *b;

	db_begin(c->db);
	if (certificate_lock(c, id, &cert, e) < 0 ||
	    may_renew(&cert, force, e) < 0)
		goto fail;
	type = cert.expires_at == 0 ? "Issuance" : "Renewal";
	b = db_batch(c->db, c->a);
	db_add(b, Q_CERTIFICATE_RENEW_JOBS, db_text(id), db_text(job),
	    db_text(type));
	db_add(b, Q_CERTIFICATE_OPEN_JOB, db_text(id));
	db_add(b, Q_CERTIFICATE_RENEWING, db_text(id));
	ctx_audit(c, b, "renewal_triggered", "certificate", id,
	    certificate_details(c, &cert));
	if (ctx_commit(c, b, 202, e) < 0)
		goto fail;
	*job_id = first_id(b, 0) != NULL ? first_id(b, 0) : first_id(b, 1);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
certificate_deploy(struct ctx *c, const char *id, const char *target_id,
    struct err *e)
{
	struct certificate cert;
	struct db_batch *b;

	db_begin(c->db);
	if (certificate_lock(c, id, &cert, e) < 0)
		goto fail;
	if (!(certificate_allows(cert.status) & MAY_DEPLOY)) {
		err_set(e, E_CONFLICT, "a certificate that is %s cannot be "
		    "deployed", cert.status);
		goto fail;
	}
	if (!blank(target_id) && !texts_has(&cert.target_ids, target_id)) {
		err_set(e, E_INVALID, "target_id is no target of this "
		    "certificate");
		goto fail;
	}
	b = db_batch(c->db, c->a);
	db_add(b, Q_CERTIFICATE_DEPLOY_JOBS, db_text(id),
	    db_text(id_new(c->a, "job")), db_opt(target_id));
	if (db_run(b, e) < 0)
		goto fail;
	if (db_count(b, 0) == 0) {
		err_set(e, E_CONFLICT, "there is nothing to deploy: the "
		    "certificate needs a version and an enabled target");
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "deployment_triggered", "certificate", id,
	    certificate_details(c, &cert));
	if (ctx_commit(c, b, 202, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
certificate_deployments(struct ctx *c, const char *id, struct page *out,
    struct err *e)
{
	const struct view *v = &resource_target.view;
	struct db_batch *b;
	struct db_rows rows;

	if (ctx_read(c, Q_CERTIFICATE_DEPLOYMENTS, &b, e, db_text(id)) < 0)
		return -1;
	rows = db_rows(b, 0, v->fields);
	if (rows.n == 0)
		return certificate_not_found(id, e);
	*out = (struct page){ .fields = v->fields, .size = v->size };
	/* One row of nulls stands for a certificate without targets. */
	out->rows = arena_zalloc(c->a, (size_t)rows.n * v->size);
	for (int i = 0; i < rows.n; i++)
		db_row(&rows, i, (char *)out->rows + (size_t)i * v->size);
	out->n = ((struct resource_head *)out->rows)->id == NULL ? 0 :
	    (size_t)rows.n;
	out->total = (int64_t)out->n;
	return 0;
}
