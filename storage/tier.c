/* From hot to warm: one recording after the other, slowly, and never without a whole copy that the row names. */
#include "storage/tier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	BATCH_ROWS = 16,
	PIECE_BYTES = 1 << 20,
	/*
	 * Two disks at a quarter of what the slowest of today's stream, so that recording and people hardly notice;
	 * and more when more than half of it is recorded, for moving must be faster than that.
	 */
	BYTES_PER_SECOND = 20 << 20,
	FASTER = 2,
	YIELD_BYTES = 4 << 20, /* recording comes first: as long as more waits for the disk */
	YIELD_US = 100000,
	ROOM_US = 1000000,     /* between two looks whether there is room now ... */
	ROOM_LOOKS = 30,       /* ... until others are tried */
	TROUBLE_US = 10000000, /* after an error */
	STUCK_US = 600000000,  /* what could not be moved is tried again */
	STUCK_MOST = 64,
	SPARED_MOST = 1024,
	LEFT_US = 1000000,
	LEFT_MOST = 64
};

enum tier_state {
	TIER_IDLE,
	TIER_PLANS,
	TIER_LOOKS,  /* whether there is room on the next volume */
	TIER_COPIES, /* a piece is under way */
	TIER_WAITS,  /* the timer runs: to the next piece, to the next look */
	TIER_NAMES,  /* the row gets its new volume */
	TIER_CLEANS  /* what is not named is removed */
};

/* A file that has moved while somebody held it: it stays where it was until he is done. */
struct tier_left {
	LIST_ENTRY(tier_left) entry;
	char *path;
	bool removing;
	struct tier *tier;
};

struct tier {
	struct volume *from, *to;
	struct catalogue *catalogue;
	struct log_name log;
	enum tier_state state;
	bool freed;
	struct reactor_dead dead;
	struct event *timer;

	struct catalogue_expired *rows;
	size_t n, next;
	bool more;
	struct config_share reserve;
	int64_t piece_us;   /* for each */
	int64_t trouble_us; /* monotonic: nothing before */

	/* the one at hand */
	struct volume_hold hold;
	bool holds;
	struct volume_copy *copy;
	int64_t started_us; /* its last piece, monotonic */
	unsigned looks;

	struct event *left_timer;
	LIST_HEAD(, tier_left) left;
	size_t n_left, n_removing;

	char *stuck[STUCK_MOST]; /* paths */
	size_t n_stuck;
	int64_t stuck_us; /* monotonic: when the first came */
	struct log_repeated again;
};

static void tier_next(struct tier *tier);

/* --- life --- */

static void tier_forget_stuck(struct tier *tier)
{
	for (size_t i = 0; i < tier->n_stuck; i++)
		free(tier->stuck[i]);
	tier->n_stuck = 0;
}

static void tier_drop_batch(struct tier *tier)
{
	for (size_t i = 0; i < tier->n; i++) {
		free(tier->rows[i].camera);
		free(tier->rows[i].path);
	}
	free(tier->rows);
	tier->rows = NULL;
	tier->n = tier->next = 0;
}

static void left_free(struct tier_left *left)
{
	LIST_REMOVE(left, entry);
	left->tier->n_left--;
	free(left->path);
	free(left);
}

static void tier_fini(void *object)
{
	struct tier *tier = object;

	while (!LIST_EMPTY(&tier->left))
		left_free(LIST_FIRST(&tier->left));
	volume_copy_free(tier->copy);
	tier_drop_batch(tier);
	tier_forget_stuck(tier);
	free(tier);
}

/* After its owner has left: the end, when nothing is under way any more. */
static void tier_end(struct tier *tier)
{
	if (tier->state == TIER_IDLE && !tier->n_removing)
		reactor_free_later(&tier->dead, tier_fini, tier);
}

static void tier_rest(struct tier *tier)
{
	tier->state = TIER_IDLE;
	tier_drop_batch(tier);
	if (tier->freed)
		tier_end(tier);
}

static const struct catalogue_expired *tier_row(const struct tier *tier)
{
	return &tier->rows[tier->next];
}

static void tier_release(struct tier *tier)
{
	if (!tier->holds)
		return;
	tier->holds = false;
	volume_release(&tier->hold);
	volume_expect(tier->to, 0);
}

/* The one at hand is done with, well or not. */
static void tier_leave_row(struct tier *tier)
{
	tier_release(tier);
	volume_copy_free(tier->copy);
	tier->copy = NULL;
	tier->next++;
}

static void tier_wait(struct tier *tier, int64_t us)
{
	tier->state = TIER_WAITS;
	reactor_timer_start(tier->timer, us);
}

