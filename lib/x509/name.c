#include "x509/name.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/der.h"

struct range {
	uint32_t first, last;
	const char *what;
};

/* Characters that hide, or change how their neighbours look. */
static const struct range forbidden[] = {
	{ 0x0000, 0x001f, "a control character" },
	{ 0x007f, 0x009f, "a control character" },
	{ 0x00ad, 0x00ad, "an invisible character" },
	{ 0x061c, 0x061c, "a bidirectional control" },
	{ 0x200b, 0x200d, "a zero-width character" },
	{ 0x200e, 0x200f, "a bidirectional control" },
	{ 0x2028, 0x2029, "a line separator" },
	{ 0x202a, 0x202e, "a bidirectional control" },
	{ 0x2060, 0x2064, "a zero-width character" },
	{ 0x2066, 0x2069, "a bidirectional control" },
	{ 0xfeff, 0xfeff, "a zero-width character" },
	{ 0xfff9, 0xfffb, "an invisible character" },
	{ 0xe0000, 0xe007f, "an invisible character" },
};

/* Punctuation and symbols beyond ASCII: not letters, digits or marks. */
static const struct range symbols[] = {
	{ 0x00a0, 0x00a9, NULL }, { 0x00ab, 0x00b4, NULL },
	{ 0x00b6, 0x00b9, NULL }, { 0x00bb, 0x00bf, NULL },
	{ 0x00d7, 0x00d7, NULL }, { 0x00f7, 0x00f7, NULL },
	{ 0x2010, 0x205f, NULL }, { 0x20a0, 0x20cf, NULL },
	{ 0x2190, 0x2bff, NULL }, { 0x3000, 0x3004, NULL },
	{ 0x3008, 0x3020, NULL }, { 0x1f000, 0x1faff, NULL },
};

static const struct range *
find(const struct range *t, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= t[i].first && c <= t[i].last)
			return &t[i];
	return NULL;
}

/* Take one character off valid UTF-8. */
static uint32_t
take(const unsigned char **p)
{
	uint32_t c = *(*p)++;
	int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (more > 0)
		c &= 0x3fu >> more;
	while (more-- > 0)
		c = c << 6 | (*(*p)++ & 0x3f);
	return c;
}

int
name_check_text(const char *what, const char *s, size_t len, struct err *e)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;
	const struct range *bad;
	uint32_t c;

	if (memchr(s, 0, len) != NULL)
		return err_set(e, E_INVALID, "%s holds NUL", what);
	if (!utf8_valid(s, len))
		return err_set(e, E_INVALID, "%s is not valid UTF-8", what);
	while (p < end) {
		c = take(&p);
		bad = find(forbidden, NELEM(forbidden), c);
		if (bad != NULL)
			return err_set(e, E_INVALID, "%s holds %s (U+%04X)",
			    what, bad->what, (unsigned)c);
	}
	return 0;
}

int
name_check_labels(const char *what, const char *s, size_t len, struct err *e)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;
	bool ascii = false, other = false;
	uint32_t c;

	if (name_check_text(what, s, len, e) < 0)
		return -1;
	while (p < end) {
		c = take(&p);
		if (c == '.')
			ascii = other = false;
		else if (c < 0x80)
			ascii = ascii || isalnum((int)c);
		else if (find(symbols, NELEM(symbols), c) == NULL)
			other = true;
		if (ascii && other)
			return err_set(e, E_INVALID,
			    "%s mixes scripts within one label", what);
	}
	return 0;
}

static size_t
characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

struct bytes
name_of(struct arena *a, const char *common_name)
{
	static const unsigned char oid[] = { 0x55, 0x04, 0x03 };
	struct buf b = BUF(a);
	size_t name = der_open(&b, DER_SEQUENCE), set, attr;

	if (!blank(common_name) && characters(common_name) <= COMMON_NAME_MAX) {
		set = der_open(&b, DER_SET);
		attr = der_open(&b, DER_SEQUENCE);
		der_put(&b, DER_OID, oid, sizeof(oid));
		der_put(&b, DER_UTF8_STRING, common_name,
		    strlen(common_name));
		der_close(&b, attr);
		der_close(&b, set);
	}
	der_close(&b, name);
	return (struct bytes){ (unsigned char *)b.p, b.len };
}
