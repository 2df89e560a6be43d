/* SHA-256 (FIPS 180-4), as octets and as the lower-case hex we store. */
#ifndef CERTCTL_X509_DIGEST_H
#define CERTCTL_X509_DIGEST_H

#include <stddef.h>

enum { SHA256_LEN = 32, SHA256_HEX = 64 };

void sha256(const void *p, size_t len, unsigned char out[SHA256_LEN]);

/* 64 hex digits and a NUL into OUT; returns OUT. */
char *sha256_hex(const void *p, size_t len, char out[SHA256_HEX + 1]);

/* SHA-1: for the identifiers that RFC 5280 and 6960 make with it, no more. */
enum { SHA1_LEN = 20 };
void sha1(const void *p, size_t len, unsigned char out[SHA1_LEN]);

#endif
