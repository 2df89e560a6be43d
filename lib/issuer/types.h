/* The connectors, one line each here and in the registry. */
#ifndef CERTCTL_ISSUER_TYPES_H
#define CERTCTL_ISSUER_TYPES_H

#include "issuer/issuer.h"

extern const struct issuer_type issuer_generic_ca;

#endif
