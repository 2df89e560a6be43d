/* CRLs: built from the database, numbered, stored. */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "domain/ca_key.h"
#include "domain/crl_guard.h"
#include "domain/crl_read.h"
#include "domain/revoke.h"
#include "issuer/authority.h"
#include "x509/crl.h"
#include "x509/digest.h"

enum {
	ENTRIES_AT_ONCE = 20000,
	LEASE_S = 300,
	RETRY_S = 10,
	TURN_S = 1,		/* then others have theirs */
	BACKDATE_S = 60,	/* for relying parties whose clock is late */
	REMOVE_FROM_CRL = 8,
	EVER = 1,		/* an instant before all others; 0 is none */
};

/* One of the lists a run makes. */
struct list {
	const char *scope;
	int64_t base_number, base_update;	/* of a delta */
	int64_t entries;
	struct crl_writer *w;
	struct bytes der;
};

/* The list before; none: number 0. */
struct previous {
	struct crl_key key;
	struct serials serials;
	int64_t this_update, revoked_count;
	int64_t base_number, base_update;
	bool sharded;
};

static const struct field previous_fields[] = {
	FIELD_AS(struct previous, key.ca_key_id, "ca_key_id", TEXT, 0),
	FIELD_AS(struct previous, key.scope, "scope", TEXT, 0),
	FIELD_AS(struct previous, key.number, "number", INT, 0),
	FIELD_AS(struct previous, key.size, "size", INT, 0),
	FIELD(struct previous, this_update, TIME, 0),
	FIELD(struct previous, revoked_count, INT, 0),
	FIELD(struct previous, base_number, INT, 0),
	FIELD(struct previous, base_update, TIME, 0),
	FIELD(struct previous, sharded, BOOL, 0),
	FIELD_END
};

struct run {
	const char *id, *name, *cert_pem, *key_ref;
	int64_t crl_number;
	/* while it lasts */
	int64_t began_us, this_update, next_update;
	struct previous previous;
	struct authority *authority;
	struct list lists[2 + CRL_SHARDS], *full, *delta, *shards;
	size_t n;			/* delta and shards may be NULL */
};

static const struct field run_fields[] = {
	FIELD(struct run, id, TEXT, 0),
	FIELD(struct run, name, TEXT, 0),
	FIELD(struct run, cert_pem, TEXT, 0),
	FIELD(struct run, key_ref, TEXT, 0),
	FIELD(struct run, crl_number, INT, 0),
	FIELD_END
};

struct entry {
	const char *serial_number, *reason;
	int64_t revoked_at;
	bool released;
};

static const struct field entry_fields[] = {
	FIELD(struct entry, serial_number, TEXT, 0),
	FIELD(struct entry, reason, TEXT, 0),
	FIELD(struct entry, revoked_at, TIME, 0),
	FIELD(struct entry, released, BOOL, 0),
	FIELD_END
};

static const char *
url_of(struct ctx *c, const struct run *r, const char *scope)
{
	return arena_printf(c->a, "%s/crl/%s/%s", c->set->pki_base_url,
	    r->name, scope);
}

static struct list *
begin_list(struct ctx *c, struct run *r, const char *scope,
    struct crl_head *head)
{
	struct list *l = &r->lists[r->n++];

	head->algorithm = authority_algorithm(r->authority);
	head->issuer = authority_subject(r->authority);
	head->authority_key_id = authority_key_id(r->authority);
	head->number = r->crl_number;
	head->this_update = r->this_update;
	head->next_update = r->next_update;
	l->scope = scope;
	l->w = crl_begin(c->a, head);
	return l;
}

/*
 * A delta says what changed since a list that is not older than the time
 * between two of them; the list before, if that would be.  If that is of a
 * clock that was set back since, nobody can say what came after it: then the
 * delta has all there is.
 */
static void
begin_delta(struct ctx *c, struct run *r)
{
	const struct previous *p = &r->previous;
	bool kept = p->base_number > 0 && p->base_update > r->this_update -
	    c->set->crl_generation_interval && p->base_update < now_s();
	struct crl_head head = {
		.base_number = kept ? p->base_number : p->key.number,
	};

	r->delta = begin_list(c, r, "delta", &head);
	r->delta->base_number = head.base_number;
	r->delta->base_update = kept ? p->base_update :
	    p->this_update < now_s() ? p->this_update : EVER;
}

