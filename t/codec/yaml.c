#include "codec/yaml.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/util.h"
#include "t/x509/fixture.h"

static int
read_yaml(struct arena *a, const char *text, struct yaml_pair **pairs,
    size_t *n, struct err *e)
{
	const char *path = arena_printf(a, "%s/x.yaml", t_dir(a));

	t_write(path, text, 0600);
	return yaml_read_file(a, path, pairs, n, e);
}

Test(yaml, reads_flat_mappings)
{
	static const struct {
		const char *text;
		size_t n;
		const char *name, *value;	/* of the last pair */
	} cases[] = {
		{ "", 0, NULL, NULL },
		{ "# nothing\n", 0, NULL, NULL },
		{ "A: b\n", 1, "A", "b" },
		{ "A: b\nC: 'd: e'\n", 2, "C", "d: e" },
		{ "A:\n", 1, "A", "" },
		{ "A: \"\"\n", 1, "A", "" },
		{ "A: [x, y, z]\n", 1, "A", "x,y,z" },
		{ "A:\n  - x\n  - 'y z'\n", 1, "A", "x,y z" },
		{ "A: []\n", 1, "A", "" },
		{ "A: [x]\nB: 5\n", 2, "B", "5" },
		{ "A: |\n  line\n", 1, "A", "line\n" },
		{ "{A: b}\n", 1, "A", "b" },
		{ "---\nA: b\n...\n", 1, "A", "b" },
		{ "A: \"gr\xc3\xbc\xc3\x9f\"\n", 1, "A",
		  "gr\xc3\xbc\xc3\x9f" },
	};
	struct arena *a = arena_new();
	struct yaml_pair *pairs;
	struct err e = { 0 };
	size_t n;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_assert_eq(read_yaml(a, cases[i].text, &pairs, &n, &e), 0,
		    "%s%s", cases[i].text, e.msg);
		cr_assert_eq(n, cases[i].n, "%s", cases[i].text);
		if (n == 0)
			continue;
		cr_expect_str_eq(pairs[n - 1].name, cases[i].name);
		cr_expect_str_eq(pairs[n - 1].value, cases[i].value);
	}
	arena_free(a);
}

Test(yaml, refuses_what_is_not_flat_or_not_yaml)
{
	static const char *const cases[] = {
		"text", "- a\n", "A: {B: c}\n", "A:\n  B: c\n",
		"A: [[x]]\n", "A: [{x: y}]\n", "? [a]\n: b\n", "A: b: c\n",
		"A: [x\n", "A: 'x\n", "\tA: b\n", "A: &x b\nC: *x\n",
		"A: &x b\n", "A: &x [b]\nC: *x\n", "A: \"a\\0b\"\n",
		"\"A\\0B\": c\n", "A: \xff\n", "A: b\x01\n", "<<: *x\n",
		"%YAML 3.0\n---\nA: b\n",
	};
	struct arena *a = arena_new();
	struct yaml_pair *pairs;
	struct err e;
	size_t n;

	for (size_t i = 0; i < NELEM(cases); i++) {
		e = (struct err){ 0 };
		cr_expect_eq(read_yaml(a, cases[i], &pairs, &n, &e), -1, "%s",
		    cases[i]);
		cr_expect_eq(e.code, E_INVALID, "%s", cases[i]);
		cr_expect_not_null(strstr(e.msg, "x.yaml line "), "%s",
		    e.msg);
	}
	arena_free(a);
}

Test(yaml, bounds_the_number_of_settings)
{
	struct arena *a = arena_new();
	char text[600 * 8 + 1], *p = text;
	struct yaml_pair *pairs;
	struct err e = { 0 };
	size_t n;

	for (int i = 0; i < 600; i++)
		p += snprintf(p, 9, "A%03d: b\n", i);
	cr_expect_eq(read_yaml(a, text, &pairs, &n, &e), -1);
	cr_expect_not_null(strstr(e.msg, "too many settings"));
	arena_free(a);
}

Test(yaml, names_a_file_it_cannot_read)
{
	struct arena *a = arena_new();
	struct yaml_pair *pairs;
	struct err e = { 0 };
	size_t n;

	cr_expect_eq(yaml_read_file(a, "/nonexistent", &pairs, &n, &e), -1);
	cr_expect_str_eq(e.msg, "/nonexistent: No such file or directory");
	cr_expect_eq(yaml_read_file(a, "/", &pairs, &n, &e), -1);
	cr_expect_eq(e.code, E_INVALID);
	arena_free(a);
}
