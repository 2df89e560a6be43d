#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/private.h"
#include "sign/sign.h"
#include "signer.h"
#include "x509/digest.h"

enum {
	KEYS_MAX = 256,
	KEY_FILE_MAX = 64 * 1024,
};

struct held_key {
	struct arena *a;		/* NULL: this place is free */
	const char *ref;
	struct stat st;			/* of its file, when it was read */
	struct key *file;		/* NULL: on a token */
	struct token_key *token;
	struct key_scheme scheme;
	struct bytes spki;
	char id[SHA256_HEX + 1];
	struct arena *ca_arena;
	struct bytes ca;		/* the last seen, and what it says */
	struct ca_grant grant;
};

struct keyring {
	struct arena *a;
	const char *own_dir;		/* of the keys made here */
	const struct texts *dirs;
	const char *given;		/* CERTCTL_CA_KEY_PATH, or NULL */
	struct tokens *tokens;
	struct held_key keys[KEYS_MAX];
	size_t hand;			/* the next to go when all are taken */
};

struct keyring *
keyring_new(const struct settings *set)
{
	struct arena *a = arena_new();
	struct keyring *r = arena_zalloc(a, sizeof(*r));

	r->a = a;
	r->own_dir = arena_printf(a, "%s/ca", set->state_dir);
	r->dirs = &set->signer_key_dirs;
	r->given = set->ca_key_path;
	r->tokens = tokens_new(set);
	return r;
}

static void
forget(struct held_key *k)
{
	arena_free(k->a);
	arena_free(k->ca_arena);
	*k = (struct held_key){ 0 };
}

void
keyring_drop(struct keyring *r)
{
	for (size_t i = 0; i < KEYS_MAX; i++)
		forget(&r->keys[i]);
	tokens_drop(r->tokens);
}

void
keyring_free(struct keyring *r)
{
	if (r == NULL)
		return;
	keyring_drop(r);
	tokens_free(r->tokens);
	arena_free(r->a);
}

/* Does PATH lie below DIR?  Both are absolute. */
static bool
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* No step of PATH goes back or nowhere, so a prefix tells where it leads. */
static bool
straight(const char *path)
{
	static const char *const bad[] = { "//", "/./", "/../" };
	size_t n = strlen(path);

	for (size_t i = 0; i < NELEM(bad); i++)
		if (strstr(path, bad[i]) != NULL)
			return false;
	return path[n - 1] != '/' && path[n - 1] != '.';
}

/* The file REF names, in A. */
static const char *
key_path(struct keyring *r, struct arena *a, const char *ref, struct err *e)
{
	if (*ref != '/' && safe_id(ref))
		return arena_printf(a, "%s/%s", r->own_dir, ref);
	if (*ref != '/' || !straight(ref)) {
		err_set(e, E_INVALID, "\"%.256s\" does not name a CA key: an "
		    "absolute path or a pkcs11: URI does", ref);
		return NULL;
	}
	if (below(ref, r->own_dir) || streq(ref, or_empty(r->given)))
		return arena_strdup(a, ref);
	for (size_t i = 0; i < r->dirs->n; i++)
		if (below(ref, r->dirs->v[i]))
			return arena_strdup(a, ref);
	err_set(e, E_FORBIDDEN, "CA key %.256s lies in none of the directories "
	    "the signer may read (CERTCTL_SIGNER_KEY_DIRS)", ref);
	return NULL;
}

static bool
same_file(const struct stat *x, const struct stat *y)
{
	return x->st_dev == y->st_dev && x->st_ino == y->st_ino &&
	    x->st_size == y->st_size && x->st_mode == y->st_mode &&
	    x->st_ctim.tv_sec == y->st_ctim.tv_sec &&
	    x->st_ctim.tv_nsec == y->st_ctim.tv_nsec;
}

/* Is what K was read from still what its name leads to? */
static bool
fresh(struct keyring *r, const struct held_key *k)
{
	struct arena *a;
	const char *path;
	struct stat st;
	struct err e;
	bool same;

	if (k->token != NULL)
		return true;
	a = arena_new();
	path = key_path(r, a, k->ref, &e);
	same = path != NULL && stat(path, &st) == 0 && same_file(&st, &k->st);
	arena_free(a);
	return same;
}

