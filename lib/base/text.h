/* Text encodings and identifiers. */
#ifndef CERTCTL_BASE_TEXT_H
#define CERTCTL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

struct arena;

/* Lower-case hex of P; the result lives in A. */
char *hex_encode(struct arena *a, const void *p, size_t len);

/* LEN/2 octets into OUT; false if S is not LEN hex digits. */
bool hex_decode(const char *s, size_t len, unsigned char *out);

/* base64url without padding (RFC 4648 section 5). */
char *base64url_encode(struct arena *a, const void *p, size_t len);

/* base64url with or without padding; false if malformed. */
bool base64url_decode(struct arena *a, const char *s, struct bytes *out);

/* A random UUID, version 4 (RFC 9562 section 5.4). */
char *uuid4(struct arena *a);

/* "<prefix>-<unix ns>-<counter>", unique on this host and, in practice, on all. */
char *id_new(struct arena *a, const char *prefix);

/* True if S is well-formed UTF-8 without NUL (RFC 3629). */
bool utf8_valid(const char *s, size_t len);

/* Split S at commas; items trimmed, empty ones dropped. */
struct texts split_list(struct arena *a, const char *s);

/* Split S at blanks: an argument vector without a shell; NULL terminated. */
struct texts split_words(struct arena *a, const char *s);

/* Add S to T. */
void texts_add(struct arena *a, struct texts *t, const char *s);

bool texts_has(const struct texts *t, const char *s);

/* S in lower case. */
char *lower(struct arena *a, const char *s);

/*
 * Read COUNT..: a decimal integer that is all of S, within MIN and MAX.
 * False otherwise; *OUT is untouched then.
 */
bool int_parse(const char *s, int64_t min, int64_t max, int64_t *out);

#endif
