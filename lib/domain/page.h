/*
 * Pages of a list: what a caller may ask for, and what comes back.
 */
#ifndef CERTCTL_DOMAIN_PAGE_H
#define CERTCTL_DOMAIN_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/field.h"

struct ctx;
struct err;
struct list;

enum { PER_PAGE = 50, PER_PAGE_MAX = 500 };

/* A list as a kind of rows. */
struct view {
	const struct list *list;
	const struct field *fields;
	size_t size;		/* of one row's struct */
};

struct page_args {
	int64_t page, per_page;
	const char *sort;	/* a name of the list, "-" before it: descending */
	bool desc;		/* descending without the "-" */
	bool by_cursor;		/* keyset mode */
	const char *cursor;	/* from an earlier page; blank: from the start */
	/* The value the caller gave for filter NAME, or NULL. */
	const char *(*filter)(const void *from, const char *name);
	const void *from;
	bool strict;		/* a time that is none is E_INVALID, not ignored */
};

struct page {
	const struct field *fields;
	void *rows;
	size_t n, size;
	int64_t total, page, per_page;
	const char *next_cursor;	/* keyset mode: NULL on the last page */
};

/* Read one page of V and record the call.  E_INVALID for a foreign cursor. */
int page_read(struct ctx *c, const struct view *v,
    const struct page_args *args, struct page *out, struct err *e);

/* Row I of a page. */
const void *page_row(const struct page *p, size_t i);

#endif
