/*
 * Walking over a camera's recordings. The files are rows of the catalogue by their start; of one at a time the index and the
 * head are held. Where the walk begins is looked for backward from its instant, then it goes its way.
 */
#include "storage/footage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/footage_private.h"
#include "storage/recordings.h"

enum {
	ROWS = 8,               /* asked for at once: time-lapses are among them */
	PIECE_BYTES = 16 << 20, /* of a fragment; what is more is no fragment of ours */
	GROWING_US = 10000000,  /* what is recorded is in the catalogue at the latest */
	OPEN_US = 2000000,      /* of a file that is written so much may not be there yet */
	HOLE_US = 2,            /* between two files may be so much, by rounding */
	REORDER_US = 1000000,   /* pictures are shown at most so long after they are decoded */
};

struct footage {
	struct catalogue *catalogue;
	struct volume *volume;
	char *camera;
	struct footage_wish wish;
	struct log_name log;
	struct log_repeated left_out;
	footage_fn *done;
	void *arg;
	struct event *timer; /* for what needs no waiting */
	/* the file at hand */
	struct catalogue_query *query;
	struct catalogue_segment *row; /* NULL: none was found yet */
	bool spent;                    /* nothing is to be had of it any more */
	struct recordings *recordings;
	const struct recording *recording; /* NULL: it is not loaded */
	struct footage_format *format;
	/*
	 * Forward: the next fragment. Backward: the next one of the group of pictures that begins at `group` and ends
	 * before `group_end`.
	 */
	size_t at, group, group_end;
	bool sought;   /* the place to begin with is known */
	bool older;    /* seeking: the row before is wanted */
	bool settled;  /* it begins where it can */
	bool reloaded; /* to see whether it has grown */
	/* of the last piece, or what was left out */
	bool any;
	int64_t last_start_us, last_end_us;
	size_t reading;
	/* seeking: the fragment before this one is read to see whether it is shown at the instant; 0: none is */
	size_t doubt;
};

/* --- telling --- */

static void footage_tell(struct footage *f, int error, struct footage_piece *piece)
{
	footage_fn *done = f->done;

	f->done = NULL;
	done(f->arg, error, piece, FOOTAGE_ENDS);
}

static enum footage_end footage_end_of(const struct footage *f)
{
	if (f->wish.backward)
		return f->any && f->last_start_us <= f->wish.end_us ? FOOTAGE_REACHED
								    : FOOTAGE_ENDS;
	if (f->row && f->row->end_us >= f->wish.end_us)
		return FOOTAGE_REACHED;
	return f->row && reactor_now_us() - f->row->end_us < GROWING_US ? FOOTAGE_GROWS
									: FOOTAGE_ENDS;
}

/* There is nothing more, now. */
static void footage_tell_end(struct footage *f)
{
	footage_fn *done = f->done;

	f->done = NULL;
	done(f->arg, 0, NULL, footage_end_of(f));
}

/* Goes on in another turn of the loop. */
static void footage_step_later(struct footage *f)
{
	reactor_timer_start(f->timer, 0);
}

/* --- files --- */

static void footage_unload(struct footage *f)
{
	recordings_free(f->recordings);
	f->recordings = NULL;
	f->recording = NULL;
}

static const struct catalogue_fragment *fragment_at(const struct footage *f, size_t i)
{
	return &f->recording->fragments[i];
}

static int64_t end_of(const struct catalogue_fragment *fragment)
{
	return fragment->start_us + fragment->duration_us;
}

/* The last keyframe before the i-th fragment; -1: none. */
static ssize_t keyframe_before(const struct footage *f, size_t i)
{
	while (i-- > 0)
		if (fragment_at(f, i)->keyframe)
			return (ssize_t)i;
	return -1;
}

static bool is_gap(int64_t end_us, int64_t start_us)
{
	return start_us - end_us > FOOTAGE_GAP_US || end_us - start_us > FOOTAGE_GAP_US;
}

/* Backward: the group of pictures of which the last fragment is before `end` is next. */
static void footage_enter_group(struct footage *f, size_t end)
{
	ssize_t key = keyframe_before(f, end);

	f->spent = key < 0;
	f->group = f->at = key < 0 ? 0 : (size_t)key;
	f->group_end = f->wish.keyframes && key >= 0 ? f->group + 1 : end;
}

