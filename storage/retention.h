#pragma once

#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/catalogue_retention.h"
#include "storage/volume.h"

/*
 * Deletes recordings, the oldest first, as storage.keep, max_size, reserve and the cameras' keep and
 * max_size say. Looks every two seconds; deletes one file after the other, between which recordings are
 * written. Never one that is open or held (volume_hold()).
 */
struct retention;

struct retention *retention_new(struct volume *volume, struct catalogue *catalogue) MUST_CHECK;
/* What the configuration says, from now on; it must live until the next call. The first call begins. */
void retention_apply(struct retention *retention, const struct config *config);
/* Before the volume and the catalogue are closed. NULL is fine. */
void retention_free(struct retention *retention);

/* The rules that a configuration makes, but for the instant, what is spared and what must be freed. */
struct catalogue_rules *retention_rules(const struct config *config) MUST_CHECK;
/* How much of a file system of this size must stay free. */
uint64_t retention_reserve(const struct config *config, uint64_t size_bytes);
