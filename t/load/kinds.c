/* What is asked: kinds of requests, and about which certificates. */
#include "t/load/load.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum { NEAR = 40 };		/* certificates around the front */

static size_t
cut(unsigned char *der, size_t len)
{
	(void)der;
	return 1 + (size_t)random() % (len - 1);
}

static size_t
longer(unsigned char *der, size_t len)
{
	der[len] = 0;
	return len + 1;
}

static size_t
scramble(unsigned char *der, size_t len)
{
	for (size_t i = 0; i < len; i++)
		der[i] = (unsigned char)random();
	der[0] = 0x30;
	der[1] = 0x7f;		/* no length of what follows */
	return 40;
}

/* What the outer headers promise ends too early in one of them. */
static size_t
miscount(unsigned char *der, size_t len)
{
	der[1 + 2 * (random() % 4)] ^= 0x04;
	return len;
}

struct kind kinds[] = {
	{ .name = "GET, SHA-1", 260, true, EVP_sha1 },
	{ .name = "GET, SHA-256", 200, true, EVP_sha256 },
	{ .name = "GET, nonce", 50, true, EVP_sha256, .nonce = NONCE },
	{ .name = "POST, SHA-1", 100, false, EVP_sha1 },
	{ .name = "POST, SHA-512", 100, false, EVP_sha512 },
	{ .name = "POST, nonce", 250, false, EVP_sha256, .nonce = NONCE },
	{ .name = "GET, unknown", 15, true, EVP_sha256, .never = true },
	{ .name = "POST, unknown", 15, false, EVP_sha1, .never = true },
	/* The bad ones. */
	{ .name = "POST, cut", 2, false, EVP_sha1, .spoil = cut },
	{ .name = "POST, longer", 2, false, EVP_sha256, .spoil = longer },
	{ .name = "POST, miscounted", 2, false, EVP_sha256, .spoil = miscount },
	{ .name = "POST, octets", 1, false, EVP_sha256, .spoil = scramble },
	{ .name = "POST, long nonce", 1, false, EVP_sha256, .nonce = 129 },
	{ .name = "GET, cut", 1, true, EVP_sha256, .spoil = cut },
	{ .name = "GET, octets", 1, true, EVP_sha1, .spoil = scramble },
};

X509 *ca;
const size_t n_kinds = NELEM(kinds);

bool
kind_is_bad(const struct kind *k)
{
	return k->spoil != NULL || k->nonce > 128;
}

static size_t
find(const unsigned char *in, size_t len, const unsigned char *what, size_t n)
{
	const unsigned char *p = memmem(in, len, what, n);

	if (p == NULL)
		die("template");
	return (size_t)(p - in);
}

/* As OpenSSL makes it, with a serial and a nonce that can be found again. */
static void
make_kind(struct kind *k)
{
	unsigned char serial[SERIAL], nonce[256], *p = k->der, *id = k->id;
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	OCSP_REQUEST *rq = OCSP_REQUEST_new();
	OCSP_CERTID *cert;

	memset(serial, 0x55, sizeof(serial));
	memset(nonce, 0xaa, sizeof(nonce));
	ASN1_STRING_set(number, serial, sizeof(serial));
	cert = OCSP_cert_id_new(k->md(), X509_get_subject_name(ca),
	    X509_get0_pubkey_bitstr(ca), number);
	k->id_len = (size_t)i2d_OCSP_CERTID(cert, &id);
	k->id_serial = find(k->id, k->id_len, serial, SERIAL);
	OCSP_request_add0_id(rq, cert);
	if (k->nonce > 0)
		OCSP_request_add1_nonce(rq, nonce, k->nonce);
	k->len = (size_t)i2d_OCSP_REQUEST(rq, &p);
	k->serial = find(k->der, k->len, serial, SERIAL);
	if (k->nonce > 0)
		k->at_nonce = find(k->der, k->len, nonce, (size_t)k->nonce);
	ASN1_INTEGER_free(number);
	OCSP_REQUEST_free(rq);
}

/* As t/load/seed.sql has them: 10, then the number. */
void
put_serial(unsigned char *p, uint32_t n)
{
	memset(p, 0, SERIAL);
	p[0] = 0x10;
	n = htonl(n);
	memcpy(p + SERIAL - sizeof(n), &n, sizeof(n));
}

/* The Ith certificate that t/load/run revokes, by the same rule there. */
static uint32_t
hot_one(int64_t i)
{
	return (uint32_t)(i * 7919 % (opt.certificates / 10)) * 10 + 3;
}

uint32_t
choose_certificate(const struct kind *k, int64_t now)
{
	int64_t front = (int64_t)((double)(now - opt.begin) / 1e6 *
	    opt.revocations) + random() % (2 * NEAR) - NEAR;

	if (k->never)
		return opt.certificates + 1 + (uint32_t)random() % 1000000;
	if (front >= 0 && random() % 3 == 0)
		return hot_one(opt.first + front);
	return 1 + (uint32_t)random() % opt.certificates;
}

unsigned
choose_kind(void)
{
	int n = (int)(random() % 1000);
	unsigned i = 0;

	while (i < NELEM(kinds) - 1 && n >= kinds[i].weight)
		n -= kinds[i++].weight;
	return i;
}

size_t
kind_request(const struct shot *s, unsigned char *der)
{
	const struct kind *k = &kinds[s->kind];

	memcpy(der, k->der, k->len);
	put_serial(der + k->serial, s->n);
	if (k->nonce == NONCE)
		memcpy(der + k->at_nonce, s->nonce, NONCE);
	return k->spoil != NULL ? k->spoil(der, k->len) : k->len;
}

void
kinds_make(void)
{
	FILE *in = fopen(opt.ca, "r");

	ca = in == NULL ? NULL : PEM_read_X509(in, NULL, NULL, NULL);
	if (ca == NULL)
		die(opt.ca);
	fclose(in);
	for (size_t i = 0; i < NELEM(kinds); i++)
		make_kind(&kinds[i]);
}
