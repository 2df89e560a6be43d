#include "base/field.h"

const struct field *
field_find(const struct field *t, const char *name, size_t len)
{
	for (; t->name != NULL; t++)
		if (strlen(t->name) == len && memcmp(t->name, name, len) == 0)
			return t;
	return NULL;
}

bool
field_unset(const struct field *f, const void *obj)
{
	switch (f->type) {
	case FT_TEXT:
	case FT_JSON:
	case FT_JSONS:
		return blank(*FIELD_CPTR(char *, obj, f));
	case FT_TEXTS:
		return FIELD_CPTR(struct texts, obj, f)->n == 0;
	case FT_INT:
	case FT_TIME:
	case FT_DURATION:
	case FT_MODE:
		return *FIELD_CPTR(int64_t, obj, f) == 0;
	case FT_BOOL:
		return !*FIELD_CPTR(bool, obj, f);
	case FT_REAL:
		return *FIELD_CPTR(double, obj, f) == 0;
	}
	return true;
}
