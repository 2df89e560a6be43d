/*
 * From the moment a mark is written: forward through the hooks, or back to
 * the files that stood there.  The caller holds the locks.
 */
#ifndef CERTCTL_TARGET_SWAP_H
#define CERTCTL_TARGET_SWAP_H

#include <stdbool.h>

#include "base/file.h"
#include "target/mark.h"
#include "target/target.h"

enum { SWAP_FILE_MAX = 1024 * 1024 };	/* octets of one destination */

/* As much of ATTR as this process may give: root all, others their groups. */
struct file_attr swap_attr(const struct file_attr *attr);

bool swap_same_files(const struct mark *a, const struct mark *b);

/*
 * Put the old files back wherever what M deployed still stands, and remove
 * what was staged; a file that somebody else changed meanwhile is left alone.
 * Harmless twice.
 */
int swap_back(struct arena *a, const char *dir, const struct mark *m,
    struct err *e);

/* Wipe the copies M names, when nothing can need them any more. */
void swap_forget(struct arena *a, const char *dir, const struct mark *m);

/*
 * All files of M are in place: validate, reload, verify, then drop the mark
 * and surplus copies.  On failure put everything back; the outcome tells how
 * far that went.  Returns -1 unless the outcome is DEPLOY_DONE.
 */
int swap_activate(struct arena *a, const char *dir, const struct mark *m,
    enum deploy_outcome *outcome, struct err *e);

/*
 * Give up M, whose files could not all be put in place for the reason in E.
 * Always returns -1; the server is not reloaded.
 */
int swap_undo(struct arena *a, const char *dir, const struct mark *m,
    enum deploy_outcome *outcome, struct err *e);

#endif
