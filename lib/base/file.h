/*
 * Files that survive a crash whole or not at all.
 *
 * Writers never follow a link at the end of a path, and what they say is done
 * is on the disk: file and directory are synced.
 */
#ifndef CERTCTL_BASE_FILE_H
#define CERTCTL_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

struct arena;
struct err;

enum { FILE_KEEP = -1 };	/* an owner or group nobody asked for */

struct file_attr {
	mode_t mode;
	int64_t uid, gid;	/* or FILE_KEEP: those of this process */
};

/*
 * Read the regular file PATH, at most MAX octets, into A; a NUL follows them,
 * and they are wiped with A, so that keys may be read with it.
 *
 * E_NOT_FOUND if there is none, E_INVALID if it is no regular file or too
 * large.  file_read_own() refuses a link as well.
 */
int file_read(struct arena *a, const char *path, size_t max,
    struct bytes *out, struct err *e);
int file_read_own(struct arena *a, const char *path, size_t max,
    struct bytes *out, struct err *e);

/*
 * Write P to the new file PATH: never wider open than ATTR, synced.  What
 * stood there is removed first.  The directory is not synced.
 */
int file_create(const char *path, const void *p, size_t len,
    const struct file_attr *attr, struct err *e);

/* Replace PATH by P in one step; a crash leaves the old text or the new one. */
int file_write(const char *path, const void *p, size_t len, mode_t mode,
    struct err *e);

/* The same, and the file is dated CHANGED_NS, nanoseconds UTC. */
int file_write_dated(const char *path, const void *p, size_t len, mode_t mode,
    int64_t changed_ns, struct err *e);

/* Rename and sync the directory of TO. */
int file_rename(const char *from, const char *to, struct err *e);

/* Remove PATH; none is fine.  file_wipe() overwrites it before. */
int file_remove(const char *path, struct err *e);
int file_wipe(const char *path, struct err *e);

/* Make DIR and what is missing above it; DIR itself gets MODE in any case. */
int dir_make(const char *dir, mode_t mode, struct err *e);

/* Sync the directory that holds PATH: renames in it are durable then. */
int dir_sync(const char *path, struct err *e);

/*
 * Wipe what file_write() left in DIR when a process died; nobody else may be
 * writing in it.
 */
int dir_clear_tmp(const char *dir, struct err *e);

/*
 * Hold the lock file PATH (made 0600) against other processes, waiting at most
 * WAIT_MS.  A descriptor, whose close lets it go; E_CONFLICT if it is held.
 */
int file_lock(const char *path, int64_t wait_ms, struct err *e);

#endif
