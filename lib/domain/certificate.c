#include "domain/certificate.h"

#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "x509/san.h"

const struct field certificate_fields[] = {
	FIELD(struct certificate, id, TEXT, F_RO),
	FIELD(struct certificate, name, TEXT, F_REQ | F_LINE, 255),
	FIELD(struct certificate, common_name, TEXT, F_REQ | F_LINE, 253),
	FIELD(struct certificate, sans, TEXTS, 0, 100),
	FIELD(struct certificate, environment, TEXT, F_LINE, 50),
	FIELD(struct certificate, owner_id, TEXT, F_REQ, 255),
	FIELD(struct certificate, team_id, TEXT, F_REQ, 255),
	FIELD(struct certificate, issuer_id, TEXT, F_REQ, 255),
	FIELD(struct certificate, target_ids, TEXTS, 0, 1000),
	FIELD(struct certificate, renewal_policy_id, TEXT, F_REQ, 255),
	FIELD(struct certificate, certificate_profile_id, TEXT, F_OMIT, 255),
	FIELD(struct certificate, status, TEXT, 0, 32),
	FIELD(struct certificate, expires_at, TIME, 0),
	FIELD(struct certificate, tags, JSON, 0),
	FIELD(struct certificate, last_renewal_at, TIME, F_RO | F_OMIT),
	FIELD(struct certificate, last_deployment_at, TIME, F_RO | F_OMIT),
	FIELD(struct certificate, revoked_at, TIME, F_RO | F_OMIT),
	FIELD(struct certificate, revocation_reason, TEXT, F_RO | F_OMIT),
	FIELD(struct certificate, source, TEXT, F_OMIT, 16),
	FIELD(struct certificate, created_at, TIME, F_RO),
	FIELD(struct certificate, updated_at, TIME, F_RO),
	FIELD_END
};

const struct view certificate_view = {
	&list_certificates, certificate_fields, sizeof(struct certificate),
};

struct certificate_version {
	const char *id, *certificate_id, *serial_number, *fingerprint_sha256;
	const char *pem_chain, *csr_pem, *key_algorithm;
	int64_t not_before, not_after, created_at, key_size;
};

static const struct field certificate_version_fields[] = {
	FIELD(struct certificate_version, id, TEXT, F_RO),
	FIELD(struct certificate_version, certificate_id, TEXT, F_RO),
	FIELD(struct certificate_version, serial_number, TEXT, F_RO),
	FIELD(struct certificate_version, not_before, TIME, F_RO),
	FIELD(struct certificate_version, not_after, TIME, F_RO),
	FIELD(struct certificate_version, fingerprint_sha256, TEXT, F_RO),
	FIELD(struct certificate_version, pem_chain, TEXT, F_RO),
	FIELD(struct certificate_version, csr_pem, TEXT, F_RO),
	FIELD(struct certificate_version, key_algorithm, TEXT, F_RO | F_OMIT),
	FIELD(struct certificate_version, key_size, INT, F_RO | F_OMIT),
	FIELD(struct certificate_version, created_at, TIME, F_RO),
	FIELD_END
};

const struct view certificate_version_view = {
	&list_certificate_versions, certificate_version_fields,
	sizeof(struct certificate_version),
};

static const struct {
	const char *name;
	unsigned allows;
} statuses[] = {
	{ "Pending", MAY_RENEW | MAY_DEPLOY | MAY_SET | MAY_LEAVE },
	{ "Active", MAY_RENEW | MAY_DEPLOY | MAY_SET | MAY_LEAVE },
	{ "Expiring", MAY_RENEW | MAY_DEPLOY | MAY_SET | MAY_LEAVE },
	{ "Expired", MAY_RENEW_FORCED | MAY_SET | MAY_LEAVE },
	{ "RenewalInProgress", MAY_RENEW_FORCED | MAY_DEPLOY },
	{ "Failed", MAY_RENEW | MAY_DEPLOY | MAY_SET | MAY_LEAVE },
	{ "Revoked", 0 },
	{ "Archived", MAY_SET | MAY_LEAVE },
};

unsigned
certificate_allows(const char *name)
{
	for (size_t i = 0; i < NELEM(statuses); i++)
		if (streq(statuses[i].name, name))
			return statuses[i].allows;
	return 0;
}

