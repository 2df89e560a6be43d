#include "x509/ossl.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"

int
ossl_err(struct err *e, enum err_code code, const char *fmt, ...)
{
	char msg[sizeof(e->msg)], text[256];
	unsigned long why = ERR_peek_last_error();
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(e, code, "%s", msg);
	if (why != 0) {
		ERR_error_string_n(why, text, sizeof(text));
		err_detail(e, "%s", text);
	}
	ERR_clear_error();
	return -1;
}

struct bytes
ossl_take(struct arena *a, unsigned char *p, int len)
{
	struct bytes out;

	if (len < 0 || p == NULL)
		abort();
	out.p = arena_memdup(a, p, (size_t)len);
	out.len = (size_t)len;
	OPENSSL_free(p);
	return out;
}

const char *
ossl_text(struct arena *a, const ASN1_STRING *s)
{
	unsigned char *p = NULL;
	const char *text = NULL;
	int n = ASN1_STRING_to_UTF8(&p, s);

	if (n >= 0 && utf8_valid((const char *)p, (size_t)n))
		text = arena_strndup(a, (const char *)p, (size_t)n);
	OPENSSL_free(p);
	return text;
}

const char *
ossl_common_name(struct arena *a, const X509_NAME *n)
{
	int i = -1, last = -1;

	while ((i = X509_NAME_get_index_by_NID(n, NID_commonName, i)) >= 0)
		last = i;
	return last < 0 ? "" : ossl_text(a,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, last)));
}

const char *
ossl_oid(struct arena *a, const ASN1_OBJECT *o)
{
	int nid = OBJ_obj2nid(o);
	char dotted[128];

	if (nid != NID_undef)
		return arena_strdup(a, OBJ_nid2sn(nid));
	OBJ_obj2txt(dotted, sizeof(dotted), o, 1);
	return arena_strdup(a, dotted);
}

int
ossl_time(const ASN1_TIME *t, int64_t *at, struct err *e)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return ossl_err(e, E_INVALID, "a time in the certificate is "
		    "damaged");
	*at = timegm(&tm);
	return 0;
}

X509 *
ossl_cert(const void *der, size_t len)
{
	const unsigned char *p = der, *end = p + len;
	X509 *x;

	if (len > LONG_MAX)
		return NULL;
	x = d2i_X509(NULL, &p, (long)len);
	if (x != NULL && p != end) {
		X509_free(x);
		return NULL;
	}
	return x;
}
