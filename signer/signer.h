/*
 * certctl-signer: holds the CA keys, and signs with them what it has looked at
 * and recorded.
 *
 * One process, one thread, one poll loop.  A round reads at most one request
 * of each connection, answers them in memory, makes their records durable with
 * one sync, and only then lets the answers go.
 */
#ifndef CERTCTL_SIGNER_SIGNER_H
#define CERTCTL_SIGNER_SIGNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"
#include "codec/settings.h"
#include "x509/key.h"
#include "x509/tbs.h"

struct arena;
struct err;

/* What is signed, by the words that the record and CERTCTL_SIGNER_ALLOW use:
 * "certificate", "ca", "ocsp" (a responder's certificate), "crl". */
enum kind { KIND_CERTIFICATE, KIND_CA, KIND_OCSP, KIND_CRL, KIND__MAX };

const char *kind_name(enum kind k);

/* Who may ask, and what for: bits of 1 << enum kind.  Who may have a CA's
 * certificate signed may have its key made. */
struct caller {
	uid_t uid;
	unsigned may;
};

enum { CALLERS_MAX = 64 };

/*
 * ALLOW, "USER" or "USER:KIND+KIND..." each, into OUT, behind root and our own
 * account, which may ask for all.  How many; -1 with E_INVALID.
 */
int callers_read(const struct texts *allow, struct caller out[CALLERS_MAX],
    struct err *e);

/* Who asks, as the kernel knows it. */
struct peer {
	uid_t uid;
	pid_t pid;
	unsigned may;		/* as a caller's */
};

/*
 * Keys, opened when first asked for.  A file that was replaced is read again.
 */
struct keyring;
struct held_key;	/* borrowed until the next keyring_get() */

struct keyring *keyring_new(const struct settings *set);
void keyring_free(struct keyring *r);

/* Forget every key and PIN, so that the next request reads it again. */
void keyring_drop(struct keyring *r);

/* E_FORBIDDEN for a place we may not look, E_INVALID for what is no CA key,
 * E_UNAVAILABLE if its token is not there. */
struct held_key *keyring_get(struct keyring *r, const char *ref,
    struct err *e);

/* Make the file REF names; see sign_create_key(). */
int keyring_create(struct keyring *r, const char *ref, struct key_type type,
    bool *made, struct err *e);

struct bytes held_spki(const struct held_key *k);
struct bytes held_algorithm(const struct held_key *k);
const char *held_id(const struct held_key *k);	/* SHA-256 hex of the SPKI */

/* What CA_DER grants to K; E_INVALID unless it is of this very key. */
int held_grant(struct held_key *k, struct bytes ca_der,
    const struct ca_grant **out, struct err *e);
int held_sign(struct keyring *r, struct held_key *k, struct arena *a,
    struct bytes text, struct bytes *signature, struct err *e);

/* Keys on PKCS#11 tokens, one session for each token. */
struct tokens;
struct token_key;	/* dies with the arena it was opened in */

struct tokens *tokens_new(const struct settings *set);
void tokens_free(struct tokens *t);
void tokens_drop(struct tokens *t);	/* log out; forget refused PINs */
bool token_uri(const char *ref);

/* Find the key URI names; its public half lives in A. */
struct token_key *token_key_open(struct tokens *t, struct arena *a,
    const char *uri, struct bytes *spki, struct err *e);

/* A token that was lost is looked for once more; then E_UNAVAILABLE. */
int token_key_sign(struct tokens *t, struct token_key *k,
    const struct key_scheme *s, struct arena *a, struct bytes text,
    struct bytes *signature, struct err *e);

/*
 * The record of signatures: a line of JSON each, "prev" being the SHA-256 of
 * the line before, so that a gap or a change shows.
 */
struct audit;

struct record {
	struct peer peer;
	const char *key_id;	/* hex */
	enum kind kind;
	const char *number;	/* hex: the serial, or the CRL's number */
	struct bytes tbs;
};

/* Go on with the record at PATH, made 0600 if missing. */
struct audit *audit_open(const char *path, struct err *e);
void audit_close(struct audit *a);

/* E_UNAVAILABLE if nothing can be recorded now: then nothing may be signed. */
int audit_ready(struct audit *a, struct err *e);

/* Lines wait until audit_commit(); nothing they speak of may leave before.
 * E_UNAVAILABLE if they cannot be made durable: they are dropped then. */
void audit_add(struct audit *a, const struct record *r);
int audit_commit(struct audit *a, struct err *e);

/* Open PATH anew: it was rotated away. */
void audit_reopen(struct audit *a);

/* A request, decided. */
struct decision {
	struct bytes answer;	/* encoded, in the arena */
	bool recorded;		/* it must not leave before audit_commit() */
};

/* REQUEST came from PEER with descriptor BESIDE (-1: none), which stays the
 * caller's. */
void decide(struct keyring *r, struct audit *log, struct arena *a,
    const struct peer *peer, struct bytes request, int beside,
    struct decision *out);

/* An answer that says E. */
struct bytes answer_err(struct arena *a, const struct err *e);

/*
 * Serve on LISTENER until one of SIGNALS, a signalfd, ends it; SIGHUP asks for
 * keys to be read again.  Only peers who are one of CALLERS are heard.
 */
struct server {
	int listener, signals;
	struct keyring *keys;
	struct audit *log;
	const struct caller *callers;
	size_t n_callers;
};

int serve(const struct server *s);

/* Open the keys, the record and the socket that SET names, and serve. */
int signer_run(const struct settings *set, struct err *e);

#endif
