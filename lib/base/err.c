#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
	int status;
	const char *reason;
} codes[E__MAX] = {
	[E_OK] = { 200, "OK" },
#define X(name, status, reason) [E_##name] = { status, reason },
	ERR_CODES(X)
#undef X
};

/*
 * A message is one line of UTF-8: what a peer sent may hold line breaks, and
 * what was too long may end in half a character.
 */
static void
one_line(char *s)
{
	size_t n;

	for (size_t left = strlen(s); left > 0; s += n, left -= n) {
		n = utf8_char(s, left);
		if (n == 0)
			*s = '?';
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
		n += n == 0;
	}
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	e->detail[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	one_line(e->msg);
	return -1;
}

int
err_detail(struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
	va_end(ap);
	one_line(e->detail);
	return -1;
}

/* ADD behind TEXT, as much of it as fits into SIZE octets. */
static void
append(char *text, size_t size, const char *add)
{
	size_t n = strlen(text), len = strlen(add);

	if (len > size - 1 - n)
		len = size - 1 - n;
	memcpy(text + n, add, len);
	text[n + len] = '\0';
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;

	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	/* What does not fit is cut at the end. */
	append(e->msg, sizeof(e->msg), ": ");
	append(e->msg, sizeof(e->msg), old);
	one_line(e->msg);
	return -1;
}

int
err_status(enum err_code code)
{
	return codes[code].status;
}

const char *
err_reason(enum err_code code)
{
	return codes[code].reason;
}

const char *
status_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} others[] = {
		{ 201, "Created" }, { 202, "Accepted" },
		{ 204, "No Content" }, { 304, "Not Modified" },
	};

	for (size_t i = 0; i < E__MAX; i++)
		if (codes[i].status == status)
			return codes[i].reason;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].status == status)
			return others[i].reason;
	return "Unknown";
}
