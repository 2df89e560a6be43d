#include "fixture.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "t/sign/fixture.h"
#include "x509/csr.h"
#include "x509/key.h"

static struct arena *mem;
static struct settings set;
static char url[512];
static PGconn *admin;

static PGconn *
connect_to(const char *to)
{
	PGconn *conn = PQconnectdb(to);

	cr_assert_eq(PQstatus(conn), CONNECTION_OK, "%s",
	    PQerrorMessage(conn));
	return conn;
}

static PGresult *
query(PGconn *conn, const char *sql)
{
	PGresult *r = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(r);

	cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK,
	    "%s%s", PQerrorMessage(conn), sql);
	return r;
}

static void
remove_state(void)
{
	static const char *const made[] = {
		"ca/iss-local.key", "ca/iss-local.pem", "ca",
		"signer/audit.log", "signer/lock", "signer", "signer.sock",
		"",
	};
	char path[600];

	for (size_t i = 0; i < NELEM(made) && set.state_dir != NULL; i++) {
		snprintf(path, sizeof(path), "%s/%s", set.state_dir, made[i]);
		remove(path);
	}
}

static void
make_database(void)
{
	char name[64], sql[128];
	PGconn *conn = connect_to("dbname=postgres");

	cr_assert_not_null(getenv("PGHOST"), "run this under t/tools/pg");
	snprintf(name, sizeof(name), "t_%d_%lld", (int)getpid(),
	    (long long)mono_us());
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0",
	    name);
	PQclear(query(conn, sql));
	PQfinish(conn);
	snprintf(url, sizeof(url), "host=%s user=%s dbname=%s",
	    getenv("PGHOST"), or_empty(getenv("PGUSER")), name);
}

static struct ctx *
new_ctx(void)
{
	static struct seal *seal;
	struct ctx *c = arena_zalloc(mem, sizeof(*c));

	c->a = arena_new();
	c->db = db_new(url, "test");
	c->set = &set;
	c->actor = (struct actor){ .kind = ACTOR_SYSTEM, .id = "system" };
	c->seal = &seal;
	return c;
}

struct ctx *
t_ctx(void)
{
	char *dir;
	struct ctx *c;
	struct err e = { 0 };
	int applied;

	mem = arena_new();
	log_open("test", LOG_WARN);
	dir = arena_printf(mem, "%s/certctl-t-XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(settings_load(mem, &set, &e), 0, "%s", e.msg);
	set.state_dir = dir;
	set.signer_socket = arena_printf(mem, "%s/signer.sock", dir);
	atexit(remove_state);
	t_signer_start(mem, &set);
	make_database();
	c = new_ctx();
	cr_assert_eq(db_migrate(c->db, &applied, &e), 0, "%s: %s", e.msg,
	    e.detail);
	admin = connect_to(url);
	t_sql("INSERT INTO teams (id, name) VALUES ('t', 't');"
	    "INSERT INTO owners (id, name, email, team_id)"
	    " VALUES ('o', 'o', 'o@example.com', 't');"
	    "INSERT INTO agents (id, name, hostname, api_key_hash,"
	    " last_heartbeat_at) VALUES ('a', 'a', 'a', 'a', now());"
	    "INSERT INTO certificate_profiles (id, name,"
	    " allowed_key_algorithms, allowed_ekus) VALUES ('p', 'p',"
	    " '[{\"algorithm\": \"ECDSA\", \"min_size\": 256}]',"
	    " '{serverAuth}')");
	return c;
}

struct ctx *
t_ctx_again(void)
{
	return new_ctx();
}

const char *
t_database_url(void)
{
	return url;
}

void
t_sql(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	PQclear(query(admin, arena_vprintf(mem, fmt, ap)));
	va_end(ap);
}

static const char *
first(const char *sql)
{
	PGresult *r = query(admin, sql);
	const char *s = PQntuples(r) == 0 ? "" :
	    arena_strdup(mem, PQgetvalue(r, 0, 0));

	PQclear(r);
	return s;
}

const char *
t_text(const char *fmt, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, fmt);
	s = first(arena_vprintf(mem, fmt, ap));
	va_end(ap);
	return s;
}

int64_t
t_number(const char *fmt, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, fmt);
	s = first(arena_vprintf(mem, fmt, ap));
	va_end(ap);
	return strtoll(s, NULL, 10);
}

void
t_certificate(const char *id)
{
	t_sql("INSERT INTO managed_certificates (id, name, common_name,"
	    " owner_id, team_id, issuer_id, renewal_policy_id,"
	    " certificate_profile_id) VALUES ('%s', '%s', '%s.example.com',"
	    " 'o', 't', 'iss-local', 'rp-default', 'p');"
	    "INSERT INTO deployment_targets (id, name, type, agent_id)"
	    " VALUES ('%s-target', '%s', 'NGINX', 'a');"
	    "INSERT INTO certificate_target_mappings"
	    " VALUES ('%s', '%s-target')", id, id, id, id, id, id, id);
}

const char *
t_csr(const char *name)
{
	struct err e = { 0 };
	struct texts none = { 0 };
	struct key *k = key_generate(mem, (struct key_type){ "ECDSA", 256 },
	    &e);

	cr_assert_not_null(k, "%s", e.msg);
	return csr_make(mem, k, name, &none, &e);
}

void
t_job(const char *id, const char *certificate, const char *csr)
{
	t_sql("INSERT INTO jobs (id, type, certificate_id, agent_id, status,"
	    " csr_pem) VALUES ('%s', 'Issuance', '%s', 'a', 'Pending', '%s');"
	    "UPDATE managed_certificates SET status = 'RenewalInProgress'"
	    " WHERE id = '%s'", id, certificate, csr, certificate);
}

void *
t_hold(const char *sql)
{
	PGconn *conn = connect_to(url);

	PQclear(query(conn, "BEGIN"));
	PQclear(query(conn, sql));
	return conn;
}

void
t_let_go(void *held)
{
	/* Now, not when the server notices that we are gone. */
	PQclear(PQexec(held, "SET client_min_messages = error"));
	PQclear(PQexec(held, "ROLLBACK"));
	PQfinish(held);
}

void
t_await(int64_t want, const char *sql)
{
	int64_t end = mono_us() + 15000000, got;

	while ((got = t_number("%s", sql)) != want && mono_us() < end)
		sleep_ms(20);
	cr_assert_eq(got, want, "%lld instead of %lld: %s", (long long)got,
	    (long long)want, sql);
}
