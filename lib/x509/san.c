#include "x509/san.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/name.h"

enum {
	HOST_MAX = 253,
	LABEL_MAX = 63,
	EMAIL_MAX = 254,
	URI_MAX = 2048,
};

#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* "" or why the LEN octets at S are no host name (RFC 1123, with "_"). */
static const char *
host_fault(const char *s, size_t len)
{
	size_t n = 0, start;
	bool digits = true;

	if (len == 0)
		return "is empty";
	if (len > HOST_MAX)
		return "is longer than 253 characters";
	for (start = 0; start < len; start += n + 1) {
		for (n = 0; start + n < len && s[start + n] != '.'; n++)
			if (!isalnum((unsigned char)s[start + n]) &&
			    s[start + n] != '-' && s[start + n] != '_')
				return "is not a host name";
		if (n == 0)
			return "has an empty label";
		if (n > LABEL_MAX)
			return "has a label longer than 63 characters";
		if (s[start] == '-' || s[start + n - 1] == '-')
			return "has a label that begins or ends with \"-\"";
		digits = strspn(s + start, DIGIT) == n;
	}
	if (s[len - 1] == '.')
		return "has an empty label";
	/* Else "999.1.1.1" would pass for a host. */
	if (digits && n < len)
		return "ends in a number like an address, but is none";
	return "";
}

static const char *
dns_fault(const char *s)
{
	size_t skip = strncmp(s, "*.", 2) == 0 ? 2 : 0;

	return host_fault(s + skip, strlen(s + skip));
}

static const char *
email_fault(const char *s)
{
	const char *at = strchr(s, '@');
	size_t local = at == NULL ? 0 : (size_t)(at - s);

	if (strlen(s) > EMAIL_MAX)
		return "is longer than 254 characters";
	if (local == 0 || local > 64 || s[0] == '.' || s[local - 1] == '.' ||
	    strspn(s, ALPHA DIGIT "!#$%&'*+-/=?^_`{|}~.") != local)
		return "is not an e-mail address";
	return host_fault(at + 1, strlen(at + 1));
}

static const char *
uri_fault(const char *s)
{
	size_t scheme = strspn(s, ALPHA DIGIT "+-.");

	if (strlen(s) > URI_MAX)
		return "is longer than 2048 characters";
	if (!isalpha((unsigned char)s[0]) ||
	    strncmp(s + scheme, "://", 3) != 0 || s[scheme + 3] == '\0')
		return "is not a URI";
	if (strspn(s, ALPHA DIGIT "-._~:/?#[]@!$&'()*+,;=%") != strlen(s))
		return "holds a character that a URI must escape";
	return "";
}

static const char *(*const faults[])(const char *) = {
	[SAN_DNS] = dns_fault,
	[SAN_EMAIL] = email_fault,
	[SAN_URI] = uri_fault,
};

/* Rewrite an address literal as inet_ntop writes it; NULL if it is none. */
static const char *
address(struct arena *a, const char *text)
{
	char out[INET6_ADDRSTRLEN];
	unsigned char ip[16];
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, ip) != 1)
		return NULL;
	return arena_strdup(a, inet_ntop(family, ip, out, sizeof(out)));
}

int
san_parse(struct arena *a, const char *text, struct san *out, struct err *e)
{
	const char *ip = address(a, text), *fault;
	struct san s = { .type = SAN_DNS };

	if (ip != NULL) {
		out->type = SAN_IP;
		out->text = ip;
		return 0;
	}
	if (strstr(text, "://") != NULL)
		s.type = SAN_URI;
	else if (strchr(text, '@') != NULL)
		s.type = SAN_EMAIL;
	if (name_check_labels("the name", text, strlen(text), e) < 0)
		return -1;
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			return err_set(e, E_INVALID, "\"%.256s\" must be "
			    "written in ASCII, a host name with its \"xn--\" "
			    "labels", text);
	fault = faults[s.type](text);
	if (*fault != '\0')
		return err_set(e, E_INVALID, "\"%.256s\" %s", text, fault);
	s.text = arena_strdup(a, text);
	*out = s;
	return 0;
}

static bool
same(const struct san *x, const struct san *y)
{
	if (x->type != y->type)
		return false;
	return x->type == SAN_DNS ? strcasecmp(x->text, y->text) == 0 :
	    streq(x->text, y->text);
}

bool
sans_has(const struct sans *t, const struct san *s)
{
	for (size_t i = 0; i < t->n; i++)
		if (same(&t->v[i], s))
			return true;
	return false;
}

void
sans_add(struct arena *a, struct sans *t, struct san s)
{
	struct san *v;

	if (sans_has(t, &s))
		return;
	/* Grown at powers of two, as texts_add() does. */
	if ((t->n & (t->n - 1)) == 0) {
		v = arena_alloc(a, (t->n != 0 ? t->n * 2 : 1) * sizeof(*v));
		if (t->n != 0)
			memcpy(v, t->v, t->n * sizeof(*v));
		t->v = v;
	}
	t->v[t->n++] = s;
}

struct texts
sans_texts(struct arena *a, const struct sans *t)
{
	struct texts out = { 0 };

	for (size_t i = 0; i < t->n; i++)
		texts_add(a, &out, t->v[i].text);
	return out;
}
