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

/* base64url with all of its padding or none; false if malformed. */
bool base64url_decode(struct arena *a, const char *s, struct bytes *out);

/* base64 (RFC 4648 section 4), white space and missing padding tolerated;
 * false if malformed. */
bool base64_decode(struct arena *a, const char *s, size_t len,
    struct bytes *out);

/* base64 in one line, in A. */
char *base64_encode(struct arena *a, const void *p, size_t len);

/* A random UUID, version 4 (RFC 9562 section 5.4). */
char *uuid4(struct arena *a);

/* "<prefix>-<unix ns>-<counter>": unique on this host and, in practice, on
 * all. */
char *id_new(struct arena *a, const char *prefix);

/* Octets of the well-formed UTF-8 character (RFC 3629) that S, LEN octets,
 * begins with; 0 if it begins with none, or with NUL. */
size_t utf8_char(const char *s, size_t len);

/* True if S is well-formed UTF-8 without NUL. */
bool utf8_valid(const char *s, size_t len);

/*
 * True if S, which is UTF-8, could forge what people read: it holds control
 * characters, or ones that are invisible or turn the direction of text.
 */
bool text_misleads(const char *s);

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
 * Read a decimal integer, digits after at most a "-", that is all of S and
 * within MIN and MAX.  False otherwise; *OUT is untouched then.
 */
bool int_parse(const char *s, int64_t min, int64_t max, int64_t *out);

#endif
