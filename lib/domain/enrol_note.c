/* What the audit is told of enrolments. */
#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "domain/enroller.h"

char *
enrol_details(struct ctx *c, const struct enroller *en, const char *common_name,
    const struct texts *sans, const char *serial, const char *reason)
{
	struct buf b = BUF(c->a);

	buf_puts(&b, "{\"common_name\":");
	json_write_text(&b, or_empty(common_name));
	buf_puts(&b, ",\"sans\":");
	json_write_texts(&b, sans);
	buf_puts(&b, ",\"issuer_id\":");
	json_write_text(&b, en->conf->issuer_id);
	buf_puts(&b, ",\"protocol\":\"EST\",\"profile_id\":");
	json_write_text(&b, or_empty(en->conf->profile_id));
	buf_puts(&b, ",\"est_profile\":");
	json_write_text(&b, en->conf->label);
	if (serial != NULL) {
		buf_puts(&b, ",\"serial\":");
		json_write_text(&b, serial);
	}
	if (reason != NULL) {
		buf_puts(&b, ",\"reason\":");
		json_write_text(&b, reason);
	}
	buf_putc(&b, '}');
	return buf_str(&b);
}

void
enrol_note(struct ctx *c, const struct enroller *en, const char *action,
    const struct csr *csr, const char *reason)
{
	struct sans names = { 0 };
	struct texts sans;
	struct db_batch *b = db_batch(c->db, c->a);
	const char *label = en->conf->label;
	struct err ignored;

	if (csr != NULL)
		names = csr_sans(csr);
	sans = sans_texts(c->a, &names);
	db_add(b, Q_ENROL_NOTE, db_str(c->actor.id),
	    db_text(actor_type(&c->actor)), db_text(action),
	    db_text("est_profile"), db_text(blank(label) ? "est" : label),
	    db_text(enrol_details(c, en, csr != NULL ? csr_common_name(csr) :
	    NULL, &sans, NULL, reason)), db_text(strstr(action, "_auth_") != NULL ?
	    "auth" : "cert_lifecycle"));
	/* The refusal stands whether or not it could be recorded. */
	db_run(b, &ignored);
}
