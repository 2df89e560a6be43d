#include "sign/wire.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 3 };

/* Send LEN octets with N descriptors beside them. */
static void
send_with(int fd, size_t len, int n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(MANY * sizeof(int))];
	} c = { .room = { 0 } };
	char text[] = "x";
	struct iovec io = { text, len };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	if (n > 0) {
		m.msg_control = c.room;
		m.msg_controllen = CMSG_LEN((size_t)n * sizeof(int));
		c.head.cmsg_level = SOL_SOCKET;
		c.head.cmsg_type = SCM_RIGHTS;
		c.head.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		for (int i = 0; i < n; i++)
			memcpy(CMSG_DATA(&c.head) + (size_t)i * sizeof(int),
			    (const int[]){ STDERR_FILENO }, sizeof(int));
	}
	cr_assert_eq(sendmsg(fd, &m, MSG_NOSIGNAL), (ssize_t)len);
}

/* Descriptors this process has. */
static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert_not_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

Test(wire, keeps_no_descriptor_it_does_not_hand_on)
{
	static const struct {
		size_t len;
		int sent;
		long want;
		bool beside;
	} cases[] = {
		{ 1, 0, 1, false },
		{ 1, 1, 1, true },
		{ 1, 2, -1, false },
		{ 1, 3, -1, false },
		{ 0, 0, 0, false },
		{ 0, 1, 0, false },
		{ 0, 2, 0, false },
	};
	static unsigned char buf[WIRE_MAX];
	int fd[2], beside, before;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	before = descriptors();
	for (size_t i = 0; i < NELEM(cases); i++) {
		errno = 0;
		send_with(fd[0], cases[i].len, cases[i].sent);
		cr_expect_eq(wire_recv(fd[1], buf, &beside), cases[i].want,
		    "case %zu", i);
		cr_expect_eq(beside >= 0, cases[i].beside, "case %zu", i);
		if (cases[i].want < 0)
			cr_expect_eq(errno, EMSGSIZE, "case %zu", i);
		if (beside >= 0)
			close(beside);
		cr_expect_eq(descriptors(), before, "case %zu", i);
	}
}
