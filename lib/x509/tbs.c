#include "x509/tbs.h"

#include "base/buf.h"
#include "x509/der.h"
#include "x509/pkey.h"

void
serial_new(unsigned char serial[SERIAL_LEN])
{
	do {
		random_bytes(serial, SERIAL_LEN);
		serial[0] &= 0x7f;
	} while (serial[0] < 0x10);
}

static int
put_extensions(struct buf *b, const struct tbs *t, struct err *e)
{
	static const unsigned char no_name[] = { DER_SEQUENCE, 0 };
	bool nameless = t->subject.len == sizeof(no_name);
	unsigned char id[KEY_ID_LEN];
	size_t outer = der_open(b, DER_CONSTRUCTED + 3);
	size_t seq = der_open(b, DER_SEQUENCE);

	if (spki_key_id(t->spki, id, e) < 0)
		return -1;
	ext_basic_constraints(b, t->ca);
	ext_key_usage(b, t->key_usage);
	if (t->ekus.n != 0 && ext_eku(b, &t->ekus, e) < 0)
		return -1;
	ext_subject_key_id(b, id, sizeof(id));
	if (t->authority_key_id.len != 0)
		ext_authority_key_id(b, t->authority_key_id);
	if (t->sans.n != 0 && ext_sans(b, &t->sans, nameless, e) < 0)
		return -1;
	ext_authority_info(b, t->ocsp_url, t->issuer_url);
	ext_crl_points(b, &t->crl_urls);
	if (t->must_staple)
		ext_must_staple(b);
	if (t->no_rev_avail)
		ext_no_rev_avail(b);
	if (t->ocsp_nocheck)
		ext_ocsp_nocheck(b);
	der_close(b, seq);
	der_close(b, outer);
	return 0;
}

int
tbs_make(struct arena *a, const struct tbs *t, struct bytes *der,
    struct err *e)
{
	struct buf b = BUF(a);
	size_t seq, part;

	buf_room(&b, 4096);
	seq = der_open(&b, DER_SEQUENCE);
	part = der_open(&b, DER_CONSTRUCTED);
	der_put(&b, DER_INTEGER, "\x02", 1);	/* v3 */
	der_close(&b, part);
	der_uint(&b, t->serial, sizeof(t->serial));
	der_raw(&b, t->algorithm);
	der_raw(&b, t->issuer);
	part = der_open(&b, DER_SEQUENCE);
	der_time(&b, t->not_before);
	der_time(&b, t->not_after);
	der_close(&b, part);
	der_raw(&b, t->subject);
	der_raw(&b, t->spki);
	if (put_extensions(&b, t, e) < 0)
		return -1;
	der_close(&b, seq);
	*der = buf_bytes(&b);
	return 0;
}

struct bytes
cert_assemble(struct arena *a, struct bytes tbs, struct bytes algorithm,
    struct bytes signature)
{
	struct buf b = BUF(a);
	size_t seq;

	buf_room(&b, tbs.len + algorithm.len + signature.len + 64);
	seq = der_open(&b, DER_SEQUENCE);
	der_raw(&b, tbs);
	der_raw(&b, algorithm);
	der_bits(&b, signature.p, signature.len);
	der_close(&b, seq);
	return buf_bytes(&b);
}
