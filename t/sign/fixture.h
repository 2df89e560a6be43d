/* A signer of a test's own. */
#ifndef CERTCTL_T_SIGN_FIXTURE_H
#define CERTCTL_T_SIGN_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

struct arena;
struct err;
struct settings;
struct signer;

/* Settings of a signer whose keys and socket are in DIR. */
struct settings t_signer_settings(struct arena *a, const char *dir);

/* Run one with SET until A dies, and use it; its process id. */
pid_t t_signer_start(struct arena *a, const struct settings *set);

/* End PID now, as a crash would. */
void t_signer_kill(pid_t pid);

/* sign_open() that is closed when A dies; NULL with E. */
struct signer *t_sign_open(struct arena *a, const char *ref, struct err *e);

/* The certificate of the CA "CA" with the key of S, signed with it, valid from
 * T_CA_FROM to T_CA_TO; t_sign_bind() makes it S's own. */
enum { T_CA_FROM = 1700000000, T_CA_TO = 1900000000 };
int t_ca_der(struct arena *a, struct signer *s, struct bytes *der,
    struct err *e);
void t_sign_bind(struct arena *a, struct signer *s);

/* What a list is made of; each case changes one part. */
struct t_list {
	const char *version;		/* one octet; NULL: none */
	struct bytes algorithm, issuer;
	int64_t this_update, next_update;	/* 0: none */
	size_t entries;
	bool number;
};
struct bytes t_make_list(struct arena *a, const struct t_list *l);

/* The usual: t_signer_start() with the settings for DIR. */
void t_signer(struct arena *a, const char *dir);

#endif
