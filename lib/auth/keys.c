#include "auth/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/field.h"
#include "base/text.h"
#include "db/db.h"
#include "x509/digest.h"

enum {
	MAX_KEYS = 256,
	/* Agents seen lately; a key works this much longer than its row. */
	CACHED = 4096,
	CACHED_S = 10,
	WAYS = 4,		/* places that a key may have in the cache */
};

struct configured {
	char name[128];
	unsigned char digest[SHA256_LEN];
	bool admin;
};

struct cached_agent {
	unsigned char digest[SHA256_LEN];
	char id[129];
	int64_t until;
};

struct keys {
	bool open;		/* CERTCTL_AUTH_TYPE=none */
	size_t n;
	struct configured key[MAX_KEYS];
	struct cached_agent agent[CACHED];
};

static bool
name_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' &&
		    s[i] != '_')
			return false;
	return len > 0 && len < sizeof(((struct configured *)0)->name);
}

static int
add_key(struct keys *k, const char *name, size_t name_len, const char *key,
    size_t key_len, bool admin, struct err *e)
{
	struct configured new = { .admin = admin };

	if (k->n == MAX_KEYS)
		return err_set(e, E_INVALID, "more than %d API keys",
		    MAX_KEYS);
	memcpy(new.name, name, name_len);
	sha256(key, key_len, new.digest);
	for (size_t i = 0; i < k->n; i++) {
		bool named = streq(k->key[i].name, new.name);

		if (const_time_eq(k->key[i].digest, new.digest, SHA256_LEN))
			return err_set(e, E_INVALID, "CERTCTL_API_KEYS_NAMED "
			    "has the key of \"%s\" twice", k->key[i].name);
		if (named && k->key[i].admin != admin)
			return err_set(e, E_INVALID, "CERTCTL_API_KEYS_NAMED: "
			    "the keys of \"%s\" differ in being admin",
			    new.name);
	}
	k->key[k->n++] = new;
	return 0;
}

/* "name:key" or "name:key:admin" */
static int
add_named(struct keys *k, const char *item, struct err *e)
{
	size_t name = strcspn(item, ":");
	const char *key = item + name + (item[name] == ':');
	size_t len = strcspn(key, ":");
	bool admin = key[len] == ':';

	if (!name_valid(item, name) || len == 0)
		return err_set(e, E_INVALID, "CERTCTL_API_KEYS_NAMED item "
		    "%zu must be name:key or name:key:admin, the name of "
		    "letters, digits, _ and -", k->n + 1);
	if (admin && !streq(key + len, ":admin"))
		return err_set(e, E_INVALID, "CERTCTL_API_KEYS_NAMED: the "
		    "third field of \"%.*s\" can only be admin", (int)name,
		    item);
	return add_key(k, item, name, key, len, admin, e);
}

static int
add_all(struct keys *k, const struct keys_conf *conf, struct err *e)
{
	char name[32];

	for (size_t i = 0; i < conf->named.n; i++)
		if (add_named(k, conf->named.v[i], e) < 0)
			return -1;
	for (size_t i = 0; conf->named.n == 0 && i < conf->secrets.n; i++) {
		int n = snprintf(name, sizeof(name), "legacy-key-%zu", i);

		if (add_key(k, name, (size_t)n, conf->secrets.v[i],
		    strlen(conf->secrets.v[i]), false, e) < 0)
			return -1;
	}
	if (k->n == 0)
		return err_set(e, E_INVALID, "CERTCTL_AUTH_TYPE is api-key "
		    "and no key is set: set CERTCTL_API_KEYS_NAMED");
	return 0;
}

struct keys *
keys_new(const struct keys_conf *conf, struct err *e)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (k == NULL)
		abort();
	k->open = streq(conf->auth_type, "none");
	if (!k->open && add_all(k, conf, e) < 0) {
		keys_free(k);
		return NULL;
	}
	return k;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	wipe(k, sizeof(*k));
	free(k);
}

/* Every key is compared, so that the time does not tell which one was near. */
static const struct configured *
find_configured(const struct keys *k, const unsigned char *digest)
{
	const struct configured *found = NULL;

	for (size_t i = 0; i < k->n; i++)
		if (const_time_eq(k->key[i].digest, digest, SHA256_LEN))
			found = &k->key[i];
	return found;
}

struct agent_key_row {
	const char *id;
};

static const struct field agent_key_fields[] = {
	FIELD(struct agent_key_row, id, TEXT, 0),
	FIELD_END
};

/* Where DIGEST is in the cache, or the place it may take. */
static struct cached_agent *
place_of(struct keys *k, const unsigned char *digest)
{
	struct cached_agent *set, *c, *oldest;
	uint32_t n;

	memcpy(&n, digest, sizeof(n));
	set = oldest = &k->agent[n % (CACHED / WAYS) * WAYS];
	for (c = set; c < set + WAYS; c++) {
		if (const_time_eq(c->digest, digest, SHA256_LEN))
			return c;
		if (c->until < oldest->until)
			oldest = c;
	}
	return oldest;
}

static int
find_agent(struct keys *k, struct arena *a, struct db *db,
    const unsigned char *digest, bool may_ask,
    struct actor *actor, struct err *e)
{
	struct cached_agent *c = place_of(k, digest);
	struct agent_key_row row = { 0 };
	struct db_batch *b;

	actor->kind = ACTOR_AGENT;
	if (c->until > mono_us() &&
	    const_time_eq(c->digest, digest, SHA256_LEN)) {
		actor->id = arena_strdup(a, c->id);
		return 0;
	}
	if (!may_ask)
		return err_set(e, E_RATE_LIMITED, "Rate limit exceeded");
	b = db_batch(db, a);
	db_add(b, Q_AGENT_BY_KEY, db_text(hex_encode(a, digest, SHA256_LEN)));
	if (db_run(b, e) < 0)
		return -1;
	if (!db_take(b, 0, agent_key_fields, &row))
		return err_set(e, E_UNAUTHORIZED, "invalid API key");
	actor->id = row.id;
	memcpy(c->digest, digest, SHA256_LEN);
	snprintf(c->id, sizeof(c->id), "%s", row.id);
	c->until = mono_us() + CACHED_S * 1000000;
	return 0;
}

int
keys_find(struct keys *k, struct arena *a, struct db *db,
    const char *authorization, bool may_ask, struct actor *actor,
    struct err *e)
{
	static const char scheme[] = "Bearer ";
	const struct configured *c;
	unsigned char digest[SHA256_LEN];
	const char *key;

	*actor = (struct actor){ .kind = ACTOR_OPEN, .id = "api" };
	if (k->open)
		return 0;
	if (blank(authorization))
		return err_set(e, E_UNAUTHORIZED,
		    "missing Authorization header");
	if (strncmp(authorization, scheme, strlen(scheme)) != 0)
		return err_set(e, E_UNAUTHORIZED, "the Authorization header "
		    "must be \"Bearer <key>\"");
	key = authorization + strlen(scheme);
	sha256(key, strlen(key), digest);
	c = find_configured(k, digest);
	if (c == NULL)
		return find_agent(k, a, db, digest, may_ask, actor, e);
	actor->kind = ACTOR_OPERATOR;
	actor->id = c->name;
	actor->admin = c->admin;
	return 0;
}

char *
key_hash(struct arena *a, const char *key)
{
	return sha256_hex(key, strlen(key), arena_alloc(a, SHA256_HEX + 1));
}

char *
key_make(struct arena *a)
{
	unsigned char random[32];
	char *key;

	random_bytes(random, sizeof(random));
	key = base64url_encode(a, random, sizeof(random));
	wipe(random, sizeof(random));
	return key;
}
