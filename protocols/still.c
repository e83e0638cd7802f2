/*
 * Pictures of recordings. Who asks for the same instant at the same time shares one look for its keyframe, and who asks for the same
 * keyframe shares the picture (server/media/picture.h).
 */
#include "protocols/still.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "protocols/http_files.h"
#include "protocols/http_picture.h"
#include "protocols/http_server.h"
#include "protocols/http_tree.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/clip_name.h"
#include "storage/footage.h"
#include "storage/tree.h"

enum {
	LOOKS_MOST = 64, /* at a time; what is more is refused */
	CAMERA_BYTES = 64,
	SETTLED_US = 10000000, /* what is recorded is in the catalogue at the latest */
};
#define ROOT "/recordings/"

struct still_name {
	char camera[CAMERA_BYTES];
	int64_t at_us;
};

/* A request that waits for a look, then for its picture. */
struct still_waiter {
	TAILQ_ENTRY(still_waiter) entry;
	struct still_look *look; /* NULL: it is over */
	struct http_picture answer;
};

struct still_look {
	TAILQ_ENTRY(still_look) entry;
	struct still_name name;
	TAILQ_HEAD(, still_waiter) waiters; /* none: it is over */
	struct footage *footage;
	/* nothing was recorded at the instant: `footage` goes backward, to see since when */
	struct footage *forward;
	int64_t next_us; /* when there is something again; 0: nothing */
	struct reactor_dead dead;
};

/* reactor */
static struct tree *still_tree;
static TAILQ_HEAD(, still_look) looks = TAILQ_HEAD_INITIALIZER(looks);
static size_t looks_count;

void still_set_tree(struct tree *tree)
{
	still_tree = tree;
}

/* False when it names no picture. */
static bool still_parse(struct still_name *ret, const char *path)
{
	const char *camera = path + strlen(ROOT), *slash, *at;

	if (strncmp(path, ROOT, strlen(ROOT)) != 0)
		return false;
	slash = strchr(camera, '/');
	if (!slash || slash == camera || slash - camera >= CAMERA_BYTES)
		return false;
	at = slash + 1;
	if (!clip_time_parse(&ret->at_us, &at) || strcmp(at, ".jpg") != 0)
		return false;
	memcpy(ret->camera, camera, (size_t)(slash - camera));
	ret->camera[slash - camera] = '\0';
	return true;
}

/* --- the look --- */

static void look_fini(void *object)
{
	struct still_look *look = object;

	footage_free(look->footage);
	footage_free(look->forward);
	free(look);
}

/* Freed later, since it may be the footage that calls. */
static void look_end(struct still_look *look)
{
	TAILQ_REMOVE(&looks, look, entry);
	looks_count--;
	reactor_free_later(&look->dead, look_fini, look);
}

static void waiter_leave(struct still_waiter *waiter)
{
	struct still_look *look = waiter->look;

	waiter->look = NULL;
	if (!look)
		return;
	TAILQ_REMOVE(&look->waiters, waiter, entry);
	if (TAILQ_EMPTY(&look->waiters))
		look_end(look);
}

static void waiter_on_gone(void *context)
{
	struct still_waiter *waiter = context;

	waiter_leave(waiter);
	http_picture_fini(&waiter->answer);
	free(waiter);
}

/* The next who waits, who does not any more; NULL: there was none, and the look has ended. */
static struct still_waiter *look_next(struct still_look *look)
{
	struct still_waiter *waiter = TAILQ_FIRST(&look->waiters);

	if (waiter) {
		TAILQ_REMOVE(&look->waiters, waiter, entry);
		waiter->look = NULL;
	} else {
		look_end(look);
	}
	return waiter;
}

static void look_fail(struct still_look *look, int error)
{
	struct still_waiter *waiter;

	while ((waiter = look_next(look)))
		http_tree_answer_error(waiter->answer.request, error);
}

/* Nothing is recorded at the instant: says where something is. 0: nowhere. */
static void look_tell_gap(struct still_look *look, int64_t end_us)
{
	char at[CLIP_TIME_BYTES], from[CLIP_TIME_BYTES], to[CLIP_TIME_BYTES], where[96] = "";
	struct still_waiter *waiter;

	(void)clip_time_write(at, look->name.at_us);
	if (end_us)
		(void)clip_time_write(from, end_us);
	if (look->next_us)
		(void)clip_time_write(to, look->next_us);
	if (end_us && look->next_us)
		(void)snprintf(where, sizeof(where), ": there is a gap from %s to %s", from, to);
	else if (end_us)
		(void)snprintf(where, sizeof(where), ": the recordings end at %s", from);
	else if (look->next_us)
		(void)snprintf(where, sizeof(where), ": the recordings begin at %s", to);
	while ((waiter = look_next(look)))
		http_answer_error(
			waiter->answer.request, 404, "nothing is recorded at %s%s", at, where);
}

