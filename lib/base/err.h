/*
 * The one error type: a code to act on, a message to read.
 *
 * A function that can fail takes a struct err last, returns 0 or -1 (NULL for
 * pointers) and leaves the error untouched on success.
 */
#ifndef CERTCTL_BASE_ERR_H
#define CERTCTL_BASE_ERR_H

/* code, HTTP status, reason phrase (RFC 9110 section 15) */
#define ERR_CODES(X)						\
	X(INVALID,	400, "Bad Request")			\
	X(UNAUTHORIZED,	401, "Unauthorized")			\
	X(FORBIDDEN,	403, "Forbidden")			\
	X(NOT_FOUND,	404, "Not Found")			\
	X(METHOD,	405, "Method Not Allowed")		\
	X(CONFLICT,	409, "Conflict")			\
	X(GONE,		410, "Gone")				\
	X(TOO_LARGE,	413, "Content Too Large")		\
	X(UNPROCESSABLE, 422, "Unprocessable Content")		\
	X(RATE_LIMITED,	429, "Too Many Requests")		\
	X(UNSUPPORTED,	415, "Unsupported Media Type")		\
	X(INTERNAL,	500, "Internal Server Error")		\
	X(NOT_IMPLEMENTED, 501, "Not Implemented")		\
	X(UPSTREAM,	502, "Bad Gateway")			\
	X(UNAVAILABLE,	503, "Service Unavailable")		\
	X(TIMEOUT,	504, "Gateway Timeout")

enum err_code {
	E_OK,
#define X(name, status, reason) E_##name,
	ERR_CODES(X)
#undef X
	E__MAX
};

struct err {
	enum err_code code;
	char msg[512];		/* for the client: one line, lower case */
	char detail[1024];	/* for the log only: SQLSTATE, CA's reply */
};

/* Fill E and return -1, so that callers can "return err_set(...)". */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Add what only the log may see; returns -1. */
int err_detail(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "PREFIX: " before the message; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* HTTP status and reason phrase of CODE; 200 "OK" for E_OK. */
int err_status(enum err_code code);
const char *err_reason(enum err_code code);

/* The reason phrase of an HTTP status, errors or not. */
const char *status_reason(int status);

#endif
