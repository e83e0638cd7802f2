/* nvrd --retention-plan: what retention would do, as text. */
#include "server/retention_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/retention.h"
#include "storage/volume_list.h"

/*
 * The plan goes into memory first: as long as the catalogue is read a running nvrd cannot shorten its journal,
 * and whoever reads our output may take his time.
 */
struct plan_text {
	FILE *out;
	const char *target; /* the path of the volume behind; NULL: it is not there, or ... */
	bool last;          /* ... there is none */
	uint64_t rows, bytes, moved, moved_bytes;
	bool held; /* nothing goes by age */
};

static void print_row(void *arg, const struct catalogue_expired *row)
{
	struct plan_text *text = arg;
	bool moves = text->target && row->by_volume && !row->timelapse;

	text->rows += !moves;
	text->bytes += moves ? 0 : row->bytes;
	text->moved += moves;
	text->moved_bytes += moves ? row->bytes : 0;
	(void)fprintf(text->out, "%s\t%s\t%" PRIu64 "\t%s\t%s%s\n", row->path, row->camera,
		row->bytes, catalogue_reason_name(row->reason), moves ? "move to " : "delete",
		moves ? text->target : "");
}

/* What goes from one volume. Returns 0 or an error. */
static int write_volume(const struct config *config, struct catalogue *catalogue, const char *path,
	int64_t id, struct plan_text *text)
{
	struct catalogue_rules *rules = retention_rules(config);
	struct statvfs st;
	int64_t held_us = 0;
	uint64_t reserve, available;
	int error;

	retention_add_volume_rules(rules, config, path, id);
	rules->volume_moves = text->target;
	if (!text->target && !text->last) /* it cannot move */
		rules->volume_keep_us = rules->volume_max_bytes = 0;
	rules->now_us = reactor_now_us();
	rules->steady_us = reactor_monotonic_us(); /* nvrd may have run as long as the machine */
	rules->clock_is_set = wall_clock_kernel_knows();
	if (statvfs(path, &st) == 0) {
		reserve = retention_reserve(config, (uint64_t)st.f_blocks * st.f_frsize);
		available = (uint64_t)st.f_bavail * st.f_frsize;
		rules->free_bytes = reserve > available ? reserve - available : 0;
	}
	error = catalogue_walk_expired(catalogue, rules, print_row, text, &held_us);
	text->held = held_us == INT64_MAX;
	catalogue_rules_free(rules);
	return error;
}

static int write_volumes(
	const struct config *config, struct catalogue *catalogue, struct plan_text *text)
{
	const struct config_volume *row = TAILQ_FIRST(&config->storage.volumes);
	const char *path = config->storage.path;
	int64_t id = 0;
	int error = 0;

	if (row && strcmp(row->path, path) == 0)
		row = TAILQ_NEXT(row, entry);
	for (; !error && path; row = row ? TAILQ_NEXT(row, entry) : NULL) {
		text->last = !row;
		text->target = row && volume_list_read_id(row->path) ? row->path : NULL;
		if (id || path == config->storage.path)
			error = write_volume(config, catalogue, path, id, text);
		else
			fprintf(stderr, "nvrd: %s is not there\n", path);
		path = row ? row->path : NULL;
		id = path ? volume_list_read_id(path) : 0;
	}
	return error;
}

/* Returns 0 and what there is to print, or an error. The caller frees it in any case. */
static int write_plan(
	const struct config *config, struct catalogue *catalogue, char **ret, size_t *ret_bytes)
{
	struct plan_text text = { .out = open_memstream(ret, ret_bytes) };
	int error = -ENOMEM;

	if (text.out) {
		error = write_volumes(config, catalogue, &text);
		if (!TAILQ_EMPTY(&config->storage.volumes))
			(void)fprintf(text.out, "%" PRIu64 " recordings move, %" PRIu64 " bytes\n",
				text.moved, text.moved_bytes);
		(void)fprintf(text.out, "%" PRIu64 " recordings, %" PRIu64 " bytes\n", text.rows,
			text.bytes);
		(void)fclose(text.out);
	}
	if (text.held)
		fputs("nvrd: nothing goes by age: nobody has set the clock yet\n", stderr);
	return error;
}

int retention_plan_print(const struct config *config)
{
	const char *path = config->storage.path;
	char *file = xasprintf("%s/nvrd.db", path), *why = NULL;
	struct catalogue *catalogue = catalogue_open_to_read(path, file, &why);
	char *text = NULL;
	size_t bytes = 0;
	int error = -EIO;

	if (catalogue)
		error = write_plan(config, catalogue, &text, &bytes);
	else
		fprintf(stderr, "nvrd: catalogue %s: %s\n", file, why);
	catalogue_close(catalogue);
	if (!error && fwrite(text, 1, bytes, stdout) != bytes)
		error = -EIO;
	free(text);
	free(why);
	free(file);
	return error;
}
