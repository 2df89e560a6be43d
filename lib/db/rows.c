#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "db/conn.h"

/* PostgreSQL counts binary timestamps in microseconds from here. */
static const int64_t pg_epoch_s = 946684800;

enum { JSONB_OID = 3802 };

struct db_rows
db_rows(const struct db_batch *b, size_t i, const struct field *t)
{
	const PGresult *r = i < b->n ? b->stmt[i].result : NULL;
	struct db_rows rows = {
		.n = r != NULL ? PQntuples(r) : 0, .result = r, .fields = t,
		.a = b->a,
	};
	int n = r != NULL ? PQnfields(r) : 0, c = 0;

	for (size_t k = 0; t[k].name != NULL; k++) {
		if (k == NELEM(rows.col))
			abort();
		rows.col[k] = -1;
		/* Most have the same order: look behind the last one first. */
		for (int tried = 0; tried < n && rows.col[k] < 0; tried++) {
			if (streq(PQfname(r, c), t[k].name))
				rows.col[k] = c;
			c = (c + 1) % n;
		}
	}
	return rows;
}

static uint32_t
be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static int64_t
be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

static int64_t
binary_int(const char *p, int len)
{
	return len == 8 ? be64(p) : len == 4 ? (int32_t)be32(p) :
	    len == 2 ? (int16_t)(be32(p) >> 16) : len == 1 ? *p : 0;
}

static int64_t
binary_time(const char *p)
{
	int64_t us = be64(p);

	if (us == INT64_MIN || us == INT64_MAX)
		return 0;
	return us / 1000000 - (us % 1000000 < 0) + pg_epoch_s;
}

/*
 * A one-dimensional text[]: dimensions, flags, type, length, lower bound,
 * then length-prefixed elements.
 */
static struct texts
binary_texts(struct arena *a, const char *p, int len)
{
	const char *end = p + len;
	struct texts t = { 0 };
	uint32_t n, size;

	if (len < 20 || be32(p) != 1)
		return t;
	n = be32(p + 12);
	for (p += 20; t.n < n && end - p >= 4; p += size) {
		size = be32(p);
		p += 4;
		if (size > (uint32_t)(end - p))		/* null */
			size = 0;
		texts_add(a, &t, arena_strndup(a, p, size));
	}
	return t;
}

/* Texts are borrowed: libpq closes each value with a NUL of its own. */
static void
read_value(struct arena *a, const struct field *f, const PGresult *r, int row,
    int c, void *obj)
{
	const char *p = PQgetvalue(r, row, c);
	int len = PQgetlength(r, row, c);

	switch (f->type) {
	case FT_TEXT:
	case FT_JSON:
	case FT_JSONS:
		/* jsonb has a version octet in front. */
		*FIELD_PTR(const char *, obj, f) =
		    PQftype(r, c) == JSONB_OID && len > 0 ? p + 1 : p;
		break;
	case FT_TEXTS:
		*FIELD_PTR(struct texts, obj, f) = binary_texts(a, p, len);
		break;
	case FT_INT:
	case FT_DURATION:
	case FT_MODE:
		*FIELD_PTR(int64_t, obj, f) = binary_int(p, len);
		break;
	case FT_BOOL:
		*FIELD_PTR(bool, obj, f) = len == 1 && *p != 0;
		break;
	case FT_TIME:
		*FIELD_PTR(int64_t, obj, f) = len == 8 ? binary_time(p) : 0;
		break;
	case FT_REAL:
		break;
	}
}

void
db_row(const struct db_rows *rows, int n, void *obj)
{
	const struct field *f = rows->fields;

	for (size_t k = 0; f[k].name != NULL; k++)
		if (rows->col[k] >= 0 &&
		    !PQgetisnull(rows->result, n, rows->col[k]))
			read_value(rows->a, &f[k], rows->result, n,
			    rows->col[k], obj);
}

bool
db_take(const struct db_batch *b, size_t i, const struct field *t, void *obj)
{
	struct db_rows rows = db_rows(b, i, t);

	if (rows.n == 0)
		return false;
	db_row(&rows, 0, obj);
	return true;
}

struct bytes
db_bytes_at(const struct db_batch *b, size_t i, int row, const char *column)
{
	const PGresult *r = b->stmt[i].result;
	int c = PQfnumber(r, column);

	if (c < 0 || PQgetisnull(r, row, c))
		return (struct bytes){ 0 };
	return (struct bytes){
		.p = (const unsigned char *)PQgetvalue(r, row, c),
		.len = (size_t)PQgetlength(r, row, c),
	};
}

int64_t
db_count(const struct db_batch *b, size_t i)
{
	const PGresult *r = b->stmt[i].result;

	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		return PQntuples(r);
	return strtoll(PQcmdTuples((PGresult *)(uintptr_t)r), NULL, 10);
}

int64_t
db_scalar(const struct db_batch *b, size_t i)
{
	const PGresult *r = b->stmt[i].result;

	if (PQntuples(r) == 0 || PQgetisnull(r, 0, 0))
		return 0;
	return binary_int(PQgetvalue(r, 0, 0), PQgetlength(r, 0, 0));
}
