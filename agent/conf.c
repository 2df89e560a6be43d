#include "agent/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "base/util.h"
#include "agent/identity.h"
#include "agent/version.h"
#include "x509/cert.h"

enum { MAX_BUNDLE = 4 * 1024 * 1024 };

/* Every setting as text, in the order of the table below. */
struct texts_conf {
	const char *server, *api_key, *agent_id, *name, *key_dir;
	const char *discovery_dirs, *ca_bundle, *insecure, *bootstrap_token;
	const char *log_level;
};

static const struct option {
	const char *flag, *var, *otherwise;
	size_t off;
	bool is_bool;
	const char *help;
} options[] = {
#define OPTION(m, flag, var, otherwise, is_bool, help)			\
	{ flag, var, otherwise, offsetof(struct texts_conf, m), is_bool, help }
	OPTION(server, "server", "CERTCTL_SERVER_URL",
	    "https://localhost:8443", false, "URL of the certctl server"),
	OPTION(api_key, "api-key", "CERTCTL_API_KEY", NULL, false,
	    "key of this agent"),
	OPTION(agent_id, "agent-id", "CERTCTL_AGENT_ID", NULL, false,
	    "id the server gave this agent"),
	OPTION(bootstrap_token, "bootstrap-token",
	    "CERTCTL_AGENT_BOOTSTRAP_TOKEN", NULL, false,
	    "register with this token if there is no id and key yet"),
	OPTION(name, "name", "CERTCTL_AGENT_NAME", NULL, false,
	    "name to register and log under (default: host name)"),
	OPTION(key_dir, "key-dir", "CERTCTL_KEY_DIR",
	    "/var/lib/certctl/keys", false, "where private keys are kept"),
	OPTION(discovery_dirs, "discovery-dirs", "CERTCTL_DISCOVERY_DIRS",
	    NULL, false, "directories to scan, separated by commas"),
	OPTION(ca_bundle, "ca-bundle", "CERTCTL_SERVER_CA_BUNDLE_PATH", NULL,
	    false, "PEM file that replaces the system's trust anchors"),
	OPTION(insecure, "insecure-skip-verify",
	    "CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY", "false", true,
	    "do not check the server's certificate (lab use)"),
	OPTION(log_level, NULL, "CERTCTL_LOG_LEVEL", "info", false, NULL),
};

static const char **
slot(struct texts_conf *t, const struct option *o)
{
	return (const char **)(void *)((char *)t + o->off);
}

static void
usage(FILE *f)
{
	fprintf(f, "usage: certctl-agent [flags]\n\n");
	for (size_t i = 0; i < NELEM(options); i++) {
		const struct option *o = &options[i];

		if (o->flag == NULL)
			continue;
		fprintf(f, "  -%-22s %s\n", o->flag, o->help);
		fprintf(f, "%26s(%s", "", o->var);
		fprintf(f, o->otherwise != NULL ? ", default %s)\n" : ")\n",
		    o->otherwise);
	}
	fprintf(f, "  -%-22s %s\n", "version", "print the version");
}

/* true, false, or -1 for a text that is neither. */
static int
parse_bool(const char *s)
{
	static const struct {
		const char *text;
		int value;
	} words[] = {
		{ "1", 1 }, { "t", 1 }, { "true", 1 }, { "yes", 1 },
		{ "on", 1 }, { "0", 0 }, { "f", 0 }, { "false", 0 },
		{ "no", 0 }, { "off", 0 },
	};
	size_t n;

	s += strspn(s, " \t\r\n");
	n = strcspn(s, " \t\r\n");
	for (size_t i = 0; i < NELEM(words); i++)
		if (strlen(words[i].text) == n &&
		    strncasecmp(s, words[i].text, n) == 0)
			return words[i].value;
	return -1;
}

static const struct option *
option_find(const char *flag, size_t len)
{
	for (size_t i = 0; i < NELEM(options); i++)
		if (options[i].flag != NULL &&
		    strlen(options[i].flag) == len &&
		    strncmp(options[i].flag, flag, len) == 0)
			return &options[i];
	return NULL;
}

static int
complain(const char *what, const char *flag)
{
	fprintf(stderr, "certctl-agent: %s: -%s\n", what, flag);
	usage(stderr);
	return 2;
}

