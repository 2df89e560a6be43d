#include "domain/enrol.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "codec/json.h"
#include "domain/ca_key.h"
#include "domain/enroller.h"
#include "issuer/issuer.h"
#include "x509/cert.h"
#include "x509/csr_attrs.h"
#include "x509/digest.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/trust.h"

/* One enrolment on its way. */
struct enrolment {
	struct ctx *c;
	struct enroller *en;
	const struct enrol_args *args;
	struct issue_args issue;
	struct issue_intent intent;
	struct sans names;		/* of the certificate to be */
	const char *common_name;	/* of its record */
	const char *enrolled_as, *csr_pem, *job_id;
	bool same;			/* the names of the client's */
	bool made;			/* the record is of this enrolment */
};

/* The client's certificate, if it is one of ours; see enrol_client. */
struct known {
	const char *reason;		/* why it is revoked */
	bool elsewhere;
};

static const struct field known_fields[] = {
	FIELD(struct known, reason, TEXT, 0),
	FIELD(struct known, elsewhere, BOOL, 0),
	FIELD_END
};

/* What the first flight found; see enrol_begin. */
struct begun {
	bool fresh, made;
	const char *certificate_id, *status, *pem_chain;
	const char *waiting_id;		/* of a request that had to wait */
};

static const struct field begun_fields[] = {
	FIELD(struct begun, fresh, BOOL, 0),
	FIELD(struct begun, made, BOOL, 0),
	FIELD(struct begun, certificate_id, TEXT, 0),
	FIELD(struct begun, status, TEXT, 0),
	FIELD(struct begun, waiting_id, TEXT, 0),
	FIELD(struct begun, pem_chain, TEXT, 0),
	FIELD_END
};

static const char *
digest_of(struct arena *a, const struct buf *b)
{
	return sha256_hex(b->p, b->len, arena_alloc(a, SHA256_HEX + 1));
}

/* What all that EN enrolled is enrolled as begins with. */
static const char *
space_of(struct ctx *c, const struct enroller *en)
{
	return arena_printf(c->a, "est/%s/", en->conf->label);
}

/* Who is enrolled: the subject, or the names if that is empty. */
static const char *
identity(struct ctx *c, const struct enroller *en, struct bytes subject,
    const struct sans *names)
{
	struct buf b = BUF(c->a);

	buf_add(&b, subject.p, subject.len);
	for (size_t i = 0; subject.len <= 2 && i < names->n; i++) {
		buf_puts(&b, names->v[i].text);
		buf_putc(&b, '\n');
	}
	return arena_printf(c->a, "%s%s", space_of(c, en),
	    digest_of(c->a, &b));
}

static bool
same_names(const struct sans *a, const struct sans *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!sans_has(b, &a->v[i]))
			return false;
	return true;
}

static int
not_the_same(struct err *e)
{
	return err_set(e, E_INVALID, "subject and names must be those of the "
	    "certificate that is renewed");
}

int
enrol_check_client(struct ctx *c, const struct enroller *en,
    const struct enrol_client *client, bool *ours, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct known row = { 0 };

	db_add(b, Q_ENROL_CLIENT, db_text(client->fingerprint),
	    db_text(space_of(c, en)));
	if (db_run(b, e) < 0)
		return -1;
	*ours = db_take(b, 0, known_fields, &row);
	if (row.reason != NULL)
		return err_set(e, E_UNAUTHORIZED,
		    "the client certificate is revoked");
	if (row.elsewhere)
		return err_set(e, E_UNAUTHORIZED, "the client certificate is "
		    "of another profile");
	return 0;
}

/* Without a certificate shown: is what is asked for the same as what this
 * profile issued last under that name? */
static int
check_current(const struct enrolment *n, struct err *e)
{
	struct ctx *c = n->c;
	struct db_batch *b = db_batch(c->db, c->a);
	struct begun row = { 0 };
	struct x509_cert *certs;
	size_t count;

	db_add(b, Q_ENROL_CURRENT, db_text(n->enrolled_as));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, begun_fields, &row))
		return err_set(e, E_INVALID, "there is no certificate of that "
		    "name to renew");
	if (certs_from_pem(c->a, row.pem_chain, &certs, &count, e) < 0)
		return -1;
	/* The record was found by its subject. */
	return same_names(&certs[0].sans, &n->names) ? 0 : not_the_same(e);
}

