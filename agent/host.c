#include "agent/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/arena.h"
#include "agent/version.h"

const struct field host_fields[] = {
	FIELD(struct host, version, TEXT, 0),
	FIELD(struct host, hostname, TEXT, 0),
	FIELD(struct host, os, TEXT, 0),
	FIELD(struct host, architecture, TEXT, 0),
	FIELD(struct host, ip_address, TEXT, 0),
	FIELD_END
};

static const char *
architecture(struct arena *a)
{
	static const struct {
		const char *kernel, *ours;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },
	};
	struct utsname u;

	if (uname(&u) < 0)
		return "unknown";
	for (size_t i = 0; i < NELEM(names); i++)
		if (streq(u.machine, names[i].kernel))
			return names[i].ours;
	return arena_strdup(a, u.machine);
}

/* The address packets to the world would leave from; none is sent. */
static const char *
address(struct arena *a)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(80),
	};
	socklen_t len = sizeof(sin);
	char text[INET_ADDRSTRLEN] = "";
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return "";
	inet_pton(AF_INET, "8.8.8.8", &sin.sin_addr);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &len) == 0)
		inet_ntop(AF_INET, &sin.sin_addr, text, sizeof(text));
	close(fd);
	return arena_strdup(a, text);
}

void
host_look(struct arena *a, struct host *out)
{
	char name[256];

	*out = (struct host){
		.version = PACKAGE_VERSION,
		.hostname = "unknown",
		.os = "linux",
		.architecture = architecture(a),
		.ip_address = address(a),
	};
	if (gethostname(name, sizeof(name)) == 0 &&
	    memchr(name, '\0', sizeof(name)) != NULL && *name != '\0')
		out->hostname = arena_strdup(a, name);
}
