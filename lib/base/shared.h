/*
 * What the processes of one host share: counters, and buckets that count
 * requests.  One mapped file below the run directory, only atomics in it.
 */
#ifndef CERTCTL_BASE_SHARED_H
#define CERTCTL_BASE_SHARED_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct shared;

enum counter {
	COUNT_REQUESTS,
	COUNT_HEARTBEATS,
	COUNT_EMPTY_POLLS,
	COUNT_RATE_LIMITED,
	COUNT__MAX
};

/* Map RUN_DIR/certctl.shared, made if missing; E_INVALID if that fails. */
struct shared *shared_open(const char *run_dir, struct err *e);
void shared_close(struct shared *s);

void shared_count(struct shared *s, enum counter c);
int64_t shared_counted(const struct shared *s, enum counter c);

/*
 * Token bucket: may the holder of KEY (any hash but 0) do one more thing, at
 * RATE a second with BURST at once?  The emptiest bucket near the key's place
 * gives way to a new key, so memory is bounded.
 */
bool shared_take(struct shared *s, uint64_t key, double rate, int64_t burst);

/* Seconds until shared_take() would say yes, 0 if it would now; RATE > 0. */
int64_t shared_wait_s(struct shared *s, uint64_t key, double rate,
    int64_t burst);

/*
 * Count what has a name of its own: KEY is its hash.  There is room for a few
 * thousand of them, for names that come from the configuration.
 */
void shared_tally(struct shared *s, uint64_t key);
int64_t shared_tallied(struct shared *s, uint64_t key);

/* Could the holder of KEY?  Takes nothing. */
bool shared_has(struct shared *s, uint64_t key, double rate, int64_t burst);

/* FNV-1a of S, never 0, for keys. */
uint64_t shared_key(const char *space, const char *s);

#endif
