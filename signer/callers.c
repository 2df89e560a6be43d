#include <pwd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "signer.h"

static const char *const kinds[] = {
	[KIND_CERTIFICATE] = "certificate",
	[KIND_CA] = "ca",
	[KIND_OCSP] = "ocsp",
	[KIND_CRL] = "crl",
};

enum {
	ALL = (1 << KIND__MAX) - 1,
	NAME_MAX_LEN = 64,	/* octets of a user's name */
};

const char *
kind_name(enum kind k)
{
	return kinds[k];
}

/* The user called NAME, or so numbered. */
static bool
find_user(const char *name, uid_t *uid)
{
	const struct passwd *pw = getpwnam(name);
	int64_t number;

	if (pw != NULL)
		*uid = pw->pw_uid;
	else if (int_parse(name, 0, UINT32_MAX - 1, &number))
		*uid = (uid_t)number;
	else
		return false;
	return true;
}

/* S, "KIND+KIND...", as bits; 0 if a word of it is none. */
static unsigned
read_kinds(const char *s)
{
	unsigned may = 0, one;
	size_t n;

	for (;; s += n + 1) {
		n = strcspn(s, "+");
		one = 0;
		for (unsigned k = 0; k < KIND__MAX; k++)
			if (strncmp(kinds[k], s, n) == 0 &&
			    kinds[k][n] == '\0')
				one = 1u << k;
		may |= one;
		if (one == 0 || s[n] == '\0')
			return one == 0 ? 0 : may;
	}
}

static int
read_caller(const char *text, struct caller *out, struct err *e)
{
	char name[NAME_MAX_LEN + 1] = "";
	size_t n = strcspn(text, ":");

	if (n <= NAME_MAX_LEN)
		memcpy(name, text, n);
	if (!find_user(name, &out->uid))
		return err_set(e, E_INVALID, "CERTCTL_SIGNER_ALLOW: there is "
		    "no user \"%.*s\"", (int)(n < NAME_MAX_LEN ?
		    n : NAME_MAX_LEN), text);
	out->may = text[n] == ':' ? read_kinds(text + n + 1) : ALL;
	if (out->may == 0)
		return err_set(e, E_INVALID, "CERTCTL_SIGNER_ALLOW: \"%.64s\" "
		    "is not a list of certificate, ca, ocsp, crl with + "
		    "between them", text + n + 1);
	return 0;
}

int
callers_read(const struct texts *allow, struct caller out[CALLERS_MAX],
    struct err *e)
{
	int n = 2;

	out[0] = (struct caller){ 0, ALL };
	out[1] = (struct caller){ geteuid(), ALL };
	for (size_t i = 0; i < allow->n; i++) {
		if (n == CALLERS_MAX)
			return err_set(e, E_INVALID, "CERTCTL_SIGNER_ALLOW "
			    "names more than %d users", CALLERS_MAX - 2);
		if (read_caller(allow->v[i], &out[n++], e) < 0)
			return -1;
	}
	return n;
}
