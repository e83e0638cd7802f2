/* What waits for the disk: one queue per recorder, one limit for all. */
#include "storage/recorder_queue.h"

#include <stdlib.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	STANDARD_LIMIT_BYTES = 64 << 20
};

static struct {
	TAILQ_HEAD(, recorder_queue) queues;
	uint64_t limit;
	size_t held; /* of all items there are, in queues or taken */
} all = { .queues = TAILQ_HEAD_INITIALIZER(all.queues), .limit = STANDARD_LIMIT_BYTES };

static size_t item_bytes(const struct recorder_item *item)
{
	return item->fragment ? item->fragment->bytes : 0;
}

static struct recorder_item *item_new(enum recorder_item_kind kind)
{
	struct recorder_item *item = xcalloc(1, sizeof(*item));

	item->kind = kind;
	return item;
}

void recorder_item_free(struct recorder_item *item)
{
	all.held -= item_bytes(item);
	fragment_init_unref(&item->init);
	fragment_unref(&item->fragment);
	free(item);
}

/* --- dropping groups of pictures --- */

static struct recorder_item *queue_next_fragment(struct recorder_item *item)
{
	while (item && item->kind != ITEM_FRAGMENT)
		item = TAILQ_NEXT(item, entry);
	return item;
}

static bool item_begins_group(const struct recorder_item *item)
{
	return !item || item->kind != ITEM_FRAGMENT || item->fragment->keyframe;
}

static void queue_set_bytes(struct recorder_queue *queue, size_t bytes)
{
	queue->bytes = bytes;
	metric_set(queue->bytes_metric, (double)bytes);
}

/* Runs without fragments say nothing: they are left out, so that fragments bound the number of items. */
static bool item_is_idle(const struct recorder_item *item, const struct recorder_item *next)
{
	return next && next->kind != ITEM_FRAGMENT && item->kind != ITEM_FRAGMENT &&
	       (item->kind == ITEM_INIT || next->kind == ITEM_END);
}

static void queue_remove(struct recorder_queue *queue, struct recorder_item *item)
{
	TAILQ_REMOVE(&queue->items, item, entry);
	queue_set_bytes(queue, queue->bytes - item_bytes(item));
	recorder_item_free(item);
}

static void queue_tidy(struct recorder_queue *queue)
{
	struct recorder_item *item = TAILQ_FIRST(&queue->items), *next;

	while (item && item->kind != ITEM_FRAGMENT) {
		next = TAILQ_NEXT(item, entry);
		if (item_is_idle(item, next)) {
			queue_remove(queue, item);
			item = TAILQ_FIRST(
				&queue->items); /* what stood before it may be idle now */
		} else {
			item = next;
		}
	}
}

static void queue_drop(struct recorder_queue *queue,
	void (*tell)(struct recorder_queue *queue, const struct fragment *fragment))
{
	struct recorder_item *item = queue_next_fragment(TAILQ_FIRST(&queue->items)), *next;

	for (; item; item = next) {
		next = TAILQ_NEXT(item, entry);
		if (tell)
			tell(queue, item->fragment);
		queue_remove(queue, item);
		if (item_begins_group(next))
			break;
	}
	queue_tidy(queue);
	if (tell)
		tell(queue, NULL);
}

void recorder_queue_drop_group(struct recorder_queue *queue)
{
	queue_drop(queue, NULL);
}

int64_t recorder_queue_next_group_us(const struct recorder_queue *queue)
{
	struct recorder_item *item = queue_next_fragment(TAILQ_FIRST(&queue->items));

	if (item)
		item = TAILQ_NEXT(item, entry);
	while (!item_begins_group(item))
		item = TAILQ_NEXT(item, entry);
	item = queue_next_fragment(item);
	return item ? item->begun_us : INT64_MAX;
}

static struct recorder_queue *fullest_queue(void)
{
	struct recorder_queue *queue, *fullest = NULL;

	TAILQ_FOREACH (queue, &all.queues, entry) {
		if (queue->bytes && (!fullest || queue->bytes > fullest->bytes))
			fullest = queue;
	}
	return fullest;
}

static void shed(void)
{
	struct recorder_queue *queue;

	while (all.held > all.limit && (queue = fullest_queue()))
		queue_drop(queue, queue->on_shed);
}

void recorder_queue_limit(uint64_t bytes)
{
	all.limit = bytes;
	metric_set(metric_get(METRIC_RECORDER_QUEUE_LIMIT), (double)bytes);
	shed();
}

/* --- in and out --- */

void recorder_queue_init(struct recorder_queue *queue, const char *camera,
	void (*on_shed)(struct recorder_queue *queue, const struct fragment *fragment))
{
	*queue = (struct recorder_queue){
		.bytes_metric = metric_get(METRIC_RECORDER_QUEUE_BYTES, camera),
		.on_shed = on_shed,
	};
	TAILQ_INIT(&queue->items);
	TAILQ_INSERT_TAIL(&all.queues, queue, entry);
}

void recorder_queue_fini(struct recorder_queue *queue)
{
	TAILQ_REMOVE(&all.queues, queue, entry);
	while (recorder_queue_first(queue))
		recorder_item_free(recorder_queue_take(queue));
}

/* Adds what is no fragment. */
static void queue_add(struct recorder_queue *queue, struct recorder_item *item)
{
	struct recorder_item *last = TAILQ_LAST(&queue->items, recorder_items);

	TAILQ_INSERT_TAIL(&queue->items, item, entry);
	if (last && item_is_idle(last, item))
		queue_remove(queue, last);
	queue_tidy(queue);
}

void recorder_queue_add_init(
	struct recorder_queue *queue, struct fragment_init *init, int64_t correction_us)
{
	struct recorder_item *item = item_new(ITEM_INIT);

	item->init = fragment_init_ref(init);
	item->correction_us = correction_us;
	queue_add(queue, item);
}

void recorder_queue_add_fragment(struct recorder_queue *queue, struct fragment *fragment)
{
	struct recorder_item *item = item_new(ITEM_FRAGMENT);

	item->fragment = fragment_ref(fragment);
	item->begun_us = reactor_monotonic_us() - fragment->duration_us;
	all.held += item_bytes(item);
	TAILQ_INSERT_TAIL(&queue->items, item, entry);
	queue_set_bytes(queue, queue->bytes + item_bytes(item));
	shed();
}

void recorder_queue_add_end(struct recorder_queue *queue)
{
	queue_add(queue, item_new(ITEM_END));
}

struct recorder_item *recorder_queue_first(const struct recorder_queue *queue)
{
	return TAILQ_FIRST(&queue->items);
}

struct recorder_item *recorder_queue_take(struct recorder_queue *queue)
{
	struct recorder_item *item = TAILQ_FIRST(&queue->items);

	TAILQ_REMOVE(&queue->items, item, entry);
	queue_set_bytes(queue, queue->bytes - item_bytes(item));
	return item;
}

void recorder_queue_return(struct recorder_queue *queue, struct recorder_items *items)
{
	struct recorder_item *item;
	size_t bytes = queue->bytes;

	TAILQ_FOREACH (item, items, entry)
		bytes += item_bytes(item);
	TAILQ_CONCAT(items, &queue->items, entry);
	TAILQ_CONCAT(&queue->items, items, entry);
	queue_set_bytes(queue, bytes);
}