/* The one at hand has its turn again after a while. */
static void tier_refuse(struct tier *tier, const char *why)
{
	const char *path = tier_row(tier)->path;

	metric_add(metric_get(METRIC_VOLUME_MOVE_ERRORS, volume_path(tier->to)), 1);
	log_write_repeated(&tier->again, LOG_WARN, &tier->log, "%s stays: %s", path, why);
	if (!tier->n_stuck)
		tier->stuck_us = reactor_monotonic_us();
	if (tier->n_stuck < STUCK_MOST)
		tier->stuck[tier->n_stuck++] = xstrdup(path);
	tier->more = true;
	tier_leave_row(tier);
}

/* It may be the disk: nothing is moved for a while, and then another one comes first. */
static void tier_fail(struct tier *tier, const char *why)
{
	tier->trouble_us = reactor_monotonic_us() + TROUBLE_US;
	tier_refuse(tier, why);
	tier_rest(tier);
}

/* --- what is left behind while somebody holds it --- */

static void left_on_removed(void *arg, int error)
{
	struct tier_left *left = arg;
	struct tier *tier = left->tier;

	(void)error; /* it is not named any more; recovery finds it */
	tier->n_removing--;
	left_free(left);
	if (tier->freed)
		tier_end(tier);
}

static void tier_remove_left(struct tier *tier)
{
	struct tier_left *left;

	LIST_FOREACH (left, &tier->left, entry) {
		if (left->removing || volume_is_held(tier->from, left->path) ||
			volume_remove(tier->from, left->path, left_on_removed, left) < 0)
			continue;
		left->removing = true;
		tier->n_removing++;
	}
	if (tier->n_left && !tier->freed)
		reactor_timer_start(tier->left_timer, LEFT_US);
}

static void tier_on_left_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	tier_remove_left(arg);
}

static void tier_leave_behind(struct tier *tier, const char *path)
{
	struct tier_left *left = xcalloc(1, sizeof(*left));

	left->tier = tier;
	left->path = xstrdup(path);
	LIST_INSERT_HEAD(&tier->left, left, entry);
	tier->n_left++;
	tier_remove_left(tier);
}

/* --- the last steps --- */

static void tier_on_cleaned(void *arg, int error)
{
	struct tier *tier = arg;

	(void)error; /* nothing names it */
	if (tier->freed) {
		tier_rest(tier);
		return;
	}
	tier_leave_row(tier);
	tier_next(tier);
}

/* The row names the new place: what is in the old one goes, unless somebody holds it. */
static void tier_on_named(struct tier *tier)
{
	const struct catalogue_expired *row = tier_row(tier);

	metric_add(metric_get(METRIC_VOLUME_MOVED, volume_path(tier->to)), 1);
	metric_add(
		metric_get(METRIC_VOLUME_MOVED_BYTES, volume_path(tier->to)), (double)row->bytes);
	tier_release(tier);
	tier_leave_behind(tier, row->path);
	tier_leave_row(tier);
	tier_next(tier);
}

static void tier_on_row(void *arg, int error)
{
	struct tier *tier = arg;

	if (!error && !tier->freed) {
		tier_on_named(tier);
		return;
	}
	if (tier->freed) {
		tier_rest(tier);
		return;
	}
	if (error == -ESTALE) { /* it was deleted meanwhile, so the copy goes as well */
		tier->state = TIER_CLEANS;
		if (volume_remove(tier->to, tier_row(tier)->path, tier_on_cleaned, tier) == 0)
			return;
	}
	/* otherwise nobody knows what the catalogue will say at the next start: both copies stay */
	tier_fail(tier, strerror(-error));
}

static void tier_name(struct tier *tier)
{
	const struct catalogue_expired *row = tier_row(tier);

	tier->state = TIER_NAMES;
	if (catalogue_set_volume(tier->catalogue, row->id, row->path, volume_id(tier->from),
		    volume_id(tier->to), tier_on_row, tier) < 0)
		tier_wait(
			tier, YIELD_US); /* the copy is there already: found so by the next piece */
}

/* --- copying --- */

static void tier_on_piece(void *arg, int error, bool finished)
{
	struct tier *tier = arg;
	int64_t left_us = tier->started_us + tier->piece_us - reactor_monotonic_us();

	if (error == -ENOENT) { /* deleted meanwhile; its row follows */
		tier_leave_row(tier);
		tier_next(tier);
	} else if (error == -EEXIST) {
		tier_refuse(tier, "another file of that name is on the next volume");
		tier_next(tier);
	} else if (error) {
		tier_fail(tier, strerror(-error));
	} else if (finished) {
		tier_name(tier);
	} else {
		tier_wait(tier, left_us > 0 ? left_us : 0);
	}
}

static void tier_copy(struct tier *tier)
{
	if (volume_queued_bytes(tier->from) > YIELD_BYTES) {
		tier_wait(tier, YIELD_US);
		return;
	}
	tier->state = TIER_COPIES;
	tier->started_us = reactor_monotonic_us();
	if (!tier->copy)
		tier->copy = volume_copy_new(tier->from, tier->to, tier_row(tier)->path);
	if (volume_copy_step(tier->copy, PIECE_BYTES, tier_on_piece, tier) < 0)
		tier_wait(tier, YIELD_US);
}

