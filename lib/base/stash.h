/*
 * What one process of a host worked out and another may use: small results
 * under a hash of all they depend on, in one mapped file below the run
 * directory.  A new result takes the place of an old one, so it stays small.
 */
#ifndef CERTCTL_BASE_STASH_H
#define CERTCTL_BASE_STASH_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct stash;

enum { STASH_KEY = 16, STASH_MAX = 72 };	/* octets of a key; of a result */

/*
 * Map RUN_DIR/certctl.stash, made if missing; E_INVALID if that fails, or if
 * it is another account's: who can write there can spoil results.
 */
struct stash *stash_open(const char *run_dir, struct err *e);
void stash_close(struct stash *s);

/* Copy the result under KEY (of a hash) to OUT; false if there is none. */
bool stash_get(struct stash *s, const unsigned char key[STASH_KEY],
    unsigned char out[STASH_MAX], size_t *len);

/* Keep P, at most STASH_MAX octets, for a while. */
void stash_put(struct stash *s, const unsigned char key[STASH_KEY],
    const void *p, size_t len);

#endif