static int
check_renewal(struct enrolment *n, struct err *e)
{
	const struct enrol_client *client = n->args->client;

	n->same = client == NULL || (name_same(client->subject,
	    csr_subject_der(n->args->csr)) &&
	    same_names(&client->sans, &n->names));
	if (!n->args->renew)
		return 0;
	if (client == NULL)
		return check_current(n, e);
	return n->same ? 0 : not_the_same(e);
}

static void
set_issue_args(struct enrolment *n)
{
	n->issue = (struct issue_args){
		.csr = n->args->csr,
		.profile = n->en->source.profile.id != NULL ?
		    &n->en->rules : NULL,
		.now = now_s(),
	};
	ca_key_locations(n->c, n->en->source.issuer.ca_key_id, &n->issue);
}

/* What the profile says of the request; of its key, issuer_prepare() does. */
static int
check_policy(struct enrolment *n, struct err *e)
{
	struct texts required = enroller_required(n->en);
	const char *cn = csr_common_name(n->args->csr);

	if (strlen(cn) > (size_t)COMMON_NAME_MAX * 4 ||
	    (!blank(cn) && name_of(n->c->a, cn).len <= 2))
		return err_set(e, E_INVALID, "the common name has more than "
		    "%d characters", COMMON_NAME_MAX);
	if (csr_keeps_name(n->args->csr_der, e) < 0 ||
	    csr_require(n->args->csr_der, &required, e) < 0 ||
	    issuer_names(n->c->a, &n->issue, &n->names, e) < 0)
		return -1;
	if (blank(cn) && n->names.n == 0)
		return err_set(e, E_INVALID, "the request names nothing");
	n->common_name = blank(cn) ? n->names.v[0].text : cn;
	n->enrolled_as = identity(n->c, n->en,
	    csr_subject_der(n->args->csr), &n->names);
	return 0;
}

/* A name for the record that people can read and nobody else has. */
static const char *
record_name(const struct enrolment *n)
{
	const char *label = n->en->conf->label;
	unsigned char r[4];

	random_bytes(r, sizeof(r));
	return arena_printf(n->c->a, "%.160s (EST%s%.40s %s)", n->common_name,
	    blank(label) ? "" : " ", label, hex_encode(n->c->a, r,
	    sizeof(r)));
}

/* The hash by which a request that had to wait is known again. */
static const char *
waiting_as(const struct enrolment *n)
{
	struct buf b = BUF(n->c->a);

	buf_puts(&b, space_of(n->c, n->en));
	buf_add(&b, n->args->csr_der.p, n->args->csr_der.len);
	return digest_of(n->c->a, &b);
}

static struct db_arg
profile_revision(const struct source *s)
{
	return s->profile.id != NULL ? db_int(s->profile_revision) :
	    db_text(NULL);
}

/* The first flight for a name that is likely to be new; nothing is made if it
 * is not, or anything stands against it. */
static int
begin_new(struct enrolment *n, struct begun *out, struct err *e)
{
	struct ctx *c = n->c;
	const struct source *s = &n->en->source;
	struct texts names = sans_texts(c->a, &n->names);
	struct db_batch *b = db_batch(c->db, c->a);
	const char *id = id_new(c->a, "mc");

	db_add(b, Q_ENROL_RECORD, db_text(n->enrolled_as), db_text(id),
	    db_text(record_name(n)), db_text(n->common_name),
	    db_texts(&names), db_text(s->owner_id), db_text(s->team_id),
	    db_text(s->issuer.issuer_id), db_text(s->renewal_policy_id),
	    db_text(s->profile.id), db_int(s->issuer.issuer_revision),
	    profile_revision(s), db_text(n->en->conf->label),
	    db_text(waiting_as(n)), db_time(n->intent.not_after));
	db_add(b, Q_ENROL_INTENT, db_text(s->issuer.issuer_id),
	    db_text(n->intent.serial), db_text(id), db_text(n->job_id),
	    db_text(s->profile.id), profile_revision(s),
	    db_bytes(n->intent.tbs), db_text(n->intent.tbs_hash),
	    db_text(n->csr_pem));
	if (db_run(b, e) < 0)
		return -1;
	*out = (struct begun){ .made = db_count(b, 1) > 0 };
	if (out->made)
		out->certificate_id = id;
	return 0;
}

