#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "storage/fragment.h"

/*
 * Fragments on their way to the disk, and those that are held for an event. All recorders together
 * hold at most `storage.queue` bytes, what the volume has in hand included; when that is
 * full, the recorder with the most that waits loses its oldest group of pictures, whole. Reactor.
 */

enum recorder_item_kind {
	ITEM_INIT,     /* a run begins */
	ITEM_FRAGMENT, /* of that run */
	ITEM_END       /* the run ended, the source is lost */
};
struct recorder_item {
	TAILQ_ENTRY(recorder_item) entry;
	enum recorder_item_kind kind;
	struct fragment_init *init; /* ITEM_INIT */
	int64_t correction_us;      /* ITEM_INIT: of the clock, see stream_correction_us() */
	struct fragment *fragment;  /* ITEM_FRAGMENT */
	int64_t begun_us;           /* ITEM_FRAGMENT: when it began, monotonic */
};
TAILQ_HEAD(recorder_items, recorder_item);

struct recorder_queue {
	TAILQ_ENTRY(recorder_queue) entry;
	struct recorder_items items;
	size_t bytes; /* of the fragments in it */
	struct metric *bytes_metric;
	/* A fragment was dropped, the oldest; when a group's last one was, `fragment` is NULL. */
	void (*on_shed)(struct recorder_queue *queue, const struct fragment *fragment);
};

void recorder_queue_init(struct recorder_queue *queue, const char *camera,
	void (*on_shed)(struct recorder_queue *queue, const struct fragment *fragment));
void recorder_queue_fini(struct recorder_queue *queue); /* frees what is in it */
/* `storage.queue`, for all of them; sheds at once what is too much. */
void recorder_queue_limit(uint64_t bytes);

/* New items, with references of their own; a fragment has just arrived. */
void recorder_queue_add_init(
	struct recorder_queue *queue, struct fragment_init *init, int64_t correction_us);
void recorder_queue_add_fragment(struct recorder_queue *queue, struct fragment *fragment);
void recorder_queue_add_end(struct recorder_queue *queue);

/* The oldest item, or NULL. */
struct recorder_item *recorder_queue_first(const struct recorder_queue *queue);
/* Takes the oldest out. It counts until it is freed. */
struct recorder_item *recorder_queue_take(struct recorder_queue *queue);
void recorder_item_free(struct recorder_item *item);
/* Puts items back before all others, in their order; the list is empty then. */
void recorder_queue_return(struct recorder_queue *queue, struct recorder_items *items);

/* Drops the oldest fragments up to where another group of pictures begins; nobody is told. */
void recorder_queue_drop_group(struct recorder_queue *queue);
/* When the group after the oldest one began, monotonic; INT64_MAX while there is none. */
int64_t recorder_queue_next_group_us(const struct recorder_queue *queue);
