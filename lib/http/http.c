#include "http/http.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

enum {
	TIMEOUT_MS = 30 * 1000,
	CONNECT_TIMEOUT_MS = 10 * 1000,
	MAX_BODY = 1024 * 1024,
	MAX_BUNDLE = 4 * 1024 * 1024,
	MAX_HEADER = 8 * 1024,	/* of one header we keep */
};

struct http {
	CURL *curl;
	size_t max_body;
	volatile sig_atomic_t cancelled;
};

/* One call on its way. */
struct transfer {
	struct http *h;
	struct arena *a;
	struct buf body;
	struct http_reply *out;
	bool too_large;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (n * size > t->h->max_body - t->body.len) {
		t->too_large = true;
		return 0;
	}
	buf_add(&t->body, p, n * size);
	return n * size;
}

/* The value of the header line P if it is the one called NAME. */
static const char *
header_value(struct arena *a, const char *p, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len <= n || len > MAX_HEADER || p[n] != ':' ||
	    strncasecmp(p, name, n) != 0)
		return NULL;
	for (n++; n < len && (p[n] == ' ' || p[n] == '\t'); n++)
		;
	while (len > n && strchr("\r\n \t", p[len - 1]) != NULL)
		len--;
	return arena_strndup(a, p + n, len - n);
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	const char *v;

	if ((v = header_value(t->a, p, n * size, "Retry-After")) != NULL)
		t->out->retry_after = v;
	if ((v = header_value(t->a, p, n * size, "Content-Type")) != NULL)
		t->out->content_type = v;
	return n * size;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http *h = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return h->cancelled;
}

/* The trust anchors of PATH, so that a bad bundle is told before any call. */
static int
load_bundle(struct http *h, const char *path, struct err *e)
{
	struct arena *a = arena_new();
	struct curl_blob blob = { .flags = CURL_BLOB_COPY };
	struct bytes pem;
	int rc = file_read(a, path, MAX_BUNDLE, &pem, e);

	if (rc == 0 && strstr((const char *)pem.p,
	    "-----BEGIN CERTIFICATE-----") == NULL)
		rc = err_set(e, E_INVALID, "%s holds no PEM certificate", path);
	if (rc == 0) {
		blob.data = (void *)(uintptr_t)pem.p;
		blob.len = pem.len;
		curl_easy_setopt(h->curl, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(h->curl, CURLOPT_CAPATH, NULL);
	}
	if (rc < 0 && e->code != E_INVALID)
		e->code = E_INVALID;
	arena_free(a);
	return rc;
}

static long
or_default(long v, long otherwise)
{
	return v > 0 ? v : otherwise;
}

static void
set_options(struct http *h, const struct http_conf *conf)
{
	CURL *c = h->curl;

	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, conf->tls13 ?
	    CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, conf->insecure ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, conf->insecure ? 0L : 2L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
	    or_default(conf->timeout_ms, TIMEOUT_MS));
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
	    or_default(conf->connect_timeout_ms, CONNECT_TIMEOUT_MS));
	curl_easy_setopt(c, CURLOPT_USERAGENT, conf->user_agent);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

struct http *
http_new(const struct http_conf *conf, struct err *e)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (h->curl = curl_easy_init()) == NULL)
		abort();
	h->max_body = conf->max_body > 0 ? conf->max_body : MAX_BODY;
	set_options(h, conf);
	if (conf->ca_bundle != NULL &&
	    load_bundle(h, conf->ca_bundle, e) < 0) {
		http_free(h);
		return NULL;
	}
	return h;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

static int
transfer_failed(const struct transfer *t, CURLcode rc, const char *why,
    struct err *e)
{
	if (t->too_large)
		return err_set(e, E_UPSTREAM,
		    "the reply is larger than %zu octets", t->h->max_body);
	if (t->h->cancelled)
		return err_set(e, E_UPSTREAM, "the call was cancelled");
	if (*why == '\0')
		why = curl_easy_strerror(rc);
	return err_set(e, rc == CURLE_OPERATION_TIMEDOUT ? E_TIMEOUT :
	    E_UPSTREAM, "no answer: %s", why);
}

static struct curl_slist *
header_list(const struct http_call *call)
{
	/* A body is small here: do not wait a second for "100 Continue". */
	struct curl_slist *l = curl_slist_append(NULL, "Expect:");

	for (size_t i = 0; call->headers != NULL && call->headers[i] != NULL;
	    i++)
		l = curl_slist_append(l, call->headers[i]);
	return l;
}

static void
set_call(CURL *c, const struct http_call *call)
{
	curl_easy_setopt(c, CURLOPT_URL, call->url);
	curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	if (call->body != NULL) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)call->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, call->method);
}

int
http_do(struct http *h, struct arena *a, const struct http_call *call,
    struct http_reply *out, struct err *e)
{
	struct http_reply reply = { 0 };
	struct transfer t = {
		.h = h, .a = a, .body = BUF(a), .out = &reply,
	};
	struct curl_slist *headers = header_list(call);
	char why[CURL_ERROR_SIZE] = "";
	CURL *c = h->curl;
	CURLcode rc;
	long status = 0;

	set_call(c, call);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
	rc = curl_easy_perform(c);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	if (rc != CURLE_OK)
		return transfer_failed(&t, rc, why, e);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	reply.body_len = t.body.len;
	reply.body = buf_str(&t.body);
	*out = reply;
	return 0;
}

void
http_cancel(struct http *h)
{
	h->cancelled = 1;
}
