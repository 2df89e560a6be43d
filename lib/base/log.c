#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

static const char *const levels[] = { "DEBUG", "INFO", "WARN", "ERROR" };
static const char *const names[] = { "debug", "info", "warn", "error" };
static const char *program = "certctl";
static enum log_level threshold = LOG_INFO;
static int output = STDERR_FILENO;

void
log_open(const char *name, enum log_level level)
{
	program = name;
	threshold = level;
}

void
log_output(int fd)
{
	output = fd;
}

int
log_level_parse(const char *s)
{
	for (size_t i = 0; i < NELEM(names); i++)
		if (streq(s, names[i]))
			return (int)i;
	return -1;
}

bool
log_enabled(enum log_level level)
{
	return level >= threshold;
}

/* A line is bounded, and written with one call, so lines never mix. */
struct line {
	char p[4096];
	size_t n;
};

static void
put(struct line *l, const char *s)
{
	while (*s != '\0' && l->n < sizeof(l->p) - 8)
		l->p[l->n++] = *s++;
}

static void
put_text(struct line *l, const char *s)
{
	size_t n, left = strlen(s);
	char esc[8];

	put(l, "\"");
	for (; left > 0 && l->n < sizeof(l->p) - 16; s += n, left -= n) {
		n = utf8_char(s, left);
		if (n == 0) {
			put(l, "?");
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			snprintf(esc, sizeof(esc), "\\%c", *s);
			put(l, esc);
		} else if ((unsigned char)*s < ' ') {
			snprintf(esc, sizeof(esc), "\\u%04x",
			    (unsigned char)*s);
			put(l, esc);
		} else {
			memcpy(l->p + l->n, s, n);
			l->n += n;
		}
	}
	put(l, "\"");
}

static void
put_member(struct line *l, const char *name, const char *text)
{
	if (l->n > sizeof(l->p) - 64)
		return;
	put(l, l->n > 1 ? "," : "");
	put_text(l, name);
	put(l, ":");
	put_text(l, text);
}

void
log_line(enum log_level level, const char *msg, ...)
{
	struct line l = { .p = "{", .n = 1 };
	char at[RFC3339_LEN + 1];
	const char *name, *text;
	va_list ap;

	if (!log_enabled(level))
		return;
	put_member(&l, "time", rfc3339(now_s(), at));
	put_member(&l, "level", levels[level]);
	put_member(&l, "program", program);
	put_member(&l, "msg", msg);
	va_start(ap, msg);
	while ((name = va_arg(ap, const char *)) != NULL)
		if ((text = va_arg(ap, const char *)) != NULL)
			put_member(&l, name, text);
	va_end(ap);
	l.p[l.n++] = '}';
	l.p[l.n++] = '\n';
	/* A log that cannot be written must not stop the work. */
	if (write(output, l.p, l.n) < 0)
		return;
}

void
log_err(enum log_level level, const char *msg, const struct err *e,
    const char *name, const char *text)
{
	log_line(level, msg, "error", e->msg,
	    "detail", e->detail[0] != '\0' ? e->detail : NULL,
	    name, text, NULL);
}
