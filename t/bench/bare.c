/*
 * The ceilings of t/bench: what a prefork FastCGI process can do at most.
 *
 *	/bare/OPERATION/ID
 *
 * Each operation runs the statements that the product runs for it, in one
 * pipeline flight, and writes the answer as JSON; nothing else.  Nobody is
 * authenticated, no rate is limited, no path, query or body is read beyond the
 * two segments above, and there is no arena, no route and no error reply: what
 *X *
 * Started by spawn-fcgi like the product, with CERTCTL_DATABASE_URL.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <fcgiapp.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "db/list.h"
#include "x509/cms.h"
#include "x509/csr.h"
#include "x509/digest.h"
#include "x509/name.h"
#include "x509/tbs.h"

enum {
	MAX_ARGS = 15,
	MAX_STEPS = 3,
	REPLY_SIZE = 256 * 1024,
	BODY_MAX = 16 * 1024,
	ANSWER_SIZE = 760,
	INT8_OID = 20, INT4_OID = 23, TEXTS_OID = 1009, TIME_OID = 1184,
	JSONB_OID = 3802,
};

static PGconn *conn;
static char reply[REPLY_SIZE], *end = reply;
static char new_id[64], started_ms[24];

/* The body, and of the certificate that was made of it: base64, name, serial,
 * and hashes of the whole and of its key. */
static char body[BODY_MAX + 1];
static const char *made, *made_cn, *made_serial, *made_hash, *made_key;

/* --- statements ------------------------------------------------------- */

enum stmt { GET, CALL, LIST, TOTAL, POLL, HEARTBEAT, INSERT, AUDIT,
    CALL_DURABLE, STATUS, RECORD, VERSION, STMT__MAX };

static const enum query texts[STMT__MAX] = {
	[GET] = Q_CERTIFICATE_GET,
	[CALL] = Q_AUDIT_CALL_LAZY,
	[POLL] = Q_AGENT_WORK,
	[HEARTBEAT] = Q_AGENT_HEARTBEAT,
	[INSERT] = Q_CERTIFICATE_INSERT,
	[AUDIT] = Q_AUDIT_ADD,
	[CALL_DURABLE] = Q_AUDIT_CALL,
	[STATUS] = Q_OCSP_STATUS,
};

/* The rows of one enrolment. */
static const char record[] = "INSERT INTO managed_certificates (id, name, "
    "common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, "
    "certificate_profile_id, source, status, issued_at, expires_at) "
    "VALUES ($1::text, $1, $2::text, ARRAY[$2], 'o-est', 't-est', 'iss-local', "
    "'rp-default', 'prof-est', 'EST', 'Active', now(), "
    "now() + interval '90 days')";
static const char version[] = "INSERT INTO certificate_versions (id, "
    "certificate_id, issuer_id, ca_key_id, serial_number, not_before, "
    "not_after, fingerprint_sha256, spki_sha256, pem_chain, csr_pem, "
    "key_algorithm, key_size) VALUES ($1::text, $1, 'iss-local', $2, $3, "
    "now(), now() + interval '90 days', $4, $5, $6, $7, 'ECDSA', 256)";

/* The text of a statement; that of a list is made of its parts. */
static const char *
text_of(enum stmt s)
{
	static char page[4096], total[1024];
	const struct list *l = &list_certificates;

	snprintf(page, sizeof(page), "%s %s WHERE c.status = $1 ORDER BY "
	    "coalesce(c.expires_at, '-infinity'), c.id LIMIT $2",
	    l->select, l->from);
	snprintf(total, sizeof(total), "%s WHERE c.status = $1", l->totals);
	return s == LIST ? page : s == TOTAL ? total :
	    s == RECORD ? record : s == VERSION ? version :
	    query_texts[texts[s]].sql;
}

static const char *
stmt_name(enum stmt s)
{
	static const char *const names[STMT__MAX] = {
		"get", "call", "list", "total", "poll", "heartbeat", "insert",
		"audit", "call_durable", "status", "record", "version",
	};

	return names[s];
}

/* Arguments; "%" is the last segment of the path, "+" a new id, "@" when the
 * request began, "!" the CA key, "<" the body; the others are of what was
 * made: "=" itself, "~" name, "#" serial, "*" and "^" hashes. */
