/* What the agent tells of the host it runs on. */
#ifndef CERTCTL_AGENT_HOST_H
#define CERTCTL_AGENT_HOST_H

#include "base/field.h"

struct arena;

struct host {
	const char *version;		/* of the agent */
	const char *hostname;		/* or "unknown" */
	const char *os, *architecture;	/* "linux"; "amd64", "arm64" */
	const char *ip_address;		/* of the default route, or "" */
};

extern const struct field host_fields[];

void host_look(struct arena *a, struct host *out);

#endif
