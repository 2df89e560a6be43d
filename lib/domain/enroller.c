#include "domain/enroller.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "x509/cert.h"

/* What is handed out may be as old as this; what is issued is checked against
 * the database in any case. */
enum { AGE_US = 2 * 1000000 };

static const struct field source_fields[] = {
	ISSUER_FIELDS(struct source, issuer),
	FIELD_AS(struct source, issuer.ca_key_id, "ca_key_id", TEXT, 0),
	FIELD(struct source, issuer_enabled, BOOL, 0),
	FIELD(struct source, earlier_pem, TEXT, 0),
	FIELD_AS(struct source, profile.id, "profile_id", TEXT, 0),
	FIELD(struct source, profile_revision, INT, 0),
	PROFILE_RULE_FIELDS(struct source, profile),
	FIELD_AS(struct source, profile.required_csr_attributes,
	    "required_csr_attributes", TEXTS, 0),
	FIELD(struct source, owner_id, TEXT, 0),
	FIELD(struct source, team_id, TEXT, 0),
	FIELD(struct source, renewal_policy_id, TEXT, 0),
	FIELD_END
};

struct enroller *
enroller_new(const struct enrol_conf *conf)
{
	struct enroller *en = calloc(1, sizeof(*en));

	if (en == NULL)
		abort();
	en->conf = conf;
	return en;
}

void
enroller_forget(struct enroller *en)
{
	arena_free(en->a);
	en->a = NULL;
}

void
enroller_free(struct enroller *en)
{
	if (en == NULL)
		return;
	enroller_forget(en);
	free(en);
}

/* Is all there that the settings name? */
static int
check_source(const struct enrol_conf *conf, const struct source *s,
    struct err *e)
{
	if (!s->issuer_enabled)
		return err_set(e, E_CONFLICT, "issuer \"%s\" is disabled",
		    conf->issuer_id);
	if (!blank(conf->profile_id) && s->profile.id == NULL)
		return err_set(e, E_INVALID, "certificate profile \"%s\" does "
		    "not exist", conf->profile_id);
	if (s->profile.id != NULL && !s->profile.enabled)
		return err_set(e, E_CONFLICT, "certificate profile \"%s\" is "
		    "disabled", conf->profile_id);
	if (s->owner_id == NULL)
		return err_set(e, E_INVALID, "owner \"%s\" does not exist",
		    conf->owner_id);
	if (s->team_id == NULL && !blank(conf->team_id))
		return err_set(e, E_INVALID, "team \"%s\" does not exist",
		    conf->team_id);
	if (s->team_id == NULL)
		return err_set(e, E_INVALID, "owner \"%s\" has no team: name "
		    "one", conf->owner_id);
	if (s->renewal_policy_id == NULL)
		return err_set(e, E_INVALID, "renewal policy \"%s\" does not "
		    "exist", conf->renewal_policy_id);
	if (s->issuer.ca_key_id == NULL)
		return err_set(e, E_UNAVAILABLE, "no worker has opened issuer "
		    "\"%s\" yet, or it hands out no CA certificate",
		    conf->issuer_id);
	return 0;
}

static int
look_up(struct ctx *c, struct enroller *en, struct err *e)
{
	const struct enrol_conf *conf = en->conf;
	struct db_batch *b = db_batch(c->db, c->a);

	db_add(b, Q_ENROL_SOURCE, db_text(conf->issuer_id),
	    db_opt(conf->profile_id), db_text(conf->owner_id),
	    db_opt(conf->team_id), db_text(conf->renewal_policy_id));
	if (db_run(b, e) < 0)
		return -1;
	en->source = (struct source){ 0 };
	en->rules = (struct profile_rules){ 0 };
	if (!db_take(b, 0, source_fields, &en->source))
		return err_set(e, E_INVALID, "issuer \"%s\" does not exist",
		    conf->issuer_id);
	en->source.issuer.encrypted_config = db_bytes_at(b, 0, 0,
	    "encrypted_config");
	if (check_source(conf, &en->source, e) < 0)
		return -1;
	return en->source.profile.id == NULL ? 0 :
	    profile_rules(c->a, &en->source.profile, &en->rules, e);
}

