#include "x509/digest.h"

#include <criterion/criterion.h>

#include "base/util.h"

Test(digest, hashes_as_the_standard_says)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb924"
		      "27ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223"
			 "b00361a396177a9cb410ff61f20015ad" },
	};
	char hex[SHA256_HEX + 1];

	for (size_t i = 0; i < NELEM(cases); i++)
		cr_expect_str_eq(sha256_hex(cases[i].text,
		    strlen(cases[i].text), hex), cases[i].want);
}