/* The first flight. */
static int
begin(struct enrolment *n, struct begun *out, struct err *e)
{
	struct ctx *c = n->c;
	const struct source *s = &n->en->source;
	struct texts names = sans_texts(c->a, &n->names);
	struct db_batch *b;

	if (!n->args->renew) {
		if (begin_new(n, out, e) < 0)
			return -1;
		if (out->made)
			return 0;
	}
	b = db_batch(c->db, c->a);
	db_add(b, Q_ENROL_BEGIN, db_text(n->enrolled_as),
	    db_text(id_new(c->a, "mc")), db_text(record_name(n)),
	    db_text(n->common_name), db_texts(&names), db_text(s->owner_id),
	    db_text(s->team_id), db_text(s->issuer.issuer_id),
	    db_text(s->renewal_policy_id), db_text(s->profile.id),
	    db_int(s->issuer.issuer_revision), profile_revision(s),
	    db_text(n->job_id), db_text(n->intent.serial),
	    db_bytes(n->intent.tbs), db_text(n->intent.tbs_hash),
	    db_text(n->csr_pem), db_text(waiting_as(n)),
	    db_text(n->en->conf->label), db_time(n->intent.not_after));
	if (db_run(b, e) < 0)
		return -1;
	*out = (struct begun){ 0 };
	db_take(b, 0, begun_fields, out);
	return 0;
}

/* Why the first flight made nothing. */
static int
explain(const struct begun *found, struct enrolled *out, struct err *e)
{
	if (found->status != NULL && streq(found->status, "Revoked")) {
		out->fault = ENROL_FAULT_POLICY;
		return err_set(e, E_CONFLICT,
		    "the certificate of that name is on hold");
	}
	return err_set(e, E_UNAVAILABLE, "the profile is being changed");
}

static const char *
full_chain(struct arena *a, const struct issued *i)
{
	return arena_printf(a, "%s%s", i->cert_pem, or_empty(i->chain_pem));
}

static void
add_version(const struct enrolment *n, struct db_batch *b,
    const char *certificate_id, const struct issued *issued)
{
	const struct issue_intent *in = &n->intent;
	const struct issuer_row *issuer = &n->en->source.issuer;
	struct key_type key = csr_key(n->args->csr);
	struct arena *a = n->c->a;

	db_add(b, Q_ENROL_STORE, db_text(certificate_id),
	    db_text(issuer->issuer_id), db_text(in->serial),
	    db_text(id_new(a, "certver")), db_text(n->job_id),
	    db_time(in->not_before), db_time(in->not_after),
	    db_text(sha256_hex(issued->der.p, issued->der.len,
	    arena_alloc(a, SHA256_HEX + 1))),
	    db_text(csr_spki_hash(n->args->csr)),
	    db_text(full_chain(a, issued)), db_text(n->csr_pem),
	    db_text(key.algorithm), db_int(key.bits),
	    db_text(issuer->ca_key_id), db_bool(n->made));
}

/* What the version means for a record that was there before. */
static void
add_stored(const struct enrolment *n, struct db_batch *b,
    const char *certificate_id)
{
	const struct issue_intent *in = &n->intent;
	const struct issuer_row *issuer = &n->en->source.issuer;
	struct texts sans = sans_texts(n->c->a, &n->names);

	db_add(b, Q_ENROL_STORED, db_text(certificate_id),
	    db_text(id_new(n->c->a, "rev")), db_text(issuer->issuer_id),
	    db_text(issuer->ca_key_id), db_text(in->serial),
	    db_str(n->c->actor.id), db_time(in->not_after), db_texts(&sans));
}