/* Whether nothing is recorded at the instant; `behind` is the first fragment that starts behind it. */
static bool seeks_gap(const struct footage *f, size_t behind)
{
	const struct recording *r = f->recording;
	int64_t end_us;

	if (behind == 0)
		return true;
	end_us = end_of(&r->fragments[behind - 1]);
	if (behind < r->n && !is_gap(end_us, r->fragments[behind].start_us))
		return false;
	return f->wish.at_us >= end_us + (f->row->state == SEGMENT_OPEN ? OPEN_US : HOLE_US);
}

/* Forward: begins with the keyframe before a fragment, or in a gap with the one behind. */
static void footage_begin(struct footage *f, size_t behind, bool gap)
{
	ssize_t key = gap ? -1 : keyframe_before(f, behind);

	f->at = key < 0 ? behind : (size_t)key;
	while (f->at < f->recording->n && !fragment_at(f, f->at)->keyframe)
		f->at++;
}

/* The place in the file at hand where the instant is. */
static void footage_seek(struct footage *f)
{
	size_t n = f->recording->n, behind = 0;
	bool gap;

	f->sought = true;
	while (behind < n && fragment_at(f, behind)->start_us <= f->wish.at_us)
		behind++;
	if (f->wish.backward) {
		footage_enter_group(f, behind);
		return;
	}
	gap = seeks_gap(f, behind);
	if (gap && behind > 0 && f->wish.at_us - end_of(fragment_at(f, behind - 1)) < REORDER_US) {
		f->doubt = behind;
		f->at = behind - 1;
		return;
	}
	footage_begin(f, behind, gap);
}

/* A file was loaded: where in it to go on. */
static void footage_enter(struct footage *f)
{
	if (f->older) { /* the keyframe before the one that was found is its last */
		ssize_t key = keyframe_before(f, f->recording->n);

		f->older = false;
		f->at = key < 0 ? f->recording->n : (size_t)key;
		if (f->wish.backward)
			footage_enter_group(f, f->recording->n);
	} else if (!f->sought ||
		   (f->reloaded && !f->any)) { /* it has grown, but maybe not so far */
		footage_seek(f);
	} else if (f->wish.backward) {
		footage_enter_group(f, f->recording->n);
	} else {
		f->at = 0;
		/* what grew goes on behind what was given */
		while (f->any && f->at < f->recording->n &&
			fragment_at(f, f->at)->start_us <= f->last_start_us)
			f->at++;
	}
}

static void footage_take_row(struct footage *f, const struct catalogue_segment *row)
{
	struct catalogue_segment *copy = catalogue_segment_copy(row);

	catalogue_segment_free(f->row);
	f->row = copy;
	f->spent = false;
}

static void footage_on_load(void *arg, int error, const struct recording *recording)
{
	struct footage *f = arg;

	if (error == -ENOENT || error == -EBADMSG) { /* removed meanwhile, or damaged */
		log_write_repeated(&f->left_out, LOG_WARN, &f->log, "%s is left out: %s",
			f->row->path, strerror(-error));
		f->sought = f->sought || !f->wish.backward;
		f->older = false;
		f->recording = NULL;
		f->spent = true;
	} else if (error) {
		footage_unload(f);
		footage_tell(f, error, NULL);
		return;
	} else {
		f->recording = recording;
		footage_format_unref(&f->format);
		f->format = footage_format_new(&recording->head);
		footage_enter(f);
	}
	footage_step_later(f);
}

static void footage_on_found(void *arg, int error)
{
	struct footage *f = arg;

	if (!error && !recordings_count(f->recordings))
		error = -ENOENT;
	if (!error) {
		footage_take_row(f, recordings_row(f->recordings, 0));
		error = recordings_load(f->recordings, 0, footage_on_load, f);
	}
	if (error)
		footage_on_load(f, error, NULL);
}

static void footage_load(struct footage *f)
{
	footage_unload(f);
	f->recordings =
		recordings_new_file(f->catalogue, f->volume, f->row->path, footage_on_found, f);
	if (!f->recordings)
		footage_tell(f, -EAGAIN, NULL);
}

/* --- rows --- */

static void footage_ask(struct footage *f, bool newest_first);

static void footage_on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct footage *f = arg;
	const struct catalogue_segment *row = NULL;

	f->query = NULL;
	for (size_t i = 0; i < n && !row && !error; i++)
		if (strcmp(rows[i].stream, CATALOGUE_TIMELAPSE) != 0)
			row = &rows[i];
	if (error) {
		footage_tell(f, error, NULL);
	} else if (f->older && (!row || is_gap(row->end_us, f->row->start_us))) {
		f->older = false; /* nothing is before it: it may begin there */
		footage_step_later(f);
	} else if (row) {
		footage_take_row(f, row);
		footage_load(f);
	} else if (!f->row && !f->sought && !f->wish.backward) {
		f->sought = true; /* all is behind the instant */
		footage_ask(f, false);
	} else {
		footage_tell_end(f);
	}
}

