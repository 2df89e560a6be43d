/*
 * Private keys on this host, one set per certificate:
 *
 *	<id>.key		the current one
 *	<id>.key.pending	its CSR is on its way; names its job
 *	<id>.key.previous	kept until every target has the new pair
 *
 * All 0600 and synced.  The current key is replaced only when a certificate
 * for the pending one is in hand, so a refused CSR or a crash costs nothing.
 */
#ifndef CERTCTL_AGENT_KEYS_H
#define CERTCTL_AGENT_KEYS_H

#include "x509/key.h"

struct arena;
struct err;

/* Make DIR, 0700; one that exists and cannot be made so is only warned of. */
int keys_open(const char *dir, struct err *e);

/*
 * The key to make a CSR with for job JOB_ID: the pending one if it was made
 * for this job and is of TYPE, else a new one, which takes its place.
 */
struct key *keys_pending(struct arena *a, const char *dir,
    const char *certificate_id, const char *job_id, struct key_type type,
    struct err *e);

/*
 * The PEM of the key with SPKI_HASH, that of a certificate in hand.  If it is
 * the pending one it becomes current and the current one previous.
 * E_NOT_FOUND if none of the three belongs to it.
 */
char *keys_for(struct arena *a, const char *dir, const char *certificate_id,
    const char *spki_hash, struct err *e);

/* Wipe the previous key; none is fine. */
int keys_forget_previous(const char *dir, const char *certificate_id,
    struct err *e);

#endif
