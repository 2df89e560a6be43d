#include "x509/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/util.h"

void
sha256(const void *p, size_t len, unsigned char out[SHA256_LEN])
{
	/* Fetched once: looking the algorithm up costs more than hashing. */
	static EVP_MD *md;

	if (md == NULL)
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (md == NULL || EVP_Digest(p, len, out, NULL, md, NULL) != 1)
		abort();
}

void
sha1(const void *p, size_t len, unsigned char out[SHA1_LEN])
{
	if (EVP_Digest(p, len, out, NULL, EVP_sha1(), NULL) != 1)
		abort();
}

char *
sha256_hex(const void *p, size_t len, char out[SHA256_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char md[SHA256_LEN];

	sha256(p, len, md);
	for (size_t i = 0; i < sizeof(md); i++) {
		out[i * 2] = hex[md[i] >> 4];
		out[i * 2 + 1] = hex[md[i] & 15];
	}
	out[SHA256_HEX] = '\0';
	return out;
}
