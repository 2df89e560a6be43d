/*
 * Small files below the run directory that processes of this host map and
 * change together.
 */
#ifndef CERTCTL_BASE_MAPPED_H
#define CERTCTL_BASE_MAPPED_H

#include <stddef.h>

struct err;

/* Who shares it, as the mode of the file. */
enum mapped_by {
	MAPPED_BY_ACCOUNT = 0600,	/* which must have made it */
	MAPPED_BY_GROUP = 0660,
};

/*
 * Map SIZE octets of RUN_DIR/certctl.NAME.LAYOUT, all zeros if it was missing;
 * LAYOUT grows when what is in it changes.  All of its memory is there from the
 * start: what cannot be had later would end the process.  NULL with E_INVALID
 * if that fails; munmap() ends it.
 */
void *mapped_open(const char *run_dir, const char *name, int layout,
    size_t size, enum mapped_by by, struct err *e);

#endif
