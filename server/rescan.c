/* nvrd --rescan: the catalogue made anew by recovery, which finds every file unknown. */
#include "server/rescan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/recovery.h"

static void rescan_done(void *arg, const struct recovery_counts *counts)
{
	*(struct recovery_counts *)arg = *counts;
	reactor_stop();
}

static void rescan_volume(struct volume *volume, struct catalogue *catalogue)
{
	struct recovery_counts counts = { 0 };
	struct recovery *recovery = recovery_new(volume, catalogue, rescan_done, &counts);

	reactor_run();
	recovery_free(recovery);
	printf("recordings: %u, of them cut off and closed now: %u; files left alone: %u\n",
		counts.adopted, counts.closed, counts.unusable);
}

int rescan(const struct config *config)
{
	const char *path = config->storage.path;
	char *file = xasprintf("%s/nvrd.db", path), *why = NULL;
	struct volume *volume;
	struct catalogue *catalogue = NULL;
	bool done = false;

	reactor_init();
	volume = volume_open(path, config->storage.sync_us, &why);
	if (!volume) {
		log_error(NULL, "storage.path %s: %s", path, why);
	} else {
		catalogue = catalogue_open_without_segments(file, &why);
		if (!catalogue)
			log_error(NULL, "catalogue %s: %s", file, why);
	}
	if (catalogue) {
		rescan_volume(volume, catalogue);
		done = true;
	}
	volume_close(volume);
	catalogue_close(catalogue);
	reactor_fini();
	free(why);
	free(file);
	return done ? 0 : -EIO;
}
