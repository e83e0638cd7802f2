#pragma once

#include <stdint.h>

#include "storage/catalogue.h"
#include "storage/recovery.h"
#include "storage/volume.h"

/* The store of the test that runs: a volume in a folder of its own, its catalogue, and the reactor that both need. */

extern char *folder;
extern struct volume *volume;
extern struct catalogue *catalogue;

void store_open(int64_t sync_us);
void store_close(void);

/* Ends the catalogue and opens it again, as a restart does. */
void store_reopen_catalogue(void);
/* Runs a recovery to its end. */
struct recovery_counts store_recover(void);
