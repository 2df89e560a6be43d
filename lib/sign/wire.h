/*
 * What a caller and certctl-signer say to each other.
 *
 * A SOCK_SEQPACKET unix socket carries one message each way for every
 * request.  A message is a head and its fields, each with its length in front,
 * numbers big-endian.  What is larger than a message may be, a CRL, goes beside
 * it: a memfd that is sealed, so that what was checked is what gets signed.
 */
#ifndef CERTCTL_SIGN_WIRE_H
#define CERTCTL_SIGN_WIRE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/util.h"

struct arena;

enum {
	WIRE_MAX = 96 * 1024,		/* octets of a message */
	WIRE_INLINE = 64 * 1024,	/* octets of a TBS in it */
	WIRE_TBS_MAX = 256 << 20,	/* octets of a TBS beside it */
	WIRE_REF_MAX = 4095,		/* octets that name a key */
	WIRE_CA_MAX = 16 * 1024,	/* octets of a CA certificate */
};

enum wire_op {
	WIRE_INFO,		/* key_ref; answers spki, algorithm */
	WIRE_CREATE,		/* key_ref, type; answers made */
	WIRE_CERTIFICATE,	/* key_ref, allow, ca, tbs; answers signature */
	WIRE_CRL,		/* key_ref, ca, tbs; answers signature */
	WIRE__MAX
};

struct wire_request {
	enum wire_op op;
	unsigned allow;		/* SIGN_ bits */
	int bits;		/* of the key to make */
	struct bytes key_ref, algorithm, ca, tbs;
	bool tbs_beside;	/* the TBS is in the memfd */
};

struct wire_answer {
	enum err_code code;
	bool made;
	struct bytes msg, spki, algorithm, signature;
};

/* Encoded messages live in A. */
struct bytes wire_put_request(struct arena *a, const struct wire_request *r);
struct bytes wire_put_answer(struct arena *a, const struct wire_answer *w);

/* What is borrowed from P; false unless P is one whole message in bounds. */
bool wire_get_request(struct bytes p, struct wire_request *out);
bool wire_get_answer(struct bytes p, struct wire_answer *out);

/* TBS in a sealed memfd, or -1 with errno. */
int wire_seal(struct bytes tbs);

/*
 * Map the TBS in FD, which must be sealed against every change; E_INVALID
 * otherwise.  wire_unmap() ends it.
 */
int wire_map(int fd, struct bytes *out, struct err *e);
void wire_unmap(struct bytes tbs);

/* Send P with FD (-1: none) beside it; -1 with errno. */
int wire_send(int fd, struct bytes p, int beside);

/*
 * One message into BUF, WIRE_MAX octets, and the descriptor beside it or -1.
 * 0 if the peer is gone, -1 with errno; EMSGSIZE for what is none of ours.
 */
long wire_recv(int fd, unsigned char *buf, int *beside);

#endif
