#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"

/*
 * Prints which recordings would be deleted now, and why; changes nothing, and needs no reactor. Returns 0, or -EIO
 * after saying what is wrong on standard error. What a running nvrd spares since somebody reads it is listed too.
 */
int retention_plan_print(const struct config *config) MUST_CHECK;
