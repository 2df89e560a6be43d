#include "x509/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "x509/ossl.h"

AUTO_FREE(SSL, SSL_free)
AUTO_FREE(SSL_CTX, SSL_CTX_free)

/* Wait until FD is ready for EVENTS; false once DEADLINE (mono_us) passed. */
static bool
wait_ready(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;

	while ((left = (deadline - mono_us()) / 1000) > 0)
		if (poll(&p, 1, (int)left) > 0)
			return true;
	return false;
}

/* Connect to one address; 0 or an errno. */
static int
connect_one(int fd, const struct addrinfo *ai, int64_t deadline)
{
	int why = 0;
	socklen_t len = sizeof(why);

	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return errno;
	if (!wait_ready(fd, POLLOUT, deadline))
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0 ?
	    errno : why;
}

/* The first address of HOST that answers, IPv6 or IPv4. */
static int
dial(const char *host, int port, int64_t deadline, struct err *e)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list, *ai;
	int fd = -1, why = 0, rc;
	char service[8];

	snprintf(service, sizeof(service), "%d", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(e, E_UPSTREAM, "cannot resolve %.128s: %s",
		    host, gai_strerror(rc));
	for (ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, ai->ai_protocol);
		why = fd < 0 ? errno : connect_one(fd, ai, deadline);
		if (why != 0 && fd >= 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0)
		return err_set(e, why == ETIMEDOUT ? E_TIMEOUT : E_UPSTREAM,
		    "cannot connect to %.128s port %d: %s", host, port,
		    strerror(why));
	return fd;
}

static bool
is_address(const char *host)
{
	unsigned char any[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, any) == 1 ||
	    inet_pton(AF_INET6, host, any) == 1;
}

static int
shake(SSL *ssl, int fd, int64_t deadline, struct err *e)
{
	int rc;

	while ((rc = SSL_connect(ssl)) != 1) {
		int want = SSL_get_error(ssl, rc);

		if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			return ossl_err(e, E_UPSTREAM, "no TLS handshake");
		if (!wait_ready(fd, want == SSL_ERROR_WANT_READ ? POLLIN :
		    POLLOUT, deadline))
			return err_set(e, E_TIMEOUT,
			    "the TLS handshake took too long");
	}
	return 0;
}

static int
see(SSL *ssl, struct probe *out, struct err *e)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	unsigned char *der = NULL;
	int len;

	if (leaf == NULL || (len = i2d_X509(leaf, &der)) < 0)
		return ossl_err(e, E_UPSTREAM, "no certificate was presented");
	sha256_hex(der, (size_t)len, out->fingerprint);
	out->chain_len = chain != NULL ? sk_X509_num(chain) : 1;
	OPENSSL_free(der);
	return 0;
}

static SSL_CTX *
context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		abort();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* We look, we do not trust: a weak signature must not hide a leaf. */
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	return ctx;
}

int
probe_tls(const char *host, int port, int64_t timeout_ms, struct probe *out,
    struct err *e)
{
	int64_t deadline = mono_us() + timeout_ms * 1000;
	int fd = dial(host, port, deadline, e), rc = -1;
	AUTO(SSL_CTX) ctx = NULL;
	AUTO(SSL) ssl = NULL;

	if (fd < 0)
		return -1;
	ctx = context();
	ssl = SSL_new(ctx);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		abort();
	if (!is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1)
		ossl_err(e, E_INVALID, "%.128s is not a host name", host);
	else if (shake(ssl, fd, deadline, e) == 0)
		rc = see(ssl, out, e);
	if (rc < 0)
		err_prefix(e, "%.128s port %d", host, port);
	close(fd);
	return rc;
}

int
probe_endpoint(const char *text, char *host, size_t size, int *port,
    struct err *e)
{
	const char *colon = strrchr(text, ':'), *start = text;
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	int64_t p;

	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		start++;
		n -= 2;
	} else if (strcspn(text, "[]:") < n) {
		n = 0;	/* an IPv6 address without brackets, or half of them */
	}
	if (n == 0 || n >= size || !int_parse(colon + 1, 1, 65535, &p))
		return err_set(e, E_INVALID,
		    "\"%.128s\" is not host:port", text);
	memcpy(host, start, n);
	host[n] = '\0';
	*port = (int)p;
	return 0;
}
