#include "x509/seal.h"

#include <stdlib.h>

#include "base/arena.h"
#include "x509/ossl.h"

enum {
	VERSION = 3,
	SALT_LEN = 16,
	NONCE_LEN = 12,
	TAG_LEN = 16,
	KEY_LEN = 32,
	HEAD_LEN = 1 + SALT_LEN + NONCE_LEN,
	ROUNDS = 600000,
	PASSPHRASE_MIN = 32,
	TEXT_MAX = 1024 * 1024,
	/* Every process that writes has a salt; this many are remembered. */
	CACHED = 64,
};

struct derived {
	bool ready;
	unsigned char salt[SALT_LEN];
	unsigned char key[KEY_LEN];
};

struct seal {
	bool salted;			/* own.salt was given */
	char *passphrase;
	size_t len;
	struct derived own;		/* for writing */
	struct derived cache[CACHED];	/* for reading, oldest replaced */
	size_t next;
};

struct seal *
seal_new(const char *passphrase, struct err *e)
{
	struct seal *s;
	size_t len = strlen(passphrase);

	if (len < PASSPHRASE_MIN) {
		err_set(e, E_INVALID,
		    "the encryption key is shorter than %d octets",
		    PASSPHRASE_MIN);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL || (s->passphrase = malloc(len + 1)) == NULL)
		abort();
	memcpy(s->passphrase, passphrase, len + 1);
	s->len = len;
	return s;
}

void
seal_use_salt(struct seal *s, struct bytes salt)
{
	if (salt.len != SALT_LEN)
		return;
	memcpy(s->own.salt, salt.p, SALT_LEN);
	s->salted = true;
}

void
seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	wipe(s->passphrase, s->len);
	free(s->passphrase);
	wipe(s, sizeof(*s));
	free(s);
}

static int
derive(const struct seal *s, struct derived *d, struct err *e)
{
	if (PKCS5_PBKDF2_HMAC(s->passphrase, (int)s->len, d->salt, SALT_LEN,
	    ROUNDS, EVP_sha256(), KEY_LEN, d->key) != 1)
		return ossl_err(e, E_INTERNAL, "cannot derive a sealing key");
	d->ready = true;
	return 0;
}

/* The key blobs of this process are sealed under. */
static const unsigned char *
own_key(struct seal *s, struct err *e)
{
	if (!s->own.ready) {
		if (!s->salted)
			random_bytes(s->own.salt, SALT_LEN);
		if (derive(s, &s->own, e) < 0)
			return NULL;
	}
	return s->own.key;
}

/* The key of a blob with this SALT, whoever wrote it. */
static const unsigned char *
key_for(struct seal *s, const unsigned char *salt, struct err *e)
{
	struct derived *d;

	if (s->own.ready && memcmp(s->own.salt, salt, SALT_LEN) == 0)
		return s->own.key;
	for (d = s->cache; d < s->cache + CACHED; d++)
		if (d->ready && memcmp(d->salt, salt, SALT_LEN) == 0)
			return d->key;
	d = &s->cache[s->next];
	d->ready = false;
	memcpy(d->salt, salt, SALT_LEN);
	if (derive(s, d, e) < 0)
		return NULL;
	s->next = (s->next + 1) % CACHED;
	return d->key;
}

int
seal_close(struct seal *s, struct arena *a, const void *p, size_t len,
    struct bytes *blob, struct err *e)
{
	AUTO(EVP_CIPHER_CTX) c = NULL;
	const unsigned char *key = own_key(s, e);
	unsigned char *out, *nonce, *text;
	int n;

	if (key == NULL)
		return -1;
	if (len > TEXT_MAX)
		return err_set(e, E_TOO_LARGE, "the secret is too large");
	out = arena_alloc(a, HEAD_LEN + len + TAG_LEN);
	nonce = out + 1 + SALT_LEN;
	text = out + HEAD_LEN;
	out[0] = VERSION;
	memcpy(out + 1, s->own.salt, SALT_LEN);
	random_bytes(nonce, NONCE_LEN);
	c = EVP_CIPHER_CTX_new();
	if (c == NULL ||
	    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
	    EVP_EncryptUpdate(c, text, &n, p, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(c, text + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN,
	    text + len) != 1)
		return ossl_err(e, E_INTERNAL, "cannot seal the secret");
	blob->p = out;
	blob->len = HEAD_LEN + len + TAG_LEN;
	return 0;
}

int
seal_open(struct seal *s, struct arena *a, struct bytes blob,
    struct bytes *text, struct err *e)
{
	AUTO(EVP_CIPHER_CTX) c = NULL;
	const unsigned char *key, *in = blob.p + HEAD_LEN;
	unsigned char *out, tag[TAG_LEN];
	size_t len;
	int n;

	if (blob.len < HEAD_LEN + TAG_LEN || blob.p[0] != VERSION ||
	    blob.len > HEAD_LEN + TEXT_MAX + TAG_LEN)
		return err_set(e, E_INTERNAL, "a sealed secret is damaged");
	key = key_for(s, blob.p + 1, e);
	if (key == NULL)
		return -1;
	len = blob.len - HEAD_LEN - TAG_LEN;
	out = arena_alloc(a, len + 1);
	arena_wipe(a, out, len);
	memcpy(tag, in + len, TAG_LEN);
	c = EVP_CIPHER_CTX_new();
	if (c == NULL ||
	    EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key,
	    blob.p + 1 + SALT_LEN) != 1 ||
	    EVP_DecryptUpdate(c, out, &n, in, (int)len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1 ||
	    EVP_DecryptFinal_ex(c, out + len, &n) != 1)
		return ossl_err(e, E_INTERNAL, "a sealed secret was changed, "
		    "or sealed under another encryption key");
	out[len] = '\0';
	text->p = out;
	text->len = len;
	return 0;
}
