/*
 * HLS of recordings (RFC 8216). Nothing is made for it: entries are byte ranges of the files, seen with decode times that
 * count from the playlist's beginning, so that players go on over file and gap as in one stream. A playlist is written recording by
 * recording, while the client takes it.
 */
#include "protocols/hls_recorded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "protocols/http_tree.h"
#include "protocols/still.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/clip_name.h"
#include "storage/tree.h"

enum {
	TARGET_S = 10, /* of the media; the last keyframe before it ends an entry */
	LEAST_US = 5500000,
	MOST_US = 10450000, /* rounds to TARGET_S */
	GAP_US = 500000,    /* what is more is a gap, and how long one is that is closed */
	IFRAME_US = 1000000,
	IFRAMES = 7200, /* in a playlist, more or less; each costs a small read */
	IFRAME_TARGET_S = 60,
	CODECS_BYTES = 160,
	CAMERA_BYTES = 64,
	DATE_BYTES = 11,
	NAME_BYTES = 64,
	SETTLED_US = 10000000, /* what is recorded is in the catalogue at the latest */
};
#define DAY_US (INT64_C(86400) * 1000000)
#define HLS_TYPE "application/vnd.apple.mpegurl"
#define ROOT "/recordings/"

/* What a path asks for. */
struct vod_name {
	char camera[CAMERA_BYTES];
	char date[DATE_BYTES]; /* "" for a range */
	struct clip_range range;
	const char *file; /* the path's last part */
};

/* A line of the playlist that waits for what follows it. */
struct vod_entry {
	bool there;
	bool dated;       /* its time does not follow from the one before */
	size_t map_bytes; /* of a new start of its file, or 0 */
	bool broken;      /* what went before had another one */
	int64_t start_us, end_us;
	uint64_t at, bytes;
	char uri[128];
};

enum vod_kind {
	VOD_VARIANTS,
	VOD_MEDIA,
	VOD_IFRAMES
};

struct vod {
	struct http_request *request;
	char path[HTTP_TREE_PATH_BYTES];
	struct vod_name name;
	enum vod_kind kind;
	bool close_gaps, grows, waiting;
	struct recordings *recordings;
	size_t row;                        /* the next one to be loaded */
	const struct recording *recording; /* the one at hand */
	size_t fragment;                   /* of it; keyframes */
	bool in_recording;                 /* it has an entry; keyframes */
	struct evbuffer *out;
	struct vod_entry entry;
	uint64_t init; /* of the entry */
	bool any;      /* one was begun */
	int64_t origin_us, closed_us;
	int64_t interval_us; /* of keyframes */
};

static struct tree *vod_tree;

void hls_recorded_set_tree(struct tree *tree)
{
	vod_tree = tree;
}

static struct vod *vod_new(void)
{
	struct vod *vod = xcalloc(1, sizeof(*vod));

	vod->out = evbuffer_new();
	if (!vod->out)
		abort();
	return vod;
}

static void vod_free(void *context)
{
	struct vod *vod = context;

	recordings_free(vod->recordings);
	evbuffer_free(vod->out);
	free(vod);
}

/* --- names --- */

static bool vod_is_date(const char *p, size_t n)
{
	static const char pattern[] = "dddd-dd-dd";

	for (size_t i = 0; i < n && n == strlen(pattern); i++) {
		if (pattern[i] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != '-')
			return false;
	}
	return n == strlen(pattern);
}

/* False when it names no playlist. */
static bool vod_parse(struct vod_name *ret, const char *path)
{
	const char *camera = path + strlen(ROOT), *slash, *after;

	if (strncmp(path, ROOT, strlen(ROOT)) != 0)
		return false;
	slash = strchr(camera, '/');
	if (!slash || slash == camera || slash - camera >= CAMERA_BYTES)
		return false;
	memcpy(ret->camera, camera, (size_t)(slash - camera));
	ret->file = after = slash + 1;
	if (clip_range_parse(&ret->range, &after))
		return !strcmp(after, ".m3u8");
	slash = strchr(ret->file, '/');
	if (!slash || strcmp(slash, "/index.m3u8") != 0 ||
		!vod_is_date(ret->file, (size_t)(slash - ret->file)))
		return false;
	memcpy(ret->date, ret->file, DATE_BYTES - 1);
	ret->file = slash + 1;
	return true;
}

