#include "base/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"

Test(text, encodes_and_decodes_hex)
{
	static const struct { const char *s; size_t len; bool fine; }
	cases[] = {
		{ "", 0, true }, { "00ff7F", 6, true }, { "00f", 3, false },
		{ "0g", 2, false }, { "0 ", 2, false }, { "-1", 2, false },
		{ "0x", 2, false },
	};
	struct arena *a = arena_new();
	unsigned char out[4] = { 0 };

	cr_expect_str_eq(hex_encode(a, "\x00\xff\x7f", 3), "00ff7f");
	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(hex_decode(cases[i].s, cases[i].len, out),
		    cases[i].fine, "%s", cases[i].s);
	cr_expect(hex_decode("00ff7F", 6, out));
	cr_expect_eq(memcmp(out, "\x00\xff\x7f", 3), 0);
	arena_free(a);
}

/* The vectors of RFC 4648 section 10, in the alphabet of its section 5. */
Test(text, encodes_and_decodes_base64url)
{
	static const struct { const char *plain, *text, *padded; } cases[] = {
		{ "", "", "" }, { "f", "Zg", "Zg==" }, { "fo", "Zm8", "Zm8=" },
		{ "foo", "Zm9v", "Zm9v" }, { "foob", "Zm9vYg", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "-__-", "-__-" },
	};
	struct arena *a = arena_new();
	struct bytes b;

	for (size_t i = 0; i < NELEM(cases); i++) {
		cr_expect_str_eq(base64url_encode(a, cases[i].plain,
		    strlen(cases[i].plain)), cases[i].text);
		cr_expect(base64url_decode(a, cases[i].text, &b));
		cr_expect(b.len == strlen(cases[i].plain) &&
		    memcmp(b.p, cases[i].plain, b.len) == 0, "%zu", i);
		cr_expect(base64url_decode(a, cases[i].padded, &b));
		cr_expect_eq(b.len, strlen(cases[i].plain));
	}
	arena_free(a);
}

Test(text, refuses_malformed_base64url)
{
	static const char *const cases[] = { "A", "AAAAA", "A===", "AA=",
	    "AAA==", "AAAA=", "AAAA====", "=", "==", "AA==A", "AA=A", "+/AA",
	    "A A", "AA\n", "\xc3\xa9" };
	struct arena *a = arena_new();
	struct bytes b;

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_not(base64url_decode(a, cases[i], &b), "%s",
		    cases[i]);
	arena_free(a);
}