static bool
known(const struct enroller *en, struct bytes der)
{
	for (size_t i = 0; i < en->n_ca_certs; i++)
		if (bytes_eq(en->ca_certs[i], der))
			return true;
	return false;
}

static int
read_ca_certs(struct arena *a, struct enroller *en, const char *pem,
    struct err *e)
{
	struct x509_cert *certs;
	size_t n;

	if (certs_from_pem(a, pem, &certs, &n, e) < 0)
		return -1;
	en->n_ca_certs = 0;
	en->rooted = false;
	en->ca_certs = arena_alloc(a, n * sizeof(*en->ca_certs));
	for (size_t i = 0; i < n; i++) {
		if (known(en, certs[i].der))
			continue;
		en->ca_certs[en->n_ca_certs++] = certs[i].der;
		en->rooted |= streq(certs[i].subject, certs[i].issuer);
	}
	return 0;
}

static int
load(struct ctx *c, struct enroller *en, struct err *e)
{
	struct issuer *issuer;

	if (look_up(c, en, e) < 0)
		return -1;
	issuer = enroller_issuer(c, en, e);
	if (issuer == NULL)
		return -1;
	return read_ca_certs(c->a, en, arena_printf(c->a, "%s\n%s",
	    issuer_ca_cert(issuer), or_empty(en->source.earlier_pem)), e);
}

int
enroller_ready(struct ctx *c, struct enroller *en, struct err *e)
{
	struct enroller fresh = { .conf = en->conf };
	struct ctx mine = *c;
	struct err why = { 0 };

	if (en->a != NULL && mono_us() - en->loaded_us < AGE_US)
		return 0;
	mine.a = arena_new();
	if (load(&mine, &fresh, &why) < 0) {
		arena_free(mine.a);
		/* In an outage what was known still holds. */
		if (en->a != NULL && why.code == E_UNAVAILABLE)
			return 0;
		*e = why;
		return -1;
	}
	fresh.a = mine.a;
	fresh.loaded_us = mono_us();
	enroller_forget(en);
	*en = fresh;
	return 0;
}

struct issuer *
enroller_issuer(struct ctx *c, struct enroller *en, struct err *e)
{
	return opened_get(c, &en->source.issuer, e);
}

/* The sizes keys are made in. */
static int
size_for(const char *algorithm, int64_t least)
{
	static const struct {
		const char *algorithm;
		int bits;
	} sizes[] = {
		{ "RSA", 2048 }, { "RSA", 3072 }, { "RSA", 4096 },
		{ "ECDSA", 256 }, { "ECDSA", 384 }, { "ECDSA", 521 },
		{ "Ed25519", 256 },
	};

	for (size_t i = 0; i < NELEM(sizes); i++)
		if (streq(sizes[i].algorithm, algorithm) &&
		    sizes[i].bits >= least)
			return sizes[i].bits;
	return (int)least;
}

size_t
enroller_key_types(const struct enroller *en,
    struct key_type out[ENROL_KEYS_MAX])
{
	const struct profile_rules *r = &en->rules;
	size_t n = 0;

	for (; n < r->n_keys && n < ENROL_KEYS_MAX; n++)
		out[n] = (struct key_type){ r->keys[n].algorithm,
		    size_for(r->keys[n].algorithm, r->keys[n].min_size) };
	return n;
}

struct texts
enroller_ekus(const struct enroller *en)
{
	return en->rules.ekus;
}

struct texts
enroller_required(const struct enroller *en)
{
	return en->source.profile.required_csr_attributes;
}

const struct bytes *
enroller_ca_certs(const struct enroller *en, size_t *n, bool *rooted)
{
	*n = en->n_ca_certs;
	*rooted = en->rooted;
	return en->ca_certs;
}