/* The instants between which the recordings of a day's folder begin, in whichever time zone they were made. */
static bool vod_day(struct vod_name *name)
{
	char midnight[CLIP_TIME_BYTES];
	const char *at = midnight, *d = name->date;

	(void)snprintf(midnight, sizeof(midnight), "%.4s%.2s%.2sT000000Z", d, d + 5, d + 8);
	if (!clip_time_parse(&name->range.from_us, &at))
		return false;
	name->range.to_us = name->range.from_us + 2 * DAY_US;
	name->range.from_us -= DAY_US;
	return true;
}

/* What follows "recordings/<camera>/" in a row's path, or its folder, too. */
static const char *vod_row_name(const struct vod *vod, const struct catalogue_segment *row)
{
	const char *below = strchr(row->path, '/');

	for (int i = vod->name.date[0] ? 2 : 1; below && i > 0; i--)
		below = strchr(below + 1, '/');
	return below ? below + 1 : row->path;
}

/* Whether a recording belongs to the playlist. */
static bool vod_has(const struct vod *vod, const struct catalogue_segment *row)
{
	const char *file = strrchr(row->path, '/');

	return !vod->name.date[0] ||
	       (file && file - row->path >= DATE_BYTES - 1 &&
		       !memcmp(file - (DATE_BYTES - 1), vod->name.date, DATE_BYTES - 1));
}

/* From when to when there is something in it. False: there is nothing. */
static bool vod_span(const struct vod *vod, int64_t *start_us, int64_t *end_us)
{
	const struct clip_range *range = &vod->name.range;
	bool any = false;

	for (size_t i = 0; i < recordings_count(vod->recordings); i++) {
		const struct catalogue_segment *row = recordings_row(vod->recordings, i);

		if (!vod_has(vod, row))
			continue;
		if (!any)
			*start_us = row->start_us > range->from_us ? row->start_us : range->from_us;
		if (!any || row->end_us > *end_us)
			*end_us = row->end_us < range->to_us ? row->end_us : range->to_us;
		any = true;
	}
	return any;
}

/* Whether more may come. */
static bool vod_grows(const struct vod *vod)
{
	int64_t now_us = reactor_now_us();
	time_t now = (time_t)(now_us / 1000000);
	char today[DATE_BYTES];
	struct tm tm;

	if (!vod->name.date[0])
		return vod->name.range.to_us > now_us - SETTLED_US;
	for (size_t i = recordings_count(vod->recordings); i-- > 0;) {
		const struct catalogue_segment *row = recordings_row(vod->recordings, i);

		if (vod_has(vod, row) && row->state == SEGMENT_OPEN)
			return true;
	}
	localtime_r(&now, &tm);
	(void)strftime(today, sizeof(today), "%Y-%m-%d", &tm);
	return strcmp(vod->name.date, today) >= 0;
}

/* --- lines --- */

static void vod_add_date(struct vod *vod, int64_t us)
{
	char date[HTTP_TIMESTAMP_BYTES];

	(void)http_timestamp_write(date, us);
	(void)evbuffer_add_printf(
		vod->out, "#EXT-X-PROGRAM-DATE-TIME:%.19s.%03dZ\n", date, (int)(us / 1000 % 1000));
}

/* Nothing from an instant to another, in pieces that are not longer than the media's. */
static void vod_add_gap(struct vod *vod, int64_t from_us, int64_t to_us)
{
	const int64_t most_us = TARGET_S * 1000000;

	while (from_us < to_us) {
		int64_t us = to_us - from_us < most_us ? to_us - from_us : most_us;

		/*
		 * Who does not know the tag finds nothing of that name and goes on; with an empty answer ffmpeg 5.1
		 * waits for ever.
		 */
		(void)evbuffer_add_printf(
			vod->out, "#EXT-X-GAP\n#EXTINF:%.6f,\ngap.mp4\n", (double)us / 1e6);
		from_us += us;
	}
}

