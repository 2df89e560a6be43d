#include "domain/crl_read.h"

enum { PART = 4 << 20 };	/* octets at once */

/* The part that begins behind AT octets, to P. */
static int
read_part(struct ctx *c, const struct crl_key *key, size_t at,
    unsigned char *p, size_t len, struct err *e)
{
	struct arena *a = arena_new();
	struct db_batch *b = db_batch(c->db, a);
	struct bytes part = { 0 };
	int rc;

	db_add(b, Q_CRL_PART, db_text(key->ca_key_id), db_text(key->scope),
	    db_int(key->number), db_int((int64_t)at + 1), db_int(PART));
	rc = db_run(b, e);
	if (rc == 0 && db_count(b, 0) == 1)
		part = db_bytes_at(b, 0, 0, "der");
	if (rc == 0 && part.len != len)
		rc = err_set(e, E_CONFLICT, "the CRL was replaced meanwhile");
	if (rc == 0)
		memcpy(p, part.p, len);
	arena_free(a);
	return rc;
}

int
crl_read(struct ctx *c, struct arena *a, const struct crl_key *key,
    struct bytes *der, struct err *e)
{
	size_t size = (size_t)key->size, len;
	unsigned char *p = arena_alloc(a, size);

	for (size_t at = 0; at < size; at += len) {
		len = size - at < PART ? size - at : PART;
		if (read_part(c, key, at, p + at, len, e) < 0)
			return -1;
	}
	*der = (struct bytes){ p, size };
	return 0;
}
