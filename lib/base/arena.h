/*
 * Memory that dies together.
 *
 * A request, or one run of a task, allocates from one arena and frees it at
 * one place.  Allocation never fails: out of memory ends the process, and
 * transactions make that safe.
 */
#ifndef CERTCTL_BASE_ARENA_H
#define CERTCTL_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);

/* Run what was deferred and free everything; A stays usable.  NULL is fine. */
void arena_reset(struct arena *a);

/* Reset and free A itself.  NULL is fine. */
void arena_free(struct arena *a);

/* SIZE octets, aligned for any type; arena_zalloc() clears them. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);

/* Copies; NULL stays NULL. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void *arena_memdup(struct arena *a, const void *p, size_t n);

char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Call FN(P) when A is reset or freed; last deferred, first called. */
void arena_defer(struct arena *a, void (*fn)(void *), void *p);

/* Overwrite the LEN octets at P, a secret that lives in A, when A dies. */
void arena_wipe(struct arena *a, void *p, size_t len);

#endif
