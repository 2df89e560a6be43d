#include "base/log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "codec/json.h"

static int fds[2];

static void
open_log(void)
{
	cr_assert_eq(pipe(fds), 0);
	log_output(fds[1]);
	log_open("test", LOG_INFO);
}

/* All that was logged. */
static const char *
logged(struct arena *a)
{
	char *out;
	size_t n;

	close(fds[1]);
	cr_assert_eq(read_fd(fds[0], 1 << 20, &out, &n), 0);
	close(fds[0]);
	log_output(STDERR_FILENO);
	arena_defer(a, free, out);
	return out;
}

static const char *
member(struct arena *a, const char *line, const char *name)
{
	struct err e = { 0 };
	struct json *j = json_parse(a, line, strlen(line), &e);

	cr_assert_not_null(j, "%s: %s", e.msg, line);
	return json_text(json_member(a, j, name));
}

Test(log, writes_one_object_a_line)
{
	struct arena *a = arena_new();
	const char *line;

	open_log();
	log_debug("dropped", NULL);
	log_info("done \"x\"\n", "id", "a\\b", "none", NULL, "ctrl", "\x01",
	    NULL);
	line = logged(a);
	cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1);
	cr_expect_str_eq(member(a, line, "level"), "INFO");
	cr_expect_str_eq(member(a, line, "program"), "test");
	cr_expect_str_eq(member(a, line, "msg"), "done \"x\"\n");
	cr_expect_str_eq(member(a, line, "id"), "a\\b");
	cr_expect_str_eq(member(a, line, "ctrl"), "\x01");
	cr_expect_null(member(a, line, "none"));
	arena_free(a);
}

/* Whatever is cut, and at whichever octet, the line is JSON of one write. */
Test(log, stays_json_when_it_is_cut)
{
	static const char *const pieces[] = { "x", "\"", "\\", "\n", "\x01",
	    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91", "\xff",
	    "\xe2\x82" };
	struct arena *a = arena_new();
	char text[9000];
	const char *line, *piece;
	size_t n;

	for (size_t i = 0; i < NELEM(pieces) * 8; i++) {
		piece = pieces[i % NELEM(pieces)];
		n = i / NELEM(pieces);
		memset(text, 'y', n);
		for (; n + 8 < sizeof(text); n += strlen(piece))
			memcpy(text + n, piece, strlen(piece));
		text[n] = '\0';
		open_log();
		log_info("long", "text", text, text, "as a name", "more",
		    text, "last", "dropped", NULL);
		line = logged(a);
		cr_expect_leq(strlen(line), 4096, "%zu", strlen(line));
		cr_expect_str_eq(member(a, line, "msg"), "long");
		arena_reset(a);
	}
	arena_free(a);
}

Test(log, tells_an_error_and_its_detail)
{
	struct arena *a = arena_new();
	struct err e = { 0 };
	const char *line;

	err_set(&e, E_UPSTREAM, "it failed");
	err_detail(&e, "because");
	open_log();
	log_err(LOG_WARN, "trouble", &e, "id", "x");
	line = logged(a);
	cr_expect_str_eq(member(a, line, "error"), "it failed");
	cr_expect_str_eq(member(a, line, "detail"), "because");
	cr_expect_str_eq(member(a, line, "id"), "x");
	arena_free(a);
}

Test(log, knows_its_levels)
{
	static const struct { const char *name; int want; } cases[] = {
		{ "debug", LOG_DEBUG }, { "info", LOG_INFO },
		{ "warn", LOG_WARN }, { "error", LOG_ERROR }, { "", -1 },
		{ "INFO", -1 }, { "trace", -1 },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_eq(log_level_parse(cases[i].name), cases[i].want,
		    "%s", cases[i].name);
	log_open("test", LOG_WARN);
	cr_expect(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN));
	cr_expect_not(log_enabled(LOG_INFO));
}
