#include "proto/est.h"

#include <stdio.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/shared.h"
#include "base/text.h"

const char est_certs_type[] = "application/pkcs7-mime; smime-type=certs-only";
const char est_csrattrs_type[] = "application/csrattrs";

int
est_status(enum err_code code)
{
	static const int statuses[E__MAX] = {
		/* A state that forbids it is the client's to hear about. */
		[E_CONFLICT] = 403,
		[E_UNPROCESSABLE] = 400,
		[E_UPSTREAM] = 500,
		[E_TIMEOUT] = 503,
	};

	return statuses[code] != 0 ? statuses[code] : err_status(code);
}

/* What nobody sends a request as; all else is looked at. */
static int
check_type(const char *type, struct err *e)
{
	static const char *const wrong[] = {
		"application/json", "application/xml", "application/pkcs7",
		"application/pdf", "application/zip", "audio/", "font/",
		"image/", "multipart/", "text/html", "text/xml", "video/",
	};

	for (size_t i = 0; i < NELEM(wrong); i++)
		if (strncasecmp(type, wrong[i], strlen(wrong[i])) == 0)
			return err_set(e, E_UNSUPPORTED,
			    "the body must be application/pkcs10");
	return 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The text of TEXT between BEGIN and END, which must be all of it. */
static bool
between(struct bytes text, const char *begin, const char *end,
    struct bytes *out)
{
	size_t nb = strlen(begin), ne = strlen(end);

	if (text.len < nb + ne || memcmp(text.p, begin, nb) != 0 ||
	    memcmp(text.p + text.len - ne, end, ne) != 0)
		return false;
	*out = (struct bytes){ text.p + nb, text.len - nb - ne };
	return true;
}

static const struct {
	const char *begin, *end;
} blocks[] = {
	{ "-----BEGIN CERTIFICATE REQUEST-----",
	    "-----END CERTIFICATE REQUEST-----" },
	{ "-----BEGIN NEW CERTIFICATE REQUEST-----",
	    "-----END NEW CERTIFICATE REQUEST-----" },
};

int
est_read_csr(struct arena *a, const char *content_type, const char *body,
    size_t len, struct bytes *der, struct err *e)
{
	struct bytes text = { (const unsigned char *)body, len }, inner;

	if (check_type(content_type, e) < 0)
		return -1;
	for (; text.len > 0 && is_space((char)text.p[0]); text.len--)
		text.p++;
	if (text.len > 0 && text.p[0] == 0x30 && (text.len < 2 ||
	    text.p[1] >= 0x80)) {
		*der = text;
		return 0;
	}
	while (text.len > 0 && is_space((char)text.p[text.len - 1]))
		text.len--;
	if (text.len == 0)
		return err_set(e, E_INVALID, "the body is empty");
	inner = text;
	for (size_t i = 0; i < NELEM(blocks); i++)
		if (between(text, blocks[i].begin, blocks[i].end, &inner))
			break;
	if (!base64_decode(a, (const char *)inner.p, inner.len, der))
		return err_set(e, E_INVALID,
		    "the body is not a PKCS#10 request in base64");
	return 0;
}

bool
est_basic(struct arena *a, const char *authorization, const char **user,
    const char **password)
{
	static const char scheme[] = "Basic ";
	struct bytes raw;
	char *text, *colon;

	if (authorization == NULL ||
	    strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return false;
	authorization += strlen(scheme);
	if (!base64_decode(a, authorization, strlen(authorization), &raw))
		return false;
	text = arena_strndup(a, (const char *)raw.p, raw.len);
	arena_wipe(a, (void *)(uintptr_t)raw.p, raw.len);
	arena_wipe(a, text, raw.len);
	colon = strchr(text, ':');
	if (colon == NULL || colon == text)
		return false;
	*colon = '\0';
	*user = text;
	*password = colon + 1;
	return true;
}

static const char *
part_type(bool sealed)
{
	return sealed ?
	    "application/pkcs7-mime; smime-type=server-generated-key" :
	    "application/pkcs8";
}

static void
add_part(struct arena *a, struct buf *body, const char *boundary,
    const char *type, struct bytes content)
{
	char *text = base64_encode(a, content.p, content.len);

	buf_printf(body, "--%s\r\nContent-Type: %s\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n", boundary, type);
	buf_puts(body, text);
	buf_puts(body, "\r\n");
	wipe(text, strlen(text));
}

const char *
est_key_reply(struct arena *a, struct buf *body, struct bytes key,
    bool sealed, struct bytes certs)
{
	unsigned char random[16];
	const char *boundary;

	random_bytes(random, sizeof(random));
	boundary = arena_printf(a, "certctl-est-serverkeygen-%s",
	    hex_encode(a, random, sizeof(random)));
	/* In one piece: what a buffer leaves when it grows is not wiped. */
	buf_room(body, (key.len + certs.len) * 2 + 1024);
	add_part(a, body, boundary, part_type(sealed), key);
	add_part(a, body, boundary, est_certs_type, certs);
	buf_printf(body, "--%s--\r\n", boundary);
	arena_wipe(a, body->p, body->len);
	return arena_printf(a, "multipart/mixed; boundary=%s", boundary);
}

static const char *const counters[EST__COUNTERS] = {
	[EST_SUCCESS_SIMPLEENROLL] = "success_simpleenroll",
	[EST_SUCCESS_SIMPLEREENROLL] = "success_simplereenroll",
	[EST_SUCCESS_SERVERKEYGEN] = "success_serverkeygen",
	[EST_AUTH_FAILED_BASIC] = "auth_failed_basic",
	[EST_AUTH_FAILED_MTLS] = "auth_failed_mtls",
	[EST_AUTH_FAILED_CHANNEL_BINDING] = "auth_failed_channel_binding",
	[EST_CSR_INVALID] = "csr_invalid",
	[EST_CSR_POLICY_VIOLATION] = "csr_policy_violation",
	[EST_CSR_SIGNATURE_MISMATCH] = "csr_signature_mismatch",
	[EST_RATE_LIMITED] = "rate_limited",
	[EST_ISSUER_ERROR] = "issuer_error",
	[EST_INTERNAL_ERROR] = "internal_error",
};

const char *
est_counter_name(enum est_counter c)
{
	return counters[c];
}

uint64_t
est_counter_key(const char *label, enum est_counter c)
{
	char space[160];

	snprintf(space, sizeof(space), "est/%.128s", label);
	return shared_key(space, counters[c]);
}
