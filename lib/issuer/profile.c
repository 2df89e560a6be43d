#include <regex.h>
#include <stdio.h>
#include <strings.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "issuer/issuer.h"
#include "x509/eku.h"

enum { PATTERN_MAX = 512 };

static const char *default_ekus[] = { "serverAuth", "clientAuth" };

struct texts
issuer_ekus(const struct profile_rules *p)
{
	if (p != NULL && p->ekus.n != 0)
		return p->ekus;
	return (struct texts){ default_ekus, NELEM(default_ekus) };
}

static int
check_ekus(const struct csr *csr, const struct profile_rules *p,
    struct err *e)
{
	struct texts allowed = issuer_ekus(p), asked = csr_ekus(csr);

	for (size_t i = 0; i < allowed.n; i++)
		if (eku_find(allowed.v[i]) == NULL)
			return err_set(e, E_INVALID, "the profile's extended "
			    "key usage \"%s\" is not known", allowed.v[i]);
	for (size_t i = 0; i < asked.n; i++)
		if (!texts_has(&allowed, asked.v[i]))
			return err_set(e, E_INVALID, "the request asks for "
			    "extended key usage %s, which the profile does "
			    "not allow", asked.v[i]);
	return 0;
}

static int
check_key(const struct csr *csr, const struct profile_rules *p,
    struct err *e)
{
	struct key_type k = csr_key(csr);

	if (p == NULL || p->n_keys == 0)
		return 0;
	for (size_t i = 0; i < p->n_keys && i < NELEM(p->keys); i++)
		if (!blank(p->keys[i].algorithm) &&
		    streq(p->keys[i].algorithm, k.algorithm) &&
		    k.bits >= p->keys[i].min_size)
			return 0;
	return err_set(e, E_INVALID, "the profile does not allow a key of "
	    "type %s %d", k.algorithm, k.bits);
}

/* Dots apart, what tells an expression from a name. */
static bool
is_expression(const char *pattern)
{
	const char *rest = strncmp(pattern, "*.", 2) == 0 ?
	    pattern + 2 : pattern;

	return strpbrk(rest, "\\^$|()[]{}+?*") != NULL;
}

static int
compile(const char *pattern, regex_t *re, struct err *e)
{
	char whole[PATTERN_MAX + 8], why[128];
	int rc;

	if (strlen(pattern) > PATTERN_MAX)
		return err_set(e, E_INVALID,
		    "a name pattern is longer than %d characters",
		    PATTERN_MAX);
	snprintf(whole, sizeof(whole), "^(%s)$", pattern);
	rc = regcomp(re, whole, REG_EXTENDED | REG_ICASE | REG_NOSUB);
	if (rc != 0) {
		regerror(rc, re, why, sizeof(why));
		return err_set(e, E_INVALID, "name pattern \"%.256s\": %s",
		    pattern, why);
	}
	return 0;
}

int
issuer_check_pattern(const char *pattern, struct err *e)
{
	regex_t re;

	if (blank(pattern))
		return err_set(e, E_INVALID, "a name pattern is empty");
	if (!is_expression(pattern))
		return 0;
	if (compile(pattern, &re, e) < 0)
		return -1;
	regfree(&re);
	return 0;
}

