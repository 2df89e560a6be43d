#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/private.h"
#include "signer.h"

enum {
	BACKLOG = 4096,
	LOCK_WAIT_MS = 5000,
};

/* Signals become something to read; *BEFORE is what was blocked. */
static int
catch_signals(sigset_t *before)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < NELEM(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* No core, no debugger, and nothing swapped if that is free of charge. */
static void
guard_memory(void)
{
	struct rlimit none = { 0, 0 }, locked;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	/* A limit would make an allocation fail some day. */
	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 &&
	    locked.rlim_cur == RLIM_INFINITY)
		mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	key_guard_memory();
}

static int
check_dirs(const struct texts *dirs, struct err *e)
{
	for (size_t i = 0; i < dirs->n; i++)
		if (*dirs->v[i] != '/')
			return err_set(e, E_INVALID, "CERTCTL_SIGNER_KEY_DIRS: "
			    "%.256s is not an absolute path", dirs->v[i]);
	return 0;
}

/* What a signer that died left at PATH, but nothing that is no socket. */
static int
clear(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISSOCK(st.st_mode))
		return unlink(path);
	errno = EEXIST;
	return -1;
}

/* The socket at PATH. */
static int
listen_at(const char *path, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	memcpy(at.sun_path, path, strnlen(path, sizeof(at.sun_path) - 1));
	if (fd >= 0 && clear(path) == 0 &&
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
	    chmod(path, 0660) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err_set(e, E_INVALID, "cannot listen on %s: %s", path,
	    strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* What one run holds; each part is let go at the end. */
struct run {
	struct arena *a;
	const struct settings *set;
	int lock;
	struct caller callers[CALLERS_MAX];
	struct server s;
};

static int
prepare(struct run *r, struct err *e)
{
	const char *dir = arena_printf(r->a, "%s/signer", r->set->state_dir);
	int n = callers_read(&r->set->signer_allow, r->callers, e);

	if (n < 0 || check_dirs(&r->set->signer_key_dirs, e) < 0 ||
	    private_dir(dir, e) < 0)
		return -1;
	r->s.n_callers = (size_t)n;
	/* Two would tear the record's chain, and each other's socket. */
	r->lock = file_lock(arena_printf(r->a, "%s/lock", dir), LOCK_WAIT_MS,
	    e);
	if (r->lock < 0)
		return -1;
	r->s.log = audit_open(arena_printf(r->a, "%s/audit.log", dir), e);
	if (r->s.log == NULL)
		return -1;
	r->s.keys = keyring_new(r->set);
	r->s.listener = listen_at(r->set->signer_socket, e);
	return r->s.listener < 0 ? -1 : 0;
}

int
signer_run(const struct settings *set, struct err *e)
{
	struct run r = {
		.a = arena_new(),
		.set = set,
		.lock = -1,
		.s = {
			.listener = -1,
			.callers = r.callers,
		},
	};
	sigset_t before;
	int rc;

	umask(0077);
	guard_memory();
	r.s.signals = catch_signals(&before);
	rc = r.s.signals < 0 ? err_set(e, E_INTERNAL, "cannot wait for "
	    "signals: %s", strerror(errno)) : prepare(&r, e);
	if (rc == 0) {
		log_info("signer started", "socket", set->signer_socket, NULL);
		rc = serve(&r.s);
		if (rc < 0)
			err_set(e, E_INTERNAL, "cannot wait for requests");
		unlink(set->signer_socket);
		log_info("signer ended", NULL);
	}
	if (r.s.listener >= 0)
		close(r.s.listener);
	if (r.s.signals >= 0)
		close(r.s.signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	keyring_free(r.s.keys);
	audit_close(r.s.log);
	if (r.lock >= 0)
		close(r.lock);
	arena_free(r.a);
	return rc;
}
