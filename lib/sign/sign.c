#include "sign/sign.h"

#include <libgen.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/private.h"
#include "x509/digest.h"
#include "x509/tbs.h"

enum { KEY_FILE_MAX = 64 * 1024 };

struct signer {
	struct arena *a;
	struct key *key;
};

/* What a CA key may be; anything else was not made for a CA. */
static const struct key_type types[] = {
	{ "ECDSA", 256 }, { "ECDSA", 384 },
	{ "RSA", 2048 }, { "RSA", 3072 }, { "RSA", 4096 },
};

int
sign_check_type(struct key_type type, struct err *e)
{
	for (size_t i = 0; i < NELEM(types); i++)
		if (streq(types[i].algorithm, type.algorithm) &&
		    types[i].bits == type.bits)
			return 0;
	return err_set(e, E_INVALID, "a CA key must be ECDSA 256 or 384, or "
	    "RSA 2048, 3072 or 4096, not %s %d", type.algorithm, type.bits);
}

static int
load(struct signer *s, const char *path, struct err *e)
{
	struct bytes pem;

	if (private_read(s->a, path, KEY_FILE_MAX, &pem, e) < 0) {
		e->code = E_INVALID;
		return err_prefix(e, "CA key");
	}
	s->key = key_from_pem(s->a, (const char *)pem.p, e);
	if (s->key == NULL || sign_check_type(key_type_of(s->key), e) < 0)
		return err_prefix(e, "CA key %s", path);
	return 0;
}

struct signer *
sign_open(const char *key_ref, struct err *e)
{
	struct arena *a = arena_new();
	struct signer *s = arena_alloc(a, sizeof(*s));

	s->a = a;
	if (load(s, key_ref, e) < 0) {
		sign_close(s);
		return NULL;
	}
	return s;
}

void
sign_close(struct signer *s)
{
	if (s != NULL)
		arena_free(s->a);
}

static int
create(struct arena *a, const char *path, struct key_type type, bool *made,
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
sign_create_key(const char *key_ref, struct key_type type, bool *made,
    struct err *e)
{
	struct arena *a;
	int rc;

	if (sign_check_type(type, e) < 0)
		return -1;
	if (file_exists(key_ref)) {
		*made = false;
		return 0;
	}
	a = arena_new();
	rc = create(a, key_ref, type, made, e);
	arena_free(a);
	return rc;
}

struct bytes
sign_spki(const struct signer *s)
{
	return key_spki(s->key);
}

struct bytes
sign_algorithm(const struct signer *s)
{
	return key_algorithm(s->key);
}

int
sign_tbs(struct signer *s, struct arena *a, struct bytes tbs, bool allow_ca,
    struct bytes *signature, struct err *e)
{
	struct bytes ours = sign_algorithm(s);
	char hash[SHA256_HEX + 1];
	struct tbs_info info;

	if (tbs_read(a, tbs, &info, e) < 0)
		return -1;
	if (info.algorithm.len != ours.len ||
	    memcmp(info.algorithm.p, ours.p, ours.len) != 0)
		return err_set(e, E_INVALID, "the certificate names another "
		    "signature algorithm than the CA key's");
	if (info.ca && !allow_ca)
		return err_set(e, E_FORBIDDEN,
		    "the CA key does not sign a CA certificate here");
	if (info.not_after <= info.not_before)
		return err_set(e, E_INVALID,
		    "the certificate would end before it begins");
	if (key_sign(s->key, a, tbs, signature, e) < 0)
		return -1;
	log_debug("certificate signed", "serial", info.serial, "tbs",
	    sha256_hex(tbs.p, tbs.len, hash), NULL);
	return 0;
}