/* 1 if NAME matches, 0 if not, -1 if PATTERN is none. */
static int
matches(const char *pattern, const char *name, struct err *e)
{
	const char *dot;
	regex_t re;
	int rc;

	if (issuer_check_pattern(pattern, e) < 0)
		return -1;
	if (is_expression(pattern)) {
		if (compile(pattern, &re, e) < 0)
			return -1;
		rc = regexec(&re, name, 0, NULL, 0);
		regfree(&re);
		return rc == 0;
	}
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	/* "*.example.com" is one label before the rest, "*" included. */
	dot = strchr(name, '.');
	return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static int
matches_any(const struct texts *patterns, const char *name, struct err *e)
{
	int yes = 0;

	for (size_t i = 0; i < patterns->n && yes == 0; i++)
		yes = matches(patterns->v[i], name, e);
	return yes;
}

static int
check_name(const struct profile_rules *p, const struct san *s, struct err *e)
{
	int yes = 1;

	if (p->san_patterns.n != 0)
		yes = matches_any(&p->san_patterns, s->text, e);
	if (yes == 1 && s->type == SAN_URI && !blank(p->spiffe_uri_pattern))
		yes = matches(p->spiffe_uri_pattern, s->text, e);
	if (yes < 0)
		return -1;
	if (yes == 0)
		return err_set(e, E_INVALID, "the profile does not allow the "
		    "name \"%.256s\"", s->text);
	return 0;
}

/*
 * A common name that a client may take for the peer's name belongs with the
 * names (RFC 9525): an address, an e-mail address, a host name with a dot, be
 * it the last of an absolute name.
 */
static void
add_common_name(struct arena *a, const char *cn, struct sans *out)
{
	struct err ignored = { 0 };
	struct san s;
	size_t n;

	if (blank(cn))
		return;
	n = strlen(cn);
	if (san_parse(a, cn[n - 1] != '.' ? cn : arena_strndup(a, cn, n - 1),
	    &s, &ignored) < 0 || s.type == SAN_URI)
		return;
	if (s.type != SAN_DNS || strchr(cn, '.') != NULL)
		sans_add(a, out, s);
}

/* A server must have a name, if only the single label of its common name. */
static void
add_single_label(struct arena *a, const char *cn, struct texts ekus,
    struct sans *out)
{
	struct err ignored = { 0 };
	struct san s;

	if (out->n == 0 && !blank(cn) && texts_has(&ekus, "serverAuth") &&
	    san_parse(a, cn, &s, &ignored) == 0 && s.type == SAN_DNS)
		sans_add(a, out, s);
}

static int
collect_names(struct arena *a, const struct issue_args *args,
    struct sans *out, struct err *e)
{
	struct texts ekus = issuer_ekus(args->profile);
	struct sans asked = csr_sans(args->csr);
	const char *cn = csr_common_name(args->csr);
	struct san s;

	add_common_name(a, cn, out);
	add_common_name(a, args->common_name, out);
	for (size_t i = 0; i < args->sans.n; i++) {
		if (san_parse(a, args->sans.v[i], &s, e) < 0)
			return -1;
		sans_add(a, out, s);
	}
	for (size_t i = 0; i < asked.n; i++)
		sans_add(a, out, asked.v[i]);
	add_single_label(a, blank(cn) ? args->common_name : cn, ekus, out);
	if (out->n > SANS_MAX)
		return err_set(e, E_INVALID,
		    "the certificate would have more than %d names", SANS_MAX);
	return 0;
}

int
issuer_names(struct arena *a, const struct issue_args *args,
    struct sans *out, struct err *e)
{
	struct sans all = { 0 };

	if (collect_names(a, args, &all, e) < 0)
		return -1;
	for (size_t i = 0; args->profile != NULL && i < all.n; i++)
		if (check_name(args->profile, &all.v[i], e) < 0)
			return -1;
	*out = all;
	return 0;
}

int
issuer_check_csr(const struct csr *csr, const struct profile_rules *p,
    struct err *e)
{
	struct issue_args args = { .csr = csr, .profile = p };
	struct arena *a;
	struct sans names;
	int rc;

	if (csr_wants_ca(csr))
		return err_set(e, E_INVALID, "the request asks to be a CA");
	if (check_key(csr, p, e) < 0 || check_ekus(csr, p, e) < 0)
		return -1;
	a = arena_new();
	rc = issuer_names(a, &args, &names, e);
	arena_free(a);
	return rc;
}

/* The name TEXT as it is spelt, if it can be a name at all. */
static void
add_spelt(struct arena *a, const char *text, struct sans *out)
{
	struct err ignored = { 0 };
	struct san s;

	if (!blank(text) && san_parse(a, text, &s, &ignored) == 0)
		sans_add(a, out, s);
}

int
issuer_check_names(struct arena *a, const struct csr *csr,
    const char *common_name, const struct texts *sans, struct err *e)
{
	const char *cn = csr_common_name(csr);
	struct sans known = { 0 }, asked = csr_sans(csr);

	add_spelt(a, common_name, &known);
	for (size_t i = 0; i < sans->n; i++)
		add_spelt(a, sans->v[i], &known);
	for (size_t i = 0; i < asked.n; i++)
		if (!sans_has(&known, &asked.v[i]))
			return err_set(e, E_INVALID, "the certificate does "
			    "not have the name \"%.256s\"", asked.v[i].text);
	if (!blank(cn) && strcasecmp(cn, common_name) != 0 &&
	    !texts_has(sans, cn))
		return err_set(e, E_INVALID, "the certificate does not have "
		    "the common name \"%.256s\"", cn);
	return 0;
}