static void vod_write_entry(struct vod *vod, int64_t duration_us)
{
	const struct vod_entry *entry = &vod->entry;

	if (entry->broken)
		(void)evbuffer_add_printf(vod->out, "#EXT-X-DISCONTINUITY\n");
	if (entry->map_bytes)
		(void)evbuffer_add_printf(vod->out, "#EXT-X-MAP:URI=\"%s\",BYTERANGE=\"%zu@0\"\n",
			entry->uri, entry->map_bytes);
	if (entry->dated)
		vod_add_date(vod, entry->start_us);
	(void)evbuffer_add_printf(vod->out,
		"#EXTINF:%.6f,\n#EXT-X-BYTERANGE:%" PRIu64 "@%" PRIu64 "\n%s\n",
		(double)(duration_us > 0 ? duration_us : 0) / 1e6, entry->bytes, entry->at,
		entry->uri);
}

/* Writes the entry that waits, now that it is known when the next one begins. Returns whether there is a gap between them. */
static bool vod_end_entry(struct vod *vod, int64_t next_us)
{
	struct vod_entry *entry = &vod->entry;
	int64_t gap_us = next_us - entry->end_us;
	bool gap = gap_us > GAP_US;

	if (!entry->there)
		return false;
	entry->there = false;
	if (!gap) {
		vod_write_entry(vod, next_us - entry->start_us);
	} else if (vod->close_gaps) {
		vod_write_entry(vod, entry->end_us - entry->start_us + GAP_US);
		vod->closed_us += gap_us - GAP_US;
	} else {
		vod_write_entry(vod, entry->end_us - entry->start_us);
		vod_add_gap(vod, entry->end_us, next_us);
	}
	return gap;
}

static void vod_begin_playlist(struct vod *vod, const struct catalogue_fragment *first)
{
	vod->any = true;
	/* not all tracks begin together */
	vod->origin_us = first->start_us - GAP_US;
	if (vod->recording->head.origin_us > vod->origin_us)
		vod->origin_us = vod->recording->head.origin_us;
}

/* Begins an entry with a fragment; is_first: of its recording. */
static void vod_begin_entry(struct vod *vod, const struct catalogue_fragment *f, bool is_first)
{
	const struct clip_head *head = &vod->recording->head;
	bool gap = vod_end_entry(vod, f->start_us);
	struct vod_entry *entry = &vod->entry;
	char origin[CLIP_TIME_BYTES];

	*entry = (struct vod_entry){
		.there = true,
		.dated = gap || is_first,
		.map_bytes = head->init == vod->init ? 0 : head->moov_end,
		.broken = vod->any && head->init != vod->init,
		.start_us = f->start_us,
		.end_us = f->start_us,
		.at = f->offset,
	};
	if (!vod->any)
		vod_begin_playlist(vod, f);
	vod->init = head->init;
	/* the recording as it is when decode times count from the playlist's beginning */
	(void)snprintf(entry->uri, sizeof(entry->uri), "%s?origin=%s",
		vod_row_name(vod, vod->recording->row),
		clip_time_write(origin, vod->origin_us + vod->closed_us));
}

/* The fragments of the recording at hand that are asked for: [*first, *end). */
static void vod_select(const struct vod *vod, size_t *first, size_t *end)
{
	const struct recording *recording = vod->recording;

	*first = 0;
	*end = recording->n;
	if (vod->name.date[0])
		return;
	for (size_t i = 0; i < recording->n; i++) {
		const struct catalogue_fragment *f = &recording->fragments[i];

		if (f->keyframe && f->start_us <= vod->name.range.from_us)
			*first = i;
		if (f->start_us >= vod->name.range.to_us) {
			*end = i;
			break;
		}
	}
}

static void vod_finish(struct vod *vod)
{
	/* what grows ends with the last entry that does not change any more */
	if (!vod->grows) {
		vod_end_entry(vod, vod->entry.end_us);
		(void)evbuffer_add_printf(vod->out, "#EXT-X-ENDLIST\n");
	}
	http_send(vod->request, vod->out);
	http_end(vod->request);
}

