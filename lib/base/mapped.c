#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static bool
claim(int fd, size_t size, enum mapped_by by)
{
	struct stat st;
	bool made;

	if (fstat(fd, &st) < 0)
		return false;
	made = st.st_uid == geteuid();
	if (!S_ISREG(st.st_mode) || (by == MAPPED_BY_ACCOUNT && !made)) {
		errno = EPERM;
		return false;
	}
	/* Whatever the umask; who did not make it need not. */
	if (made && fchmod(fd, by) < 0)
		return false;
	errno = posix_fallocate(fd, 0, (off_t)size);
	return errno == 0;
}

void *
mapped_open(const char *run_dir, const char *name, int layout, size_t size,
    enum mapped_by by, struct err *e)
{
	char path[512];
	void *p = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "%s/certctl.%s.%d", run_dir, name, layout);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, by);
	if (fd >= 0 && claim(fd, size, by))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err_set(e, E_INVALID, "%s: %s (see CERTCTL_RUN_DIR)", path,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}
