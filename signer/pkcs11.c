/*
 * Keys on PKCS#11 tokens (RFC 7512 URIs), by way of p11-kit.
 *
 * One session for each token serves all of its keys.  Whatever goes wrong in
 * it, everything is let go, down to the modules, and looked for once more: a
 * token that was pulled and put back, or a library that lost its server, needs
 * no less.
 */
#include <p11-kit/uri.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/private.h"
#include "pkcs11.h"
#include "signer.h"
#include "x509/der.h"

enum {
	TOKENS_MAX = 16,
	SLOTS_MAX = 64,
	SERIAL_MAX = 16,		/* CK_TOKEN_INFO.serialNumber */
	PIN_MAX = 256,
	LOOK_AGAIN_US = 1000000,	/* between searches for a lost token */
};

struct tokens {
	struct arena *a;
	const char *module, *pin_file;
	CK_FUNCTION_LIST **modules;	/* NULL: to be loaded */
	CK_FUNCTION_LIST *one[2];	/* ... if MODULE names the only one */
	struct session sessions[TOKENS_MAX];
	size_t n;
	unsigned generation;		/* of everything that was opened */
	int64_t look_again_us;
	/* Tokens that refused our PIN: asking again would lock them. */
	unsigned char refused[TOKENS_MAX][SERIAL_MAX];
	size_t n_refused;
};

struct token_key {
	P11KitUri *uri;
	unsigned generation;		/* when the rest was found */
	const struct session *session;
	CK_OBJECT_HANDLE handle;
};

struct tokens *
tokens_new(const struct settings *set)
{
	struct arena *a = arena_new();
	struct tokens *t = arena_zalloc(a, sizeof(*t));

	t->a = a;
	t->module = set->signer_pkcs11_module;
	t->pin_file = set->signer_pin_file;
	return t;
}

bool
token_uri(const char *ref)
{
	return strncmp(ref, "pkcs11:", 7) == 0;
}

/* Close and unload everything. */
static void
let_go(struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->sessions[i].fn->C_CloseSession(t->sessions[i].handle);
	t->n = 0;
	t->generation++;
	if (t->modules == t->one) {
		p11_kit_module_finalize(t->one[0]);
		p11_kit_module_release(t->one[0]);
	} else if (t->modules != NULL) {
		p11_kit_modules_finalize_and_release(t->modules);
	}
	t->modules = NULL;
}

void
tokens_drop(struct tokens *t)
{
	let_go(t);
	t->n_refused = 0;
	t->look_again_us = 0;
}

void
tokens_free(struct tokens *t)
{
	tokens_drop(t);
	arena_free(t->a);
}

static int
load_modules(struct tokens *t, struct err *e)
{
	if (t->modules != NULL)
		return 0;
	if (blank(t->module)) {
		t->modules = p11_kit_modules_load_and_initialize(
		    P11_KIT_MODULE_UNMANAGED);
	} else {
		t->one[0] = p11_kit_module_load(t->module,
		    P11_KIT_MODULE_UNMANAGED);
		if (t->one[0] != NULL &&
		    p11_kit_module_initialize(t->one[0]) == CKR_OK)
			t->modules = t->one;
		else if (t->one[0] != NULL)
			p11_kit_module_release(t->one[0]);
	}
	if (t->modules != NULL)
		return 0;
	err_set(e, E_UNAVAILABLE, "the PKCS#11 library cannot be used");
	return err_detail(e, "%s", or_empty(p11_kit_message()));
}

/* The token URI names; false if it is not there. */
static bool
find_token(const struct tokens *t, P11KitUri *uri, struct session *s,
    CK_TOKEN_INFO *info)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n;

	for (CK_FUNCTION_LIST **m = t->modules; *m != NULL; m++) {
		n = SLOTS_MAX;
		if ((*m)->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
			continue;
		for (CK_ULONG i = 0; i < n; i++) {
			if ((*m)->C_GetTokenInfo(slots[i], info) != CKR_OK ||
			    (info->flags & CKF_TOKEN_INITIALIZED) == 0 ||
			    p11_kit_uri_match_token_info(uri, info) != 1)
				continue;
			*s = (struct session){ .fn = *m, .slot = slots[i] };
			return true;
		}
	}
	return false;
}

static bool
was_refused(const struct tokens *t, const CK_TOKEN_INFO *info)
{
	for (size_t i = 0; i < t->n_refused; i++)
		if (memcmp(t->refused[i], info->serialNumber, SERIAL_MAX) == 0)
			return true;
	return false;
}

static int
read_pin(const struct tokens *t, struct arena *a, P11KitUri *uri,
    struct bytes *pin, struct err *e)
{
	const char *from = p11_kit_uri_get_pin_source(uri);

