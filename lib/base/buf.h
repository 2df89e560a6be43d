/* A growing run of octets, for writers.  Its memory lives in an arena. */
#ifndef CERTCTL_BASE_BUF_H
#define CERTCTL_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

struct arena;

struct buf {
	struct arena *a;
	char *p;		/* not NUL terminated; see buf_str() */
	size_t len, cap;
};

#define BUF(arena) { .a = (arena) }

/* More memory, so that N more octets fit. */
void buf_grow(struct buf *b, size_t n);

/* The content, borrowed from B. */
static inline struct bytes
buf_bytes(const struct buf *b)
{
	return (struct bytes){ (const unsigned char *)b->p, b->len };
}

/* Room for N more octets at the end, to be counted by the caller in b->len. */
static inline char *
buf_room(struct buf *b, size_t n)
{
	if (b->cap - b->len < n)
		buf_grow(b, n);
	return b->p + b->len;
}

static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(buf_room(b, n), p, n);
	b->len += n;
}

static inline void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void
buf_putc(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->len++;
}

void buf_int(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The content as a NUL-terminated string, borrowed from B. */
char *buf_str(struct buf *b);

#endif
