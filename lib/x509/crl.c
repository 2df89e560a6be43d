#include "x509/crl.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "x509/der.h"
#include "x509/ext.h"

enum {
	SERIAL_MAX = 20,
	ENTRY_MAX = 58,		/* octets, the time in its long form */
	HEAD_ROOM = 8,		/* tag and length of the whole */
	AROUND = 4096,		/* octets of all but the entries */
};

static const struct oid id_crl_number = { "\x55\x1d\x14", 3 };
static const struct oid id_reason = { "\x55\x1d\x15", 3 };
static const struct oid id_delta = { "\x55\x1d\x1b", 3 };
static const struct oid id_idp = { "\x55\x1d\x1c", 3 };
static const struct oid id_freshest = { "\x55\x1d\x2e", 3 };

struct crl_writer {
	struct buf b;
	struct crl_head head;
	size_t seq, list;	/* TBSCertList, revokedCertificates */
	size_t entries;
};

struct crl_writer *
crl_begin(struct arena *a, const struct crl_head *head)
{
	struct crl_writer *w = arena_zalloc(a, sizeof(*w));

	w->b.a = a;
	w->head = *head;
	buf_room(&w->b, AROUND + (size_t)head->entries * ENTRY_MAX);
	w->b.len = HEAD_ROOM;
	w->seq = der_open(&w->b, DER_SEQUENCE);
	der_put(&w->b, DER_INTEGER, "\x01", 1);		/* v2 */
	der_raw(&w->b, head->algorithm);
	der_raw(&w->b, head->issuer);
	der_time(&w->b, head->this_update);
	der_time(&w->b, head->next_update);
	return w;
}

int
crl_add(struct crl_writer *w, const char *serial, int64_t revoked_at,
    int reason, struct err *e)
{
	unsigned char octets[SERIAL_MAX + 1], code = (unsigned char)reason;
	size_t len = strlen(serial), entry, exts;
	struct ext x;

	if (len == 0 || len > 2 * SERIAL_MAX ||
	    !hex_decode(serial, len, octets))
		return err_set(e, E_INTERNAL, "\"%.64s\" is no serial number",
		    serial);
	if (w->entries++ == 0)
		w->list = der_open(&w->b, DER_SEQUENCE);
	entry = der_open(&w->b, DER_SEQUENCE);
	der_uint(&w->b, octets, len / 2);
	der_time(&w->b, revoked_at);
	if (reason > 0) {
		exts = der_open(&w->b, DER_SEQUENCE);
		x = ext_open(&w->b, id_reason, false);
		der_put(&w->b, DER_ENUMERATED, &code, 1);
		ext_close(&w->b, x);
		der_close(&w->b, exts);
	}
	der_close(&w->b, entry);
	return 0;
}

static void
put_number(struct buf *b, struct oid id, int64_t number, bool critical)
{
	struct ext x = ext_open(b, id, critical);
	unsigned char octets[8];

	for (int i = 0; i < 8; i++)
		octets[i] = (unsigned char)(number >> (56 - 8 * i));
	der_uint(b, octets, sizeof(octets));
	ext_close(b, x);
}

/* DistributionPointName: fullName with one URI. */
static void
put_point_name(struct buf *b, const char *url)
{
	size_t point = der_open(b, DER_CONSTRUCTED);
	size_t full = der_open(b, DER_CONSTRUCTED);

	der_put(b, DER_CONTEXT + 6, url, strlen(url));
	der_close(b, full);
	der_close(b, point);
}

static void
put_points(struct buf *b, const struct crl_head *h)
{
	struct ext x;
	size_t seq, one;

	if (!blank(h->distribution_point)) {
		x = ext_open(b, id_idp, true);
		seq = der_open(b, DER_SEQUENCE);
		put_point_name(b, h->distribution_point);
		der_close(b, seq);
		ext_close(b, x);
	}
	if (!blank(h->freshest_url)) {
		x = ext_open(b, id_freshest, false);
		seq = der_open(b, DER_SEQUENCE);
		one = der_open(b, DER_SEQUENCE);
		put_point_name(b, h->freshest_url);
		der_close(b, one);
		der_close(b, seq);
		ext_close(b, x);
	}
}

static struct bytes
from(const struct buf *b, size_t at)
{
	return (struct bytes){ (const unsigned char *)b->p + at, b->len - at };
}

struct bytes
crl_end(struct crl_writer *w)
{
	struct buf *b = &w->b;
	size_t outer, seq;

	if (w->entries > 0)
		der_close(b, w->list);
	outer = der_open(b, DER_CONSTRUCTED);
	seq = der_open(b, DER_SEQUENCE);
	ext_authority_key_id(b, w->head.authority_key_id);
	put_number(b, id_crl_number, w->head.number, false);
	if (w->head.base_number > 0)
		put_number(b, id_delta, w->head.base_number, true);
	put_points(b, &w->head);
	der_close(b, seq);
	der_close(b, outer);
	der_close(b, w->seq);
	return from(b, HEAD_ROOM);
}

/* Around the TBS where it lies: a list may have millions of entries. */
struct bytes
crl_assemble(struct crl_writer *w, struct bytes signature)
{
	struct buf head = { .a = w->b.a };

	der_raw(&w->b, w->head.algorithm);
	der_bits(&w->b, signature.p, signature.len);
	der_head(&head, DER_SEQUENCE, w->b.len - HEAD_ROOM);
	memcpy(w->b.p + HEAD_ROOM - head.len, head.p, head.len);
	return from(&w->b, HEAD_ROOM - head.len);
}

/* revokedCertificates; none in a list that revokes nothing. */
static bool
find_entries(struct bytes in, struct bytes *entries)
{
	struct bytes list, tbs, part;
	unsigned char tag;

	*entries = (struct bytes){ 0 };
	if (!der_take(&in, DER_SEQUENCE, &list) || in.len > 0 ||
	    !der_take(&list, DER_SEQUENCE, &tbs) ||
	    !der_take(&tbs, DER_INTEGER, &part) ||	/* version */
	    !der_take(&tbs, DER_SEQUENCE, &part) ||	/* algorithm */
	    !der_take(&tbs, DER_SEQUENCE, &part) ||	/* issuer */
	    !der_next(&tbs, &tag, &part) ||		/* thisUpdate */
	    !der_next(&tbs, &tag, &part))		/* nextUpdate */
		return false;
	if (tbs.len > 0 && tbs.p[0] == DER_SEQUENCE &&
	    !der_take(&tbs, DER_SEQUENCE, entries))
		return false;
	return tbs.len == 0 ||				/* extensions */
	    (der_take(&tbs, DER_CONSTRUCTED, &part) && tbs.len == 0);
}

int
crl_each(struct bytes der, void (*each)(void *arg, struct bytes serial),
    void *arg, struct err *e)
{
	struct bytes entries, one, serial;

	if (!find_entries(der, &entries))
		return err_set(e, E_INVALID, "not a CRL with nextUpdate");
	while (entries.len > 0) {
		if (!der_take(&entries, DER_SEQUENCE, &one) ||
		    !der_take(&one, DER_INTEGER, &serial) || serial.len == 0)
			return err_set(e, E_INVALID,
			    "an entry of the CRL is damaged");
		each(arg, serial);
	}
	return 0;
}

unsigned
crl_shard(const char *serial)
{
	unsigned char last = 0;
	size_t len = strlen(serial);

	if (len >= 2)
		hex_decode(serial + len - 2, 2, &last);
	return last % CRL_SHARDS;
}
