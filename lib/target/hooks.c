#include "target/hooks.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/text.h"
#include "base/util.h"
#include "codec/json.h"
#include "x509/probe.h"

enum {
	COMMAND_MAX = 1024,
	COMMAND_TIMEOUT_MS = 60 * 1000,
	SAID_MAX = 320,		/* octets of a command's output in an error */
	SETTLE_MS = 1500,	/* how long the first attempt goes on looking */
	LOOK_MS = 100,		/* and how often */
	DEFAULT_PORT = 443,
};

/* The object post_deploy_verify. */
struct verify_conf {
	bool enabled;
	const char *endpoint;
	int64_t timeout;
};

static const struct field verify_fields[] = {
	FIELD(struct verify_conf, enabled, BOOL, 0),
	FIELD(struct verify_conf, endpoint, TEXT, F_OMIT, 300),
	FIELD(struct verify_conf, timeout, DURATION, F_OMIT, 300),
	FIELD_END
};

const struct field hooks_fields[] = {
	FIELD(struct hooks, reload, TEXT, 0),
	FIELD(struct hooks, validate, TEXT, 0),
	FIELD(struct hooks, endpoint, TEXT, 0),
	FIELD(struct hooks, fingerprint, TEXT, 0),
	FIELD(struct hooks, chain_min, INT, 0),
	FIELD(struct hooks, timeout, INT, 0),
	FIELD(struct hooks, attempts, INT, 0),
	FIELD(struct hooks, backoff, INT, 0),
	FIELD(struct hooks, max_backoff, INT, 0),
	FIELD_END
};

/* Commands run without a shell; what only a shell reads is refused. */
static int
check_command(const char *name, const char *command, struct err *e)
{
	if (strlen(command) > COMMAND_MAX)
		return err_set(e, E_INVALID, "%s is longer than %d characters",
		    name, COMMAND_MAX);
	if (command[strcspn(command, ";|&$`(){}<>\\\"'\n\r")] != '\0')
		return err_set(e, E_INVALID, "%s holds a shell character: "
		    "it is run without a shell", name);
	if (command[strspn(command, " \t")] == '\0')
		return err_set(e, E_INVALID, "%s is blank", name);
	return 0;
}

static int
read_verify(struct arena *a, const struct hooks_conf *c,
    struct verify_conf *out, struct err *e)
{
	struct json *j;

	if (blank(c->post_deploy_verify))
		return 0;
	j = json_parse(a, c->post_deploy_verify,
	    strlen(c->post_deploy_verify), e);
	if (j == NULL ||
	    json_read(a, j, verify_fields, JSON_STRICT, out, e) < 0)
		return err_prefix(e, "post_deploy_verify");
	return 0;
}

static int
check_verify(const struct hooks_conf *c, const struct verify_conf *v,
    struct arena *a, struct err *e)
{
	const char *at = !blank(v->endpoint) ? v->endpoint :
	    hooks_address(a, c);
	char host[256];
	int port;

	if (at != NULL && probe_endpoint(at, host, sizeof(host), &port, e) < 0)
		return -1;
	if (v->enabled && at == NULL)
		return err_set(e, E_INVALID,
		    "post_deploy_verify needs an endpoint or a host");
	return 0;
}

int
hooks_check(const struct hooks_conf *c, struct err *e)
{
	struct verify_conf v = { 0 };
	struct arena *a;
	int rc;

	if (check_command("reload_command", c->reload_command, e) < 0 ||
	    (!blank(c->validate_command) &&
	    check_command("validate_command", c->validate_command, e) < 0))
		return -1;
	a = arena_new();
	rc = read_verify(a, c, &v, e);
	if (rc == 0)
		rc = check_verify(c, &v, a, e);
	arena_free(a);
	return rc;
}

static const char *
first_text(const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!blank(v[i]))
			return v[i];
	return NULL;
}

