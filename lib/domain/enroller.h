/* Inside enrolment: what a profile leads to, as it was looked up. */
#ifndef CERTCTL_DOMAIN_ENROLLER_H
#define CERTCTL_DOMAIN_ENROLLER_H

#include "domain/directory.h"
#include "domain/enrol.h"
#include "domain/opened.h"
#include "issuer/issuer.h"

/* A row of enrol_source. */
struct source {
	struct issuer_row issuer;
	bool issuer_enabled;
	const char *earlier_pem;
	struct profile profile;		/* no id: none */
	int64_t profile_revision;
	const char *owner_id, *team_id, *renewal_policy_id;
};

struct enroller {
	const struct enrol_conf *conf;
	struct arena *a;		/* of what follows; NULL: forgotten */
	int64_t loaded_us;		/* mono_us() */
	struct source source;
	struct profile_rules rules;
	struct bytes *ca_certs;
	size_t n_ca_certs;
	bool rooted;
};

/* The issuer of one that is ready, opened. */
struct issuer *enroller_issuer(struct ctx *c, struct enroller *en,
    struct err *e);

/* {"common_name":...,"sans":[...],...}: what audit events of EST tell. */
char *enrol_details(struct ctx *c, const struct enroller *en,
    const char *common_name, const struct texts *sans, const char *serial,
    const char *reason);

/* Look everything up again at the next enroller_ready(). */
void enroller_forget(struct enroller *en);

#endif