static void vod_on_recording(void *arg, int error, const struct recording *recording);

/* Goes on with the next recording that belongs to it. */
static void vod_next(struct vod *vod)
{
	size_t n = recordings_count(vod->recordings);

	while (vod->row < n && !vod_has(vod, recordings_row(vod->recordings, vod->row)))
		vod->row++;
	if (vod->row == n)
		vod_finish(vod);
	else if (recordings_load(vod->recordings, vod->row++, vod_on_recording, vod) < 0)
		http_abort(vod->request);
}

static void vod_send(struct vod *vod)
{
	http_send(vod->request, vod->out);
	vod->waiting = http_unsent(vod->request) > HTTP_TREE_UNSENT_BYTES;
	if (!vod->waiting)
		vod_next(vod);
}

static void vod_on_drained(void *context)
{
	struct vod *vod = context;

	if (!vod->waiting)
		return;
	vod->waiting = false;
	vod_next(vod);
}

/* --- the media --- */

static bool vod_is_boundary(const struct vod *vod, const struct catalogue_fragment *f)
{
	const struct vod_entry *entry = &vod->entry;

	return !entry->there || (f->keyframe && f->start_us - entry->start_us >= LEAST_US) ||
	       f->start_us + f->duration_us - entry->start_us > MOST_US ||
	       f->start_us - entry->end_us > GAP_US || f->offset != entry->at + entry->bytes;
}

static void vod_add_media(struct vod *vod)
{
	size_t first, end;

	vod_select(vod, &first, &end);
	for (size_t i = first; i < end; i++) {
		const struct catalogue_fragment *f = &vod->recording->fragments[i];

		if (i == first || vod_is_boundary(vod, f))
			vod_begin_entry(vod, f, i == first);
		vod->entry.bytes += f->bytes;
		vod->entry.end_us = f->start_us + f->duration_us;
	}
	vod_send(vod);
}

/* --- the keyframes --- */

static void vod_look_iframes(struct vod *vod);

static void vod_on_moof(void *arg, int error, const uint8_t *moof, size_t n)
{
	struct vod *vod = arg;
	const struct catalogue_fragment *f = &vod->recording->fragments[vod->fragment];
	struct clip_first first;

	if (!error)
		error = clip_first_parse(&first, moof, n, &vod->recording->head);
	if (error) {
		http_abort(vod->request);
		return;
	}
	if (first.bytes) {
		vod_begin_entry(vod, f, !vod->in_recording);
		vod->in_recording = true;
		vod->entry.bytes = first.at + first.bytes;
		vod->entry.end_us = f->start_us + f->duration_us;
	}
	vod->fragment++;
	vod_look_iframes(vod);
}

/* Goes on to the next keyframe that is wanted; what is between belongs to the one before. */
static void vod_look_iframes(struct vod *vod)
{
	size_t first, end;

	vod_select(vod, &first, &end);
	if (vod->fragment < first)
		vod->fragment = first;
	for (; vod->fragment < end; vod->fragment++) {
		const struct catalogue_fragment *f = &vod->recording->fragments[vod->fragment];

		if (f->keyframe && (!vod->in_recording ||
					   f->start_us - vod->entry.start_us >= vod->interval_us)) {
			if (recordings_moof(vod->recordings, f, vod_on_moof, vod) < 0)
				http_abort(vod->request);
			return;
		}
		if (vod->entry.there && f->start_us - vod->entry.end_us <= GAP_US)
			vod->entry.end_us = f->start_us + f->duration_us;
	}
	vod_send(vod);
}

static void vod_on_recording(void *arg, int error, const struct recording *recording)
{
	struct vod *vod = arg;

	vod->recording = recording;
	vod->fragment = 0;
	vod->in_recording = false;
	if (error == -ENOENT)
		vod_next(vod); /* it was deleted meanwhile */
	else if (error)
		http_abort(vod->request);
	else if (vod->kind == VOD_IFRAMES)
		vod_look_iframes(vod);
	else
		vod_add_media(vod);
}

/* --- the playlist that names the others --- */