const char *
hooks_address(struct arena *a, const struct hooks_conf *c)
{
	const char *const names[] = {
		c->host, c->hostname, c->target, c->address,
	};
	const char *host = first_text(names, NELEM(names));
	int port = c->port > 0 ? (int)c->port : DEFAULT_PORT;

	if (host == NULL)
		return NULL;
	return arena_printf(a, strchr(host, ':') != NULL && *host != '[' ?
	    "[%s]:%d" : "%s:%d", host, port);
}

static int64_t
or_default(int64_t v, int64_t otherwise)
{
	return v > 0 ? v : otherwise;
}

void
hooks_make(struct arena *a, const struct hooks_conf *c,
    const char *fingerprint, struct hooks *out)
{
	struct verify_conf v = { 0 };
	struct err e;

	*out = (struct hooks){
		.reload = c->reload_command,
		.validate = c->validate_command,
		.fingerprint = fingerprint,
		.attempts = or_default(c->post_deploy_verify_attempts, 3),
		.backoff = or_default(c->post_deploy_verify_backoff, 1),
		.max_backoff = or_default(c->post_deploy_verify_max_backoff,
		    16),
	};
	if (read_verify(a, c, &v, &e) < 0 || !v.enabled)
		return;
	out->endpoint = !blank(v.endpoint) ? v.endpoint : hooks_address(a, c);
	out->timeout = or_default(v.timeout, 10);
}

static int
run(struct arena *a, const char *command, struct err *e)
{
	struct texts argv = split_words(a, command);
	struct exec_result r;
	const char *said;
	size_t n;

	if (exec_run(a, argv.v, NULL, COMMAND_TIMEOUT_MS, &r, e) < 0)
		return -1;
	if (r.status == 0)
		return 0;
	n = strlen(r.output);
	while (n > 0 && strchr(" \n", r.output[n - 1]) != NULL)
		n--;
	/* Programs say last what stopped them. */
	said = r.output + (n > SAID_MAX ? n - SAID_MAX : 0);
	err_set(e, E_UPSTREAM, "\"%.128s\" exited with %d%s%.*s", command,
	    r.status, n > 0 ? ": " : "", (int)(r.output + n - said), said);
	return err_detail(e, "%s", r.output);
}

int
hooks_validate(struct arena *a, const struct hooks *h, struct err *e)
{
	return blank(h->validate) ? 0 : run(a, h->validate, e);
}

int
hooks_reload(struct arena *a, const struct hooks *h, struct err *e)
{
	return blank(h->reload) ? 0 : run(a, h->reload, e);
}

/* One look at what HOST serves. */
static int
look(const struct hooks *h, const char *host, int port, struct err *e)
{
	struct probe seen;

	if (probe_tls(host, port, h->timeout * 1000, &seen, e) < 0)
		return -1;
	if (!streq(seen.fingerprint, h->fingerprint))
		return err_set(e, E_UPSTREAM, "%s serves certificate %s, "
		    "not %s", h->endpoint, seen.fingerprint, h->fingerprint);
	if (seen.chain_len < h->chain_min)
		return err_set(e, E_UPSTREAM, "%s serves the certificate "
		    "without its chain", h->endpoint);
	return 0;
}

/* A reload is asynchronous: the first attempt looks more than once. */
static int
look_settling(const struct hooks *h, const char *host, int port,
    struct err *e)
{
	int64_t until = mono_us() + SETTLE_MS * 1000;
	int rc;

	while ((rc = look(h, host, port, e)) < 0 && mono_us() < until)
		sleep_ms(LOOK_MS);
	return rc;
}

int
hooks_verify(const struct hooks *h, struct err *e)
{
	int64_t pause = h->backoff;
	char host[256];
	int port, rc;

	if (blank(h->endpoint))
		return 0;
	if (probe_endpoint(h->endpoint, host, sizeof(host), &port, e) < 0)
		return -1;
	rc = look_settling(h, host, port, e);
	for (int64_t i = 1; rc < 0 && i < h->attempts; i++) {
		if (pause > h->max_backoff)
			pause = h->max_backoff;
		sleep_ms(pause * 1000);
		pause *= 2;
		rc = look(h, host, port, e);
	}
	return rc;
}