static int
load_file(struct keyring *r, struct held_key *k, struct err *e)
{
	struct arena *scratch = arena_new();	/* the text is wiped with it */
	const char *path = key_path(r, scratch, k->ref, e);
	struct bytes pem;
	int rc = -1;

	if (path == NULL)
		goto out;
	/* Before it is read: a change in between is seen the next time. */
	if (stat(path, &k->st) < 0)
		k->st = (struct stat){ 0 };
	if (private_read(scratch, path, KEY_FILE_MAX, &pem, e) < 0) {
		e->code = E_INVALID;
		err_prefix(e, "CA key");
		goto out;
	}
	k->file = key_from_pem(k->a, (const char *)pem.p, e);
	if (k->file == NULL) {
		err_prefix(e, "CA key %s", path);
		goto out;
	}
	k->spki = key_spki(k->file);
	rc = 0;
out:
	arena_free(scratch);
	return rc;
}

static int
load(struct keyring *r, struct held_key *k, struct err *e)
{
	if (token_uri(k->ref)) {
		k->token = token_key_open(r->tokens, k->a, k->ref, &k->spki,
		    e);
		if (k->token == NULL)
			return -1;
	} else if (load_file(r, k, e) < 0) {
		return -1;
	}
	if (key_scheme_of(k->spki, &k->scheme, e) < 0 ||
	    sign_check_type(k->scheme.type, e) < 0)
		return err_prefix(e, "CA key %s", k->ref);
	sha256_hex(k->spki.p, k->spki.len, k->id);
	return 0;
}

static struct held_key *
free_place(struct keyring *r)
{
	struct held_key *k;

	for (size_t i = 0; i < KEYS_MAX; i++)
		if (r->keys[i].a == NULL)
			return &r->keys[i];
	k = &r->keys[r->hand++ % KEYS_MAX];
	forget(k);
	return k;
}

struct held_key *
keyring_get(struct keyring *r, const char *ref, struct err *e)
{
	struct held_key *k = NULL;

	for (size_t i = 0; i < KEYS_MAX && k == NULL; i++)
		if (r->keys[i].a != NULL && streq(r->keys[i].ref, ref))
			k = &r->keys[i];
	if (k != NULL && fresh(r, k))
		return k;
	if (k != NULL)
		forget(k);
	k = free_place(r);
	k->a = arena_new();
	k->ref = arena_strdup(k->a, ref);
	if (load(r, k, e) < 0) {
		forget(k);
		return NULL;
	}
	return k;
}

static int
make(struct arena *a, const char *path, struct key_type type, bool *made,
    struct err *e)
{
	struct key *k;
	char *pem;

	if (private_dir(dirname(arena_strdup(a, path)), e) < 0)
		return -1;
	k = key_generate(a, type, e);
	if (k == NULL || (pem = key_to_pem(a, k, e)) == NULL)
		return -1;
	return file_make(path, pem, strlen(pem), 0600, made, e);
}

int
keyring_create(struct keyring *r, const char *ref, struct key_type type,
    bool *made, struct err *e)
{
	struct arena *a;
	const char *path;
	int rc = -1;

	if (token_uri(ref))
		return err_set(e, E_INVALID,
		    "keys on a token are made with the token's own tools");
	if (sign_check_type(type, e) < 0)
		return -1;
	a = arena_new();
	path = key_path(r, a, ref, e);
	if (path != NULL && file_exists(path)) {
		*made = false;
		rc = 0;
	} else if (path != NULL) {
		rc = make(a, path, type, made, e);
	}
	arena_free(a);
	return rc;
}

struct bytes
held_spki(const struct held_key *k)
{
	return k->spki;
}

struct bytes
held_algorithm(const struct held_key *k)
{
	return k->scheme.algorithm;
}

const char *
held_id(const struct held_key *k)
{
	return k->id;
}

int
held_grant(struct held_key *k, struct bytes ca_der,
    const struct ca_grant **out, struct err *e)
{
	struct ca_grant g;

	if (k->ca_arena == NULL || !bytes_eq(k->ca, ca_der)) {
		if (ca_grant_read(ca_der, &g, e) < 0)
			return -1;
		if (!bytes_eq(g.spki, k->spki))
			return err_set(e, E_INVALID, "the CA key does not "
			    "belong to the CA certificate");
		arena_free(k->ca_arena);
		k->ca_arena = arena_new();
		k->ca = (struct bytes){ arena_memdup(k->ca_arena, ca_der.p,
		    ca_der.len), ca_der.len };
		/* Once more, to borrow from what stays. */
		if (ca_grant_read(k->ca, &k->grant, e) < 0)
			return -1;
	}
	*out = &k->grant;
	return 0;
}

int
held_sign(struct keyring *r, struct held_key *k, struct arena *a,
    struct bytes text, struct bytes *signature, struct err *e)
{
	if (k->file != NULL)
		return key_sign(k->file, a, text, signature, e);
	return token_key_sign(r->tokens, k->token, &k->scheme, a, text,
	    signature, e);
}
