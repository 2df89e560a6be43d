#include "base/stash.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mapped.h"

enum {
	PLACES = 65536,		/* a power of two: 6 MB */
	WAYS = 4,		/* places that a key can have */
	LAYOUT = 2,		/* grows when struct place changes */
};

/*
 * A version that is odd while somebody writes: a reader that saw the same even
 * one before and after has what one writer wrote.  Who dies while writing
 * leaves a place that is not used again; its neighbours are.
 */
struct place {
	_Atomic uint32_t version;
	uint32_t len;
	unsigned char key[STASH_KEY], result[STASH_MAX];
};

struct stash {
	struct place places[PLACES];
};

/* A new file is all zeros: no key is. */
struct stash *
stash_open(const char *run_dir, struct err *e)
{
	return mapped_open(run_dir, "stash", LAYOUT, sizeof(struct stash),
	    MAPPED_BY_ACCOUNT, e);
}

void
stash_close(struct stash *s)
{
	if (s != NULL)
		munmap(s, sizeof(*s));
}

/* The first of KEY's places: few keys need to drive each other out. */
static struct place *
places_of(struct stash *s, const unsigned char *key)
{
	uint32_t n;

	memcpy(&n, key, sizeof(n));
	return &s->places[n & (PLACES - WAYS)];
}

static bool
get_from(struct place *p, const unsigned char *key, unsigned char *out,
    size_t *len)
{
	uint32_t version = atomic_load_explicit(&p->version,
	    memory_order_acquire);

	if (version % 2 != 0 || memcmp(p->key, key, STASH_KEY) != 0)
		return false;
	*len = p->len;
	memcpy(out, p->result, STASH_MAX);
	atomic_thread_fence(memory_order_acquire);
	return *len <= STASH_MAX && version == atomic_load_explicit(
	    &p->version, memory_order_relaxed);
}

bool
stash_get(struct stash *s, const unsigned char key[STASH_KEY],
    unsigned char out[STASH_MAX], size_t *len)
{
	struct place *p = places_of(s, key);

	for (unsigned i = 0; i < WAYS; i++)
		if (get_from(&p[i], key, out, len))
			return true;
	return false;
}

/* Of P's places the one that was written least often, and where nobody is
 * writing; NULL if there is none. */
static struct place *
choose(struct place *p, uint32_t *version)
{
	struct place *best = NULL;
	uint32_t v;

	*version = UINT32_MAX;
	for (unsigned i = 0; i < WAYS; i++) {
		v = atomic_load_explicit(&p[i].version, memory_order_relaxed);
		if (v % 2 != 0 || v >= *version)
			continue;
		best = &p[i];
		*version = v;
	}
	return best;
}

void
stash_put(struct stash *s, const unsigned char key[STASH_KEY], const void *p,
    size_t len)
{
	uint32_t version;
	struct place *to = choose(places_of(s, key), &version);

	if (to == NULL || len > STASH_MAX ||
	    !atomic_compare_exchange_strong(&to->version, &version,
	    version + 1))
		return;
	atomic_thread_fence(memory_order_release);
	to->len = (uint32_t)len;
	memcpy(to->key, key, STASH_KEY);
	memcpy(to->result, p, len);
	atomic_store_explicit(&to->version, version + 2,
	    memory_order_release);
}