static const char *const args[STMT__MAX][MAX_ARGS] = {
	[GET] = { "%" },
	[CALL] = { "bare", "User", "api_get", "/bare", "GET", "", "@", "200" },
	[LIST] = { "%", "50" },
	[TOTAL] = { "%" },
	[POLL] = { "%", "300" },
	[HEARTBEAT] = { "%", "2.1.0", "host.example.org", "linux", "amd64",
	    "192.0.2.1" },
	[INSERT] = { "+", "+", "bench.example.org", "{bench.example.org}",
	    "production", "o-bench", "t-bench", "iss-local", "rp-default",
	    NULL, "Pending", "{}", "", NULL, "{tgt-bench}" },
	[AUDIT] = { "bare", "User", "certificate_created", "certificate", "+",
	    "{\"common_name\":\"bench.example.org\"}", "cert_lifecycle" },
	[CALL_DURABLE] = { "bare", "User", "api_post", "/bare", "POST",
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	    "@", "201" },
	[STATUS] = { "!", "%" },
	[RECORD] = { "+", "~" },
	[VERSION] = { "+", "!", "#", "*", "^", "=", "<" },
};

static const int n_args[STMT__MAX] = { 1, 8, 2, 1, 2, 6, 15, 7, 8, 2, 2, 7 };

_Noreturn static void
die(const char *what)
{
	fprintf(stderr, "bench-bare: %s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static const char *
value_of(const char *arg, const char *id)
{
	const struct {
		char sign;
		const char *value;
	} values[] = {
		{ '%', id }, { '+', new_id }, { '@', started_ms },
		{ '!', or_empty(getenv("BENCH_CA_KEY")) }, { '<', body },
		{ '=', made }, { '~', made_cn }, { '#', made_serial },
		{ '*', made_hash }, { '^', made_key },
	};

	if (arg == NULL || arg[0] == '\0' || arg[1] != '\0')
		return arg;
	for (size_t i = 0; i < NELEM(values); i++)
		if (values[i].sign == *arg)
			return values[i].value;
	return arg;
}

static void
send_stmt(enum stmt s, const char *id)
{
	const char *v[MAX_ARGS];

	for (int i = 0; i < n_args[s]; i++)
		v[i] = value_of(args[s][i], id);
	if (PQsendQueryPrepared(conn, stmt_name(s), n_args[s], v, NULL, NULL,
	    1) == 0)
		die("send");
}

static PGresult *
receive_stmt(void)
{
	PGresult *r = PQgetResult(conn);
	ExecStatusType status = PQresultStatus(r);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		die("statement");
	PQgetResult(conn);		/* the NULL behind each result */
	return r;
}

static void
receive_sync(void)
{
	PQclear(PQgetResult(conn));
}

static void
open_database(void)
{
	conn = PQconnectdb(or_empty(getenv("CERTCTL_DATABASE_URL")));
	if (PQstatus(conn) != CONNECTION_OK || PQenterPipelineMode(conn) == 0)
		die("connect");
	for (enum stmt s = 0; s < STMT__MAX; s++)
		PQsendPrepare(conn, stmt_name(s), text_of(s), 0, NULL);
	PQpipelineSync(conn);
	for (enum stmt s = 0; s < STMT__MAX; s++)
		PQclear(receive_stmt());
	receive_sync();
}

/* --- JSON ------------------------------------------------------------- */

static void
put(const char *s, size_t n)
{
	if ((size_t)(reply + REPLY_SIZE - end) <= n)
		die("reply too long");
	memcpy(end, s, n);
	end += n;
}

static void
put_str(const char *s)
{
	put(s, strlen(s));
}

static void
put_quoted(const char *s, size_t n)
{
	size_t from = 0;

	put("\"", 1);
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '"' && s[i] != '\\')
			continue;
		put(s + from, i - from);
		put("\\", 1);
		from = i;
	}
	put(s + from, n - from);
	put("\"", 1);
}

static int64_t
big_endian(const char *p, int len)
{
	uint64_t v = 0;

	for (int i = 0; i < len; i++)
		v = v << 8 | (unsigned char)p[i];
	return (int64_t)v;
}

static void
put_int(int64_t v)
{
	char s[24];

	put(s, (size_t)snprintf(s, sizeof(s), "%" PRId64, v));
}

