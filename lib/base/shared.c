#include "base/shared.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mapped.h"
#include "base/util.h"

enum {
	BUCKETS = 65536,	/* a power of two */
	PROBES = 8,
	TALLIES = 4096,		/* a power of two */
	LAYOUT = 2,		/* grows when struct shared changes */
};

/*
 * The generic cell rate algorithm: a bucket is the instant at which it would
 * be full again, so taking is one compare-and-swap.
 */
struct bucket {
	_Atomic uint64_t key;
	_Atomic int64_t full_at;	/* monotonic microseconds */
};

struct tally {
	_Atomic uint64_t key;		/* 0: free; never given up once taken */
	_Atomic int64_t n;
};

struct shared {
	_Atomic int64_t counters[COUNT__MAX];
	struct bucket buckets[BUCKETS];
	struct tally tallies[TALLIES];
};

/* A new file is all zeros, which is a valid start. */
struct shared *
shared_open(const char *run_dir, struct err *e)
{
	return mapped_open(run_dir, "shared", LAYOUT, sizeof(struct shared),
	    MAPPED_BY_GROUP, e);
}

void
shared_close(struct shared *s)
{
	if (s != NULL)
		munmap(s, sizeof(*s));
}

void
shared_count(struct shared *s, enum counter c)
{
	atomic_fetch_add_explicit(&s->counters[c], 1, memory_order_relaxed);
}

int64_t
shared_counted(const struct shared *s, enum counter c)
{
	return atomic_load_explicit(&s->counters[c], memory_order_relaxed);
}

/* The tally of KEY, taken for it if it has none and MAKE; NULL if not. */
static struct tally *
tally_of(struct shared *s, uint64_t key, bool make)
{
	struct tally *t;
	uint64_t was;

	for (unsigned i = 0; i < TALLIES; i++) {
		t = &s->tallies[(key + i) & (TALLIES - 1)];
		was = atomic_load(&t->key);
		if (was == 0 && !make)
			return NULL;
		if (was == 0 && atomic_compare_exchange_strong(&t->key, &was,
		    key))
			return t;
		if (was == key)
			return t;
	}
	return NULL;
}

void
shared_tally(struct shared *s, uint64_t key)
{
	struct tally *t = tally_of(s, key, true);

	if (t != NULL)
		atomic_fetch_add_explicit(&t->n, 1, memory_order_relaxed);
}

int64_t
shared_tallied(struct shared *s, uint64_t key)
{
	struct tally *t = tally_of(s, key, false);

	return t == NULL ? 0 :
	    atomic_load_explicit(&t->n, memory_order_relaxed);
}

static struct bucket *
bucket_of(struct shared *s, uint64_t key, int64_t now)
{
	struct bucket *b, *oldest = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		b = &s->buckets[(key + i) & (BUCKETS - 1)];
		if (atomic_load(&b->key) == key)
			return b;
		if (oldest == NULL || atomic_load(&b->full_at) <
		    atomic_load(&oldest->full_at))
			oldest = b;
	}
	atomic_store(&oldest->key, key);
	atomic_store(&oldest->full_at, now);
	return oldest;
}

/* Microseconds that can be added to a clock, whatever RATE and BURST are. */
static int64_t
bounded_us(double us)
{
	static const int64_t century = INT64_C(36525) * 86400 * 1000000;

	return us < (double)century ? (int64_t)us : century;
}

/* When a bucket that is full at WAS would be, if one more is taken NOW; false
 * if there is none to take. */
static bool
full_after(int64_t was, int64_t now, double rate, int64_t burst,
    int64_t *full)
{
	int64_t step, room, from;

	if (!(rate > 0))
		return false;
	step = bounded_us(1e6 / rate);
	room = bounded_us((double)step * (double)burst);
	/* A bucket from before a reboot is of another clock. */
	from = was < now || was > now + room + 60000000 ? now : was;
	*full = from + step;
	return *full <= now + room;
}

bool
shared_take(struct shared *s, uint64_t key, double rate, int64_t burst)
{
	int64_t now = mono_us(), was, full;
	struct bucket *b = bucket_of(s, key, now);

	was = atomic_load(&b->full_at);
	do {
		if (!full_after(was, now, rate, burst, &full))
			return false;
	} while (!atomic_compare_exchange_weak(&b->full_at, &was, full));
	return true;
}

int64_t
shared_wait_s(struct shared *s, uint64_t key, double rate, int64_t burst)
{
	int64_t now = mono_us(), full_at, step, room;
	struct bucket *b;

	step = bounded_us(1e6 / rate);
	room = bounded_us(1e6 / rate * (double)burst);
	for (unsigned i = 0; i < PROBES; i++) {
		b = &s->buckets[(key + i) & (BUCKETS - 1)];
		if (atomic_load(&b->key) != key)
			continue;
		full_at = atomic_load(&b->full_at);
		if (full_at < now || full_at > now + room + 60000000 ||
		    full_at + step <= now + room)
			return 0;
		return (full_at + step - now - room) / 1000000 + 1;
	}
	return 0;
}

bool
shared_has(struct shared *s, uint64_t key, double rate, int64_t burst)
{
	int64_t now = mono_us(), full;

	return full_after(atomic_load(&bucket_of(s, key, now)->full_at), now,
	    rate, burst, &full);
}

uint64_t
shared_key(const char *space, const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (const char *p = space; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	h = (h ^ ':') * 1099511628211u;
	for (const char *p = s; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	return h != 0 ? h : 1;
}
