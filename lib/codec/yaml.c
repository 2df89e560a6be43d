#include "codec/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/util.h"

enum { MAX_PAIRS = 512 };

struct reading {
	struct arena *a;
	struct yaml_pair *pairs;
	size_t n;
	const char *name;	/* waits for its value */
	int depth, in_list;
};

static int
fail(const char *path, const yaml_mark_t *at, const char *why, struct err *e)
{
	return err_set(e, E_INVALID, "%s line %zu: %s", path, at->line + 1,
	    why);
}

static bool
known(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (streq(r->pairs[i].name, name))
			return true;
	return false;
}

static const char *
take_scalar(struct reading *r, const char *text)
{
	struct yaml_pair *p;

	if (r->in_list) {
		p = &r->pairs[r->n - 1];
		p->value = blank(p->value) ? text :
		    arena_printf(r->a, "%s,%s", p->value, text);
		return NULL;
	}
	if (r->name == NULL) {
		r->name = text;
		return known(r, text) ? "a name stands here twice" : NULL;
	}
	if (r->n == MAX_PAIRS)
		return "too many settings";
	r->pairs[r->n].name = r->name;
	r->pairs[r->n++].value = text;
	r->name = NULL;
	return NULL;
}

static const char *
take_list(struct reading *r)
{
	if (r->name == NULL || r->in_list || r->n == MAX_PAIRS)
		return "a list is not expected here";
	r->pairs[r->n].name = r->name;
	r->pairs[r->n++].value = "";
	r->name = NULL;
	r->in_list = 1;
	return NULL;
}

static const char *
take_event(struct reading *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return "aliases are not allowed";
	case YAML_SCALAR_EVENT:
		if (ev->data.scalar.anchor != NULL)
			return "anchors are not allowed";
		if (r->depth != 1)
			return "a mapping of names to values is expected";
		if (strlen((const char *)ev->data.scalar.value) !=
		    ev->data.scalar.length)
			return "NUL is not allowed";
		return take_scalar(r, arena_strdup(r->a,
		    (const char *)ev->data.scalar.value));
	case YAML_SEQUENCE_START_EVENT:
		return take_list(r);
	case YAML_SEQUENCE_END_EVENT:
		r->in_list = 0;
		return NULL;
	case YAML_MAPPING_START_EVENT:
		return ++r->depth > 1 ? "values must not be nested" : NULL;
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return NULL;
	default:
		return NULL;
	}
}

static int
read_events(yaml_parser_t *parser, struct reading *r, const char *path,
    struct err *e)
{
	yaml_event_t ev;
	const char *why;
	int last;

	do {
		if (yaml_parser_parse(parser, &ev) == 0)
			return fail(path, &parser->problem_mark,
			    or_empty(parser->problem), e);
		why = take_event(r, &ev);
		last = ev.type == YAML_STREAM_END_EVENT;
		if (why != NULL)
			fail(path, &ev.start_mark, why, e);
		yaml_event_delete(&ev);
		if (why != NULL)
			return -1;
	} while (!last);
	return 0;
}

int
yaml_read_file(struct arena *a, const char *path, struct yaml_pair **out,
    size_t *n, struct err *e)
{
	struct reading r = { .a = a };
	yaml_parser_t parser;
	FILE *f = fopen(path, "re");
	int rc;

	if (f == NULL)
		return err_set(e, E_INVALID, "%s: %s", path, strerror(errno));
	if (yaml_parser_initialize(&parser) == 0) {
		fclose(f);
		return err_set(e, E_INTERNAL, "cannot read YAML");
	}
	r.pairs = arena_zalloc(a, MAX_PAIRS * sizeof(*r.pairs));
	yaml_parser_set_input_file(&parser, f);
	rc = read_events(&parser, &r, path, e);
	yaml_parser_delete(&parser);
	fclose(f);
	*out = r.pairs;
	*n = r.n;
	return rc;
}
