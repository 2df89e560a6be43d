#include "codec/json_scan.h"

#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

/* The code unit of the escape "\\uXXXX" at S, or -1. */
static int
code_unit(const char *s, const char *end)
{
	unsigned char hex[2];

	if (end - s < 6 || s[0] != '\\' || s[1] != 'u' ||
	    !hex_decode(s + 2, 4, hex))
		return -1;
	return hex[0] << 8 | hex[1];
}

/* The escape at *S; advances past it, or says what is wrong. */
static const char *
skip_escape(const char **s, const char *end)
{
	int unit = code_unit(*s, end);

	if (unit == 0)
		return "must not hold NUL";
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return "holds half a surrogate pair";
	if (unit >= 0xd800 && unit <= 0xdbff) {
		unit = code_unit(*s + 6, end);
		if (unit < 0xdc00 || unit > 0xdfff)
			return "holds half a surrogate pair";
		*s += 12;
		return NULL;
	}
	*s += unit > 0 ? 6 : 2;
	return NULL;
}

/* From behind the opening quote to behind the closing one. */
static const char *
skip_string(const char **s, const char *end)
{
	const char *why;

	while (*s < end && **s != '"') {
		if ((unsigned char)**s < ' ')
			return "holds a control character";
		if (**s != '\\')
			(*s)++;
		else if ((why = skip_escape(s, end)) != NULL)
			return why;
	}
	(*s)++;
	return NULL;
}

int
json_scan(const char *text, size_t len, int64_t *colons, struct err *e)
{
	static const char outside[] = "truefalsenE+-.0123456789[]{},: \t\r\n";
	const char *s = text, *end = text + len, *why;

	if (!utf8_valid(text, len))
		return err_set(e, E_INVALID,
		    "the JSON text is not valid UTF-8");
	for (*colons = 0; s < end; ) {
		if (*s == '"') {
			s++;
			if ((why = skip_string(&s, end)) != NULL)
				return err_set(e, E_INVALID,
				    "a JSON string %s", why);
			continue;
		}
		if (strchr(outside, *s) == NULL || (*s == '.' &&
		    (end - s < 2 || !isdigit((unsigned char)s[1]))))
			return err_set(e, E_INVALID,
			    "malformed JSON at octet %zu", (size_t)(s - text));
		*colons += *s++ == ':';
	}
	return 0;
}
