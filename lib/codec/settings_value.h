/* Inside the codec room: one setting at a time, and those of EST profiles. */
#ifndef CERTCTL_CODEC_SETTINGS_VALUE_H
#define CERTCTL_CODEC_SETTINGS_VALUE_H

#include <stdbool.h>
#include <stdio.h>

#include "codec/settings.h"

/* Read V into the member of OBJ that F tells; E_INVALID names the setting. */
int setting_set(struct arena *a, const struct field *f, const char *v,
    void *obj, struct err *e);

/* A line "=VALUE", masked if it is a secret. */
void setting_print(FILE *out, const struct field *f, const void *obj);

/* Its row of the reference, where OBJ holds the defaults. */
void setting_describe(FILE *out, const char *prefix, const struct field *f,
    const void *obj);

/*
 * Keep NAME for later if it may be a setting of an EST profile: which profiles
 * there are is known once everything is loaded.
 */
bool est_setting_keep(struct arena *a, const char *name, const char *value,
    struct settings *s);

/* Make s->est of what was kept; E_INVALID for a name that is no setting. */
int est_settings_read(struct arena *a, struct settings *s, struct err *e);

void est_settings_print(FILE *out, const struct settings *s);
void est_settings_reference(FILE *out);

#endif
