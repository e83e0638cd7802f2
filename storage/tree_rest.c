/*
 * Recordings that were read stay open for a moment: a player asks for one range after the other, and each would have to be looked up
 * and opened anew. Only closed ones, which do not change, and whoever wants to change or remove one has it at once.
 */
#include <string.h>

#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/tree_private.h"

enum {
	REST_MOST = 8 /* files; then the one that was left first is closed */
};
#define REST_US (INT64_C(2) * 1000000)

static void rest_remove(struct tree_file *file)
{
	struct tree *tree = file->tree;

	TAILQ_REMOVE(&tree->resting, file, entry);
	metric_set(metric_get(METRIC_TREE_RESTING), (double)--tree->n_resting);
}

static void rest_end(void *arg)
{
	struct tree_file *file = arg;

	rest_remove(file);
	tree_file_free(file);
}

static void rest_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tree *tree = arg;
	int64_t until_us = reactor_monotonic_us() - REST_US;
	struct tree_file *oldest;

	(void)fd, (void)what;
	while ((oldest = TAILQ_LAST(&tree->resting, tree_files)) && oldest->rests_us <= until_us)
		rest_end(oldest);
	if (oldest)
		reactor_timer_start(tree->rest_timer, oldest->rests_us - until_us);
}

void tree_rest_init(struct tree *tree)
{
	TAILQ_INIT(&tree->resting);
	tree->rest_timer = reactor_timer_new(rest_on_timer, tree);
}

void tree_rest_fini(struct tree *tree)
{
	struct tree_file *file;

	while ((file = TAILQ_FIRST(&tree->resting)))
		rest_end(file);
	reactor_timer_free(&tree->rest_timer);
}

bool tree_rest(struct tree_file *file)
{
	struct tree *tree = file->tree;

	if (!file->segment || !volume_reader_rest(file->reader, rest_end, file))
		return false;
	if (tree->n_resting == REST_MOST)
		rest_end(TAILQ_LAST(&tree->resting, tree_files));
	if (!tree->n_resting)
		reactor_timer_start(tree->rest_timer, REST_US);
	file->rests_us = reactor_monotonic_us();
	TAILQ_INSERT_HEAD(&tree->resting, file, entry);
	metric_set(metric_get(METRIC_TREE_RESTING), (double)++tree->n_resting);
	return true;
}

struct tree_file *tree_rest_find(struct tree *tree, const char *path)
{
	struct tree_file *file;

	TAILQ_FOREACH (file, &tree->resting, entry) {
		if (!strcmp(file->segment->path, path))
			break;
	}
	if (!file)
		return NULL;
	rest_remove(file);
	volume_reader_wake(file->reader);
	return file;
}