Test(text, knows_utf8)
{
	static const struct { const char *s; size_t len; bool valid; }
	cases[] = {
		{ "", 0, true }, { "abc", 3, true }, { "\x7f", 1, true },
		{ "\xc2\x80", 2, true }, { "\xdf\xbf", 2, true },
		{ "\xe0\xa0\x80", 3, true }, { "\xef\xbf\xbf", 3, true },
		{ "\xed\x9f\xbf\xee\x80\x80", 6, true },
		{ "\xf0\x90\x80\x80", 4, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "a\0b", 3, false },
		{ "\x80", 1, false }, { "\xbf", 1, false },
		{ "\xc0\x80", 2, false }, { "\xc1\xbf", 2, false },
		{ "\xc2", 1, false }, { "\xc2\x41", 2, false },
		{ "\xe0\x9f\xbf", 3, false }, { "\xe2\x82", 2, false },
		{ "\xe2\x82\x41", 3, false },
		{ "\xed\xa0\x80", 3, false }, { "\xed\xbf\xbf", 3, false },
		{ "\xf0\x8f\xbf\xbf", 4, false }, { "\xf0\x90\x80", 3, false },
		{ "\xf4\x90\x80\x80", 4, false },
		{ "\xf8\x88\x80\x80\x80", 5, false }, { "\xfe", 1, false },
		{ "\xff", 1, false },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(utf8_valid(cases[i].s, cases[i].len),
		    cases[i].valid, "%zu", i);
}

Test(text, knows_what_would_mislead_a_reader)
{
	static const struct { const char *s; bool misleads; } cases[] = {
		{ "", false }, { "Zo\xc3\xab's team, 2nd", false },
		{ "\xe6\x97\xa5\xe6\x9c\xac", false }, { "a\nb", true },
		{ "a\tb", true }, { "\x7f", true }, { "\xc2\x85", true },
		{ "\xc2\xa0", false }, { "x\xe2\x80\x8by", true },
		{ "x\xe2\x80\xaey", true }, { "x\xe2\x80\x93y", false },
		{ "\xef\xbb\xbfx", true }, { "\xe2\x81\xa6", true },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(text_misleads(cases[i].s), cases[i].misleads,
		    "%zu", i);
}

Test(text, reads_integers)
{
	static const struct { const char *s; bool fine; int64_t want; }
	cases[] = {
		{ "0", true, 0 }, { "-5", true, -5 }, { "007", true, 7 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 }, { "", false, 0 },
		{ "+5", false, 0 }, { " 5", false, 0 }, { "5 ", false, 0 },
		{ "\n5", false, 0 }, { "-", false, 0 }, { "--5", false, 0 },
		{ "- 5", false, 0 }, { "-+5", false, 0 }, { "5.0", false, 0 },
		{ "5e1", false, 0 }, { "0x5", false, 0 }, { "five", false, 0 },
	};
	int64_t n;

	for (size_t i = 0; i < NELEM(cases); i++) {
		n = 42;
		cr_expect_eq(int_parse(cases[i].s, INT64_MIN, INT64_MAX, &n),
		    cases[i].fine, "%s", cases[i].s);
		cr_expect_eq(n, cases[i].fine ? cases[i].want : 42, "%s",
		    cases[i].s);
	}
	cr_expect_not(int_parse("0", 1, 9, &n));
	cr_expect_not(int_parse("10", 1, 9, &n));
	cr_expect(int_parse("9", 1, 9, &n));
}

Test(text, splits_lists_and_words)
{
	static const struct { const char *s; size_t list, words; } cases[] = {
		{ NULL, 0, 0 }, { "", 0, 0 }, { " , ,, ", 0, 2 },
		{ "a", 1, 1 }, { "a,b", 2, 1 }, { " a , b ", 2, 3 },
		{ "a b", 1, 2 }, { "nginx  -t\t-q", 1, 3 }, { "a,", 1, 1 },
	};
	struct arena *a = arena_new();
	struct texts t;

	for (size_t i = 0; i < NELEM(cases); i++) {
		t = split_list(a, cases[i].s);
		cr_expect_eq(t.n, cases[i].list, "%zu: %zu", i, t.n);
		t = split_words(a, cases[i].s);
		cr_expect_eq(t.n, cases[i].words, "%zu: %zu", i, t.n);
		cr_expect_null(t.v[t.n]);
	}
	t = split_list(a, " one two ,\tthree\n");
	cr_expect_str_eq(t.v[0], "one two");
	cr_expect_str_eq(t.v[1], "three");
	cr_expect(texts_has(&t, "three"));
	cr_expect_not(texts_has(&t, "thre"));
	arena_free(a);
}

Test(text, adds_to_a_list_of_any_length)
{
	struct arena *a = arena_new();
	struct texts t = { 0 };

	for (int i = 0; i < 1000; i++)
		texts_add(a, &t, arena_printf(a, "%d", i));
	cr_expect_eq(t.n, 1000);
	for (size_t i = 0; i < t.n; i++)
		cr_assert_str_eq(t.v[i], arena_printf(a, "%zu", i));
	arena_free(a);
}

Test(text, lowers_letters)
{
	struct arena *a = arena_new();

	cr_expect_str_eq(lower(a, "AbC-12\xc3\x89"), "abc-12\xc3\x89");
	arena_free(a);
}

Test(text, makes_uuids_of_version_4)
{
	struct arena *a = arena_new();
	const char *u = uuid4(a);

	cr_expect_eq(strlen(u), 36);
	cr_expect(u[8] == '-' && u[13] == '-' && u[18] == '-' && u[23] == '-');
	cr_expect_eq(u[14], '4');
	cr_expect_not_null(strchr("89ab", u[19]), "%s", u);
	cr_expect_str_neq(u, uuid4(a));
	arena_free(a);
}

enum { IDS = 5000, PROCESSES = 3 };

static void
write_ids(int fd)
{
	struct arena *a = arena_new();
	char line[64];

	for (int i = 0; i < IDS; i++) {
		memset(line, 0, sizeof(line));
		strncpy(line, id_new(a, "job"), sizeof(line) - 1);
		if (write(fd, line, sizeof(line)) != sizeof(line))
			_exit(1);
	}
	_exit(0);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

Test(text, makes_ids_that_siblings_do_not_repeat)
{
	static char all[IDS * PROCESSES][64];
	char *p = all[0];
	size_t left = sizeof(all);
	ssize_t n;
	int fd[2];

	cr_assert_eq(pipe(fd), 0);
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			write_ids(fd[1]);
	for (; left > 0; p += n, left -= (size_t)n) {
		n = read(fd[0], p, left);
		cr_assert_gt(n, 0);
	}
	while (wait(NULL) > 0)
		;
	qsort(all, IDS * PROCESSES, sizeof(all[0]), by_text);
	for (size_t i = 0; i < IDS * PROCESSES; i++) {
		cr_assert(safe_id(all[i]) && strncmp(all[i], "job-", 4) == 0);
		cr_assert(i == 0 || !streq(all[i], all[i - 1]), "%s", all[i]);
	}
}