static void
put_time(const char *p)
{
	static const int64_t pg_epoch_s = 946684800;
	char s[RFC3339_LEN + 1];

	put_quoted(rfc3339(big_endian(p, 8) / 1000000 + pg_epoch_s, s),
	    RFC3339_LEN);
}

/* A text[]: 20 octets of header, then elements with their length in front. */
static void
put_texts(const char *p, int len)
{
	const char *stop = p + len;
	int64_t size;

	put("[", 1);
	for (p += 20; p < stop; p += size) {
		size = big_endian(p, 4);
		p += 4;
		put_quoted(p, (size_t)size);
		if (p + size < stop)
			put(",", 1);
	}
	put("]", 1);
}

static void
put_value(const PGresult *r, int row, int col)
{
	const char *p = PQgetvalue(r, row, col);
	int len = PQgetlength(r, row, col);

	switch (PQftype(r, col)) {
	case TIME_OID:
		put_time(p);
		break;
	case TEXTS_OID:
		put_texts(p, len);
		break;
	case JSONB_OID:		/* a version octet in front */
		put(p + 1, (size_t)len - 1);
		break;
	case INT4_OID:
	case INT8_OID:
		put_int(big_endian(p, len));
		break;
	default:
		put_quoted(p, (size_t)len);
	}
}

static void
put_row(const PGresult *r, int row)
{
	const char *glue = "{\"";

	for (int c = 0; c < PQnfields(r); c++) {
		if (PQgetisnull(r, row, c))
			continue;
		put_str(glue);
		put_str(PQfname(r, c));
		put_str("\":");
		put_value(r, row, c);
		glue = ",\"";
	}
	put_str("}");
}

/* --- operations ------------------------------------------------------- */

static void
write_nothing(PGresult **r)
{
	(void)r;
	put_str("{\"status\":\"healthy\"}");
}

static void
write_object(PGresult **r)
{
	if (PQntuples(r[0]) != 1)
		die("no such row");
	put_row(r[0], 0);
}

static void
write_page(PGresult **r)
{
	put_str("{\"data\":[");
	for (int i = 0; i < PQntuples(r[0]); i++) {
		if (i > 0)
			put(",", 1);
		put_row(r[0], i);
	}
	put_str("],\"total\":");
	put_value(r[1], 0, 0);
	put_str("}");
}

static void
write_poll(PGresult **r)
{
	put_str("{\"jobs\":[],\"count\":0,\"poll_seconds\":");
	put_value(r[0], 0, PQfnumber(r[0], "poll_seconds"));
	put_str("}");
}

static void
write_pulse(PGresult **r)
{
	if (PQntuples(r[0]) != 1)
		die("no such agent");
	put_str("{\"status\":\"heartbeat_recorded\"}");
}

/* As long as an OCSP answer of a P-256 responder. */
static void
write_constant(PGresult **r)
{
	static char answer[ANSWER_SIZE];

	(void)r;
	put(answer, sizeof(answer));
}

static void
write_answer(PGresult **r)
{
	if (PQntuples(r[0]) != 1)
		die("no such serial");
	write_constant(r);
}

static struct key *
our_key(void)
{
	static struct key *key;
	struct err e;

	if (key == NULL)
		key = key_generate(arena_new(), (struct key_type){ "ECDSA",
		    256 }, &e);
	if (key == NULL)
		die("key");
	return key;
}

static void
write_signed(PGresult **r)
{
	static unsigned char data[200];
	static EVP_PKEY_CTX *c;
	unsigned char hash[SHA256_LEN], signature[80];
	size_t len = sizeof(signature);

	if (c == NULL) {
		c = EVP_PKEY_CTX_new(EVP_EC_gen("P-256"), NULL);
		if (c == NULL || EVP_PKEY_sign_init(c) != 1)
			die("key");
	}
	data[0]++;
	sha256(data, sizeof(data), hash);
	if (EVP_PKEY_sign(c, signature, &len, hash, sizeof(hash)) != 1)
		die("sign");
	write_answer(r);
}

