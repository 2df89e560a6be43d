#include "agent/identity.h"

#include <unistd.h>

#include "agent/api.h"
#include "agent/backoff.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/json.h"
#include "agent/conf.h"
#include "agent/signals.h"
#include "x509/digest.h"

enum {
	KEY_OCTETS = 32,
	MAX_FILE = 64 * 1024,
};

static const struct field identity_fields[] = {
	FIELD(struct identity, agent_id, TEXT, F_OMIT),
	FIELD(struct identity, api_key, TEXT, F_REQ),
	FIELD_END
};

static const char *
file_name(struct arena *a, const struct conf *c)
{
	return arena_printf(a, "%s/identity.json", c->state_dir);
}

bool
identity_exists(const struct conf *c)
{
	struct arena *a = arena_new();
	bool there = access(file_name(a, c), F_OK) == 0;

	arena_free(a);
	return there;
}

static int
load(struct arena *a, const struct conf *c, struct identity *out,
    struct err *e)
{
	const char *path = file_name(a, c);
	struct bytes text;
	struct json *j;

	if (file_read_own(a, path, MAX_FILE, &text, e) < 0)
		return -1;
	j = json_parse(a, (const char *)text.p, text.len, e);
	if (j == NULL || json_read(a, j, identity_fields, 0, out, e) < 0)
		return err_prefix(e, "%s", path);
	return 0;
}

static int
store(struct arena *a, const struct conf *c, const struct identity *id,
    struct err *e)
{
	struct buf b = BUF(a);
	int rc;

	json_write(&b, identity_fields, id, NULL);
	buf_putc(&b, '\n');
	rc = file_write(file_name(a, c), b.p, b.len, 0600, e);
	wipe(b.p, b.len);
	return rc;
}

static int
make_key(struct arena *a, const struct conf *c, struct identity *out,
    struct err *e)
{
	unsigned char raw[KEY_OCTETS];
	char *key;

	random_bytes(raw, sizeof(raw));
	key = base64url_encode(a, raw, sizeof(raw));
	wipe(raw, sizeof(raw));
	arena_wipe(a, key, strlen(key));
	*out = (struct identity){ .api_key = key };
	return store(a, c, out, e);
}

/* Until the server answers for good or the agent is told to stop. */
static int
ask(struct api *api, struct arena *a, const struct conf *c, const char *hash,
    struct registered *out, struct err *e)
{
	for (int failures = 1; !signals_stopping(); failures++) {
		if (api_register(api, a, c->bootstrap_token, c->name, hash,
		    out, e) == 0)
			return 0;
		if (api_final(e) || e->code == E_UNAUTHORIZED)
			return -1;
		log_err(LOG_WARN, "registration failed, trying again", e,
		    "server", c->server);
		signals_wait(backoff_ms(failures, BACKOFF_MAX_MS));
	}
	return err_set(e, E_UNAVAILABLE, "told to stop");
}

static int
enrol(struct arena *a, const struct conf *c, struct identity *id,
    struct err *e)
{
	struct api *api = api_new(c, NULL, NULL, e);
	char hash[SHA256_HEX + 1];
	struct registered r;
	int rc;

	if (api == NULL)
		return -1;
	sha256_hex(id->api_key, strlen(id->api_key), hash);
	rc = ask(api, a, c, hash, &r, e);
	api_free(api);
	if (rc < 0)
		return err_prefix(e, "registration");
	id->agent_id = r.id;
	if (!blank(r.api_key))
		id->api_key = r.api_key;
	if (store(a, c, id, e) < 0)
		return -1;
	log_info("agent registered", "agent_id", id->agent_id,
	    "server", c->server, NULL);
	return 0;
}

int
identity_get(struct arena *a, const struct conf *c, struct identity *out,
    struct err *e)
{
	*out = (struct identity){ c->agent_id, c->api_key };
	if (!blank(out->agent_id) && !blank(out->api_key))
		return 0;
	*out = (struct identity){ 0 };
	if (load(a, c, out, e) < 0 &&
	    (e->code != E_NOT_FOUND || make_key(a, c, out, e) < 0))
		return -1;
	if (!blank(out->agent_id))
		return 0;
	if (blank(c->bootstrap_token))
		return err_set(e, E_INVALID, "a registration was begun but "
		    "not finished, and there is no bootstrap token");
	return enrol(a, c, out, e);
}
