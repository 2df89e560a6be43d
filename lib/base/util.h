/* Small helpers every room uses. */
#ifndef CERTCTL_BASE_UTIL_H
#define CERTCTL_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* A borrowed run of octets. */
struct bytes {
	const unsigned char *p;
	size_t len;
};

static inline bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* An ordered list of texts; V and its strings live in an arena. */
struct texts {
	const char **v;
	size_t n;
};

static inline bool
streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* True for NULL and "". */
static inline bool
blank(const char *s)
{
	return s == NULL || *s == '\0';
}

/* S, or "" for NULL. */
static inline const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

/* Overwrite LEN octets in a way the compiler may not drop. */
void wipe(void *p, size_t len);

/* Fill P with LEN random octets from the kernel; if it has none, the process
 * ends. */
void random_bytes(void *p, size_t len);

/* Compare in a time that depends on LEN only. */
bool const_time_eq(const void *a, const void *b, size_t len);

/*
 * Read all of FD until end of file into *OUT (malloc'd, NUL terminated);
 * -1 with errno set, EFBIG past MAX octets.
 */
int read_fd(int fd, size_t max, char **out, size_t *len);

/* True if S is 1..128 of [A-Za-z0-9._-] and not "." or "..": safe in a path. */
bool safe_id(const char *s);

#endif
