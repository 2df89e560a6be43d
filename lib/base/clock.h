/* Instants are int64_t UTC seconds; 0 is "unset", written as year 1. */
#ifndef CERTCTL_BASE_CLOCK_H
#define CERTCTL_BASE_CLOCK_H

#include <stdint.h>

struct err;

enum { RFC3339_LEN = 20 };	/* "2026-01-02T03:04:05Z" */

int64_t now_s(void);		/* wall clock */
int64_t now_ns(void);		/* wall clock, for identifiers */
int64_t mono_us(void);		/* monotonic, for durations */

/* Write AT as RFC 3339 into OUT (RFC3339_LEN + 1 octets) and return OUT. */
char *rfc3339(int64_t at, char *out);

/*
 * Read RFC 3339 (section 5.6), fractions allowed and dropped, or a bare date
 * (midnight UTC).  E_INVALID on anything else, and outside years 1 to 9999.
 */
int rfc3339_parse(const char *s, int64_t *at, struct err *e);

/* Read "30s", "5m", "1h30m", "24h", "500ms" (rounded down), "0"; E_INVALID on
 * anything else, and beyond a thousand years. */
int duration_parse(const char *s, int64_t *seconds, struct err *e);

/* Sleep MS milliseconds, or less if a signal arrives. */
void sleep_ms(int64_t ms);

#endif
