#include "domain/revoke.h"

#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "domain/certificate.h"

enum { REMOVE_FROM_CRL = 8 };

/* URGENT: the CRL does not wait for more of them. */
static const struct {
	const char *name;
	int code;
	bool urgent;
} reasons[] = {
	{ "unspecified", 0, false },
	{ "keyCompromise", 1, true },
	{ "caCompromise", 2, true },
	{ "affiliationChanged", 3, false },
	{ "superseded", 4, false },
	{ "cessationOfOperation", 5, false },
	{ "certificateHold", 6, false },
	{ "removeFromCRL", REMOVE_FROM_CRL, true },
	{ "privilegeWithdrawn", 9, false },
	{ "aACompromise", 10, true },
};

static size_t
find(const char *reason)
{
	size_t i;

	for (i = 0; i < NELEM(reasons); i++)
		if (streq(reasons[i].name, reason))
			break;
	return i;
}

int
revocation_code(const char *reason)
{
	size_t i = find(reason);

	return i < NELEM(reasons) ? reasons[i].code : -1;
}

int64_t
revocation_debounce_s(const struct ctx *c, const char *reason)
{
	size_t i = find(reason);

	if (i == NELEM(reasons) || reasons[i].code == REMOVE_FROM_CRL)
		return -1;
	return reasons[i].urgent ? 0 : c->set->crl_debounce;
}

struct candidates {
	int64_t versions, unexpired, revoked, held;
};

static const struct field candidates_fields[] = {
	FIELD(struct candidates, versions, INT, 0),
	FIELD(struct candidates, unexpired, INT, 0),
	FIELD(struct candidates, revoked, INT, 0),
	FIELD(struct candidates, held, INT, 0),
	FIELD_END
};

static int
may_revoke(const struct certificate *cert, const char *serial, int code,
    const struct candidates *n, struct err *e)
{
	if (streq(cert->status, "Archived"))
		return err_set(e, E_INVALID, "the certificate is archived");
	if (n->versions == 0)
		return err_set(e, E_NOT_FOUND, serial != NULL ?
		    "the certificate has no such serial" :
		    "the certificate was never issued");
	if (code == REMOVE_FROM_CRL)
		return n->held > 0 ? 0 : err_set(e, E_INVALID,
		    "nothing of this certificate is on hold");
	if (n->unexpired == 0)
		return err_set(e, E_INVALID, "the certificate has expired");
	if (n->revoked == n->unexpired || (n->held + n->revoked ==
	    n->unexpired && code == revocation_code("certificateHold")))
		return err_set(e, E_INVALID,
		    "the certificate is already revoked");
	return 0;
}

struct serial_row {
	const char *serial_number;
};

static const struct field serial_fields[] = {
	FIELD(struct serial_row, serial_number, TEXT, 0),
	FIELD_END
};

/* What happened, for the audit: the first serial by its usual name too. */
static char *
details(struct ctx *c, const struct certificate *cert, const char *reason,
    const struct db_batch *b)
{
	struct db_rows rows = db_rows(b, 0, serial_fields);
	struct texts serials = { 0 };
	struct serial_row row = { 0 };
	struct buf out = BUF(c->a);

	for (int i = 0; i < rows.n; i++) {
		db_row(&rows, i, &row);
		texts_add(c->a, &serials, row.serial_number);
	}
	buf_puts(&out, "{\"common_name\":");
	json_write_text(&out, cert->common_name);
	buf_puts(&out, ",\"serial\":");
	json_write_text(&out, serials.n > 0 ? serials.v[0] : "");
	buf_puts(&out, ",\"serials\":");
	json_write_texts(&out, &serials);
	buf_puts(&out, ",\"reason\":");
	json_write_text(&out, reason);
	buf_putc(&out, '}');
	return buf_str(&out);
}

static int
look(struct ctx *c, const char *id, const char *serial, int code,
    struct certificate *cert, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct candidates n = { 0 };

	if (certificate_lock(c, id, cert, e) < 0)
		return -1;
	db_add(b, Q_REVOKE_CANDIDATES, db_text(id), db_text(serial));
	if (db_run(b, e) < 0)
		return -1;
	db_take(b, 0, candidates_fields, &n);
	return may_revoke(cert, serial, code, &n, e);
}

int
certificate_revoke(struct ctx *c, const char *id, const char *serial,
    const char *reason, bool *released, struct err *e)
{
	const char *why = blank(reason) ? "unspecified" : reason;
	size_t i = find(why);
	struct certificate cert;
	struct db_batch *b, *done;

	if (i == NELEM(reasons))
		return err_set(e, E_INVALID,
		    "reason \"%.64s\" is none of RFC 5280's", why);
	db_begin(c->db);
	if (look(c, id, serial, reasons[i].code, &cert, e) < 0)
		goto fail;
	*released = reasons[i].code == REMOVE_FROM_CRL;
	b = db_batch(c->db, c->a);
	if (*released)
		db_add(b, Q_REVOCATION_RELEASE, db_text(id), db_text(serial),
		    db_str(c->actor.id));
	else
		db_add(b, Q_REVOKE, db_text(id), db_text(serial),
		    db_text(why), db_str(c->actor.id),
		    db_int(reasons[i].urgent ? 0 : c->set->crl_debounce),
		    db_text(id_new(c->a, "rev")));
	if (db_run(b, e) < 0)
		goto fail;
	done = b;
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, *released ? "certificate_released" :
	    "certificate_revoked", "certificate", id,
	    details(c, &cert, why, done));
	if (ctx_commit(c, b, 200, e) == 0)
		return 0;
fail:
	db_rollback(c->db);
	return -1;
}
