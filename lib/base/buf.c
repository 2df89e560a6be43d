#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

char *
buf_room(struct buf *b, size_t n)
{
	size_t cap = b->cap != 0 ? b->cap : 1024;
	char *p;

	if (b->cap - b->len >= n && b->p != NULL)
		return b->p + b->len;
	while (cap - b->len < n)
		cap *= 2;
	p = arena_alloc(b->a, cap);
	if (b->len != 0)
		memcpy(p, b->p, b->len);
	b->p = p;
	b->cap = cap;
	return p + b->len;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(buf_room(b, n), p, n);
	b->len += n;
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->len++;
}

void
buf_int(struct buf *b, int64_t v)
{
	char tmp[24];
	char *p = tmp + sizeof(tmp);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(tmp + sizeof(tmp) - p));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = arena_vprintf(b->a, fmt, ap);
	va_end(ap);
	buf_puts(b, s);
}

char *
buf_str(struct buf *b)
{
	*buf_room(b, 1) = '\0';
	return b->p;
}
