/*
 * Structured logs: one JSON object a line on standard error.
 *
 *	log_info("certificate issued", "certificate_id", id, "serial", serial,
 *	    NULL);
 *
 * Members are name, text pairs closed by NULL; a NULL text is left out.
 * lib/ never logs above debug; the program at the end of the corridor does.
 */
#ifndef CERTCTL_BASE_LOG_H
#define CERTCTL_BASE_LOG_H

#include <stdbool.h>

struct err;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Name this program in every line and drop lines below LEVEL. */
void log_open(const char *program, enum log_level level);

/* Write to FD instead; the agent's contract says standard output. */
void log_output(int fd);

/* "debug", "info", "warn", "error"; -1 otherwise. */
int log_level_parse(const char *s);

bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *msg, ...)
    __attribute__((sentinel));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* The message, "error" and "detail" of E; NAME and TEXT as one more member. */
void log_err(enum log_level level, const char *msg, const struct err *e,
    const char *name, const char *text);

#endif
