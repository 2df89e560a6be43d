/*
 * What a TLS server presents, seen from outside: the proof that a deployed
 * certificate is live.  Nothing is trusted and nothing is sent.
 */
#ifndef CERTCTL_X509_PROBE_H
#define CERTCTL_X509_PROBE_H

#include <stdint.h>

#include "x509/digest.h"

struct err;

struct probe {
	char fingerprint[SHA256_HEX + 1]; /* of the leaf, lower-case hex */
	int chain_len;		/* certificates presented, the leaf too */
};

/*
 * Shake hands with HOST (a name or an address literal) at PORT, TLS 1.2 or
 * newer, SNI unless HOST is an address; connecting and shaking hands take
 * TIMEOUT_MS at most, the resolver has limits of its own.
 *
 * E_TIMEOUT, or E_UPSTREAM with the reason.
 */
int probe_tls(const char *host, int port, int64_t timeout_ms,
    struct probe *out, struct err *e);

/*
 * Split "host:port" or "[v6]:port" into HOST (SIZE octets) and PORT;
 * E_INVALID if it is neither.
 */
int probe_endpoint(const char *text, char *host, size_t size, int *port,
    struct err *e);

#endif
