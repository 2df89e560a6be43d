/* What json-c lets pass in JSON text and RFC 8259 does not. */
#ifndef CERTCTL_CODEC_JSON_SCAN_H
#define CERTCTL_CODEC_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * E_INVALID for text that is not UTF-8, for control characters, NUL and halves
 * of surrogate pairs in strings, and for words that are no JSON.  *COLONS
 * counts the colons outside strings.
 */
int json_scan(const char *text, size_t len, int64_t *colons, struct err *e);

#endif
