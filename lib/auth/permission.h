/* Permissions: their names, and who holds them until there are roles. */
#ifndef CERTCTL_AUTH_PERMISSION_H
#define CERTCTL_AUTH_PERMISSION_H

#include <stdbool.h>

#include "auth/actor.h"

/*
 * Does ACTOR hold the permission NAME?  An admin's key holds all, any other
 * operator's all that are not reserved to admins, an agent's those of an
 * agent.  A name that is not in the catalogue is held by nobody.
 */
bool permission_held(const struct actor *actor, const char *name);

/* True if NAME is in the catalogue. */
bool permission_known(const char *name);

#endif
