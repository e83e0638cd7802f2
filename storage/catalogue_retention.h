#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/catalogue.h"

/*
 * Which recordings and time-lapses are to go from a volume, and why. Only closed ones are named, each camera's from its
 * oldest on; what is in common (max_size, reserve) takes the oldest recording of all, so that all cameras keep equally
 * much history, and when there is none left the oldest time-lapse. First by the limits of recordings, wherever they
 * are, then by those of the volume.
 */

#define RULE_FOREVER INT64_MAX

/* The limits of one camera's recordings, or of its time-lapses. */
struct catalogue_rule {
	char *camera;
	bool timelapse;
	int64_t keep_us;    /* RULE_FOREVER: no limit */
	uint64_t max_bytes; /* 0: no limit */
};

struct catalogue_rules {
	struct catalogue_rule *cameras;
	size_t n_cameras;
	int64_t keep_us;    /* of recordings without a rule; RULE_FOREVER: no limit */
	uint64_t max_bytes; /* of all together; 0: no limit */
	/* what is on this volume, and no other, is named; and these are its own limits */
	int64_t volume;
	bool volume_moves;      /* what is over these two moves to another one, time-lapses stay */
	int64_t volume_keep_us; /* of recordings; 0: no limit */
	uint64_t volume_max_bytes; /* 0: no limit */
	uint64_t free_bytes;       /* so much has to go for its reserve */
	/*
	 * Age is counted from now_us. As long as the clock has not gone steadily for steady_us, it is
	 * believed only as far as recordings bear it out; and while nobody has set it, not at all
	 * once there are recordings from a clock that was set.
	 */
	int64_t now_us, steady_us;
	bool clock_is_set;
	char **spared; /* paths that stay whatever the rules say */
	size_t n_spared;
};
void catalogue_rules_free(struct catalogue_rules *rules); /* contents and itself; NULL is fine */

enum catalogue_reason {
	EXPIRED_KEEP,
	EXPIRED_CAMERA_MAX_SIZE,
	EXPIRED_MAX_SIZE,
	EXPIRED_RESERVE,
	EXPIRED_REASONS
};
/* As metrics and people read it: "keep", "camera_max_size", "max_size", "reserve". */
const char *catalogue_reason_name(enum catalogue_reason reason);

/* A recording or a time-lapse that is to go. */
struct catalogue_expired {
	int64_t id;
	char *camera, *path;
	bool timelapse;
	int64_t start_us, end_us;
	uint64_t bytes;
	int64_t volume;
	enum catalogue_reason reason;
	bool by_volume; /* it is the volume's limit: where there is another one recordings move there */
};

/* What a camera has, but for time-lapses. */
struct catalogue_history {
	char *camera;
	uint64_t bytes;               /* the open segment included */
	int64_t oldest_us, newest_us; /* from the start of the first to the end of the last */
};

struct catalogue_plan {
	struct catalogue_expired *rows; /* in the order in which they go */
	size_t n;
	struct catalogue_history *cameras; /* all that have recordings, by name */
	size_t n_cameras;
	uint64_t volume_bytes; /* of all that is recorded on the volume, the open files included */
	/* By so much is age counted from an earlier instant than now_us; INT64_MAX: it is not judged. */
	int64_t age_held_us;
};

/* The plan is valid during the call only; empty after an error. */
typedef void catalogue_plan_fn(void *arg, int error, const struct catalogue_plan *plan);
/*
 * At most `limit` of what is to go, found out on the catalogue's thread. Takes the rules over. Returns
 * 0, or -EAGAIN when its queue is full: done is not called then, and the rules are gone all the same.
 */
int catalogue_expired(struct catalogue *catalogue, struct catalogue_rules *rules, size_t limit,
	catalogue_plan_fn *done, void *arg) MUST_CHECK;

/*
 * Deletes rows of which the files are gone, in one transaction; rows that have got another path or volume stay.
 * Returns 0 or -EAGAIN.
 */
int catalogue_forget_expired(
	struct catalogue *catalogue, const struct catalogue_expired *rows, size_t n) MUST_CHECK;

/* --- without a thread, and without changing anything: nvrd --retention-plan --- */

/*
 * Opens the catalogue beside a running nvrd or without one. Only catalogue_walk_expired() and catalogue_close() may
 * be called. NULL and a message in *why (caller frees).
 */
struct catalogue *catalogue_open_to_read(const char *root, const char *file, char **why) MUST_CHECK;

typedef void catalogue_expired_fn(void *arg, const struct catalogue_expired *row);
/* Calls on_row for each one that is to go, as long as there is one. Returns 0 or -EIO; *ret_held_us as in a plan. */
int catalogue_walk_expired(struct catalogue *catalogue, const struct catalogue_rules *rules,
	catalogue_expired_fn *on_row, void *arg, int64_t *ret_held_us) MUST_CHECK;
