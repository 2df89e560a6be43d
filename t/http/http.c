#include "http/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "t/x509/fixture.h"
#include "x509/probe.h"

static struct arena *a;
static struct err e;
static const char *dir;
static pid_t server;
static int port;

static int
free_port(void)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

static void
make_certificate(void)
{
	const char *const argv[] = {
		"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost", "-keyout",
		arena_printf(a, "%s/tls.key", dir), "-out",
		arena_printf(a, "%s/tls.crt", dir), NULL,
	};

	cr_assert_not_null(t_run(a, argv));
}

/* "openssl s_server -HTTP" answers with what files below DIR hold. */
static void
start(const char *version)
{
	const char *number = arena_printf(a, "%d", port);
	struct probe seen;

	server = fork();
	if (server == 0) {
		if (chdir(dir) == 0 && freopen("/dev/null", "r+", stdin) &&
		    freopen("/dev/null", "w", stdout) &&
		    freopen("/dev/null", "w", stderr))
			execlp("openssl", "openssl", "s_server", "-HTTP",
			    "-accept", number, "-cert", "tls.crt", "-key",
			    "tls.key", version, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200; i++) {
		if (probe_tls("localhost", port, 2000, &seen, &e) == 0)
			return;
		sleep_ms(25);
	}
	cr_assert_fail("no test server: %s", e.msg);
}

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
	port = free_port();
	signal(SIGPIPE, SIG_IGN);
	make_certificate();
	t_write(arena_printf(a, "%s/ok", dir), "HTTP/1.1 200 OK\r\n"
	    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
	    0644);
	t_write(arena_printf(a, "%s/busy", dir), "HTTP/1.1 503 Later\r\n"
	    "retry-after:  7 \r\nContent-Length: 0\r\n\r\n", 0644);
	t_write(arena_printf(a, "%s/moved", dir), "HTTP/1.1 302 Found\r\n"
	    "Location: https://localhost/\r\nContent-Length: 0\r\n\r\n",
	    0644);
	t_write(arena_printf(a, "%s/short", dir), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 100\r\n\r\nhalf", 0644);
	t_write(arena_printf(a, "%s/big", dir), arena_printf(a,
	    "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n%3000s", "x"),
	    0644);
}

static void
teardown(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	arena_free(a);
}

TestSuite(http, .init = setup, .fini = teardown, .timeout = 60);

static struct http *
client(const struct http_conf *more)
{
	struct http_conf c = *more;
	struct http *h;

	if (c.ca_bundle == NULL)
		c.ca_bundle = arena_printf(a, "%s/tls.crt", dir);
	c.user_agent = "certctl-test";
	c.max_body = 2000;
	h = http_new(&c, &e);
	cr_assert_not_null(h, "%s", e.msg);
	return h;
}

static int
get(struct http *h, const char *path, struct http_reply *r)
{
	const struct http_call call = {
		.method = "GET", .url = arena_printf(a,
		    "https://localhost:%d/%s", port, path),
	};

	return http_do(h, a, &call, r, &e);
}

Test(http, a_complete_reply_is_a_success_whatever_its_status)
{
	struct http *h = client(&(struct http_conf){ .tls13 = true });
	struct http_reply r;

	start("-tls1_3");
	cr_assert_eq(get(h, "ok", &r), 0, "%s", e.msg);
	cr_expect_eq(r.status, 200);
	cr_expect_str_eq(r.body, "{}");
	cr_expect_eq(r.body_len, 2);
	cr_expect_str_eq(r.content_type, "application/json");
	cr_expect_null(r.retry_after);
	cr_assert_eq(get(h, "busy", &r), 0, "%s", e.msg);
	cr_expect_eq(r.status, 503);
	cr_expect_str_eq(r.retry_after, "7");
	cr_expect_null(r.content_type);
	cr_assert_eq(get(h, "moved", &r), 0, "redirects are off");
	cr_expect_eq(r.status, 302);
	http_free(h);
}

Test(http, an_incomplete_or_too_large_reply_is_none)
{
	struct http *h = client(&(struct http_conf){ .timeout_ms = 3000 });
	struct http_reply r;

	start("-tls1_3");
	cr_expect_eq(get(h, "short", &r), -1);
	cr_expect_eq(e.code, E_UPSTREAM, "%s", e.msg);
	cr_expect_eq(get(h, "big", &r), -1);
	cr_expect_eq(e.code, E_UPSTREAM);
	cr_expect_not_null(strstr(e.msg, "larger than 2000"), "%s", e.msg);
	http_free(h);
}

Test(http, only_a_trusted_modern_server_is_talked_to)
{
	struct http *h = client(&(struct http_conf){ .tls13 = true });
	struct http_reply r;

	start("-tls1_2");
	cr_expect_eq(get(h, "ok", &r), -1, "TLS 1.2 is too old");
	http_free(h);
	h = client(&(struct http_conf){ 0 });
	cr_expect_eq(get(h, "ok", &r), 0, "%s", e.msg);
	http_free(h);
	/* Another certificate than the server's. */
	make_certificate();
	h = client(&(struct http_conf){ 0 });
	cr_expect_eq(get(h, "ok", &r), -1);
	cr_expect_eq(e.code, E_UPSTREAM);
	http_free(h);
	h = client(&(struct http_conf){ .insecure = true });
	cr_expect_eq(get(h, "ok", &r), 0, "%s", e.msg);
	http_free(h);
}

Test(http, plain_http_and_files_are_no_urls_of_ours)
{
	static const char *const urls[] = {
		"http://localhost/", "file:///etc/hostname", "gopher://x/",
	};
	struct http *h = client(&(struct http_conf){ 0 });
	struct http_reply r;

	for (size_t i = 0; i < NELEM(urls); i++) {
		const struct http_call call = {
			.method = "GET", .url = urls[i],
		};

		cr_expect_eq(http_do(h, a, &call, &r, &e), -1, "%s", urls[i]);
	}
	http_free(h);
}

Test(http, a_silent_server_times_out)
{
	struct http *h = client(&(struct http_conf){ .timeout_ms = 300 });
	int64_t began = mono_us();
	struct http_reply r;
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_expect_eq(get(h, "ok", &r), -1);
	cr_expect_eq(e.code, E_TIMEOUT, "%s", e.msg);
	cr_expect_lt(mono_us() - began, 3000000);
	close(fd);
	http_free(h);
}

Test(http, a_cancelled_client_stays_so)
{
	struct http *h = client(&(struct http_conf){ 0 });
	struct http_reply r;

	start("-tls1_3");
	cr_assert_eq(get(h, "ok", &r), 0, "%s", e.msg);
	http_cancel(h);
	cr_expect_eq(get(h, "ok", &r), -1);
	cr_expect_not_null(strstr(e.msg, "cancelled"), "%s", e.msg);
	http_free(h);
}

Test(http, a_bundle_without_certificates_is_refused)
{
	const struct http_conf none = { .ca_bundle = "/no/such/file" };
	const struct http_conf empty = { .ca_bundle = "/etc/hostname" };

	cr_expect_null(http_new(&none, &e));
	cr_expect_eq(e.code, E_INVALID);
	cr_expect_null(http_new(&empty, &e));
	cr_expect_eq(e.code, E_INVALID);
}

TestSuite(probe, .init = setup, .fini = teardown, .timeout = 60);

Test(probe, sees_what_is_presented)
{
	struct probe seen;

	start("-tls1_2");
	cr_assert_eq(probe_tls("127.0.0.1", port, 5000, &seen, &e), 0, "%s",
	    e.msg);
	cr_expect_eq(strlen(seen.fingerprint), SHA256_HEX);
	cr_expect_eq(seen.chain_len, 1);
}

Test(probe, says_why_it_sees_nothing)
{
	struct probe seen;

	cr_expect_eq(probe_tls("127.0.0.1", port, 1000, &seen, &e), -1);
	cr_expect_eq(e.code, E_UPSTREAM);
	cr_expect_not_null(strstr(e.msg, "refused"), "%s", e.msg);
	cr_expect_eq(probe_tls("no.such.host.invalid", port, 1000, &seen, &e),
	    -1);
	cr_expect_eq(e.code, E_UPSTREAM, "%s", e.msg);
}

Test(probe, reads_endpoints)
{
	static const struct {
		const char *text, *host;
		int port;
	} cases[] = {
		{ "web1:443", "web1", 443 }, { "[::1]:8443", "::1", 8443 },
		{ "10.0.0.1:1", "10.0.0.1", 1 }, { "web1", NULL, 0 },
		{ "web1:", NULL, 0 }, { ":443", NULL, 0 },
		{ "web1:0", NULL, 0 }, { "web1:65536", NULL, 0 },
		{ "web1:44x", NULL, 0 }, { "::1:443", NULL, 0 },
		{ "[]:443", NULL, 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char host[64] = "";
		int p = 0, rc = probe_endpoint(cases[i].text, host,
		    sizeof(host), &p, &e);

		cr_expect_eq(rc, cases[i].host != NULL ? 0 : -1, "%s",
		    cases[i].text);
		if (cases[i].host == NULL)
			continue;
		cr_expect_str_eq(host, cases[i].host);
		cr_expect_eq(p, cases[i].port);
	}
}
