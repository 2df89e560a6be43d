#include "x509/ocsp.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/key.h"

#define ID_OCSP(n) { "\x2b\x06\x01\x05\x05\x07\x30\x01" n, 9 }

enum { SERIAL_MAX = 32 };	/* octets; ours have 20 */

static const struct oid id_basic = ID_OCSP("\x01");
static const struct oid id_nonce = ID_OCSP("\x02");
static const struct oid id_preferred = ID_OCSP("\x08");

#define ID_SHA2(n) { "\x60\x86\x48\x01\x65\x03\x04\x02" n, 9 }

static const struct {
	struct oid id;
	size_t len;
	const EVP_MD *(*md)(void);
} hashes[OCSP_HASH_UNKNOWN] = {
	[OCSP_SHA1] = { { "\x2b\x0e\x03\x02\x1a", 5 }, 20, EVP_sha1 },
	[OCSP_SHA256] = { ID_SHA2("\x01"), 32, EVP_sha256 },
	[OCSP_SHA384] = { ID_SHA2("\x02"), 48, EVP_sha384 },
	[OCSP_SHA512] = { ID_SHA2("\x03"), 64, EVP_sha512 },
};

static bool
next_is(struct bytes in, unsigned char tag)
{
	return in.len > 0 && in.p[0] == tag;
}

static bool
is_oid(struct bytes content, struct oid id)
{
	return content.len == id.len && memcmp(content.p, id.p, id.len) == 0;
}

/* Canonical: no zeros in front beyond an even number of digits. */
static const char *
serial_text(struct arena *a, struct bytes n)
{
	if (n.p[0] >= 0x80)
		return arena_printf(a, "-%s", hex_encode(a, n.p, n.len));
	while (n.len > 1 && n.p[0] == 0) {
		n.p++;
		n.len--;
	}
	return hex_encode(a, n.p, n.len);
}

/* Two's complement in as few octets as it takes. */
static bool
is_integer(struct bytes n)
{
	return n.len == 1 || (n.len > 1 &&
	    !(n.p[0] == 0x00 && n.p[1] < 0x80) &&
	    !(n.p[0] == 0xff && n.p[1] >= 0x80));
}

/* CertID: hash algorithm, issuer name's and key's hash, serial number. */
static bool
read_id(struct arena *a, struct bytes in, struct ocsp_id *out)
{
	struct bytes alg, oid, params = { 0 };

	/* It is echoed in what is signed, so it is no room for other things. */
	if (!der_take(&in, DER_SEQUENCE, &alg) ||
	    !der_take(&alg, DER_OID, &oid) ||
	    (alg.len > 0 && (!der_take(&alg, DER_NULL, &params) ||
	    params.len > 0 || alg.len > 0)) ||
	    !der_take(&in, DER_OCTET_STRING, &out->name_hash) ||
	    !der_take(&in, DER_OCTET_STRING, &out->key_hash) ||
	    !der_take(&in, DER_INTEGER, &out->serial) || in.len > 0 ||
	    !is_integer(out->serial) || out->serial.len > SERIAL_MAX)
		return false;
	out->hash = OCSP_SHA1;
	while (out->hash < OCSP_HASH_UNKNOWN &&
	    !is_oid(oid, hashes[out->hash].id))
		out->hash++;
	if (out->hash < OCSP_HASH_UNKNOWN &&
	    (out->name_hash.len != hashes[out->hash].len ||
	    out->key_hash.len != hashes[out->hash].len))
		return false;
	out->serial_hex = serial_text(a, out->serial);
	return true;
}

/* Request: reqCert, then singleRequestExtensions, which mean nothing here. */
static bool
read_single(struct arena *a, struct bytes in, struct ocsp_id *out)
{
	const unsigned char *start = in.p;
	struct bytes id, exts;

	if (!der_take(&in, DER_SEQUENCE, &id))
		return false;
	out->der = (struct bytes){ start, (size_t)(in.p - start) };
	if (!read_id(a, id, out))
		return false;
	return in.len == 0 ||
	    (der_take(&in, DER_CONSTRUCTED, &exts) && in.len == 0);
}

static bool
read_list(struct arena *a, struct bytes in, struct ocsp_request *out)
{
	struct bytes one;

	while (in.len > 0) {
		if (out->n == OCSP_MAX_IDS ||
		    !der_take(&in, DER_SEQUENCE, &one) ||
		    !read_single(a, one, &out->id[out->n]))
			return false;
		out->n++;
	}
	return out->n > 0;
}

/* A nonce of 1 to 128 octets (RFC 9654), and one. */
static bool
read_nonce(struct bytes value, struct ocsp_request *out)
{
	struct bytes nonce;

	out->nonce_malformed = !der_take(&value, DER_OCTET_STRING, &nonce) ||
	    value.len > 0 || nonce.len == 0 || nonce.len > OCSP_MAX_NONCE ||
	    out->nonce.len > 0;
	if (!out->nonce_malformed)
		out->nonce = nonce;
	return !out->nonce_malformed;
}

