/*
 * Secrets at rest: AES-256-GCM under a key derived from a passphrase
 * (PBKDF2-SHA256, 600,000 rounds, once per process).
 *
 * A blob is 0x03 | salt 16 | nonce 12 | ciphertext and tag 16.
 */
#ifndef CERTCTL_X509_SEAL_H
#define CERTCTL_X509_SEAL_H

#include "base/util.h"

struct arena;
struct err;
struct seal;	/* the passphrase and its derived keys; wiped by seal_free() */

/* PASSPHRASE is copied.  E_INVALID if it is shorter than 32 octets. */
struct seal *seal_new(const char *passphrase, struct err *e);
void seal_free(struct seal *s);

/* Seal under SALT (16 octets): an installation that keeps one derives one key,
 * whichever process wrote a blob.  Without it a process makes its own. */
void seal_use_salt(struct seal *s, struct bytes salt);

/* The blob lives in A. */
int seal_close(struct seal *s, struct arena *a, const void *p, size_t len,
    struct bytes *blob, struct err *e);

/* The text (NUL terminated, wiped with A) or E_INTERNAL if BLOB was changed
 * or sealed under another passphrase. */
int seal_open(struct seal *s, struct arena *a, struct bytes blob,
    struct bytes *text, struct err *e);

#endif
