#include "agent/keys.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

enum { KEY_FILE_MAX = 64 * 1024 };

/* Before the PEM block, where RFC 7468 section 2 allows remarks. */
#define JOB_REMARK "Job: "

enum slot { CURRENT, PENDING, PREVIOUS };

static const char *const suffixes[] = {
	[CURRENT] = ".key",
	[PENDING] = ".key.pending",
	[PREVIOUS] = ".key.previous",
};

static const char *
key_path(struct arena *a, const char *dir, const char *id, enum slot slot)
{
	return arena_printf(a, "%s/%s%s", dir, id, suffixes[slot]);
}

int
keys_open(const char *dir, struct err *e)
{
	struct err mode;
	struct stat st;

	if (stat(dir, &st) < 0)
		return dir_make(dir, 0700, e);
	if (dir_make(dir, 0700, &mode) < 0)
		log_err(LOG_WARN, "key directory", &mode, NULL, NULL);
	return 0;
}

/* A key file older agents left readable is closed before it is read. */
static int
tighten(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_set(e, errno == ENOENT ? E_NOT_FOUND : E_INTERNAL,
		    "%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0 &&
	    chmod(path, 0600) < 0)
		return err_set(e, E_INTERNAL, "cannot set the mode of %s: %s",
		    path, strerror(errno));
	return 0;
}

static const char *
read_key(struct arena *a, const char *path, struct err *e)
{
	struct bytes pem;

	if (tighten(path, e) < 0 ||
	    file_read_own(a, path, KEY_FILE_MAX, &pem, e) < 0)
		return NULL;
	return (const char *)pem.p;
}

/* The key at PATH if its public half has SPKI_HASH; else E_NOT_FOUND. */
static struct key *
match(struct arena *a, const char *path, const char *spki_hash, struct err *e)
{
	const char *pem = read_key(a, path, e);
	struct key *k = pem != NULL ? key_from_pem(a, pem, e) : NULL;

	if (k == NULL) {
		if (e->code != E_NOT_FOUND)
			err_prefix(e, "%s", path);
		return NULL;
	}
	if (streq(key_spki_hash(a, k), spki_hash))
		return k;
	err_set(e, E_NOT_FOUND, "another key");
	return NULL;
}

static bool
made_for(const char *pem, const char *job_id)
{
	size_t n = strlen(job_id), skip = sizeof(JOB_REMARK) - 1;

	return strncmp(pem, JOB_REMARK, skip) == 0 &&
	    strncmp(pem + skip, job_id, n) == 0 && pem[skip + n] == '\n';
}

static bool
is_type(const struct key *k, struct key_type type)
{
	struct key_type t = key_type_of(k);

	return streq(t.algorithm, type.algorithm) && t.bits == type.bits;
}

/* The pending key of a job that was begun before; NULL if there is none. */
static struct key *
begun(struct arena *a, const char *path, const char *job_id,
    struct key_type type)
{
	struct err none;
	const char *pem = read_key(a, path, &none);
	struct key *k;

	if (pem == NULL || !made_for(pem, job_id))
		return NULL;
	k = key_from_pem(a, pem, &none);
	return k != NULL && is_type(k, type) ? k : NULL;
}

struct key *
keys_pending(struct arena *a, const char *dir, const char *certificate_id,
    const char *job_id, struct key_type type, struct err *e)
{
	const char *path = key_path(a, dir, certificate_id, PENDING);
	struct key *k = begun(a, path, job_id, type);
	char *pem, *text;

	if (k != NULL)
		return k;
	k = key_generate(a, type, e);
	pem = k != NULL ? key_to_pem(a, k, e) : NULL;
	if (pem == NULL) {
		err_prefix(e, "key generation failed");
		return NULL;
	}
	text = arena_printf(a, JOB_REMARK "%s\n%s", job_id, pem);
	arena_wipe(a, text, strlen(text));
	if (file_wipe(path, e) < 0 ||
	    file_write(path, text, strlen(text), 0600, e) < 0) {
		err_prefix(e, "key storage failed");
		return NULL;
	}
	return k;
}

/*
 * Pending becomes current, current becomes previous.  Each step leaves a state
 * from which the same call goes on: as long as the pending file exists it
 * holds the key the certificate is for.
 */
static int
promote(struct arena *a, const char *dir, const char *id, struct err *e)
{
	const char *current = key_path(a, dir, id, CURRENT);
	const char *previous = key_path(a, dir, id, PREVIOUS);

	if (access(current, F_OK) == 0 &&
	    (file_wipe(previous, e) < 0 ||
	    file_rename(current, previous, e) < 0))
		return -1;
	return file_rename(key_path(a, dir, id, PENDING), current, e);
}

char *
keys_for(struct arena *a, const char *dir, const char *certificate_id,
    const char *spki_hash, struct err *e)
{
	struct err why = { 0 }, unreadable = { 0 };
	struct key *k = NULL;

	for (enum slot s = CURRENT; k == NULL && s <= PREVIOUS; s++) {
		k = match(a, key_path(a, dir, certificate_id, s), spki_hash,
		    &why);
		if (k == NULL && why.code != E_NOT_FOUND)
			unreadable = why;
		if (k != NULL && s == PENDING &&
		    promote(a, dir, certificate_id, e) < 0)
			return NULL;
	}
	if (k != NULL)
		return key_to_pem(a, k, e);
	if (unreadable.code != E_OK) {
		*e = unreadable;
		return NULL;
	}
	err_set(e, E_NOT_FOUND, "no key in %s belongs to the certificate; "
	    "it was made elsewhere or is gone", dir);
	return NULL;
}

int
keys_forget_previous(const char *dir, const char *certificate_id,
    struct err *e)
{
	struct arena *a = arena_new();
	int rc = file_wipe(key_path(a, dir, certificate_id, PREVIOUS), e);

	arena_free(a);
	return rc;
}
