#include "agent/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/json.h"

enum { MAX_FILE = 1024 * 1024 };

static const char suffix[] = ".json";

static const char *
entry_path(struct arena *a, const struct journal *j, const char *job_id)
{
	return arena_printf(a, "%s/%s%s", j->dir, job_id, suffix);
}

static void
append(struct journal *j, struct entry *en)
{
	struct entry **p = &j->first;

	while (*p != NULL)
		p = &(*p)->next;
	*p = en;
}

static struct entry *
entry_new(void)
{
	struct arena *a = arena_new();
	struct entry *en = arena_zalloc(a, sizeof(*en));

	en->a = a;
	return en;
}

/* Read TEXT as a job whose members live in the entry's arena. */
static int
decode(struct entry *en, const char *text, size_t len, struct err *e)
{
	struct json *j = json_parse(en->a, text, len, e);

	if (j == NULL ||
	    json_read(en->a, j, job_fields, JSON_RO, &en->job, e) < 0)
		return -1;
	return safe_id(en->job.id) ? 0 :
	    err_set(e, E_INVALID, "the job id is not valid");
}

static int
load(struct journal *j, const char *name, struct err *e)
{
	struct entry *en = entry_new();
	struct bytes text;

	if (file_read_own(en->a, arena_printf(en->a, "%s/%s", j->dir, name),
	    MAX_FILE, &text, e) < 0 ||
	    decode(en, (const char *)text.p, text.len, e) < 0) {
		arena_free(en->a);
		return err_prefix(e, "journal entry %s", name);
	}
	append(j, en);
	return 0;
}

static bool
is_entry(const char *name)
{
	size_t n = strlen(name), s = sizeof(suffix) - 1;

	return *name != '.' && n > s && streq(name + n - s, suffix);
}

static int
by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

int
journal_open(struct journal *j, const char *dir, struct err *e)
{
	struct arena *a = arena_new();
	struct texts names = { 0 };
	struct dirent *de;
	struct err bad;
	int rc = dir_make(dir, 0700, e);
	DIR *d = rc == 0 ? opendir(dir) : NULL;

	*j = (struct journal){ .dir = dir };
	if (rc == 0 && d == NULL)
		rc = err_set(e, E_INTERNAL, "cannot read directory %s: %s",
		    dir, strerror(errno));
	while (d != NULL && (de = readdir(d)) != NULL)
		if (is_entry(de->d_name))
			texts_add(a, &names, arena_strdup(a, de->d_name));
	if (d != NULL)
		closedir(d);
	/* Identifiers carry their time of birth: oldest first. */
	if (names.n > 0)
		qsort(names.v, names.n, sizeof(names.v[0]), by_text);
	for (size_t i = 0; i < names.n; i++)
		if (load(j, names.v[i], &bad) < 0)
			log_err(LOG_ERROR, "journal", &bad, NULL, NULL);
	arena_free(a);
	return rc < 0 ? -1 : dir_clear_tmp(dir, e);
}

void
journal_close(struct journal *j)
{
	struct entry *en, *next;

	for (en = j->first; en != NULL; en = next) {
		next = en->next;
		arena_free(en->a);
	}
	j->first = NULL;
}

struct entry *
journal_find(const struct journal *j, const char *job_id)
{
	struct entry *en = j->first;

	while (en != NULL && !streq(en->job.id, job_id))
		en = en->next;
	return en;
}

bool
journal_has_certificate(const struct journal *j, const char *certificate_id,
    const struct entry *not)
{
	for (const struct entry *en = j->first; en != NULL; en = en->next)
		if (en != not && streq(or_empty(en->job.certificate_id),
		    certificate_id))
			return true;
	return false;
}

static void
encode(struct buf *b, const struct job *job)
{
	json_write(b, job_fields, job, NULL);
	buf_putc(b, '\n');
}

int
journal_store(struct journal *j, struct entry *en, struct err *e)
{
	struct arena *a = arena_new();
	struct buf b = BUF(a);
	int rc;

	encode(&b, &en->job);
	rc = file_write(entry_path(a, j, en->job.id), b.p, b.len, 0600, e);
	arena_free(a);
	return rc;
}

struct entry *
journal_add(struct journal *j, const struct job *job, struct err *e)
{
	struct entry *en = entry_new();
	struct buf b = BUF(en->a);

	/* Through its text, so that the copy is what a crash would leave. */
	encode(&b, job);
	if (decode(en, b.p, b.len, e) < 0 || journal_store(j, en, e) < 0) {
		arena_free(en->a);
		return NULL;
	}
	append(j, en);
	return en;
}

int
journal_remove(struct journal *j, struct entry *en, struct err *e)
{
	struct entry **p = &j->first;

	if (file_remove(entry_path(en->a, j, en->job.id), e) < 0)
		return -1;
	while (*p != en)
		p = &(*p)->next;
	*p = en->next;
	arena_free(en->a);
	return 0;
}
