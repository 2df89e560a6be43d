/* The version all programs of this source tree have. */
#ifndef CERTCTL_AGENT_VERSION_H
#define CERTCTL_AGENT_VERSION_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#endif