/* PreferredSignatureAlgorithms: what kind of key it is for, behind each, is
 * nothing that a responder with one key can choose. */
static bool
read_preferred(struct bytes value, struct ocsp_request *out)
{
	struct bytes list, one, alg, oid;

	if (!der_take(&value, DER_SEQUENCE, &list) || value.len > 0)
		return false;
	while (list.len > 0) {
		if (!der_take(&list, DER_SEQUENCE, &one) ||
		    !der_take(&one, DER_SEQUENCE, &alg) ||
		    !der_take(&alg, DER_OID, &oid))
			return false;
		if (out->n_preferred < OCSP_MAX_PREFERRED)
			out->preferred[out->n_preferred++] = oid;
	}
	return true;
}

static bool
read_extension(struct bytes in, struct ocsp_request *out)
{
	struct bytes oid, critical = { 0 }, value;
	bool must = false;

	if (!der_take(&in, DER_OID, &oid))
		return false;
	if (next_is(in, DER_BOOLEAN)) {
		if (!der_take(&in, DER_BOOLEAN, &critical) || critical.len != 1)
			return false;
		must = critical.p[0] != 0;
	}
	if (!der_take(&in, DER_OCTET_STRING, &value) || in.len > 0)
		return false;
	if (is_oid(oid, id_nonce))
		return read_nonce(value, out);
	if (is_oid(oid, id_preferred))
		return read_preferred(value, out);
	return !must;
}

static bool
read_extensions(struct bytes outer, struct ocsp_request *out)
{
	struct bytes list, one;

	if (!der_take(&outer, DER_SEQUENCE, &list) || outer.len > 0)
		return false;
	while (list.len > 0)
		if (!der_take(&list, DER_SEQUENCE, &one) ||
		    !read_extension(one, out))
			return false;
	return true;
}

/* TBSRequest: version, requestorName, requestList, requestExtensions. */
static bool
read_tbs(struct arena *a, struct bytes in, struct ocsp_request *out)
{
	struct bytes part, version;

	if (next_is(in, DER_CONSTRUCTED) &&
	    (!der_take(&in, DER_CONSTRUCTED, &part) ||
	    !der_take(&part, DER_INTEGER, &version) || part.len > 0 ||
	    version.len != 1 || version.p[0] != 0))
		return false;
	if (next_is(in, DER_CONSTRUCTED + 1) &&
	    !der_take(&in, DER_CONSTRUCTED + 1, &part))
		return false;
	if (!der_take(&in, DER_SEQUENCE, &part) || !read_list(a, part, out))
		return false;
	if (in.len == 0)
		return true;
	return der_take(&in, DER_CONSTRUCTED + 2, &part) && in.len == 0 &&
	    read_extensions(part, out);
}

enum ocsp_status
ocsp_request_read(struct arena *a, struct bytes der, struct ocsp_request *out)
{
	struct bytes in = der, request, tbs, signature;

	*out = (struct ocsp_request){ 0 };
	if (der.len > OCSP_MAX_REQUEST ||
	    !der_take(&in, DER_SEQUENCE, &request) || in.len > 0 ||
	    !der_take(&request, DER_SEQUENCE, &tbs) || !read_tbs(a, tbs, out))
		return OCSP_MALFORMED;
	/* A signature is optional, and nobody's word is taken for more here. */
	if (request.len > 0 && (!der_take(&request, DER_CONSTRUCTED,
	    &signature) || request.len > 0))
		return OCSP_MALFORMED;
	return OCSP_SUCCESSFUL;
}

bool
ocsp_request_make(struct arena *a, struct bytes name_hash,
    struct bytes key_hash, const char *serial_hex, struct bytes *der)
{
	const struct oid *sha256_id = &hashes[OCSP_SHA256].id;
	size_t len = strlen(serial_hex), mark[5], alg;
	unsigned char serial[33] = { 0 };
	struct buf b = BUF(a);

	if (len == 0 || len > 64 || !hex_decode(len % 2 == 0 ? serial_hex :
	    arena_printf(a, "0%s", serial_hex), len + len % 2, serial))
		return false;
	for (size_t i = 0; i < NELEM(mark); i++)
		mark[i] = der_open(&b, DER_SEQUENCE);
	alg = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, sha256_id->p, sha256_id->len);
	der_close(&b, alg);
	der_put(&b, DER_OCTET_STRING, name_hash.p, name_hash.len);
	der_put(&b, DER_OCTET_STRING, key_hash.p, key_hash.len);
	der_uint(&b, serial, (len + 1) / 2);
	for (size_t i = NELEM(mark); i-- > 0; )
		der_close(&b, mark[i]);
	*der = (struct bytes){ (const unsigned char *)b.p, b.len };
	return true;
}

struct bytes
ocsp_hash(struct arena *a, enum ocsp_hash h, struct bytes p)
{
	unsigned char *out = arena_alloc(a, hashes[h].len);

	if (EVP_Digest(p.p, p.len, out, NULL, hashes[h].md(), NULL) != 1)
		abort();
	return (struct bytes){ out, hashes[h].len };
}

