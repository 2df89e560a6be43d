#include "domain/crl_cache.h"

const struct field crl_cache_fields[] = {
	FIELD(struct crl_cache_row, issuer_id, TEXT, 0),
	FIELD(struct crl_cache_row, cache_present, BOOL, 0),
	FIELD(struct crl_cache_row, crl_number, INT, 0),
	FIELD(struct crl_cache_row, this_update, TIME, F_OMIT),
	FIELD(struct crl_cache_row, next_update, TIME, F_OMIT),
	FIELD(struct crl_cache_row, generated_at, TIME, F_OMIT),
	FIELD(struct crl_cache_row, generation_duration_ms, INT, 0),
	FIELD(struct crl_cache_row, revoked_count, INT, 0),
	FIELD(struct crl_cache_row, size_bytes, INT, 0),
	FIELD(struct crl_cache_row, is_stale, BOOL, 0),
	FIELD(struct crl_cache_row, recent_events, JSONS, 0),
	FIELD_END
};

int
crl_cache_read(struct ctx *c, struct crl_cache_row **rows, size_t *n,
    struct err *e)
{
	struct db_batch *b;
	struct db_rows r;

	if (ctx_read_args(c, Q_CRL_CACHE, &b, e, NULL, 0) < 0)
		return -1;
	r = db_rows(b, 0, crl_cache_fields);
	*n = (size_t)r.n;
	*rows = arena_zalloc(c->a, *n * sizeof(**rows) + 1);
	for (int i = 0; i < r.n; i++)
		db_row(&r, i, &(*rows)[i]);
	return 0;
}
