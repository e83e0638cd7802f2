/* nvrd --rescan: the catalogue made anew by recovery, which finds every file unknown. */
#include "server/rescan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/recovery.h"
#include "storage/volume_list.h"

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
	if (counts.doubled)
		printf("second copies, removed: %u\n", counts.doubled);
}

/* What is on a volume that is not there would be forgotten. */
static bool all_are_there(const struct config *config)
{
	const struct config_volume *row;
	bool there = true;

	TAILQ_FOREACH (row, &config->storage.volumes, entry) {
		if (strcmp(row->path, config->storage.path) == 0 || volume_list_read_id(row->path))
			continue;
		log_error(NULL, "storage.volumes: %s: it has no " VOLUME_MARKER ": is it mounted?",
			row->path);
		there = false;
	}
	return there;
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
	} else if (all_are_there(config)) {
		catalogue = catalogue_open_without_segments(file, &why);
		if (!catalogue)
			log_error(NULL, "catalogue %s: %s", file, why);
	}
	if (catalogue) {
		done = volume_list_open(volume, config, catalogue) == 0;
		rescan_volume(volume, catalogue);
	}
	volume_close(volume);
	catalogue_close(catalogue);
	reactor_fini();
	free(why);
	free(file);
	return done ? 0 : -EIO;
}
