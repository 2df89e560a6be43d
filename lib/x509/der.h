/*
 * DER (X.690 section 10), as much of it as certificates need.
 *
 *	size_t seq = der_open(b, DER_SEQUENCE);
 *	der_put(b, DER_OID, oid.p, oid.len);
 *	der_close(b, seq);
 */
#ifndef CERTCTL_X509_DER_H
#define CERTCTL_X509_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct buf;

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,		/* + number, primitive */
	DER_CONSTRUCTED = 0xa0,		/* + number, context, constructed */
};

/* Begin an element; der_close() of what it returns writes its length. */
size_t der_open(struct buf *b, unsigned char tag);
void der_close(struct buf *b, size_t mark);

/* The head alone of an element with LEN octets. */
void der_head(struct buf *b, unsigned char tag, size_t len);

/* One whole element; der_raw() adds what is encoded already. */
void der_put(struct buf *b, unsigned char tag, const void *p, size_t len);
void der_raw(struct buf *b, struct bytes der);

/* The unsigned big-endian number P as an INTEGER. */
void der_uint(struct buf *b, const void *p, size_t len);

/* TRUE; FALSE is always a default and never written. */
void der_true(struct buf *b);

/* A BIT STRING of whole octets. */
void der_bits(struct buf *b, const void *p, size_t len);

/* A named bit list of up to eight bits, bit 0 on the left. */
void der_flags(struct buf *b, unsigned char flags);

/* UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5). */
void der_time(struct buf *b, int64_t at);

/*
 * Take the first element off IN.  False at the end, or if it is not DER: an
 * indefinite or overlong length, a long tag, more octets than there are.
 */
bool der_next(struct bytes *in, unsigned char *tag, struct bytes *content);

/* The same, and it must have TAG; der_take_whole() with its header. */
bool der_take(struct bytes *in, unsigned char tag, struct bytes *content);
bool der_take_whole(struct bytes *in, unsigned char tag,
    struct bytes *element);

#endif
