#include "x509/name.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/err.h"

Test(name, refuses_labels_that_deceive)
{
	static const struct {
		const char *s;
		size_t len;
		bool ok;
	} cases[] = {
#define ROW(s, ok) { (s), sizeof(s) - 1, (ok) }
		ROW("www.example.com", true),
		ROW("Example Ltd.", true),
		ROW("пример.com", true),		/* whole labels */
		ROW("пример.рф", true),
		ROW("Acme \xe2\x80\x93 Web", true),	/* en dash */
		ROW("ex\xd0\xb0mple.com", false),	/* Cyrillic a */
		ROW("M\xc3\xbcller", false),
		ROW("пример1.рф", false),
		ROW("a\0b.example.com", false),
		ROW("a\nb", false),
		ROW("a\x7f", false),
		ROW("a\xc2\x85", false),		/* C1 */
		ROW("\xe2\x80\xaemoc.elpmaxe", false),	/* U+202E */
		ROW("\xe2\x81\xa6x", false),		/* U+2066 */
		ROW("exam\xe2\x80\x8bple", false),	/* U+200B */
		ROW("exam\xe2\x80\x8dple", false),	/* U+200D */
		ROW("exam\xe2\x81\xa0ple", false),	/* U+2060 */
		ROW("\xef\xbb\xbf" "example", false),	/* U+FEFF */
		ROW("\xff", false),			/* not UTF-8 */
		ROW("\xc0\x80", false),			/* overlong NUL */
		ROW("\xed\xa0\x80", false),		/* surrogate */
#undef ROW
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct err e = { 0 };
		int rc = name_check_labels("it", cases[i].s, cases[i].len, &e);

		cr_expect_eq(rc == 0, cases[i].ok, "%s: %s", cases[i].s,
		    e.msg);
		cr_expect_eq(e.code, cases[i].ok ? E_OK : E_INVALID);
	}
}

Test(name, holds_no_common_name_longer_than_64)
{
	struct arena *a = arena_new();
	char cn[66];

	memset(cn, 'x', sizeof(cn));
	cn[65] = '\0';
	cr_expect_eq(name_of(a, cn).len, 2);
	cn[64] = '\0';
	cr_expect_eq(name_of(a, cn).len, 2 + 2 + 2 + 5 + 2 + 64);
	cr_expect_eq(name_of(a, "").len, 2);
	cr_expect_eq(name_of(a, NULL).len, 2);
	arena_free(a);
}
