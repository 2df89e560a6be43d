#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "codec/json.h"

void
json_write_text(struct buf *b, const char *s)
{
	static const char esc[32] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
		['\t'] = 't',
	};
	const char *run = s;

	buf_putc(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		buf_add(b, run, (size_t)(s - run));
		run = s + 1;
		if (c >= ' ')
			buf_printf(b, "\\%c", c);
		else if (esc[c] != 0)
			buf_printf(b, "\\%c", esc[c]);
		else
			buf_printf(b, "\\u%04x", c);
	}
	buf_add(b, run, (size_t)(s - run));
	buf_putc(b, '"');
}

void
json_write_texts(struct buf *b, const struct texts *t)
{
	buf_putc(b, '[');
	for (size_t i = 0; i < t->n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_write_text(b, t->v[i]);
	}
	buf_putc(b, ']');
}

static void
write_duration(struct buf *b, int64_t s)
{
	if (s != 0 && s % 3600 == 0)
		buf_printf(b, "\"%" PRId64 "h\"", s / 3600);
	else if (s != 0 && s % 60 == 0)
		buf_printf(b, "\"%" PRId64 "m\"", s / 60);
	else
		buf_printf(b, "\"%" PRId64 "s\"", s);
}

static void
write_value(struct buf *b, const struct field *f, const void *obj)
{
	const char *s;
	char at[RFC3339_LEN + 1];

	switch (f->type) {
	case FT_TEXT:
		json_write_text(b, or_empty(*FIELD_CPTR(char *, obj, f)));
		break;
	case FT_TEXTS:
		json_write_texts(b, FIELD_CPTR(struct texts, obj, f));
		break;
	case FT_INT:
	case FT_MODE:
		buf_int(b, *FIELD_CPTR(int64_t, obj, f));
		break;
	case FT_BOOL:
		buf_puts(b, *FIELD_CPTR(bool, obj, f) ? "true" : "false");
		break;
	case FT_TIME:
		buf_putc(b, '"');
		buf_add(b, rfc3339(*FIELD_CPTR(int64_t, obj, f), at),
		    RFC3339_LEN);
		buf_putc(b, '"');
		break;
	case FT_JSON:
	case FT_JSONS:
		s = *FIELD_CPTR(char *, obj, f);
		buf_puts(b, !blank(s) ? s : f->type == FT_JSON ? "{}" : "[]");
		break;
	case FT_DURATION:
		write_duration(b, *FIELD_CPTR(int64_t, obj, f));
		break;
	case FT_REAL:
		buf_printf(b, "%.15g", *FIELD_CPTR(double, obj, f));
		break;
	}
}

/* An empty object or array says as little as an absent one. */
static bool
empty(const struct field *f, const void *obj)
{
	const char *s;

	if (field_unset(f, obj))
		return true;
	if (f->type != FT_JSON && f->type != FT_JSONS)
		return false;
	s = *FIELD_CPTR(char *, obj, f);
	return streq(s, "{}") || streq(s, "[]");
}

void
json_write(struct buf *b, const struct field *t, const void *obj,
    const struct texts *only)
{
	bool first = true;

	buf_putc(b, '{');
	for (const struct field *f = t; f->name != NULL; f++) {
		if ((f->flags & F_HIDE) ||
		    (only != NULL && only->n > 0 && !texts_has(only, f->name)))
			continue;
		if ((f->flags & F_OMIT) && empty(f, obj))
			continue;
		if (!first)
			buf_putc(b, ',');
		first = false;
		buf_putc(b, '"');
		buf_puts(b, f->name);
		buf_add(b, "\":", 2);
		if ((f->flags & F_SECRET) && !field_unset(f, obj))
			buf_puts(b, "\"********\"");
		else
			write_value(b, f, obj);
	}
	buf_putc(b, '}');
}