/* The second flight.  Plain statements, because PostgreSQL sets them up in a
 * fraction of the time that one of many parts takes. */
static int
store(struct enrolment *n, const char *certificate_id,
    const struct issued *issued, struct err *e)
{
	struct ctx *c = n->c;
	struct texts sans = sans_texts(c->a, &n->names);
	struct db_batch *b = db_batch(c->db, c->a);
	size_t version = n->made ? 0 : 1;

	if (!n->made)
		db_add(b, Q_ENROL_TURN, db_text(certificate_id));
	add_version(n, b, certificate_id, issued);
	if (!n->made)
		add_stored(n, b, certificate_id);
	db_add(b, Q_ENROL_RESOLVE,
	    db_text(n->en->source.issuer.issuer_id),
	    db_text(n->intent.serial));
	db_add(b, Q_ENROL_DONE, db_str(c->actor.id),
	    db_text(actor_type(&c->actor)), db_text(n->args->action),
	    db_text(certificate_id), db_text(enrol_details(c, n->en,
	    n->common_name, &sans, n->intent.serial, NULL)));
	if (db_run(b, e) < 0)
		return -1;
	if (db_count(b, version) > 0 || !n->made)
		return 0;
	/* Another request of that name was quicker, and its certificate has
	 * been revoked since: so is this one, before anybody gets it. */
	n->made = false;
	b = db_batch(c->db, c->a);
	add_version(n, b, certificate_id, issued);
	add_stored(n, b, certificate_id);
	return db_run(b, e);
}

/* Leave the intent to a worker. */
static int
wait_for_worker(const struct enrolment *n, const char *certificate_id,
    struct err *e)
{
	struct texts sans = sans_texts(n->c->a, &n->names);
	struct db_batch *b = db_batch(n->c->db, n->c->a);
	struct err why = { 0 };

	db_add(b, Q_ENROL_WAIT, db_text(n->job_id), db_text(certificate_id),
	    db_text(n->csr_pem), db_text(waiting_as(n)));
	ctx_audit(n->c, b, n->args->action, "certificate", certificate_id,
	    enrol_details(n->c, n->en, n->common_name, &sans, NULL, "pending"));
	if (n->made)
		db_add(b, Q_ENROL_UNDONE, db_text(certificate_id),
		    db_text("Pending"));
	if (db_run(b, &why) == 0)
		return 0;
	/* Another request of the same certificate waits: its turn comes. */
	if (why.code == E_CONFLICT)
		return err_set(e, E_UNAVAILABLE, "another request for this "
		    "certificate is waiting");
	*e = why;
	return -1;
}

/* What is wrong with our own configuration is no fault of the request's. */
static int
not_the_clients(struct err *e)
{
	if (e->code == E_INVALID || e->code == E_NOT_FOUND ||
	    e->code == E_FORBIDDEN)
		e->code = E_INTERNAL;
	return -1;
}

/* There will be no certificate; a worker may still find out otherwise. */
static void
give_up(const struct enrolment *n, const char *certificate_id)
{
	struct db_batch *b = db_batch(n->c->db, n->c->a);
	struct err ignored;

	if (!n->made)
		return;
	db_add(b, Q_ENROL_UNDONE, db_text(certificate_id), db_text("Failed"));
	db_run(b, &ignored);
}

/* Sign what the first flight promised. */
static int
finish(struct enrolment *n, struct issuer *issuer,
    const char *certificate_id, struct enrolled *out, struct err *e)
{
	struct issued issued = { 0 };

	out->certificate_id = certificate_id;
	out->fault = ENROL_FAULT_ISSUER;
	if (issuer_finish(issuer, n->c->a, n->intent.tbs, &issued, e) < 0) {
		if (n->args->at_once ||
		    (e->code != E_UNAVAILABLE && e->code != E_TIMEOUT)) {
			give_up(n, certificate_id);
			return not_the_clients(e);
		}
		*e = (struct err){ 0 };
		out->pending = true;
		return wait_for_worker(n, certificate_id, e);
	}
	out->fault = ENROL_FAULT_INTERNAL;
	out->serial = n->intent.serial;
	out->der = issued.der;
	return store(n, certificate_id, &issued, e);
}