static void
begin_shards(struct ctx *c, struct run *r)
{
	const char *scope;

	r->shards = &r->lists[r->n];
	for (unsigned i = 0; i < CRL_SHARDS; i++) {
		struct crl_head head = {
			.entries = r->previous.revoked_count / CRL_SHARDS,
		};

		scope = arena_printf(c->a, "shard-%u", i);
		head.distribution_point = url_of(c, r, scope);
		begin_list(c, r, scope, &head);
	}
}

/* Which lists there will be.  Certificates name their shard, so shards that
 * are there once stay. */
static void
begin_lists(struct ctx *c, struct run *r)
{
	const struct previous *p = &r->previous;
	int64_t limit = c->set->crl_shard_entries;
	bool named = !blank(c->set->pki_base_url);
	bool deltas = named && c->set->crl_delta;
	struct crl_head head = {
		.entries = p->revoked_count,
		.freshest_url = deltas ? url_of(c, r, "delta") : NULL,
	};

	r->full = begin_list(c, r, "full", &head);
	if (deltas && p->key.number > 0)
		begin_delta(c, r);
	if (p->sharded || (named && limit > 0 && p->revoked_count > limit))
		begin_shards(c, r);
}

static int
add_to(struct list *l, const struct entry *entry, int reason, struct err *e)
{
	l->entries++;
	return crl_add(l->w, entry->serial_number, entry->revoked_at, reason,
	    e);
}

static int
add_entry(struct run *r, const struct entry *entry, struct err *e)
{
	int reason = entry->released ? REMOVE_FROM_CRL :
	    revocation_code(entry->reason);

	if (r->delta != NULL && (entry->released ||
	    entry->revoked_at >= r->delta->base_update) &&
	    add_to(r->delta, entry, reason, e) < 0)
		return -1;
	if (entry->released)
		return 0;
	if (r->shards != NULL && add_to(&r->shards[crl_shard(
	    entry->serial_number)], entry, reason, e) < 0)
		return -1;
	return add_to(r->full, entry, reason, e);
}

/* The next page of entries; LAST moves on, *MORE tells if there are. */
static int
add_page(struct ctx *c, struct run *r, char last[64], bool *more,
    struct err *e)
{
	struct arena *kept = c->a;
	struct entry entry = { 0 };
	struct db_batch *b;
	struct db_rows rows;
	int rc;

	/* Pages are not wanted again, and together they would be large. */
	c->a = arena_new();
	b = db_batch(c->db, c->a);
	db_add(b, Q_CRL_ENTRIES, db_text(r->id), db_text(last),
	    db_time(r->this_update), db_int(ENTRIES_AT_ONCE),
	    db_time(r->delta != NULL ? r->delta->base_update : 0));
	rc = db_run(b, e);
	if (rc == 0) {
		rows = db_rows(b, 0, entry_fields);
		for (int i = 0; i < rows.n && rc == 0; i++) {
			db_row(&rows, i, &entry);
			rc = add_entry(r, &entry, e);
		}
		if (rows.n > 0)
			snprintf(last, 64, "%s", entry.serial_number);
		*more = rows.n == ENTRIES_AT_ONCE;
	}
	arena_free(c->a);
	c->a = kept;
	return rc;
}

static int
end_list(struct ctx *c, struct run *r, struct list *l, struct err *e)
{
	struct bytes tbs = crl_end(l->w), signature;

	if (authority_sign_crl(r->authority, c->a, tbs, &signature, e) < 0)
		return -1;
	l->der = crl_assemble(l->w, signature);
	return 0;
}

static int
build(struct ctx *c, struct run *r, struct err *e)
{
	char last[64] = "";
	bool more = true;

	begin_lists(c, r);
	while (more)
		if (add_page(c, r, last, &more, e) < 0)
			return -1;
	for (size_t i = 0; i < r->n; i++)
		if (end_list(c, r, &r->lists[i], e) < 0)
			return -1;
	return crl_guard(c, r->id, &r->previous.serials, r->full->der, e);
}

static int64_t
taken_ms(const struct run *r)
{
	return (mono_us() - r->began_us) / 1000;
}