/* Asks for the row before or behind the one at hand; at the beginning, for the one in which the instant may be. */
static void footage_ask(struct footage *f, bool newest_first)
{
	const struct catalogue_span span = {
		.from_us = newest_first || f->row ? 0 : f->wish.at_us,
		.to_us = f->row || !newest_first ? INT64_MAX : f->wish.at_us,
		.newest_first = newest_first,
		.after_us = f->row ? f->row->start_us : 0,
		.after_id = f->row ? f->row->id : 0,
	};

	f->query = catalogue_search(f->catalogue, f->camera, NULL, &span, ROWS, footage_on_rows, f);
	if (!f->query)
		footage_tell(f, -EAGAIN, NULL);
}

/* --- pieces --- */

/* Backward the first group ends, and forward the last one, within a fragment. */
static void piece_cut(const struct footage *f, struct footage_piece *piece)
{
	int64_t before_us = f->wish.backward ? f->wish.at_us + 1 : f->wish.end_us;
	size_t n = 0;

	for (size_t i = 0; i < piece->n; i++)
		if (piece->samples[i].dts_us < before_us)
			piece->samples[n++] = piece->samples[i];
	piece->n = n;
}

/* Whether a frame of what leads is shown at an instant, or after it. */
static bool is_shown(const struct footage_piece *piece, int64_t at_us)
{
	for (size_t i = 0; i < piece->n; i++) {
		const struct footage_sample *sample = &piece->samples[i];

		if (sample->track == piece->format->lead &&
			sample->pts_us + sample->duration_us > at_us)
			return true;
	}
	return false;
}

/* Whether it begins with a frame that is shown only after the instant from which to play. */
static bool begins_late(const struct footage *f, const struct footage_piece *piece)
{
	for (size_t i = 0; i < piece->n; i++)
		if (piece->samples[i].track == piece->format->lead)
			return piece->samples[i].dts_us <= f->wish.at_us &&
			       piece->samples[i].pts_us > f->wish.at_us;
	return false;
}

/* The first piece is not early enough: steps back by one keyframe. */
static void footage_step_back(struct footage *f)
{
	ssize_t key = keyframe_before(f, f->at);

	if (key >= 0) {
		f->at = (size_t)key;
		if (f->wish.backward)
			footage_enter_group(f, f->group);
		footage_step_later(f);
		return;
	}
	f->older = f->settled = true;
	footage_ask(f, true);
}

static void footage_note(struct footage *f, const struct catalogue_fragment *fragment)
{
	f->any = true;
	f->last_start_us = fragment->start_us;
	f->last_end_us = end_of(fragment);
}

/* What the piece says of its place among the others. */
static void piece_place(const struct footage *f, struct footage_piece *piece)
{
	const struct catalogue_fragment *fragment = fragment_at(f, f->at);

	piece->start_us = fragment->start_us;
	piece->end_us = end_of(fragment);
	if (!f->wish.backward) {
		piece->gap = !f->any || is_gap(f->last_end_us, fragment->start_us);
		piece->jumps = piece->gap;
		return;
	}
	size_t last = f->group_end - 1;
	while (f->wish.keyframes && last + 1 < f->recording->n &&
		!fragment_at(f, last + 1)->keyframe)
		last++; /* those left out are of it, too */
	piece->group_start_us = fragment_at(f, f->group)->start_us;
	piece->group_end_us = end_of(fragment_at(f, last));
	piece->jumps = f->at == f->group;
	piece->gap = piece->jumps && (!f->any || is_gap(piece->group_end_us, f->last_start_us));
}

/* Moves behind the fragment at hand. Backward what counts is where its group of pictures begins. */
static void footage_move_on(struct footage *f)
{
	footage_note(f, fragment_at(f, f->wish.backward ? f->group : f->at));
	f->at++;
}

/* The fragment at hand is damaged: goes on with the next keyframe. */
static void footage_leave_out(struct footage *f)
{
	log_write_repeated(
		&f->left_out, LOG_WARN, &f->log, "a fragment of %s is damaged", f->row->path);
	f->doubt = 0;
	f->at++;
	while (!f->wish.backward && f->at < f->recording->n && !fragment_at(f, f->at)->keyframe)
		f->at++;
	if (f->wish.backward)
		f->at = f->group_end;
	footage_step_later(f);
}

