#include "domain/crl_guard.h"

#include <stdlib.h>

#include "base/text.h"
#include "x509/crl.h"

enum { WIDTH = 20 };	/* octets of a serial number at most */

static void
count(void *arg, struct bytes serial)
{
	struct serials *s = arg;

	(void)serial;
	s->n++;
}

static void
note(void *arg, struct bytes serial)
{
	struct serials *s = arg;
	unsigned char *at = s->p + s->n++ * WIDTH;

	while (serial.len > WIDTH) {	/* a zero, which says: positive */
		serial.p++;
		serial.len--;
	}
	memset(at, 0, WIDTH - serial.len);
	memcpy(at + WIDTH - serial.len, serial.p, serial.len);
}

static int
by_number(const void *a, const void *b)
{
	return memcmp(a, b, WIDTH);
}

/* They mostly are: lists are written in the order of the database. */
static bool
in_order(const struct serials *s)
{
	for (size_t i = 1; i < s->n; i++)
		if (by_number(s->p + (i - 1) * WIDTH, s->p + i * WIDTH) > 0)
			return false;
	return true;
}

int
crl_serials(struct arena *a, struct bytes der, struct serials *out,
    struct err *e)
{
	*out = (struct serials){ 0 };
	if (der.len == 0)
		return 0;
	if (crl_each(der, count, out, e) < 0)
		return -1;
	out->p = arena_alloc(a, out->n * WIDTH);
	out->n = 0;
	if (crl_each(der, note, out, e) < 0)
		return -1;
	if (!in_order(out))
		qsort(out->p, out->n, WIDTH, by_number);
	return 0;
}

/* As the database has them: no zero octets in front. */
static void
add_text(struct arena *a, struct texts *out, const unsigned char *serial)
{
	size_t zeros = 0;

	while (zeros < WIDTH - 1 && serial[zeros] == 0)
		zeros++;
	texts_add(a, out, hex_encode(a, serial + zeros, WIDTH - zeros));
}

static struct texts
missing_in(struct arena *a, const struct serials *now,
    const struct serials *before)
{
	const unsigned char *is = now->p, *end = now->p + now->n * WIDTH;
	const unsigned char *was = before->p;
	struct texts missing = { 0 };

	for (size_t i = 0; i < before->n; i++, was += WIDTH) {
		while (is < end && by_number(is, was) < 0)
			is += WIDTH;
		if (is == end || by_number(is, was) != 0)
			add_text(a, &missing, was);
	}
	return missing;
}

int
crl_guard(struct ctx *c, const char *ca_key_id, const struct serials *before,
    struct bytes now, struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);
	struct texts missing;
	struct serials is;
	int64_t gone;

	if (before->n == 0)
		return 0;
	if (crl_serials(c->a, now, &is, e) < 0)
		return -1;
	missing = missing_in(c->a, &is, before);
	if (missing.n == 0)
		return 0;
	db_add(b, Q_CRL_GONE, db_text(ca_key_id), db_texts(&missing));
	if (db_run(b, e) < 0)
		return -1;
	gone = db_scalar(b, 0);
	if (gone == (int64_t)missing.n)
		return 0;
	return err_set(e, E_INTERNAL, "the new CRL lacks %lld unexpired "
	    "entries of the one before, perhaps %s", (long long)missing.n -
	    (long long)gone, missing.v[0]);
}