/*
 * A common name is an e-mail address, an address literal or a host name of
 * [A-Za-z0-9._*-] without empty labels or labels with a hyphen at an end.
 */
static int
check_common_name(struct ctx *c, const char *s, struct err *e)
{
	struct san san;

	if (san_parse(c->a, s, &san, e) < 0)
		return err_prefix(e, "common_name");
	if (san.type != SAN_DNS)
		return san.type == SAN_URI ? err_set(e, E_INVALID,
		    "common_name must be a host name, an address or an "
		    "e-mail address") : 0;
	for (const char *p = s; *p != '\0'; p++) {
		bool edge = p == s || p[-1] == '.' || p[1] == '.' ||
		    p[1] == '\0';

		if ((*p == '.' && edge) || (*p == '-' && edge) ||
		    strchr("abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._*-", *p) == NULL)
			return err_set(e, E_INVALID,
			    "common_name is not a host name");
	}
	return 0;
}

static int
check_names(struct ctx *c, const struct certificate *cert, struct err *e)
{
	struct san san;

	if (check_common_name(c, cert->common_name, e) < 0)
		return -1;
	for (size_t i = 0; i < cert->sans.n; i++)
		if (san_parse(c->a, cert->sans.v[i], &san, e) < 0)
			return err_prefix(e, "sans");
	return 0;
}

static int
check_status(const char *status, const char *old, struct err *e)
{
	if (old != NULL && streq(status, old))
		return 0;
	if (old != NULL && !(certificate_allows(old) & MAY_LEAVE))
		return err_set(e, E_CONFLICT,
		    "a certificate that is %s cannot be set to %s", old,
		    status);
	if (!(certificate_allows(status) & MAY_SET))
		return err_set(e, E_INVALID, "status must be Pending, Active, "
		    "Expiring, Expired, Failed or Archived");
	return 0;
}

static int
check_tags(struct ctx *c, const char *tags, struct err *e)
{
	struct json *j, *v;
	const char *name;

	if (blank(tags))
		return 0;
	j = json_parse(c->a, tags, strlen(tags), e);
	if (j == NULL)
		return -1;
	for (const void *at = NULL; json_next(j, &at, &name, &v); )
		if (json_text(v) == NULL)
			return err_set(e, E_INVALID,
			    "tags must map names to strings");
	return 0;
}

int
certificate_not_found(const char *id, struct err *e)
{
	return err_set(e, E_NOT_FOUND, "certificate \"%s\" does not exist",
	    id);
}

int
certificate_get(struct ctx *c, const char *id, struct certificate *out,
    struct err *e)
{
	struct db_batch *b;

	*out = (struct certificate){ 0 };
	if (ctx_read(c, Q_CERTIFICATE_GET, &b, e, db_text(id)) < 0)
		return -1;
	return db_take(b, 0, certificate_fields, out) ? 0 :
	    certificate_not_found(id, e);
}

struct chosen {
	const char *id;
};

static const struct field chosen_fields[] = {
	FIELD(struct chosen, id, TEXT, 0, 128),
	FIELD_END
};

char *
certificate_details(struct ctx *c, const struct certificate *cert)
{
	struct buf b = BUF(c->a);

	buf_puts(&b, "{\"common_name\":");
	json_write_text(&b, cert->common_name);
	buf_putc(&b, '}');
	return buf_str(&b);
}

static int
read_new(struct ctx *c, const struct json *body, struct certificate *cert,
    struct err *e)
{
	struct chosen chosen = { 0 };

	*cert = (struct certificate){ .status = "Pending", .tags = "{}" };
	if (json_read(c->a, body, certificate_fields, 0, cert, e) < 0 ||
	    json_read(c->a, body, chosen_fields, 0, &chosen, e) < 0)
		return -1;
	if (!blank(chosen.id) && !safe_id(chosen.id))
		return err_set(e, E_INVALID, "id is 1 to 128 of letters, "
		    "digits, \".\", \"_\" and \"-\"");
	if (blank(cert->status))
		cert->status = "Pending";
	cert->id = blank(chosen.id) ? id_new(c->a, "cert") : chosen.id;
	if (check_names(c, cert, e) < 0 || check_tags(c, cert->tags, e) < 0)
		return -1;
	return check_status(cert->status, NULL, e);
}

