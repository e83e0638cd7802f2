#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * The volumes behind the first, hot to warm. Each is known by a marker file in its folder, whatever its path and its
 * place in the list, so that rows of the catalogue keep naming it.
 */

/*
 * Opens those that the configuration names, in its order, behind `first`; volume_close() of that closes them. One
 * that is not there is said and left out. A folder gets its marker at the first time, but not while the catalogue
 * knows recordings on a volume that is not there: perhaps nothing is mounted; unless the folder is the root of
 * another file system, or holds an empty marker file. Blocks: at start only. Returns how many are not there.
 */
unsigned volume_list_open(
	struct volume *first, const struct config *config, struct catalogue *catalogue);

/* The id that a volume's marker says. Returns it, or 0 when there is none. Blocks. */
int64_t volume_list_read_id(const char *path);
