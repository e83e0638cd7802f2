#pragma once

#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/catalogue_retention.h"
#include "storage/volume.h"

/*
 * Deletes recordings, the oldest first, as storage.keep, max_size, reserve and the cameras' keep and
 * max_size say; time-lapses by limits of their own, and where the common ones leave no recording. Looks every two seconds; deletes one file after the other, between which recordings are
 * written. Never one that is open or held (volume_hold()). What goes from a volume because of its own limits is moved
 * to the next where there is one (storage/tier.h); each volume has a retention of its own, so that none waits for another's
 * disk.
 */
struct retention;

/* Of that volume and those behind it. */
struct retention *retention_new(struct volume *volume, struct catalogue *catalogue) MUST_CHECK;
/* What the configuration says, from now on; it must live until the next call. The first call begins. */
void retention_apply(struct retention *retention, const struct config *config);
/* Recovery is done: from now on recordings are moved as well. */
void retention_let_move(struct retention *retention);
/* Before the volumes and the catalogue are closed. NULL is fine. */
void retention_free(struct retention *retention);

/* The rules that a configuration makes of recordings, but for the instant, the volume and what is spared. */
struct catalogue_rules *retention_rules(const struct config *config) MUST_CHECK;
/* Adds a volume's own; its path as it is in the configuration. */
void retention_add_volume_rules(
	struct catalogue_rules *rules, const struct config *config, const char *path, int64_t id);
/* How much of a file system of this size must stay free. */
uint64_t retention_reserve(const struct config *config, uint64_t size_bytes);