/* Verify the request in the body, and sign a certificate for it. */
static void
make_certificate(void)
{
	static struct arena *a;
	struct tbs t = {
		.algorithm = key_algorithm(our_key()),
		.key_usage = USAGE_DIGITAL_SIGNATURE,
		.not_before = now_s(),
		.not_after = now_s() + 7776000,
	};
	struct bytes der, tbs, signature;
	struct csr *csr;
	struct err e;

	if (a == NULL)
		a = arena_new();
	arena_reset(a);
	if (!base64_decode(a, body, strlen(body), &der) ||
	    (csr = csr_from_der(a, der.p, der.len, &e)) == NULL)
		die("request");
	t.issuer = name_of(a, "bare");
	t.subject = csr_subject_der(csr);
	t.spki = csr_spki_der(csr);
	t.sans = csr_sans(csr);
	serial_new(t.serial);
	if (tbs_make(a, &t, &tbs, &e) < 0 ||
	    key_sign(our_key(), a, tbs, &signature, &e) < 0)
		die("certificate");
	der = cert_assemble(a, tbs, t.algorithm, signature);
	made_hash = sha256_hex(der.p, der.len, arena_alloc(a,
	    SHA256_HEX + 1));
	made_key = csr_spki_hash(csr);
	made_serial = hex_encode(a, t.serial, sizeof(t.serial));
	made_cn = csr_common_name(csr);
	der = cms_certs_only(a, &der, 1);
	made = base64_encode(a, der.p, der.len);
}

static void
write_made(PGresult **r)
{
	(void)r;
	put_str(made);
}

static const struct operation {
	const char *name;
	int n_steps;
	enum stmt steps[MAX_STEPS];
	void (*write)(PGresult **results);
	void (*before)(void);		/* the statements; may be NULL */
} operations[] = {
	{ "echo", 0, { 0 }, write_nothing, NULL },
	{ "get", 2, { GET, CALL }, write_object, NULL },
	{ "list", 3, { LIST, TOTAL, CALL }, write_page, NULL },
	{ "poll", 1, { POLL }, write_poll, NULL },
	{ "heartbeat", 1, { HEARTBEAT }, write_pulse, NULL },
	{ "create", 3, { INSERT, AUDIT, CALL_DURABLE }, write_object, NULL },
	{ "answer", 0, { 0 }, write_constant, NULL },
	{ "ocsp-get", 1, { STATUS }, write_answer, NULL },
	{ "ocsp-post", 1, { STATUS }, write_signed, NULL },
	{ "est", 2, { RECORD, VERSION }, write_made, make_certificate },
};

static const struct operation *
find_operation(const char *name, size_t len)
{
	for (size_t i = 0; i < NELEM(operations); i++)
		if (strlen(operations[i].name) == len &&
		    memcmp(operations[i].name, name, len) == 0)
			return &operations[i];
	die("no such operation");
}

static void
run(const struct operation *op, const char *id)
{
	static unsigned count;
	PGresult *r[MAX_STEPS];

	snprintf(new_id, sizeof(new_id), "bare-%d-%" PRId64 "-%u",
	    (int)getpid(), now_s(), count++);
	snprintf(started_ms, sizeof(started_ms), "%" PRId64,
	    now_ns() / 1000000);
	if (op->before != NULL)
		op->before();
	for (int i = 0; i < op->n_steps; i++)
		send_stmt(op->steps[i], id);
	if (op->n_steps > 0 && PQpipelineSync(conn) == 0)
		die("sync");
	for (int i = 0; i < op->n_steps; i++)
		r[i] = receive_stmt();
	if (op->n_steps > 0)
		receive_sync();
	op->write(r);
	for (int i = 0; i < op->n_steps; i++)
		PQclear(r[i]);
}

static void
serve_one(FCGX_Request *rq)
{
	const char *uri = or_empty(FCGX_GetParam("REQUEST_URI", rq->envp));
	const char *id = strrchr(uri, '/'), *name;
	int len = FCGX_GetStr(body, BODY_MAX, rq->in);

	body[len] = '\0';
	if (strncmp(uri, "/bare/", 6) != 0 || id == uri + 5)
		die("path is not /bare/OPERATION/ID");
	name = uri + 6;
	end = reply;
	run(find_operation(name, (size_t)(id - name)), id + 1);
	FCGX_FPrintF(rq->out, "Content-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n", (int)(end - reply));
	FCGX_PutStr(reply, (int)(end - reply), rq->out);
	FCGX_Finish_r(rq);
}

int
main(void)
{
	FCGX_Request rq;

	open_database();
	signal(SIGPIPE, SIG_IGN);
	if (FCGX_Init() != 0 || FCGX_InitRequest(&rq, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&rq) >= 0)
		serve_one(&rq);
	return 0;
}