int
certificate_create(struct ctx *c, const struct json *body,
    struct certificate *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct certificate cert;

	if (read_new(c, body, &cert, e) < 0)
		return -1;
	/* One flight: the statements of a batch commit together. */
	db_add(b, Q_CERTIFICATE_INSERT, db_text(cert.id), db_text(cert.name),
	    db_text(cert.common_name), db_texts(&cert.sans),
	    db_str(cert.environment), db_text(cert.owner_id),
	    db_text(cert.team_id), db_text(cert.issuer_id),
	    db_text(cert.renewal_policy_id),
	    db_opt(cert.certificate_profile_id), db_text(cert.status),
	    db_text(cert.tags), db_str(cert.source), db_time(cert.expires_at),
	    db_texts(&cert.target_ids));
	ctx_audit(c, b, "certificate_created", "certificate", cert.id,
	    certificate_details(c, &cert));
	if (ctx_commit(c, b, 201, e) < 0)
		return -1;
	db_take(b, 0, certificate_fields, &cert);
	*out = cert;
	return 0;
}

int
certificate_lock(struct ctx *c, const char *id, struct certificate *out, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	*out = (struct certificate){ 0 };
	db_add(b, Q_CERTIFICATE_LOCK, db_text(id));
	if (db_run(b, e) < 0)
		return -1;
	return db_take(b, 0, certificate_fields, out) ? 0 :
	    certificate_not_found(id, e);
}

/* Empty members keep what OLD has: clients send "" for what they do not set. */
static int
read_change(struct ctx *c, const struct json *body,
    const struct certificate *old, struct certificate *cert, struct err *e)
{
	struct certificate change = { 0 };
	const struct field *f;

	if (json_read(c->a, body, certificate_fields, JSON_PARTIAL, &change,
	    e) < 0)
		return -1;
	*cert = *old;
	for (f = certificate_fields; f->name != NULL; f++)
		if (f->type == FT_TEXT && !field_unset(f, &change))
			*FIELD_PTR(const char *, cert, f) =
			    *FIELD_CPTR(char *, &change, f);
	cert->source = old->source;
	if (change.sans.n > 0)
		cert->sans = change.sans;
	if (change.tags != NULL)
		cert->tags = change.tags;
	if (json_member(c->a, body, "target_ids") != NULL)
		cert->target_ids = change.target_ids;
	if (check_names(c, cert, e) < 0 || check_tags(c, cert->tags, e) < 0)
		return -1;
	return check_status(cert->status, old->status, e);
}

int
certificate_update(struct ctx *c, const char *id, const struct json *body,
    struct certificate *out, struct err *e)
{
	struct certificate old, cert;
	struct db_batch *b;

	db_begin(c->db);
	if (certificate_lock(c, id, &old, e) < 0 ||
	    read_change(c, body, &old, &cert, e) < 0)
		goto fail;
	b = db_batch(c->db, c->a);
	db_add(b, Q_CERTIFICATE_UPDATE, db_text(id), db_text(cert.name),
	    db_text(cert.common_name), db_texts(&cert.sans),
	    db_str(cert.environment), db_text(cert.owner_id),
	    db_text(cert.team_id), db_text(cert.issuer_id),
	    db_text(cert.renewal_policy_id),
	    db_opt(cert.certificate_profile_id), db_text(cert.status),
	    db_text(blank(cert.tags) ? "{}" : cert.tags));
	db_add(b, Q_CERTIFICATE_TARGETS_SET, db_text(id),
	    db_texts(&cert.target_ids));
	ctx_audit(c, b, "certificate_updated", "certificate", id,
	    certificate_details(c, &cert));
	if (ctx_commit(c, b, 200, e) < 0)
		goto fail;
	db_take(b, 0, certificate_fields, &cert);
	*out = cert;
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
certificate_archive(struct ctx *c, const char *id, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_begin(c->db);
	db_add(b, Q_CERTIFICATE_ARCHIVE, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (db_count(b, 0) == 0) {
		certificate_not_found(id, e);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, "certificate_archived", "certificate", id, NULL);
	if (ctx_commit(c, b, 204, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}
