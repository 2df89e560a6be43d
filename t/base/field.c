#include "base/field.h"

#include <criterion/criterion.h>

struct all {
	const char *text, *json, *jsons;
	struct texts texts;
	int64_t n, at, duration_s, mode;
	bool flag;
	double real;
};

static const struct field all_fields[] = {
	FIELD(struct all, text, TEXT, 0, 8),
	FIELD(struct all, texts, TEXTS, 0),
	FIELD(struct all, n, INT, 0, 9, 2),
	FIELD(struct all, flag, BOOL, 0),
	FIELD(struct all, at, TIME, 0),
	FIELD(struct all, json, JSON, 0),
	FIELD(struct all, jsons, JSONS, 0),
	FIELD(struct all, duration_s, DURATION, 0),
	FIELD(struct all, mode, MODE, 0),
	FIELD_AS(struct all, real, "ratio", REAL, F_RO),
	FIELD_END
};

Test(field, is_found_by_its_whole_name)
{
	static const struct { const char *name; size_t len; bool found; }
	cases[] = {
		{ "text", 4, true }, { "texts", 5, true },
		{ "texts", 4, true }, { "tex", 3, false },
		{ "text ", 5, false }, { "", 0, false }, { "Text", 4, false },
		{ "real", 4, false }, { "ratio", 5, true },
		{ "text\0s", 6, false },
	};
	const struct field *f;

	for (size_t i = 0; i < NELEM(cases); i++) {
		f = field_find(all_fields, cases[i].name, cases[i].len);
		cr_expect_eq(f != NULL, cases[i].found, "%s", cases[i].name);
	}
	cr_expect_eq(field_find(all_fields, "text", 4)->max, 8);
	f = field_find(all_fields, "n", 1);
	cr_expect(f->max == 9 && f->min == 2);
	cr_expect_eq(field_find(all_fields, "ratio", 5)->flags, F_RO);
}

Test(field, knows_what_is_unset)
{
	const char *one[] = { "x" };
	struct all unset = { 0 }, empty = { "", "", "", { one, 0 }, 0, 0, 0, 0,
	    false, 0 };
	struct all set = { "x", "{}", "[]", { one, 1 }, -1, 1, 1, 1, true,
	    0.5 };

	for (const struct field *f = all_fields; f->name != NULL; f++) {
		cr_expect(field_unset(f, &unset), "%s", f->name);
		cr_expect(field_unset(f, &empty), "%s", f->name);
		cr_expect_not(field_unset(f, &set), "%s", f->name);
	}
}
