#include "x509/der.h"

#include <time.h>

#include "base/buf.h"

size_t
der_open(struct buf *b, unsigned char tag)
{
	/* One octet for the length; der_close() makes room for more. */
	buf_putc(b, (char)tag);
	buf_putc(b, 0);
	return b->len;
}

/* Octets of LEN that follow the first length octet. */
static size_t
long_form(size_t len)
{
	size_t n = 0;

	if (len >= 0x80)
		for (; len > 0; len >>= 8)
			n++;
	return n;
}

void
der_close(struct buf *b, size_t mark)
{
	size_t len = b->len - mark, n = long_form(len);

	buf_room(b, n);
	if (n == 0) {
		b->p[mark - 1] = (char)len;
		return;
	}
	memmove(b->p + mark + n, b->p + mark, len);
	b->len += n;
	b->p[mark - 1] = (char)(0x80 | n);
	for (; n > 0; n--, len >>= 8)
		b->p[mark + n - 1] = (char)(len & 0xff);
}

void
der_head(struct buf *b, unsigned char tag, size_t len)
{
	size_t n = long_form(len);

	buf_putc(b, (char)tag);
	buf_putc(b, (char)(n == 0 ? len : 0x80 | n));
	while (n-- > 0)
		buf_putc(b, (char)(len >> 8 * n & 0xff));
}

void
der_put(struct buf *b, unsigned char tag, const void *p, size_t len)
{
	size_t mark = der_open(b, tag);

	buf_add(b, p, len);
	der_close(b, mark);
}

void
der_raw(struct buf *b, struct bytes der)
{
	buf_add(b, der.p, der.len);
}

void
der_uint(struct buf *b, const void *p, size_t len)
{
	const unsigned char *in = p;
	size_t mark = der_open(b, DER_INTEGER);

	for (; len > 0 && *in == 0; len--)
		in++;
	if (len == 0 || *in >= 0x80)
		buf_putc(b, 0);
	buf_add(b, in, len);
	der_close(b, mark);
}

void
der_true(struct buf *b)
{
	der_put(b, DER_BOOLEAN, "\xff", 1);
}

void
der_bits(struct buf *b, const void *p, size_t len)
{
	size_t mark = der_open(b, DER_BIT_STRING);

	buf_putc(b, 0);
	buf_add(b, p, len);
	der_close(b, mark);
}

void
der_flags(struct buf *b, unsigned char flags)
{
	unsigned char unused = 0, out[2];

	/* Trailing zero bits are left out (X.690 section 11.2.2). */
	while (flags != 0 && (flags >> unused & 1) == 0)
		unused++;
	out[0] = unused;
	out[1] = flags;
	der_put(b, DER_BIT_STRING, out, flags != 0 ? 2 : 1);
}

void
der_time(struct buf *b, int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;
	char text[32];
	size_t n;

	gmtime_r(&t, &tm);
	if (tm.tm_year >= 50 && tm.tm_year < 150) {
		n = strftime(text, sizeof(text), "%y%m%d%H%M%SZ", &tm);
		der_put(b, DER_UTC_TIME, text, n);
	} else {
		n = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
		der_put(b, DER_GENERALIZED_TIME, text, n);
	}
}

bool
der_next(struct bytes *in, unsigned char *tag, struct bytes *content)
{
	const unsigned char *p = in->p;
	size_t left = in->len, len, n;

	if (left < 2 || (p[0] & 0x1f) == 0x1f)
		return false;
	len = p[1];
	left -= 2;
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > 4 || n > left || p[2] == 0)
			return false;
		left -= n;
		for (len = 0, p += 2; n > 0; n--)
			len = len << 8 | *p++;
		if (len < 0x80)
			return false;
	} else {
		p += 2;
	}
	if (len > left)
		return false;
	*tag = in->p[0];
	content->p = p;
	content->len = len;
	in->p = p + len;
	in->len = left - len;
	return true;
}

bool
der_take(struct bytes *in, unsigned char tag, struct bytes *content)
{
	unsigned char got;

	return der_next(in, &got, content) && got == tag;
}

bool
der_take_whole(struct bytes *in, unsigned char tag, struct bytes *element)
{
	const unsigned char *from = in->p;
	struct bytes content;

	if (!der_take(in, tag, &content))
		return false;
	*element = (struct bytes){ from, (size_t)(in->p - from) };
	return true;
}