/* --- whether there is room --- */

static void tier_on_look(void *arg, int error, const struct volume_space *space)
{
	struct tier *tier = arg;
	uint64_t needed;

	if (tier->freed) {
		tier_rest(tier);
		return;
	}
	if (error) {
		tier_fail(tier, strerror(-error));
		return;
	}
	needed = config_share_bytes(&tier->reserve, space->size_bytes) + tier_row(tier)->bytes;
	if (space->free_bytes >= needed)
		tier_copy(tier);
	else if (++tier->looks < ROOM_LOOKS)
		tier_wait(tier, ROOM_US); /* retention makes room there */
	else
		tier_fail(tier, "the next volume is full");
}

static void tier_look(struct tier *tier)
{
	tier->state = TIER_LOOKS;
	if (volume_look(tier->to, tier_on_look, tier) < 0)
		tier_wait(tier, YIELD_US);
}

static void tier_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tier *tier = arg;

	(void)fd, (void)what;
	if (tier->copy)
		tier_copy(tier);
	else
		tier_look(tier);
}

/* --- one after the other --- */

static void tier_next(struct tier *tier)
{
	while (tier->next < tier->n && !tier->freed && tier->n_left < LEFT_MOST) {
		const struct catalogue_expired *row = tier_row(tier);

		if (!row->by_volume || row->timelapse || volume_is_held(tier->from, row->path)) {
			tier->next++;
			continue;
		}
		volume_hold(tier->from, &tier->hold, row->path);
		tier->holds = tier->hold.moves = true;
		volume_expect(tier->to, row->bytes);
		tier->looks = 0;
		tier_look(tier);
		return;
	}
	tier_rest(tier);
}

static void tier_on_plan(void *arg, int error, const struct catalogue_plan *plan)
{
	struct tier *tier = arg;

	tier->more = !error && plan->n == BATCH_ROWS;
	if (error || tier->freed) {
		tier_rest(tier);
		return;
	}
	tier->rows = xcalloc(plan->n, sizeof(*tier->rows));
	for (; tier->n < plan->n; tier->n++) {
		struct catalogue_expired *row = &tier->rows[tier->n];

		*row = plan->rows[tier->n];
		row->camera = xstrdup(row->camera);
		row->path = xstrdup(row->path);
	}
	tier_next(tier);
}

struct tier *tier_new(struct volume *from, struct catalogue *catalogue)
{
	struct tier *tier = xcalloc(1, sizeof(*tier));

	tier->from = from;
	tier->to = volume_target(from);
	tier->catalogue = catalogue;
	tier->log = (struct log_name){ .kind = "move to", .name = volume_path(tier->to) };
	tier->timer = reactor_timer_new(tier_on_timer, tier);
	tier->left_timer = reactor_timer_new(tier_on_left_timer, tier);
	LIST_INIT(&tier->left);
	return tier;
}

bool tier_is_idle(const struct tier *tier)
{
	return tier->state == TIER_IDLE && reactor_monotonic_us() >= tier->trouble_us;
}

bool tier_wants_more(const struct tier *tier)
{
	return tier->more && tier_is_idle(tier);
}

void tier_run(struct tier *tier, struct catalogue_rules *rules, double recorded_per_second,
	const struct config_share *reserve)
{
	double per_second = FASTER * recorded_per_second;

	if (per_second < BYTES_PER_SECOND)
		per_second = BYTES_PER_SECOND;
	tier->piece_us = (int64_t)(PIECE_BYTES * 1e6 / per_second);
	tier->reserve = *reserve;
	if (tier->n_stuck && reactor_monotonic_us() - tier->stuck_us > STUCK_US)
		tier_forget_stuck(tier);
	rules->spared =
		xrealloc(rules->spared, (rules->n_spared + tier->n_stuck) * sizeof(*rules->spared));
	for (size_t i = 0; i < tier->n_stuck; i++)
		rules->spared[rules->n_spared++] = xstrdup(tier->stuck[i]);
	rules->volume_moves = true;
	tier->state = TIER_PLANS;
	if (catalogue_expired(tier->catalogue, rules, BATCH_ROWS, tier_on_plan, tier) < 0)
		tier_rest(tier);
}

void tier_stop(struct tier *tier)
{
	for (size_t i = tier->next + 1; i < tier->n; i++)
		tier->rows[i].by_volume = false;
}

void tier_free(struct tier *tier)
{
	if (!tier)
		return;
	reactor_timer_free(&tier->timer);
	reactor_timer_free(&tier->left_timer);
	tier->freed = true;
	tier_release(tier);
	volume_copy_free(tier->copy);
	tier->copy = NULL;
	if (tier->state == TIER_WAITS || tier->state == TIER_COPIES) /* no callback comes */
		tier->state = TIER_IDLE;
	tier_end(tier);
}