static void footage_on_fragment(void *arg, int error, struct evbuffer *data)
{
	struct footage *f = arg;
	struct footage_piece *piece;

	if (error) {
		footage_tell(f, error, NULL);
		return;
	}
	piece = xcalloc(1, sizeof(*piece));
	piece->format = footage_format_ref(f->format);
	piece->bytes = evbuffer_get_length(data);
	piece->data = xmalloc(piece->bytes);
	(void)evbuffer_remove(data, piece->data, piece->bytes);
	if (piece->bytes < f->reading || footage_piece_parse(piece, &f->recording->head) < 0) {
		footage_piece_free(piece);
		footage_leave_out(f);
		return;
	}
	if (f->doubt) {
		footage_begin(f, f->doubt, !is_shown(piece, f->wish.at_us));
		f->doubt = 0;
		footage_piece_free(piece);
		footage_step_later(f);
		return;
	}
	if (!f->any && !f->settled && begins_late(f, piece)) {
		footage_piece_free(piece);
		footage_step_back(f);
		return;
	}
	piece_place(f, piece);
	piece_cut(f, piece);
	footage_move_on(f);
	footage_tell(f, 0, piece);
}

static void footage_read(struct footage *f)
{
	const struct catalogue_fragment *fragment = fragment_at(f, f->at);

	f->reading = fragment->bytes;
	if (fragment->bytes > PIECE_BYTES) {
		footage_leave_out(f);
	} else if (recordings_read(f->recordings, fragment, footage_on_fragment, f) < 0) {
		footage_tell(f, -EAGAIN, NULL);
	}
}

static void footage_step_forward(struct footage *f)
{
	const struct recording *r = f->recording;

	while (f->wish.keyframes && !f->doubt && f->at < r->n && !fragment_at(f, f->at)->keyframe) {
		if (f->any)
			footage_note(f, fragment_at(f, f->at));
		f->at++;
	}
	if (f->at < r->n && fragment_at(f, f->at)->start_us < f->wish.end_us) {
		footage_read(f);
	} else if (f->at < r->n || (f->reloaded && f->row->state == SEGMENT_OPEN)) {
		f->spent = f->at == r->n;
		footage_tell_end(f);
	} else {
		f->spent = true;
		footage_step_later(f);
	}
	f->reloaded = false;
}

static void footage_step_backward(struct footage *f)
{
	if (f->at == f->group_end)
		footage_enter_group(f, f->group);
	if (f->spent)
		footage_step_later(f);
	else if (f->at == f->group && f->any && f->last_start_us <= f->wish.end_us)
		footage_tell_end(f);
	else
		footage_read(f);
}

/* Nothing more is in the file at hand: the next one, or the same when it may have grown. */
static void footage_leave(struct footage *f)
{
	if (f->row->state == SEGMENT_OPEN && !f->wish.backward && f->recording) {
		f->reloaded = true;
		footage_load(f);
	} else {
		footage_ask(f, f->wish.backward);
	}
}

/* Goes on as far as it can be done now. */
static void footage_step(struct footage *f)
{
	if (!f->row)
		footage_ask(f, !f->sought);
	else if (f->spent)
		footage_leave(f);
	else if (!f->recording)
		footage_load(f);
	else if (f->wish.backward)
		footage_step_backward(f);
	else
		footage_step_forward(f);
}

static void footage_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	footage_step(arg);
}

/* --- the walk --- */

struct footage *footage_new(struct catalogue *catalogue, struct volume *volume, const char *camera,
	const struct footage_wish *wish)
{
	struct footage *f = xcalloc(1, sizeof(*f));

	f->catalogue = catalogue;
	f->volume = volume;
	f->camera = xstrdup(camera);
	f->wish = *wish;
	f->log = (struct log_name){ .kind = "replay", .name = f->camera };
	f->timer = reactor_timer_new(footage_on_timer, f);
	return f;
}

void footage_next(struct footage *f, footage_fn *done, void *arg)
{
	f->done = done;
	f->arg = arg;
	footage_step_later(f);
}

void footage_free(struct footage *f)
{
	if (!f)
		return;
	catalogue_cancel(f->query);
	footage_unload(f);
	footage_format_unref(&f->format);
	catalogue_segment_free(f->row);
	reactor_timer_free(&f->timer);
	free(f->camera);
	free(f);
}
