/* A growing run of octets, for writers.  Its memory lives in an arena. */
#ifndef CERTCTL_BASE_BUF_H
#define CERTCTL_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct buf {
	struct arena *a;
	char *p;		/* not NUL terminated; see buf_str() */
	size_t len, cap;
};

#define BUF(arena) { .a = (arena) }

void buf_add(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_int(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The content as a NUL-terminated string, borrowed from B. */
char *buf_str(struct buf *b);

/* Room for N more octets at the end, to be counted by the caller in b->len. */
char *buf_room(struct buf *b, size_t n);

#endif
