#include "base/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/util.h"

enum {
	BUCKETS = 65536,	/* a power of two */
	PROBES = 8,
	LAYOUT = 1,		/* grows when struct shared changes */
};

/*
 * The generic cell rate algorithm: a bucket is the instant at which it would
 * be full again, so taking is one compare-and-swap.
 */
struct bucket {
	_Atomic uint64_t key;
	_Atomic int64_t full_at;	/* monotonic microseconds */
};

struct shared {
	_Atomic int64_t counters[COUNT__MAX];
	struct bucket buckets[BUCKETS];
};

struct shared *
shared_open(const char *run_dir, struct err *e)
{
	char path[512];
	void *p = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "%s/certctl.shared.%d", run_dir, LAYOUT);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	/* A new file is all zeros, which is a valid start. */
	if (fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0)
		p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err_set(e, E_INVALID, "%s: %s (see CERTCTL_RUN_DIR)", path,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
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
