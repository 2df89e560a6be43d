/* Subject alternative names (RFC 5280 section 4.2.1.6) as typed text. */
#ifndef CERTCTL_X509_SAN_H
#define CERTCTL_X509_SAN_H

#include <stdbool.h>

#include "base/util.h"

struct arena;
struct err;

enum san_type { SAN_DNS, SAN_IP, SAN_EMAIL, SAN_URI };

enum { SANS_MAX = 100 };	/* names in one certificate */

struct san {
	enum san_type type;
	const char *text;	/* IP addresses as inet_ntop writes them */
};

struct sans {
	struct san *v;
	size_t n;
};

/*
 * The type TEXT has by its form: an address literal is an IP, a "scheme://" a
 * URI, a text with "@" an e-mail address, the rest a DNS name.  E_INVALID with
 * the reason if it is none of these or holds forbidden characters.
 */
int san_parse(struct arena *a, const char *text, struct san *out,
    struct err *e);

/* True if one equal to S (DNS: case-insensitively) is there. */
bool sans_has(const struct sans *t, const struct san *s);

/* Add S unless an equal one (DNS: case-insensitively) is there. */
void sans_add(struct arena *a, struct sans *t, struct san s);

/* Their texts, in order. */
struct texts sans_texts(struct arena *a, const struct sans *t);

#endif