static bool vod_is_web(const char *codec, size_t n)
{
	static const char *const starts[] = { "avc1", "hvc1", "av01", "mp4a.40", "opus" };

	for (size_t i = 0; i < ARRAY_LENGTH(starts); i++) {
		if (n >= strlen(starts[i]) && !strncmp(codec, starts[i], strlen(starts[i])))
			return true;
	}
	return false;
}

/* Adds those of a recording that are not there yet and browsers play, or the first one of any kind. */
static void vod_add_codecs(char ret[CODECS_BYTES], const char *codecs)
{
	for (const char *p = codecs; *p;) {
		size_t n = strcspn(p, ","), used = strlen(ret);
		char codec[CODECS_BYTES];

		(void)snprintf(codec, sizeof(codec), "%.*s", (int)n, p);
		if (n && n + used + 2 < CODECS_BYTES && !strstr(ret, codec) &&
			(!used || vod_is_web(p, n)))
			(void)snprintf(
				ret + used, CODECS_BYTES - used, "%s%s", used ? "," : "", codec);
		p += n + (p[n] == ',');
	}
}

struct vod_totals {
	char codecs[CODECS_BYTES];
	uint64_t bits; /* a second: the most of any recording */
	int width, height;
};

static void vod_count(struct vod_totals *totals, const struct catalogue_segment *row)
{
	int64_t us = row->end_us - row->start_us;
	uint64_t bits = us > 0 ? (uint64_t)((double)row->bytes * 8e6 / (double)us) : 0;

	vod_add_codecs(totals->codecs, row->codecs);
	if (bits > totals->bits)
		totals->bits = bits;
	if (row->width > totals->width) {
		totals->width = row->width;
		totals->height = row->height;
	}
}

static void vod_write_variants(struct vod *vod)
{
	struct vod_totals totals = { .bits = 1 };
	const char *file = vod->name.file, *gaps = vod->close_gaps ? "&gaps=close" : "";

	for (size_t i = 0; i < recordings_count(vod->recordings); i++) {
		if (vod_has(vod, recordings_row(vod->recordings, i)))
			vod_count(&totals, recordings_row(vod->recordings, i));
	}
	(void)evbuffer_add_printf(vod->out,
		"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=%" PRIu64 ",CODECS=\"%s\"",
		totals.bits, totals.codecs);
	if (totals.width)
		(void)evbuffer_add_printf(
			vod->out, ",RESOLUTION=%dx%d", totals.width, totals.height);
	(void)evbuffer_add_printf(vod->out, "\n%s?media%s\n", file, gaps);
	if (totals.width)
		(void)evbuffer_add_printf(vod->out,
			"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=%" PRIu64
			",CODECS=\"%.*s\",RESOLUTION=%dx%d,URI=\"%s?iframes%s\"\n",
			totals.bits, (int)strcspn(totals.codecs, ","), totals.codecs, totals.width,
			totals.height, file, gaps);
}

/* --- requests --- */

static void vod_start(struct vod *vod)
{
	bool iframes = vod->kind == VOD_IFRAMES;
	int64_t span_us = 0;

	for (size_t i = 0; i < recordings_count(vod->recordings); i++) {
		const struct catalogue_segment *row = recordings_row(vod->recordings, i);

		span_us += vod_has(vod, row) ? row->end_us - row->start_us : 0;
	}
	vod->grows = vod_grows(vod);
	vod->interval_us = span_us / IFRAMES > IFRAME_US ? span_us / IFRAMES : IFRAME_US;
	(void)evbuffer_add_printf(vod->out,
		"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:%s\n%s%s",
		iframes ? IFRAME_TARGET_S : TARGET_S, vod->grows ? "EVENT" : "VOD",
		vod->grows ? "#EXT-X-START:TIME-OFFSET=0\n" : "",
		iframes ? "#EXT-X-I-FRAMES-ONLY\n" : "");
	http_start(vod->request, 200, HLS_TYPE, HTTP_UNKNOWN);
	if (http_is_head(vod->request)) {
		http_end(vod->request);
		return;
	}
	http_set_drained(vod->request, HTTP_TREE_UNSENT_BYTES, vod_on_drained);
	vod_next(vod);
}

