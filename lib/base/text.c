#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"

enum { UUID_LEN = 36 };

char *
hex_encode(struct arena *a, const void *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *in = p;
	char *out = arena_alloc(a, len * 2 + 1);

	for (size_t i = 0; i < len; i++) {
		out[i * 2] = hex[in[i] >> 4];
		out[i * 2 + 1] = hex[in[i] & 15];
	}
	out[len * 2] = '\0';
	return out;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(const char *s, size_t len, unsigned char *out)
{
	if (len % 2 != 0)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i / 2] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char b64[] = ALNUM "+/";
static const char b64url[] = ALNUM "-_";

static char *
encode(struct arena *a, const char *alphabet, bool pad, const void *p,
    size_t len)
{
	const unsigned char *in = p;
	char *out = arena_alloc(a, (len + 2) / 3 * 4 + 1), *o = out;
	uint32_t acc = 0;
	int bits = 0;

	for (size_t i = 0; i < len; i++) {
		acc = acc << 8 | in[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*o++ = alphabet[acc >> (bits - 6) & 63];
	}
	if (bits > 0)
		*o++ = alphabet[acc << (6 - bits) & 63];
	while (pad && (o - out) % 4 != 0)
		*o++ = '=';
	*o = '\0';
	return out;
}

/* Digits up to the padding, SKIP between them; only padding and SKIP behind. */
static bool
decode(struct arena *a, const char *alphabet, const char *skip, const char *s,
    size_t len, struct bytes *out)
{
	unsigned char *p = arena_alloc(a, len / 4 * 3 + 3), *o = p;
	size_t digits = 0, padding = 0, i;
	uint32_t acc = 0;
	int bits = 0;

	for (i = 0; i < len && s[i] != '='; i++) {
		const char *d = s[i] != '\0' ? strchr(alphabet, s[i]) : NULL;

		if (d == NULL) {
			if (s[i] == '\0' || strchr(skip, s[i]) == NULL)
				return false;
			continue;
		}
		digits++;
		acc = acc << 6 | (uint32_t)(d - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*o++ = (unsigned char)(acc >> bits);
		}
	}
	for (; i < len; i++) {
		if (s[i] != '=' && (s[i] == '\0' || strchr(skip, s[i]) == NULL))
			return false;
		padding += s[i] == '=';
	}
	out->p = p;
	out->len = (size_t)(o - p);
	return digits % 4 != 1 && (padding == 0 ||
	    (padding <= 2 && (digits + padding) % 4 == 0));
}

char *
base64_encode(struct arena *a, const void *p, size_t len)
{
	return encode(a, b64, true, p, len);
}

bool
base64_decode(struct arena *a, const char *s, size_t len, struct bytes *out)
{
	return decode(a, b64, " \t\r\n", s, len, out);
}

char *
base64url_encode(struct arena *a, const void *p, size_t len)
{
	return encode(a, b64url, false, p, len);
}

bool
base64url_decode(struct arena *a, const char *s, struct bytes *out)
{
	return decode(a, b64url, "", s, strlen(s), out);
}

char *
uuid4(struct arena *a)
{
	char *out = arena_alloc(a, UUID_LEN + 1), *o = out;
	unsigned char u[16];
	const char *h;

	random_bytes(u, sizeof(u));
	u[6] = (unsigned char)((u[6] & 0x0f) | 0x40);
	u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
	h = hex_encode(a, u, sizeof(u));
	for (size_t i = 0; i < 2 * sizeof(u); i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			*o++ = '-';
		*o++ = h[i];
	}
	*o = '\0';
	return out;
}

char *
id_new(struct arena *a, const char *prefix)
{
	static unsigned counter;

	/* The process id keeps prefork siblings apart within a nanosecond. */
	return arena_printf(a, "%s-%lld-%llu", prefix, (long long)now_ns(),
	    (unsigned long long)getpid() * 4096 + counter++ % 4096);
}

size_t
utf8_char(const char *s, size_t len)
{
	static const uint32_t least[] = { 0, 1, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c = len > 0 ? *p : 0;
	size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 :
	    c >> 3 == 30 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ?
	    0 : n;
}

bool
utf8_valid(const char *s, size_t len)
{
	size_t n;

	for (; len > 0; s += n, len -= n)
		if ((n = utf8_char(s, len)) == 0)
			return false;
	return true;
}

bool
text_misleads(const char *s)
{
	/* As UTF-8: C1, zero width, embeddings, isolates, byte order mark. */
	static const struct {
		const char *from, *to;
	} ranges[] = {
		{ "\xc2\x80", "\xc2\x9f" },
		{ "\xe2\x80\x8b", "\xe2\x80\x8f" },
		{ "\xe2\x80\xa8", "\xe2\x80\xae" },
		{ "\xe2\x81\xa0", "\xe2\x81\xa9" },
		{ "\xef\xbb\xbf", "\xef\xbb\xbf" },
	};

	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
		for (size_t i = 0; i < NELEM(ranges); i++)
			if (strncmp(s, ranges[i].from,
			    strlen(ranges[i].from)) >= 0 &&
			    strncmp(s, ranges[i].to,
			    strlen(ranges[i].to)) <= 0)
				return true;
	}
	return false;
}

void
texts_add(struct arena *a, struct texts *t, const char *s)
{
	/* Grown at powers of two, so that N additions copy at most 2N. */
	if ((t->n & (t->n - 1)) == 0) {
		const char **v = arena_alloc(a,
		    (t->n != 0 ? t->n * 2 : 1) * sizeof(*v));

		if (t->n != 0)
			memcpy(v, t->v, t->n * sizeof(*v));
		t->v = v;
	}
	t->v[t->n++] = s;
}

bool
texts_has(const struct texts *t, const char *s)
{
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->v[i], s))
			return true;
	return false;
}

static struct texts
split(struct arena *a, const char *s, const char *separators)
{
	struct texts t = { 0 };

	while (s != NULL && *s != '\0') {
		size_t n = strcspn(s, separators), skip = n;

		while (n > 0 && isspace((unsigned char)*s)) {
			s++;
			n--;
			skip--;
		}
		while (n > 0 && isspace((unsigned char)s[n - 1]))
			n--;
		if (n > 0)
			texts_add(a, &t, arena_strndup(a, s, n));
		s += skip;
		if (*s != '\0')
			s++;
	}
	return t;
}

struct texts
split_list(struct arena *a, const char *s)
{
	return split(a, s, ",");
}

struct texts
split_words(struct arena *a, const char *s)
{
	struct texts t = split(a, s, " \t");

	texts_add(a, &t, NULL);
	t.n--;
	return t;
}

char *
lower(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, s);

	for (char *p = out; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

bool
int_parse(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	if (*s != '-' && !isdigit((unsigned char)*s))
		return false;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || *end != '\0' || v < min || v > max)
		return false;
	*out = v;
	return true;
}
