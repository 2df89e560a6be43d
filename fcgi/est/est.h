/* EST's doors: profiles, who may enter, and what the handlers share. */
#ifndef CERTCTL_FCGI_EST_H
#define CERTCTL_FCGI_EST_H

#include <sys/stat.h>

#include "codec/settings.h"
#include "domain/enrol.h"
#include "proto/est.h"
#include "web/web.h"
#include "x509/digest.h"
#include "x509/trust.h"

struct shared;

/* One EST profile, ready to serve. */
struct est_profile {
	const struct est_settings *set;
	bool basic, mtls, none;		/* how a client may show who it is */
	unsigned char password[SHA256_LEN];	/* its hash */
	struct enrol_conf conf;
	struct enroller *enroller;
	struct arena *a;		/* of the bundle */
	struct trust *trust;
	struct stat seen;		/* of the bundle's file, as read */
};

/* What a route does; its about. */
struct est_op {
	const char *action;		/* NULL: hands something out */
	enum est_counter success;
	bool renew, keygen;
	bool mtls;			/* below est-mtls: no other way in */
};

/* Who is enrolling. */
struct est_client {
	struct trusted trusted;		/* by_cert */
	struct enrol_client client;
	bool by_cert;
};

/*
 * Refuse settings that cannot be served as they are meant; nothing is touched
 * but trust bundles, which are read.
 */
int profiles_check(const struct settings *set, struct err *e);

/* Open those of SET, and see in the database that they lead to something. */
int profiles_open(const struct settings *set, struct ctx *c, struct err *e);
void profiles_close(void);

/* The profile RQ's path names, for OP; E_NOT_FOUND. */
struct est_profile *profile_of(const struct web_req *rq,
    const struct est_op *op, struct err *e);

/* The profile's bundle as its file is now; a bad file keeps the old one. */
const struct trust *profile_trust(struct est_profile *p);

/*
 * Find out who asks.  E_UNAUTHORIZED (RS gets the challenge) or E_RATE_LIMITED
 * (RS gets Retry-After); counted and recorded.
 */
int est_authenticate(struct web_req *rq, struct web_res *rs,
    struct est_profile *p, const struct est_op *op, struct est_client *out,
    struct err *e);

/* May NAME enrol once more today from RQ's address?  E_RATE_LIMITED. */
int est_may_enrol(struct web_req *rq, struct web_res *rs,
    struct est_profile *p, const struct est_op *op, const struct csr *csr,
    struct err *e);

void est_count(const struct est_profile *p, enum est_counter c);

/* Record a refusal, but not more of one address than an audit can bear. */
void est_note(struct web_req *rq, const struct est_profile *p,
    const char *action, const struct csr *csr, const char *reason);

struct shared *est_shared(void);

extern const struct route est_routes[];

#endif