/* A request that had to wait, and is here again. */
static int
fetch(const struct enrolment *n, const struct begun *found,
    struct enrolled *out, struct err *e)
{
	struct x509_cert *certs;
	struct texts sans;
	struct db_batch *b;
	size_t count;

	out->certificate_id = found->waiting_id;
	out->pending = found->pem_chain == NULL;
	if (out->pending)
		return 0;
	out->fault = ENROL_FAULT_INTERNAL;
	if (certs_from_pem(n->c->a, found->pem_chain, &certs, &count, e) < 0)
		return -1;
	out->serial = certs[0].serial;
	out->der = certs[0].der;
	sans = sans_texts(n->c->a, &certs[0].sans);
	b = db_batch(n->c->db, n->c->a);
	db_add(b, Q_ENROL_NOTE, db_str(n->c->actor.id),
	    db_text(actor_type(&n->c->actor)), db_text(arena_printf(n->c->a,
	    "%s_success", n->args->action)), db_text("certificate"),
	    db_text(found->waiting_id), db_text(enrol_details(n->c, n->en,
	    n->common_name, &sans, out->serial, NULL)),
	    db_text("cert_lifecycle"));
	return db_run(b, e);
}

/* Decide the certificate. */
static int
prepare(struct enrolment *n, struct issuer **issuer, struct enrolled *out,
    struct err *e)
{
	out->fault = ENROL_FAULT_ISSUER;
	if (enroller_ready(n->c, n->en, e) < 0 ||
	    (*issuer = enroller_issuer(n->c, n->en, e)) == NULL)
		return not_the_clients(e);
	set_issue_args(n);
	out->fault = ENROL_FAULT_POLICY;
	if (check_policy(n, e) < 0 || check_renewal(n, e) < 0)
		return -1;
	if (issuer_prepare(*issuer, n->c->a, &n->issue, &n->intent, e) == 0)
		return 0;
	if (e->code != E_INVALID)
		out->fault = ENROL_FAULT_ISSUER;
	return -1;
}

int
enrol(struct ctx *c, struct enroller *en, const struct enrol_args *args,
    struct enrolled *out, struct err *e)
{
	struct enrolment n = {
		.c = c, .en = en, .args = args,
		.job_id = id_new(c->a, "job"),
		.csr_pem = pem_make(c->a, "CERTIFICATE REQUEST",
		    args->csr_der),
	};
	struct issuer *issuer;
	struct begun found;
	struct err why;
	bool ours = false;

	*out = (struct enrolled){ .fault = ENROL_FAULT_CLIENT };
	if (args->client != NULL &&
	    enrol_check_client(c, en, args->client, &ours, e) < 0)
		return -1;
	/* Twice: what was looked up earlier may have been changed since. */
	for (int turn = 0; turn < 2; turn++, enroller_forget(en)) {
		*out = (struct enrolled){ 0 };
		why = (struct err){ 0 };
		if (prepare(&n, &issuer, out, &why) < 0) {
			if (turn == 0 && out->fault == ENROL_FAULT_POLICY)
				continue;
			*e = why;
			return -1;
		}
		if (ours && !n.same) {
			out->fault = ENROL_FAULT_CLIENT;
			return err_set(e, E_INVALID, "this client certificate "
			    "is good for its own subject and names alone");
		}
		out->fault = ENROL_FAULT_INTERNAL;
		if (begin(&n, &found, e) < 0)
			return -1;
		n.made = found.made;
		if (found.certificate_id != NULL)
			return finish(&n, issuer, found.certificate_id, out,
			    e);
		if (found.waiting_id != NULL)
			return fetch(&n, &found, out, e);
		if (found.fresh)
			break;
	}
	return explain(&found, out, e);
}
