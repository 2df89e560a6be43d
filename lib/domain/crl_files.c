/*
 * Finished CRLs as files of this host, which the web server sends without
 * asking anyone: <name>.crl and <issuer id>.crl, <name>/delta.crl and
 * <name>/shard-<n>.crl.
 *
 * A file is dated with the thisUpdate of its list, so that all hosts say the
 * same of it, and fractions of a second that tell which list it is, so that
 * what is written already is seen to be.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "domain/ca_key.h"
#include "domain/crl_read.h"

struct list_row {
	const char *name, *issuer_id, *sha256;
	struct crl_key key;
	int64_t this_update;
};

static const struct field list_fields[] = {
	FIELD(struct list_row, name, TEXT, 0),
	FIELD(struct list_row, issuer_id, TEXT, 0),
	FIELD(struct list_row, sha256, TEXT, 0),
	FIELD_AS(struct list_row, key.ca_key_id, "ca_key_id", TEXT, 0),
	FIELD_AS(struct list_row, key.scope, "scope", TEXT, 0),
	FIELD_AS(struct list_row, key.number, "number", INT, 0),
	FIELD_AS(struct list_row, key.size, "size", INT, 0),
	FIELD(struct list_row, this_update, TIME, 0),
	FIELD_END
};

/* Of a second, in microseconds: most file systems keep them. */
static long
fraction_ns(const struct list_row *row)
{
	unsigned char start[3] = { 0 };

	hex_decode(row->sha256, 2 * sizeof(start), start);
	return ((start[0] << 16 | start[1] << 8 | start[2]) % 999999 + 1) *
	    1000L;
}

static bool
is_written(const struct list_row *row, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size == row->key.size &&
	    st.st_mtim.tv_sec == row->this_update &&
	    (st.st_mtim.tv_nsec == fraction_ns(row) ||
	    st.st_mtim.tv_nsec == 0);
}

/* The list of ROW as NAME.crl in DIR; *N counts it if it had to be written. */
static int
keep(struct ctx *c, const struct list_row *row, const char *dir,
    const char *name, int64_t *n, struct err *e)
{
	const char *path = arena_printf(c->a, "%s/%s.crl", dir, name);
	struct arena *a;
	struct bytes der;
	int rc;

	if (is_written(row, path))
		return 0;
	if (dir != c->set->crl_dir && dir_make(dir, 0755, e) < 0)
		return -1;
	a = arena_new();
	rc = crl_read(c, a, &row->key, &der, e);
	if (rc == 0)
		rc = file_write_dated(path, der.p, der.len, 0644,
		    row->this_update * 1000000000 + fraction_ns(row), e);
	arena_free(a);
	if (rc < 0)
		return -1;
	(*n)++;
	return 0;
}

static int
keep_row(struct ctx *c, const struct list_row *row, int64_t *n,
    struct err *e)
{
	const char *dir = c->set->crl_dir;

	if (!streq(row->key.scope, "full"))
		return keep(c, row, arena_printf(c->a, "%s/%s", dir,
		    row->name), row->key.scope, n, e);
	if (keep(c, row, dir, row->name, n, e) < 0)
		return -1;
	return row->issuer_id == NULL ? 0 :
	    keep(c, row, dir, row->issuer_id, n, e);
}

static int
keep_all(struct ctx *c, bool many, int64_t *n, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct list_row row;
	struct db_rows rows;
	int rc = 0;

	db_add(b, Q_CRL_FILES, db_int(CRL_LONG), db_bool(many));
	if (db_run(b, e) < 0)
		return -1;
	rows = db_rows(b, 0, list_fields);
	for (int i = 0; i < rows.n; i++) {
		struct err why = { 0 };

		row = (struct list_row){ 0 };
		db_row(&rows, i, &row);
		/* One that was replaced meanwhile is next time's. */
		if (keep_row(c, &row, n, &why) == 0 ||
		    why.code == E_CONFLICT)
			continue;
		*e = why;
		rc = err_prefix(e, "CRL file");
	}
	return rc;
}

/* One process of a host writes at a time: -1 without E while another does. */
static int
begin(const struct ctx *c, struct err *e)
{
	static bool cleared;
	const char *dir = c->set->crl_dir;
	struct err why = { 0 };
	int lock = file_lock(arena_printf(c->a, "%s/.lock", dir), 0, &why);

	if (lock < 0) {
		if (why.code != E_CONFLICT)
			*e = why;
		return -1;
	}
	if (!cleared && dir_clear_tmp(dir, e) < 0) {
		close(lock);
		return -1;
	}
	cleared = true;
	return lock;
}

static int
sweep(struct ctx *c, bool many, int64_t *n, struct err *e)
{
	int lock, rc;

	*n = 0;
	if (blank(c->set->crl_dir))
		return 0;
	lock = begin(c, e);
	if (lock < 0)
		return e->code == E_OK ? 0 : -1;
	rc = keep_all(c, many, n, e);
	close(lock);
	return rc;
}

int
crl_files_sweep(struct ctx *c, int64_t *n, struct err *e)
{
	return sweep(c, false, n, e);
}

int
crl_files_sweep_long(struct ctx *c, int64_t *n, struct err *e)
{
	return sweep(c, true, n, e);
}
