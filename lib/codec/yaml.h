/* Flat YAML mappings: names to scalars or lists of scalars, no aliases. */
#ifndef CERTCTL_CODEC_YAML_H
#define CERTCTL_CODEC_YAML_H

#include <stddef.h>

struct arena;
struct err;

struct yaml_pair {
	const char *name, *value;	/* a list's items joined by commas */
};

/* The pairs of the file at PATH, in order; E_INVALID with the line. */
int yaml_read_file(struct arena *a, const char *path, struct yaml_pair **out,
    size_t *n, struct err *e);

#endif