	if (blank(from))
		from = t->pin_file;
	else if (strncmp(from, "file:", 5) == 0)
		from += 5;
	if (blank(from))
		return err_set(e, E_INVALID, "the token wants a PIN, and "
		    "neither its URI nor CERTCTL_SIGNER_PIN_FILE names one");
	if (private_read(a, from, PIN_MAX, pin, e) < 0) {
		e->code = E_INVALID;
		return err_prefix(e, "PIN");
	}
	while (pin->len > 0 && (pin->p[pin->len - 1] == '\n' ||
	    pin->p[pin->len - 1] == '\r'))
		pin->len--;
	return 0;
}

static int
login(struct tokens *t, const struct session *s, P11KitUri *uri,
    const CK_TOKEN_INFO *info, struct err *e)
{
	struct arena *a;
	struct bytes pin;
	CK_RV rv;

	if ((info->flags & CKF_LOGIN_REQUIRED) == 0)
		return 0;
	if (was_refused(t, info))
		return err_set(e, E_INVALID, "the token refused the PIN; it "
		    "is not tried again before SIGHUP");
	a = arena_new();
	if (read_pin(t, a, uri, &pin, e) < 0) {
		arena_free(a);
		return -1;
	}
	rv = s->fn->C_Login(s->handle, CKU_USER, (unsigned char *)(uintptr_t)
	    pin.p, pin.len);
	arena_free(a);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		return 0;
	if (rv != CKR_PIN_INCORRECT && rv != CKR_PIN_LOCKED &&
	    rv != CKR_PIN_EXPIRED && rv != CKR_PIN_LEN_RANGE)
		return token_unusable(e, rv);
	if (t->n_refused < TOKENS_MAX)
		memcpy(t->refused[t->n_refused++], info->serialNumber,
		    SERIAL_MAX);
	return token_err(e, E_INVALID, "the token refuses the PIN", rv);
}

/* The session on the token URI names, opened if need be. */
static const struct session *
get_session(struct tokens *t, P11KitUri *uri, struct err *e)
{
	CK_TOKEN_INFO info;
	struct session s;
	CK_RV rv;

	if (load_modules(t, e) < 0)
		return NULL;
	if (!find_token(t, uri, &s, &info)) {
		err_set(e, E_UNAVAILABLE,
		    "the token that holds the CA key is not there");
		return NULL;
	}
	for (size_t i = 0; i < t->n; i++)
		if (t->sessions[i].fn == s.fn && t->sessions[i].slot == s.slot)
			return &t->sessions[i];
	if (t->n == TOKENS_MAX) {
		err_set(e, E_INVALID, "more than %d tokens hold CA keys",
		    TOKENS_MAX);
		return NULL;
	}
	rv = s.fn->C_OpenSession(s.slot, CKF_SERIAL_SESSION, NULL, NULL,
	    &s.handle);
	if (rv != CKR_OK) {
		token_unusable(e, rv);
		return NULL;
	}
	if (login(t, &s, uri, &info, e) < 0) {
		s.fn->C_CloseSession(s.handle);
		return NULL;
	}
	t->sessions[t->n] = s;
	return &t->sessions[t->n++];
}

static int
find_key(struct tokens *t, struct token_key *k, struct err *e)
{
	CK_OBJECT_HANDLE found[2];
	CK_ULONG n = 0;
	CK_RV rv;

	k->session = get_session(t, k->uri, e);
	if (k->session == NULL)
		return -1;
	rv = session_find(k->session, CKO_PRIVATE_KEY,
	    p11_kit_uri_get_attribute(k->uri, CKA_LABEL),
	    p11_kit_uri_get_attribute(k->uri, CKA_ID), found, &n);
	if (rv != CKR_OK)
		return token_unusable(e, rv);
	if (n != 1)
		return err_set(e, E_INVALID, n == 0 ?
		    "the token holds no such private key" :
		    "the token holds several such private keys");
	k->handle = found[0];
	k->generation = t->generation;
	return 0;
}

/*
 * Run TRY(T, K, ARG), which fails with E_UNAVAILABLE if the token is lost;
 * then everything is opened anew, once, but not at every call.
 */
static int
persist(struct tokens *t, struct token_key *k,
    int (*try)(struct tokens *, struct token_key *, void *, struct err *),
    void *arg, struct err *e)
{
	struct err why = { 0 };

	for (int turn = 0; turn < 2; turn++) {
		why = (struct err){ 0 };
		if ((k->generation == t->generation ||
		    find_key(t, k, &why) == 0) && try(t, k, arg, &why) == 0)
			return 0;
		if (why.code != E_UNAVAILABLE || turn > 0 ||
		    mono_us() < t->look_again_us)
			break;
		let_go(t);
		t->look_again_us = mono_us() + LOOK_AGAIN_US;
	}
	*e = why;
	return -1;
}