/* GeneralizedTime whatever the year (RFC 6960 section 4.2.2.1). */
static void
put_time(struct buf *b, int64_t at)
{
	char iso[RFC3339_LEN + 1], text[RFC3339_LEN];
	size_t n = 0;

	/* strftime() takes longer than all the rest of an answer. */
	for (const char *s = rfc3339(at, iso); *s != '\0'; s++)
		if (strchr("-T:", *s) == NULL)
			text[n++] = *s;
	der_put(b, DER_GENERALIZED_TIME, text, n);
}

static void
put_status(struct buf *b, const struct ocsp_answer *s)
{
	unsigned char code = (unsigned char)s->reason;
	size_t revoked, reason;

	switch (s->status) {
	case OCSP_GOOD:
		der_put(b, DER_CONTEXT, NULL, 0);
		break;
	case OCSP_UNKNOWN:
		der_put(b, DER_CONTEXT + 2, NULL, 0);
		break;
	case OCSP_REVOKED:
		revoked = der_open(b, DER_CONSTRUCTED + 1);
		put_time(b, s->revoked_at);
		if (s->reason > 0) {
			reason = der_open(b, DER_CONSTRUCTED);
			der_put(b, DER_ENUMERATED, &code, 1);
			der_close(b, reason);
		}
		der_close(b, revoked);
		break;
	}
}

static void
put_single(struct buf *b, const struct ocsp_answer *s)
{
	size_t seq = der_open(b, DER_SEQUENCE), next;

	der_raw(b, s->id_der);
	put_status(b, s);
	put_time(b, s->this_update);
	next = der_open(b, DER_CONSTRUCTED);
	put_time(b, s->next_update);
	der_close(b, next);
	der_close(b, seq);
}

/* In responseExtensions, where RFC 6960 section 4.4.1 puts it. */
static void
put_nonce(struct buf *b, struct bytes nonce)
{
	size_t outer = der_open(b, DER_CONSTRUCTED + 1);
	size_t seq = der_open(b, DER_SEQUENCE);
	struct ext x = ext_open(b, id_nonce, false);

	der_put(b, DER_OCTET_STRING, nonce.p, nonce.len);
	ext_close(b, x);
	der_close(b, seq);
	der_close(b, outer);
}

struct bytes
ocsp_algorithm(const struct ocsp_signer *s, const struct ocsp_request *rq)
{
	struct bytes id;

	for (size_t i = 0; i < rq->n_preferred; i++) {
		id = key_algorithm_for(s->key, rq->preferred[i]);
		if (id.len > 0)
			return id;
	}
	return key_algorithm(s->key);
}

struct bytes
ocsp_data(struct arena *a, const struct ocsp_signer *s,
    const struct ocsp_answer *answers, size_t n, int64_t produced_at,
    struct bytes nonce)
{
	struct buf b = BUF(a);
	size_t seq = der_open(&b, DER_SEQUENCE), part;

	part = der_open(&b, DER_CONSTRUCTED + 2);	/* byKey */
	der_put(&b, DER_OCTET_STRING, s->key_hash.p, s->key_hash.len);
	der_close(&b, part);
	put_time(&b, produced_at);
	part = der_open(&b, DER_SEQUENCE);
	for (size_t i = 0; i < n; i++)
		put_single(&b, &answers[i]);
	der_close(&b, part);
	if (nonce.len > 0)
		put_nonce(&b, nonce);
	der_close(&b, seq);
	return (struct bytes){ (const unsigned char *)b.p, b.len };
}

struct bytes
ocsp_assemble(struct arena *a, const struct ocsp_signer *s, struct bytes data,
    struct bytes algorithm, struct bytes signature)
{
	struct buf b = BUF(a);
	size_t outer, bytes, seq, octets, basic, certs, list;

	outer = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_ENUMERATED, "\0", 1);		/* successful */
	bytes = der_open(&b, DER_CONSTRUCTED);
	seq = der_open(&b, DER_SEQUENCE);
	der_put(&b, DER_OID, id_basic.p, id_basic.len);
	octets = der_open(&b, DER_OCTET_STRING);
	basic = der_open(&b, DER_SEQUENCE);
	der_raw(&b, data);
	der_raw(&b, algorithm);
	der_bits(&b, signature.p, signature.len);
	certs = der_open(&b, DER_CONSTRUCTED);
	list = der_open(&b, DER_SEQUENCE);
	der_raw(&b, s->cert_der);
	der_close(&b, list);
	der_close(&b, certs);
	der_close(&b, basic);
	der_close(&b, octets);
	der_close(&b, seq);
	der_close(&b, bytes);
	der_close(&b, outer);
	return (struct bytes){ (const unsigned char *)b.p, b.len };
}

struct bytes
ocsp_error(enum ocsp_status status)
{
	static unsigned char der[OCSP_UNAUTHORIZED + 1][5];
	unsigned char *p = der[status];

	memcpy(p, (const unsigned char[]){ 0x30, 0x03, 0x0a, 0x01,
	    (unsigned char)status }, 5);
	return (struct bytes){ p, 5 };
}
