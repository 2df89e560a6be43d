/* What t/load asks, and what became of it. */
#ifndef T_LOAD_LOAD_H
#define T_LOAD_LOAD_H

#include <openssl/ocsp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SERIAL = 20, NONCE = 16,	/* octets */
	DER_MAX = 1024,
	BODY_MAX = 1536,		/* of an answer that is kept */
};

extern struct options {
	const char *path, *ca, *out;
	unsigned port, certificates, connections;
	double rate, seconds, revocations;
	int64_t begin, first;
} opt;

extern struct kind {
	const char *name;
	int weight;			/* of 1,000 */
	bool get;
	const EVP_MD *(*md)(void);
	int nonce;			/* octets */
	bool never;			/* about a serial nobody issued */
	size_t (*spoil)(unsigned char *der, size_t len);
	/* made of these at the start; where the serial and the nonce are */
	unsigned char der[DER_MAX], id[256];
	size_t len, serial, at_nonce, id_len, id_serial;
} kinds[];
extern const size_t n_kinds;
extern X509 *ca;

struct shot {
	int64_t due, sent, got;		/* monotonic microseconds */
	uint32_t n;			/* the certificate */
	uint16_t kind, status, body_len;
	unsigned char nonce[NONCE];
};
extern struct shot *shots;
extern unsigned char (*bodies)[BODY_MAX];
extern size_t n_shots;

_Noreturn void die(const char *what);
void *room_for(size_t n, size_t size);

/* Read the CA's certificate and make what is asked of each kind. */
void kinds_make(void);
bool kind_is_bad(const struct kind *k);
unsigned choose_kind(void);
uint32_t choose_certificate(const struct kind *k, int64_t now);
void put_serial(unsigned char *p, uint32_t n);

/* What SHOT asks; octets at DER (DER_MAX). */
size_t kind_request(const struct shot *s, unsigned char *der);

/* Look at every answer and write the records; whether one is wrong. */
bool answers_check(size_t most);

#endif
