#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

void
wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

void
random_bytes(void *p, size_t len)
{
	unsigned char *out = p;
	ssize_t n;

	while (len > 0) {
		n = getrandom(out, len, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			abort();
		}
		out += n;
		len -= (size_t)n;
	}
}

bool
const_time_eq(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= (unsigned char)(x[i] ^ y[i]);
	return diff == 0;
}

/* BUF, of which N octets are used, with room for CAP; NULL leaves it.  Not
 * realloc(): what that frees may be a key. */
static char *
enlarge(char *buf, size_t n, size_t cap)
{
	char *grown = malloc(cap + 1);

	if (grown == NULL)
		return NULL;
	memcpy(grown, buf, n);
	wipe(buf, n);
	free(buf);
	return grown;
}

int
read_fd(int fd, size_t max, char **out, size_t *len)
{
	size_t cap = 4096, n = 0;
	char *buf = malloc(cap + 1), *grown;
	ssize_t got;

	if (buf == NULL)
		return -1;
	for (;;) {
		got = read(fd, buf + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
		if (n > max) {
			errno = EFBIG;
			got = -1;
			break;
		}
		if (n < cap)
			continue;
		cap *= 2;
		grown = enlarge(buf, n, cap);
		if (grown == NULL) {
			got = -1;
			break;
		}
		buf = grown;
	}
	if (got < 0) {
		wipe(buf, n);
		free(buf);
		return -1;
	}
	buf[n] = '\0';
	*out = buf;
	*len = n;
	return 0;
}

bool
safe_id(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 128 || streq(s, ".") || streq(s, ".."))
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
			return false;
	return true;
}