struct opening {
	struct arena *a;
	struct bytes spki;
};

static int
read_public(struct tokens *t, struct token_key *k, void *arg, struct err *e)
{
	struct opening *o = arg;

	(void)t;
	return public_spki(k->session, o->a, k->handle, &o->spki, e);
}

static void
free_uri(void *uri)
{
	p11_kit_uri_free(uri);
}

static int
parse(const char *text, P11KitUri *uri, struct err *e)
{
	int why = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri);

	if (why != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(uri))
		return err_set(e, E_INVALID,
		    "the URI of the CA key is malformed: %s",
		    why != P11_KIT_URI_OK ? p11_kit_uri_message(why) :
		    "it has attributes RFC 7512 does not");
	if (p11_kit_uri_get_pin_value(uri) != NULL)
		return err_set(e, E_INVALID, "the URI of the CA key holds a "
		    "PIN; name a file with pin-source instead");
	if (p11_kit_uri_get_attribute(uri, CKA_LABEL) == NULL &&
	    p11_kit_uri_get_attribute(uri, CKA_ID) == NULL)
		return err_set(e, E_INVALID,
		    "the URI of the CA key names no object and no id");
	return 0;
}

struct token_key *
token_key_open(struct tokens *t, struct arena *a, const char *uri,
    struct bytes *spki, struct err *e)
{
	struct token_key *k = arena_zalloc(a, sizeof(*k));
	struct opening o = { .a = a };

	k->uri = p11_kit_uri_new();
	arena_defer(a, free_uri, k->uri);
	k->generation = t->generation - 1;
	if (parse(uri, k->uri, e) < 0 || persist(t, k, read_public, &o, e) < 0)
		return NULL;
	*spki = o.spki;
	return k;
}

/* A digest to be signed, and what comes of it. */
struct signing {
	CK_MECHANISM_TYPE mechanism;
	unsigned char in[KEY_DIGEST_MAX + 32];
	size_t in_len;
	unsigned char out[1024];
	size_t out_len;
};

static int
sign_raw(struct tokens *t, struct token_key *k, void *arg, struct err *e)
{
	struct signing *s = arg;
	CK_MECHANISM m = { s->mechanism, NULL, 0 };
	CK_ULONG len = sizeof(s->out);
	CK_RV rv = k->session->fn->C_SignInit(k->session->handle, &m,
	    k->handle);

	(void)t;
	if (rv == CKR_OK)
		rv = k->session->fn->C_Sign(k->session->handle, s->in,
		    s->in_len, s->out, &len);
	if (rv != CKR_OK)
		return token_unusable(e, rv);
	s->out_len = len;
	return 0;
}

/* DigestInfo (RFC 8017 section 9.2) of SHA-256, which all our RSA keys use. */
static void
wrap_digest(struct signing *s, const unsigned char *digest, size_t len)
{
	static const unsigned char head[] = {
		0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
	};

	memcpy(s->in, head, sizeof(head));
	memcpy(s->in + sizeof(head), digest, len);
	s->in_len = sizeof(head) + len;
}

/* r and s of equal length, as the token gives them, into what X.509 has. */
static int
ecdsa_signature(struct arena *a, const struct signing *s, struct bytes *out,
    struct err *e)
{
	struct buf b = BUF(a);
	size_t half = s->out_len / 2, seq;

	if (half == 0 || s->out_len % 2 != 0)
		return err_set(e, E_INTERNAL,
		    "the token's signature makes no sense");
	seq = der_open(&b, DER_SEQUENCE);
	der_uint(&b, s->out, half);
	der_uint(&b, s->out + half, half);
	der_close(&b, seq);
	*out = buf_bytes(&b);
	return 0;
}

int
token_key_sign(struct tokens *t, struct token_key *k,
    const struct key_scheme *scheme, struct arena *a, struct bytes text,
    struct bytes *signature, struct err *e)
{
	bool rsa = streq(scheme->type.algorithm, "RSA");
	struct signing s = { .mechanism = rsa ? CKM_RSA_PKCS : CKM_ECDSA };
	unsigned char digest[KEY_DIGEST_MAX];
	size_t len = key_digest(scheme, text, digest);

	if (rsa) {
		wrap_digest(&s, digest, len);
	} else {
		memcpy(s.in, digest, len);
		s.in_len = len;
	}
	if (persist(t, k, sign_raw, &s, e) < 0)
		return -1;
	if (!rsa)
		return ecdsa_signature(a, &s, signature, e);
	*signature = (struct bytes){ arena_memdup(a, s.out, s.out_len),
	    s.out_len };
	return 0;
}
