#include "base/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/util.h"

/* A thousand years: no sum of two terms overflows. */
#define MAX_DURATION_MS (1000 * INT64_C(31556952000))

static int64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t
now_s(void)
{
	return now_ns() / 1000000000;
}

int64_t
mono_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back. */
static int64_t
days_from_civil(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
civil_from_days(int64_t z, int *y, int *m, int *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static void
digits(char *out, int v, int n)
{
	while (n-- > 0) {
		out[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

char *
rfc3339(int64_t at, char *out)
{
	int y, m, d;
	int64_t days = at / 86400, sod = at % 86400;

	if (at == 0)
		return memcpy(out, "0001-01-01T00:00:00Z", RFC3339_LEN + 1);
	if (sod < 0) {
		sod += 86400;
		days--;
	}
	civil_from_days(days, &y, &m, &d);
	memcpy(out, "0000-00-00T00:00:00Z", RFC3339_LEN + 1);
	digits(out, y, 4);
	digits(out + 5, m, 2);
	digits(out + 8, d, 2);
	digits(out + 11, (int)(sod / 3600), 2);
	digits(out + 14, (int)(sod / 60 % 60), 2);
	digits(out + 17, (int)(sod % 60), 2);
	return out;
}

/* Exactly N digits at *S, advancing it; -1 if they are not there. */
static int
take(const char **s, int n)
{
	int v = 0;

	while (n-- > 0) {
		if (!isdigit((unsigned char)**s))
			return -1;
		v = v * 10 + *(*s)++ - '0';
	}
	return v;
}

static bool
skip(const char **s, const char *set)
{
	if (**s == '\0' || strchr(set, **s) == NULL)
		return false;
	(*s)++;
	return true;
}

/* "Z" or "+hh:mm": seconds east of UTC, or false. */
static bool
take_zone(const char **s, int64_t *east)
{
	int sign, h, m;

	*east = 0;
	if (skip(s, "Zz"))
		return true;
	sign = **s == '-' ? -1 : 1;
	if (!skip(s, "+-") || (h = take(s, 2)) < 0 || h > 23 ||
	    !skip(s, ":") || (m = take(s, 2)) < 0 || m > 59)
		return false;
	*east = sign * (h * 3600 + m * 60);
	return true;
}

static bool
leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

int
rfc3339_parse(const char *text, int64_t *at, struct err *e)
{
	static const int mdays[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31,
	    30, 31 };
	const char *s = text;
	int y, mo, d, h = 0, mi = 0, sec = 0;
	int64_t east = 0, t;

	if ((y = take(&s, 4)) < 0 || !skip(&s, "-") ||
	    (mo = take(&s, 2)) < 1 || mo > 12 || !skip(&s, "-") ||
	    (d = take(&s, 2)) < 1 || d > mdays[mo - 1] - (mo == 2 && !leap(y)))
		goto bad;
	if (*s != '\0') {
		if (!skip(&s, "Tt ") ||
		    (h = take(&s, 2)) < 0 || h > 23 || !skip(&s, ":") ||
		    (mi = take(&s, 2)) < 0 || mi > 59 || !skip(&s, ":") ||
		    (sec = take(&s, 2)) < 0 || sec > 60)
			goto bad;
		if (skip(&s, ".")) {
			if (take(&s, 1) < 0)
				goto bad;
			s += strspn(s, "0123456789");
		}
		if (!take_zone(&s, &east) || *s != '\0')
			goto bad;
	}
	t = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - east;
	/* What rfc3339() can write: years of four digits, from 1 on. */
	if (t < days_from_civil(1, 1, 1) * 86400 ||
	    t >= days_from_civil(10000, 1, 1) * 86400)
		goto bad;
	/* All of the first day of year 1 is "unset", in whatever zone. */
	*at = t < days_from_civil(1, 1, 2) * 86400 ? 0 : t;
	return 0;
bad:
	return err_set(e, E_INVALID, "\"%.64s\" is not an RFC 3339 time", text);
}

int
duration_parse(const char *text, int64_t *seconds, struct err *e)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	};
	const char *s = text;
	int64_t total = 0, v;
	size_t i, n;

	if (streq(text, "0")) {
		*seconds = 0;
		return 0;
	}
	do {
		if (!isdigit((unsigned char)*s))
			goto bad;
		for (v = 0; isdigit((unsigned char)*s) && v < 1000000000; s++)
			v = v * 10 + *s - '0';
		n = strspn(s, "hms");
		for (i = 0; i < NELEM(units); i++)
			if (strlen(units[i].unit) == n &&
			    strncmp(s, units[i].unit, n) == 0)
				break;
		if (i == NELEM(units))
			goto bad;
		total += v * units[i].ms;
		if (total > MAX_DURATION_MS)
			goto bad;
		s += n;
	} while (*s != '\0');
	*seconds = total / 1000;
	return 0;
bad:
	return err_set(e, E_INVALID,
	    "\"%.64s\" is not a duration such as 30s, 5m or 24h", text);
}

void
sleep_ms(int64_t ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};

	nanosleep(&ts, NULL);
}
