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

/* Segment by segment; a path may have several slashes between two. */
static bool
path_fits(const char *pattern, const char *path, struct match *m)
{
	size_t n = 0;

	for (;;) {
		pattern = skip_slashes(pattern);
		path = skip_slashes(path);
		if (*pattern == '\0' || *path == '\0')
			return *pattern == *path;
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
			return false;
	}
}

struct match
route_match(const struct route *const *tables, enum web_method method,
    const char *path)
{
	struct match m = { 0 }, try;

	for (; *tables != NULL; tables++)
		for (const struct route *r = *tables; r->path != NULL; r++) {
			try = (struct match){ 0 };
			if (!path_fits(r->path, path, &try))
				continue;
			m.path_known = true;
			m.methods |= 1u << r->method;
			m.open |= r->method == WEB_GET && r->permission == NULL;
			/* The first fit wins: literal paths stand first. */
			if (r->method != method || m.route != NULL)
				continue;
			m.route = r;
			memcpy(m.param, try.param, sizeof(m.param));
			memcpy(m.param_len, try.param_len,
			    sizeof(m.param_len));
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
