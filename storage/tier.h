#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/catalogue_retention.h"
#include "storage/volume.h"

/*
 * Moves recordings from a volume to the next, one after the other: copied under another name, synced, given its
 * name, named by the row, and only then removed where it was. Time-lapses stay. Ended at any moment, the row names a whole file,
 * and storage/recovery.h removes what else there is of it. Retention says when, and what the volume is to give up.
 */
struct tier;

/* `from` must have a volume_target(). Both and the catalogue outlive it. */
struct tier *tier_new(struct volume *from, struct catalogue *catalogue) MUST_CHECK;
/* Whether nothing is under way, nor to be waited for. */
bool tier_is_idle(const struct tier *tier);
/* Whether there was more to be moved than it was told at once. */
bool tier_wants_more(const struct tier *tier);
/*
 * Moves what the volume's own limits in the rules name (taken over; spared paths are added), while so many bytes a
 * second are recorded; `reserve` stays free on the next volume. Only when idle.
 */
void tier_run(struct tier *tier, struct catalogue_rules *rules, double recorded_per_second,
	const struct config_share *reserve);
/* Leaves the rest of what it was told: the limits are others now. */
void tier_stop(struct tier *tier);
/* Before the volumes and the catalogue are closed. NULL is fine. */
void tier_free(struct tier *tier);
