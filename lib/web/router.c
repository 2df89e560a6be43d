#include "web/router.h"

#include "base/text.h"

static const char *
skip_slashes(const char *p)
{
	while (*p == '/')
		p++;
	return p;
}

static bool
segment_ends(const char *p)
{
	return *p == '/' || *p == '\0';
}

/*
 * How many parameters PATH has by PATTERN, -1 if it does not fit: segment by
 * segment, because a path may have several slashes between two.
 */
static int
path_fits(const char *pattern, const char *path, struct match *m)
{
	int n = 0;

	for (;;) {
		pattern = skip_slashes(pattern);
		path = skip_slashes(path);
		if (*pattern == '\0' || *path == '\0')
			return *pattern == *path ? n : -1;
		if (strcmp(pattern, "{*}") == 0) {
			m->tail = path;
			return n;
		}
		if (*pattern == '{') {
			m->param[n] = path;
			m->param_len[n] = strcspn(path, "/");
			path += m->param_len[n++];
			pattern += strcspn(pattern, "/");
			continue;
		}
		while (!segment_ends(pattern) && *pattern == *path) {
			pattern++;
			path++;
		}
		if (!segment_ends(pattern) || !segment_ends(path))
			return -1;
	}
}

struct match
route_match(const struct route *const *tables, enum web_method method,
    const char *path)
{
	struct match m = { 0 }, try;
	int n;

	for (; *tables != NULL; tables++)
		for (const struct route *r = *tables; r->path != NULL; r++) {
			try.tail = NULL;
			n = path_fits(r->path, path, &try);
			if (n < 0)
				continue;
			m.path_known = true;
			m.methods |= 1u << r->method;
			m.open |= r->method == WEB_GET && r->permission == NULL;
			/* The first fit wins: literal paths stand first. */
			if (r->method != method || m.route != NULL)
				continue;
			m.route = r;
			m.tail = try.tail;
			for (int i = 0; i < n; i++) {
				m.param[i] = try.param[i];
				m.param_len[i] = try.param_len[i];
			}
		}
	return m;
}

char *
url_decode(struct arena *a, const char *s, size_t len, bool plus)
{
	char *out = arena_alloc(a, len + 1), *o = out;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%') {
			if (len - i < 3 || !hex_decode(s + i + 1, 2,
			    (unsigned char *)o))
				return NULL;
			o++;
			i += 2;
		} else {
			*o++ = plus && s[i] == '+' ? ' ' : s[i];
		}
	}
	*o = '\0';
	return utf8_valid(out, (size_t)(o - out)) ? out : NULL;
}