/* One flag at argv[*i]; CONF_RUN to go on. */
static int
read_flag(char **argv, int *i, struct texts_conf *t)
{
	const char *flag = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	size_t n = strcspn(flag, "=");
	const char *value = flag[n] == '=' ? flag + n + 1 : NULL;
	const struct option *o = option_find(flag, n);

	if (streq(flag, "h") || streq(flag, "help")) {
		usage(stdout);
		return 0;
	}
	if (streq(flag, "version")) {
		printf("certctl-agent %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (o == NULL)
		return complain("unknown flag", flag);
	if (value == NULL)
		value = o->is_bool ? "true" : argv[++*i];
	if (value == NULL)
		return complain("flag needs a value", flag);
	if (o->is_bool && parse_bool(value) < 0)
		return complain("flag is neither true nor false", flag);
	*slot(t, o) = value;
	return CONF_RUN;
}

static void
read_environment(struct texts_conf *t)
{
	for (size_t i = 0; i < NELEM(options); i++) {
		const char *v = getenv(options[i].var);

		*slot(t, &options[i]) = blank(v) ? options[i].otherwise : v;
	}
}

int
conf_load(struct arena *a, int argc, char **argv, struct conf *out)
{
	struct texts_conf t = { 0 };
	int rc;

	read_environment(&t);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0' ||
		    streq(argv[i], "--"))
			break;
		rc = read_flag(argv, &i, &t);
		if (rc != CONF_RUN)
			return rc;
	}
	*out = (struct conf){
		.server = t.server,
		.api_key = t.api_key, .agent_id = t.agent_id,
		.name = t.name, .key_dir = t.key_dir,
		.state_dir = arena_printf(a, "%s/.certctl", t.key_dir),
		.discovery_dirs = t.discovery_dirs,
		.ca_bundle = blank(t.ca_bundle) ? NULL : t.ca_bundle,
		.bootstrap_token = t.bootstrap_token,
		.insecure = parse_bool(t.insecure) == 1,
		.log_level = streq(t.log_level, "debug") ? LOG_DEBUG :
		    LOG_INFO,
	};
	return CONF_RUN;
}

/* Id and key, or a way to get them. */
static int
check_identity(const struct conf *c, struct err *e)
{
	bool registers = blank(c->api_key) && blank(c->agent_id) &&
	    (!blank(c->bootstrap_token) || identity_exists(c));

	if (registers)
		return 0;
	if (blank(c->api_key))
		return err_set(e, E_INVALID, "no API key: set -api-key or "
		    "CERTCTL_API_KEY, or -bootstrap-token to register");
	if (blank(c->agent_id))
		return err_set(e, E_INVALID, "no agent id: set -agent-id or "
		    "CERTCTL_AGENT_ID to the id that POST /api/v1/agents "
		    "answered, or unset the API key and give a bootstrap "
		    "token");
	if (!safe_id(c->agent_id))
		return err_set(e, E_INVALID, "the agent id holds characters "
		    "no id has");
	return 0;
}

static int
check_url(const char *url, struct err *e)
{
	const char *sep = strstr(url, "://");
	size_t n = sep != NULL ? (size_t)(sep - url) : 0;

	if (*url == '\0')
		return err_set(e, E_INVALID, "the server URL is empty");
	for (const char *p = url; *p != '\0'; p++)
		if (!isgraph((unsigned char)*p))
			return err_set(e, E_INVALID,
			    "the server URL cannot be parsed: \"%s\"", url);
	if (n == 0)
		return err_set(e, E_INVALID, "the server URL \"%s\" has no "
		    "scheme: it must begin with https://", url);
	if (n == 4 && strncasecmp(url, "http", n) == 0)
		return err_set(e, E_INVALID, "the server URL \"%s\" is plain "
		    "http: keys and certificates need https://", url);
	if (n != 5 || strncasecmp(url, "https", n) != 0)
		return err_set(e, E_INVALID, "the server URL \"%s\" has a "
		    "scheme other than https", url);
	if (strchr("/:?#", sep[3]) != NULL)
		return err_set(e, E_INVALID,
		    "the server URL \"%s\" names no host", url);
	return 0;
}

static int
check_bundle(const char *path, struct err *e)
{
	struct arena *a = arena_new();
	struct x509_cert *certs;
	struct bytes pem;
	size_t n;
	int rc = file_read(a, path, MAX_BUNDLE, &pem, e);

	if (rc == 0)
		rc = certs_from_pem(a, (const char *)pem.p, &certs, &n, e);
	arena_free(a);
	return rc < 0 ? err_prefix(e, "CA bundle %s", path) : 0;
}

int
conf_check(const struct conf *c, struct err *e)
{
	if (check_identity(c, e) < 0 || check_url(c->server, e) < 0)
		return -1;
	return c->ca_bundle != NULL ? check_bundle(c->ca_bundle, e) : 0;
}
