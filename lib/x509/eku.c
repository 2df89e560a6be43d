#include "x509/eku.h"

#include "base/util.h"

#define ID_KP(n) "\x2b\x06\x01\x05\x05\x07\x03" n

static const struct eku ekus[] = {
	{ "serverAuth",      ID_KP("\x01") },
	{ "clientAuth",      ID_KP("\x02") },
	{ "codeSigning",     ID_KP("\x03") },
	{ "emailProtection", ID_KP("\x04") },
	{ "timeStamping",    ID_KP("\x08") },
	{ "OCSPSigning",     ID_KP("\x09") },
};

const struct eku *
eku_find(const char *name)
{
	for (size_t i = 0; i < NELEM(ekus); i++)
		if (streq(ekus[i].name, name))
			return &ekus[i];
	return NULL;
}

const struct eku *
eku_find_oid(const void *oid, size_t len)
{
	for (size_t i = 0; i < NELEM(ekus); i++)
		if (len == EKU_OID_LEN && memcmp(ekus[i].oid, oid, len) == 0)
			return &ekus[i];
	return NULL;
}