static void look_on_before(void *arg, int error, struct footage_piece *piece, enum footage_end end)
{
	struct still_look *look = arg;
	int64_t end_us = 0;

	(void)end;
	if (piece)
		end_us = piece->group_end_us < look->name.at_us ? piece->group_end_us
								: look->name.at_us;
	footage_piece_free(piece);
	if (TAILQ_EMPTY(&look->waiters))
		return;
	if (error)
		look_fail(look, error);
	else
		look_tell_gap(look, end_us);
}

/* Nothing is recorded at the instant, but something may be before it. */
static void look_look_before(struct still_look *look)
{
	const struct footage_wish wish = {
		.at_us = look->name.at_us, .end_us = INT64_MIN, .backward = true, .keyframes = true
	};

	look->forward = look->footage;
	look->footage = tree_footage(still_tree, look->name.camera, &wish, NULL);
	footage_next(look->footage, look_on_before, look);
}

static const struct footage_sample *piece_keyframe(const struct footage_piece *piece)
{
	for (size_t i = 0; i < piece->n; i++)
		if (piece->samples[i].track == piece->format->lead)
			return &piece->samples[i];
	return NULL;
}

static void look_answer(struct still_look *look, const struct footage_piece *piece,
	const struct footage_sample *keyframe)
{
	bool settled = look->name.at_us < reactor_now_us() - SETTLED_US;
	struct picture_order order = {
		.at_us = keyframe->pts_us,
		.parameters = piece->format->tracks[piece->format->lead],
		.rotation = piece->format->rotation,
	};
	AVPacket *packet = av_packet_alloc();
	struct still_waiter *waiter;

	if (!packet || av_new_packet(packet, (int)keyframe->n) < 0)
		abort();
	memcpy(packet->data, keyframe->p, keyframe->n);
	packet->flags = AV_PKT_FLAG_KEY;
	order.packet = packet;
	(void)snprintf(order.source, sizeof(order.source), "recordings/%s", look->name.camera);
	while ((waiter = look_next(look)))
		http_picture_answer(&waiter->answer, &order, settled ? HTTP_PICTURE_AGE_S : 0);
	av_packet_free(&packet);
}

static void look_on_piece(void *arg, int error, struct footage_piece *piece, enum footage_end end)
{
	struct still_look *look = arg;
	const struct footage_sample *keyframe = piece ? piece_keyframe(piece) : NULL;

	(void)end;
	if (TAILQ_EMPTY(&look->waiters)) {
		footage_piece_free(piece);
		return;
	}
	if (error) {
		look_fail(look, error);
	} else if (keyframe && keyframe->pts_us <= look->name.at_us) {
		look_answer(look, piece, keyframe);
	} else {
		look->next_us = keyframe ? keyframe->pts_us : 0;
		look_look_before(look);
	}
	footage_piece_free(piece);
}

/* --- requests --- */

static struct still_look *look_find(const struct still_name *name)
{
	struct still_look *look;

	TAILQ_FOREACH (look, &looks, entry) {
		if (look->name.at_us == name->at_us && !strcmp(look->name.camera, name->camera))
			return look;
	}
	return NULL;
}

/* Who may see the camera has been asked by the route. NULL: too many are on their way. */
static struct still_look *look_new(const struct still_name *name)
{
	const struct footage_wish wish = {
		.at_us = name->at_us, .end_us = INT64_MAX, .keyframes = true
	};
	struct still_look *look;

	if (looks_count == LOOKS_MOST)
		return NULL;
	look = xcalloc(1, sizeof(*look));
	look->name = *name;
	TAILQ_INIT(&look->waiters);
	look->footage = tree_footage(still_tree, name->camera, &wish, NULL);
	footage_next(look->footage, look_on_piece, look);
	TAILQ_INSERT_TAIL(&looks, look, entry);
	looks_count++;
	return look;
}

static void still_answer(struct http_request *request, const struct still_name *name)
{
	struct still_waiter *waiter = xcalloc(1, sizeof(*waiter));
	struct still_look *look;

	http_set_context(request, waiter, waiter_on_gone);
	if (!http_picture_init(&waiter->answer, request))
		return;
	look = look_find(name);
	if (!look)
		look = look_new(name);
	if (!look) {
		http_tree_answer_error(request, -EAGAIN);
		return;
	}
	waiter->look = look;
	TAILQ_INSERT_TAIL(&look->waiters, waiter, entry);
}

void still_get(struct http_request *request)
{
	struct still_name name;

	if (still_parse(&name, http_path(request)))
		still_answer(request, &name);
	else
		http_files_get(request);
}
