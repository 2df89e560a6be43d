/*
 * Other programs, run without a shell: an argument vector, a clean
 * environment, bounded output, a time limit.
 */
#ifndef CERTCTL_BASE_EXEC_H
#define CERTCTL_BASE_EXEC_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

enum { EXEC_MAX_OUTPUT = 16 * 1024 };	/* octets kept; the rest is dropped */

struct exec_result {
	int status;		/* exit status; 128 + signal if one ended it */
	const char *output;	/* stdout and stderr as they came */
};

/*
 * Run ARGV (NULL terminated) in "/" and wait at most TIMEOUT_MS for it to
 * exit.  ARGV[0] is looked up in the system directories.  The program sees
 * PATH, LC_ALL=C and the "NAME=value" texts of ENV (NULL terminated, or NULL),
 * an empty stdin and none of our files or signal settings.
 *
 * 0 whenever it ended by itself, whatever its status.  E_INVALID if it cannot
 * be started; E_TIMEOUT after its whole process group was killed.  Daemons it
 * leaves behind are not waited for.
 */
int exec_run(struct arena *a, const char *const *argv, const char *const *env,
    int64_t timeout_ms, struct exec_result *out, struct err *e);

#endif
