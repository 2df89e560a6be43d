/*
 * Files that are made once and belong to one program: CA keys and
 * certificates.  base/file.h writes those that change.
 */
#ifndef CERTCTL_BASE_PRIVATE_H
#define CERTCTL_BASE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/util.h"

struct arena;
struct err;

/* file_read(), but E_INVALID if the file is open to group or others, or
 * belongs to another user than us and root. */
int private_read(struct arena *a, const char *path, size_t max,
    struct bytes *out, struct err *e);

/* Make directory PATH, 0700, unless it is there; E_INVALID if it is open to
 * others, as above. */
int private_dir(const char *path, struct err *e);

/* True if PATH names anything. */
bool file_exists(const char *path);

/*
 * Make PATH with MODE, whole and synced, unless it is there: of two processes
 * that do this at once one wins, and *MADE tells which.
 */
int file_make(const char *path, const void *p, size_t len, mode_t mode,
    bool *made, struct err *e);

#endif
