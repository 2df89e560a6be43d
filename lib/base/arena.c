#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum {
	BLOCK = 16 * 1024,
	ALIGN = 16,
};

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(ALIGN) unsigned char data[];
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *);
	void *p;
};

struct arena {
	struct block *head;	/* the one being filled */
	struct block *first;	/* kept over a reset: no malloc for a request */
	struct deferred *deferred;
};

static void *
xmalloc(size_t n)
{
	void *p = malloc(n);

	if (p == NULL)
		abort();
	return p;
}

static struct block *
block_new(size_t size)
{
	struct block *b = xmalloc(sizeof(*b) + size);

	b->next = NULL;
	b->used = 0;
	b->size = size;
	return b;
}

struct arena *
arena_new(void)
{
	struct arena *a = xmalloc(sizeof(*a));

	a->first = a->head = block_new(BLOCK);
	a->deferred = NULL;
	return a;
}

void
arena_reset(struct arena *a)
{
	struct block *b, *next;
	struct deferred *d;

	if (a == NULL)
		return;
	while ((d = a->deferred) != NULL) {
		a->deferred = d->next;
		d->fn(d->p);
	}
	for (b = a->head; b != a->first; b = next) {
		next = b->next;
		free(b);
	}
	a->head = a->first;
	a->first->used = 0;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	arena_reset(a);
	free(a->first);
	free(a);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct block *b = a->head;
	void *p;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (b->size - b->used < size) {
		b = block_new(size > BLOCK ? size : BLOCK);
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

void *
arena_memdup(struct arena *a, const void *p, size_t n)
{
	return memcpy(arena_alloc(a, n), p, n);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *out;

	if (s == NULL)
		return NULL;
	out = arena_alloc(a, n + 1);
	memcpy(out, s, n);
	out[n] = '\0';
	return out;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return s == NULL ? NULL : arena_strndup(a, s, strlen(s));
}

char *
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	struct block *b = a->head;
	size_t room = b->size - b->used;
	va_list again;
	char *out;
	int n;

	va_copy(again, ap);
	/* Where it will be, if it fits: most texts are short. */
	n = vsnprintf((char *)b->data + b->used, room, fmt, ap);
	if (n < 0)
		abort();
	out = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n >= room)
		vsnprintf(out, (size_t)n + 1, fmt, again);
	va_end(again);
	return out;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *out;

	va_start(ap, fmt);
	out = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return out;
}

void
arena_defer(struct arena *a, void (*fn)(void *), void *p)
{
	struct deferred *d = arena_alloc(a, sizeof(*d));

	d->fn = fn;
	d->p = p;
	d->next = a->deferred;
	a->deferred = d;
}

struct secret {
	void *p;
	size_t len;
};

static void
wipe_secret(void *arg)
{
	struct secret *s = arg;

	wipe(s->p, s->len);
}

void
arena_wipe(struct arena *a, void *p, size_t len)
{
	struct secret *s = arena_alloc(a, sizeof(*s));

	s->p = p;
	s->len = len;
	arena_defer(a, wipe_secret, s);
}
