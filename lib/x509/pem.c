#include "x509/pem.h"

#include <openssl/evp.h>

#include "base/buf.h"

enum { LINE = 48 };	/* octets: 64 characters */

char *
pem_make(struct arena *a, const char *label, struct bytes der)
{
	struct buf b = BUF(a);
	size_t n;

	buf_room(&b, der.len * 3 / 2 + 128);
	buf_printf(&b, "-----BEGIN %s-----\n", label);
	for (size_t i = 0; i < der.len; i += n) {
		n = der.len - i < LINE ? der.len - i : LINE;
		b.len += (size_t)EVP_EncodeBlock(
		    (unsigned char *)buf_room(&b, LINE * 2), der.p + i,
		    (int)n);
		buf_putc(&b, '\n');
	}
	buf_printf(&b, "-----END %s-----\n", label);
	return buf_str(&b);
}
