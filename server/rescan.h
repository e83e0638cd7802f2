#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"

/*
 * nvrd --rescan: forgets all segments of the catalogue and finds them again on the disk. Runs the reactor itself, until
 * all is done, and prints what was found. Returns 0, or -EIO after saying what is wrong.
 */
int rescan(const struct config *config) MUST_CHECK;
