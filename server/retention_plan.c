/* nvrd --retention-plan: what retention would do, as text. */
#include "server/retention_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/retention.h"

/*
 * The plan goes into memory first: as long as the catalogue is read a running nvrd cannot shorten its journal,
 * and whoever reads our output may take his time.
 */
struct plan_text {
	FILE *out;
	uint64_t rows, bytes;
};

static void print_row(void *arg, const struct catalogue_expired *row)
{
	struct plan_text *text = arg;

	text->rows++;
	text->bytes += row->bytes;
	(void)fprintf(text->out, "%s\t%s\t%" PRIu64 "\t%s\n", row->path, row->camera, row->bytes,
		catalogue_reason_name(row->reason));
}

/* Returns 0 and what there is to print, or an error. The caller frees it in any case. */
static int write_plan(const struct config *config, struct catalogue *catalogue, uint64_t wanted,
	char **ret, size_t *ret_bytes)
{
	struct catalogue_rules *rules = retention_rules(config);
	struct plan_text text = { .out = open_memstream(ret, ret_bytes) };
	int64_t held_us = 0;
	int error = -ENOMEM;

	rules->now_us = reactor_now_us();
	rules->steady_us = reactor_monotonic_us(); /* nvrd may have run as long as the machine */
	rules->clock_is_set = wall_clock_kernel_knows();
	rules->free_bytes = wanted;
	if (text.out) {
		error = catalogue_walk_expired(catalogue, rules, print_row, &text, &held_us);
		(void)fprintf(text.out, "%" PRIu64 " recordings, %" PRIu64 " bytes\n", text.rows,
			text.bytes);
		(void)fclose(text.out);
	}
	catalogue_rules_free(rules);
	if (held_us == INT64_MAX)
		fputs("nvrd: nothing goes by age: nobody has set the clock yet\n", stderr);
	return error;
}

int retention_plan_print(const struct config *config)
{
	const char *path = config->storage.path;
	char *file = xasprintf("%s/nvrd.db", path), *why = NULL;
	struct catalogue *catalogue = NULL;
	struct statvfs st;
	uint64_t reserve, available;
	char *text = NULL;
	size_t bytes = 0;
	int error = -EIO;

	if (statvfs(path, &st) < 0)
		why = xstrdup(strerror(errno));
	else
		catalogue = catalogue_open_to_read(path, file, &why);
	if (catalogue) {
		reserve = retention_reserve(config, (uint64_t)st.f_blocks * st.f_frsize);
		available = (uint64_t)st.f_bavail * st.f_frsize;
		error = write_plan(config, catalogue, reserve > available ? reserve - available : 0,
			&text, &bytes);
	} else {
		fprintf(stderr, "nvrd: catalogue %s: %s\n", file, why);
	}
	catalogue_close(catalogue);
	if (!error && fwrite(text, 1, bytes, stdout) != bytes)
		error = -EIO;
	free(text);
	free(why);
	free(file);
	return error;
}
