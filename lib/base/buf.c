#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

void
buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap != 0 ? b->cap : 1024;
	char *p;

	while (cap - b->len < n)
		cap *= 2;
	p = arena_alloc(b->a, cap);
	if (b->len != 0)
		memcpy(p, b->p, b->len);
	b->p = p;
	b->cap = cap;
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
	size_t room = b->cap - b->len;
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(room > 0 ? b->p + b->len : NULL, room, fmt, ap);
	if (n < 0)
		abort();
	if ((size_t)n >= room)
		vsnprintf(buf_room(b, (size_t)n + 1), (size_t)n + 1, fmt,
		    again);
	b->len += (size_t)n;
	va_end(again);
	va_end(ap);
}

char *
buf_str(struct buf *b)
{
	*buf_room(b, 1) = '\0';
	return b->p;
}