static void vod_on_list(void *arg, int error)
{
	struct vod *vod = arg;
	int64_t start_us, end_us;

	if (!error && !vod_span(vod, &start_us, &end_us))
		error = -ENOENT;
	if (error) {
		http_tree_answer_error(vod->request, error);
		return;
	}
	http_add_field(vod->request, "Cache-Control", "private, no-cache");
	if (vod->kind == VOD_VARIANTS) {
		vod_write_variants(vod);
		http_answer(vod->request, 200, HLS_TYPE, vod->out);
	} else {
		vod_start(vod);
	}
}

/* What the request says, and asks for the recordings. 0, -ENOENT, -EAGAIN. */
static int vod_begin(
	struct vod *vod, struct http_request *request, recordings_list_fn *done, void *arg)
{
	char value[NAME_BYTES];

	vod->request = request;
	(void)snprintf(vod->path, sizeof(vod->path), "%s", http_path(request));
	if (!vod_parse(&vod->name, vod->path) || (vod->name.date[0] && !vod_day(&vod->name)))
		return -ENOENT;
	vod->close_gaps =
		http_query(request, "gaps", value, sizeof(value)) && !strcmp(value, "close");
	vod->recordings = tree_recordings(vod_tree, vod->name.camera, vod->name.range.from_us,
		vod->name.range.to_us, http_user(request), done, arg);
	return vod->recordings ? 0 : -EAGAIN;
}

static void vod_get(struct http_request *request)
{
	struct vod *vod = vod_new();
	char value[NAME_BYTES];
	int error;

	http_set_context(request, vod, vod_free);
	if (http_query(request, "media", value, sizeof(value)))
		vod->kind = VOD_MEDIA;
	else if (http_query(request, "iframes", value, sizeof(value)))
		vod->kind = VOD_IFRAMES;
	error = vod_begin(vod, request, vod_on_list, vod);
	if (error)
		http_tree_answer_error(request, error);
}

bool hls_recorded_is_named(const struct http_request *request)
{
	static const char end[] = ".m3u8";
	const char *path = http_path(request);
	size_t n = strlen(path);

	return !strncmp(path, ROOT, strlen(ROOT)) && n < HTTP_TREE_PATH_BYTES &&
	       !strcmp(path + n - strlen(end), end);
}

void hls_recorded_get(struct http_request *request)
{
	if (hls_recorded_is_named(request))
		vod_get(request);
	else
		still_get(request);
}

/* --- what is known of a playlist --- */

struct hls_recorded_look {
	struct vod *vod;
	tree_entry_fn *done;
	void *arg;
	struct reactor_dead dead;
};

static void look_fini(void *object)
{
	struct hls_recorded_look *look = object;

	vod_free(look->vod);
	free(look);
}

void hls_recorded_cancel(struct hls_recorded_look *look)
{
	if (!look)
		return;
	recordings_free(look->vod->recordings);
	look->vod->recordings = NULL;
	reactor_free_later(&look->dead, look_fini, look);
}

static void look_on_list(void *arg, int error)
{
	struct hls_recorded_look *look = arg;
	struct vod *vod = look->vod;
	struct tree_entry entry = { .kind = TREE_FILE, .content_type = HLS_TYPE };

	if (!error && !vod_span(vod, &entry.created_us, &entry.modified_us))
		error = -ENOENT;
	if (!error) {
		vod_write_variants(vod);
		entry.bytes = evbuffer_get_length(vod->out);
		(void)snprintf(entry.path, sizeof(entry.path), "%s", vod->path);
		entry.name = strrchr(entry.path, '/') + 1;
	}
	reactor_free_later(&look->dead, look_fini, look);
	look->done(look->arg, error, error ? NULL : &entry);
}

struct hls_recorded_look *hls_recorded_find(
	struct http_request *request, tree_entry_fn *done, void *arg, int *error)
{
	struct hls_recorded_look *look = xcalloc(1, sizeof(*look));

	look->vod = vod_new();
	look->done = done;
	look->arg = arg;
	*error = vod_begin(look->vod, request, look_on_list, look);
	if (!*error)
		return look;
	look_fini(look);
	return NULL;
}