static void
add_store(struct db_batch *b, struct ctx *c, const struct run *r,
    const struct list *l)
{
	char *hex = arena_alloc(c->a, SHA256_HEX + 1);

	db_add(b, Q_CRL_STORE, db_text(r->id), db_text(l->scope),
	    db_int(r->crl_number), db_int(l->base_number),
	    db_time(r->this_update), db_time(r->next_update), db_bytes(l->der),
	    db_text(sha256_hex(l->der.p, l->der.len, hex)),
	    db_int(l->entries), db_int(taken_ms(r)), db_time(l->base_update));
}

/* All of them, or none. */
static int
store(struct ctx *c, const struct run *r, struct err *e)
{
	struct db_batch *b;
	int rc = 0;

	db_begin(c->db);
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		b = db_batch(c->db, c->a);
		add_store(b, c, r, &r->lists[i]);
		rc = i + 1 < r->n ? db_run(b, e) : db_run_commit(b, e);
	}
	if (rc < 0)
		db_rollback(c->db);
	return rc;
}

/* What there is of it to know; of its octets, the serial numbers. */
static int
read_previous(struct ctx *c, struct run *r, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct arena *a;
	struct bytes der;
	int rc;

	db_add(b, Q_CRL_PREVIOUS, db_text(r->id));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, previous_fields, &r->previous))
		return 0;
	a = arena_new();
	rc = crl_read(c, a, &r->previous.key, &der, e);
	if (rc == 0)
		rc = crl_serials(c->a, der, &r->previous.serials, e);
	arena_free(a);
	return rc;
}

/* Later than that of the list before, if the clock allows it: what keeps lists
 * tells them apart by it. */
static void
set_times(struct ctx *c, struct run *r)
{
	int64_t now = now_s(), before = r->previous.this_update;

	r->this_update = now - BACKDATE_S;
	if (before >= r->this_update && before < now)
		r->this_update = before + 1;
	r->next_update = now + c->set->crl_validity;
}

static int
make(struct ctx *c, struct run *r, struct err *e)
{
	int rc;

	r->began_us = mono_us();
	if (read_previous(c, r, e) < 0)
		return -1;
	set_times(c, r);
	r->authority = authority_open(r->cert_pem, r->key_ref, e);
	if (r->authority == NULL)
		return -1;
	rc = build(c, r, e);
	if (rc == 0)
		rc = store(c, r, e);
	authority_close(r->authority);
	return rc;
}

static int
claim(struct ctx *c, bool many, struct run *r, bool *found, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	*r = (struct run){ 0 };
	db_add(b, Q_CRL_CLAIM, db_int(c->set->crl_overlap),
	    db_int(c->set->crl_generation_interval), db_int(LEASE_S),
	    db_int(c->set->crl_debounce + RETRY_S), db_int(CRL_LONG),
	    db_bool(many));
	if (db_run(b, e) < 0)
		return -1;
	*found = db_take(b, 0, run_fields, r);
	return 0;
}

static int
done(struct ctx *c, const struct run *r, const struct err *why, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_CRL_DONE, db_text(r->id), db_int(r->crl_number),
	    db_int(taken_ms(r)), db_int(r->full == NULL ? 0 :
	    r->full->entries), db_bool(why->code == E_OK), db_text(why->msg),
	    db_int(RETRY_S), db_time(r->this_update));
	return db_run(b, e);
}

static int
sweep(struct ctx *c, bool many, int64_t *n, struct err *e)
{
	int64_t end = mono_us() + TURN_S * 1000000;
	struct arena *kept = c->a;
	struct run *r = arena_alloc(kept, sizeof(*r));
	struct err last = { 0 };
	bool found = true;
	int rc = 0;

	*n = 0;
	/* A list may be large: each run has its own memory. */
	while (rc == 0 && found && mono_us() < end) {
		struct err why = { 0 };

		c->a = arena_new();
		rc = claim(c, many, r, &found, e);
		if (rc == 0 && found) {
			if (make(c, r, &why) < 0)
				last = why;
			rc = done(c, r, &why, e);
			*n += why.code == E_OK;
		}
		arena_free(c->a);
		c->a = kept;
	}
	if (rc == 0 && last.code != E_OK) {
		*e = last;
		return -1;
	}
	return rc;
}

int
crl_sweep(struct ctx *c, int64_t *n, struct err *e)
{
	return sweep(c, false, n, e);
}

int
crl_sweep_long(struct ctx *c, int64_t *n, struct err *e)
{
	return sweep(c, true, n, e);
}
