/* What the tests of lib/x509, lib/sign and lib/issuer share. */
#ifndef CERTCTL_T_X509_FIXTURE_H
#define CERTCTL_T_X509_FIXTURE_H

#include <stdbool.h>

#include "base/util.h"
#include "x509/key.h"

struct arena;

/* The text of t/data/NAME; fails the test if it is not there. */
char *t_data(struct arena *a, const char *name);

/* A directory of our own below $TMPDIR, removed with A. */
char *t_dir(struct arena *a);

void t_write(const char *path, const char *text, unsigned mode);

/* Run a program; its output, or NULL if it did not exit with 0. */
const char *t_run(struct arena *a, const char *const *argv);

/* A new P-256 key; slow tests ask for another type. */
struct key *t_key(struct arena *a);
struct key *t_key_of(struct arena *a, const char *algorithm, int bits);

/* A general name as it stands in a request: a tag and any octets. */
struct t_name {
	unsigned char tag;
	const char *p;
	size_t len;
};

#define T_DNS(s) { 0x82, (s), sizeof(s) - 1 }
#define T_EMAIL(s) { 0x81, (s), sizeof(s) - 1 }
#define T_URI(s) { 0x86, (s), sizeof(s) - 1 }
#define T_IP(s) { 0x87, (s), sizeof(s) - 1 }

/* A request as no honest program makes it, signed all the same. */
struct t_request {
	const char *cn;			/* any octets; NULL: no subject */
	size_t cn_len;
	const struct t_name *names;
	size_t n;
	bool twice;			/* two extensionRequest attributes */
	bool other_key;			/* signed with a key it does not name */
};

struct bytes t_forge(struct arena *a, const struct t_request *r);

#endif
