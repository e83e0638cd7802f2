/* HLS of live streams (RFC 8216): playlists and segments made of fragments in memory, on demand. */
#include "protocols/hls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "storage/fragmenter.h"

enum {
	WINDOW_SEGMENTS = 6,
	SEGMENT_FRAGMENTS = 64,
	SEGMENT_MIN_US = 900000,  /* a keyframe later than this begins a new segment */
	SEGMENT_MAX_US = 4450000, /* cut even without a keyframe: rounds to the target duration */
	TARGET_DURATION_S = 4,
	WINDOW_BYTES = 24 << 20,
	IDLE_US = 30000000, /* nobody asked for so long: the playlist goes */
	WAIT_US = 10000000, /* for the first segment */
};

struct hls_init {
	TAILQ_ENTRY(hls_init) entry;
	unsigned number;
	struct fragment_init *init;
};

TAILQ_HEAD(hls_init_list, hls_init);

struct hls_segment {
	TAILQ_ENTRY(hls_segment) entry;
	uint64_t number;
	unsigned init; /* its number */
	bool discontinuity;
	int64_t start_us, duration_us;
	size_t bytes;
	size_t n;
	struct fragment *fragments[SEGMENT_FRAGMENTS];
};
TAILQ_HEAD(hls_segments, hls_segment);

/* A request for the playlist that waits for the first segment. */
struct hls_waiter {
	TAILQ_ENTRY(hls_waiter) entry;
	struct hls *hls;
	struct http_request *request;
};

struct hls {
	LIST_ENTRY(hls) entry;
	struct stream *stream;
	struct fragment_reader reader;
	struct hls_init_list inits;
	struct hls_segments segments; /* whole ones, at most WINDOW_SEGMENTS */
	struct hls_segment *open;     /* being filled, or NULL */
	size_t n_segments, bytes;
	uint64_t next_number, discontinuities; /* the latter: gone from the window */
	unsigned next_init;
	bool broken; /* the next segment follows a discontinuity */
	bool has_origin;
	int64_t origin_us;
	TAILQ_HEAD(, hls_waiter) waiters;
	struct event *idle_timer, *wait_timer;
	struct metric *sessions;
};

static LIST_HEAD(, hls) playlists = LIST_HEAD_INITIALIZER(playlists);

static void hls_segment_free(struct hls_segment *segment)
{
	if (!segment)
		return;
	for (size_t i = 0; i < segment->n; i++)
		fragment_unref(&segment->fragments[i]);
	free(segment);
}

/* --- the window --- */

static void hls_drop_oldest(struct hls *hls)
{
	struct hls_segment *oldest = TAILQ_FIRST(&hls->segments);
	struct hls_init *init = TAILQ_FIRST(&hls->inits);

	TAILQ_REMOVE(&hls->segments, oldest, entry);
	hls->n_segments--;
	hls->bytes -= oldest->bytes;
	if (oldest->discontinuity)
		hls->discontinuities++;
	hls_segment_free(oldest);
	oldest = TAILQ_FIRST(&hls->segments);
	if (oldest && init->number < oldest->init) {
		TAILQ_REMOVE(&hls->inits, init, entry);
		fragment_init_unref(&init->init);
		free(init);
	}
}

static void hls_write_playlist(const struct hls *hls, struct evbuffer *out)
{
	const struct hls_segment *segment = TAILQ_FIRST(&hls->segments);
	unsigned init = 0;

	evbuffer_add_printf(out,
		"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%llu\n",
		TARGET_DURATION_S, (unsigned long long)segment->number);
	if (hls->discontinuities)
		evbuffer_add_printf(out, "#EXT-X-DISCONTINUITY-SEQUENCE:%llu\n",
			(unsigned long long)hls->discontinuities);
	TAILQ_FOREACH (segment, &hls->segments, entry) {
		time_t seconds = (time_t)(segment->start_us / 1000000);
		struct tm tm;
		char date[32];

		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		if (segment->discontinuity)
			evbuffer_add_printf(out, "#EXT-X-DISCONTINUITY\n");
		if (segment->init != init)
			evbuffer_add_printf(out, "#EXT-X-MAP:URI=\"init-%u.mp4\"\n", segment->init);
		init = segment->init;
		evbuffer_add_printf(out,
			"#EXT-X-PROGRAM-DATE-TIME:%s.%03dZ\n#EXTINF:%.6f,\nseg-%llu.m4s\n", date,
			(int)(segment->start_us / 1000 % 1000), (double)segment->duration_us / 1e6,
			(unsigned long long)segment->number);
	}
}

static void hls_answer_playlist(struct hls *hls, struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();

	hls_write_playlist(hls, body);
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "application/vnd.apple.mpegurl", body);
	evbuffer_free(body);
}

static void hls_answer_waiters(struct hls *hls)
{
	struct hls_waiter *waiter;

	while ((waiter = TAILQ_FIRST(&hls->waiters))) {
		/* hls_on_waiter_gone takes it off the list as its request ends */
		TAILQ_REMOVE(&hls->waiters, waiter, entry);
		waiter->hls = NULL;
		if (TAILQ_EMPTY(&hls->segments)) {
			http_add_field(waiter->request, "Retry-After", "2");
			http_answer_error(waiter->request, 503, "The camera is offline.");
		} else {
			hls_answer_playlist(hls, waiter->request);
		}
	}
	reactor_timer_stop(hls->wait_timer);
}

static void hls_close_segment(struct hls *hls)
{
	if (!hls->open)
		return;
	TAILQ_INSERT_TAIL(&hls->segments, hls->open, entry);
	hls->bytes += hls->open->bytes;
	hls->n_segments++;
	hls->open = NULL;
	while (hls->n_segments > WINDOW_SEGMENTS ||
		(hls->n_segments > 2 && hls->bytes > WINDOW_BYTES))
		hls_drop_oldest(hls);
	hls_answer_waiters(hls);
}

/* --- what the fragmenter gives --- */

static void hls_on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	struct hls *hls = CONTAINER_OF(reader, struct hls, reader);
	struct hls_init *last = TAILQ_LAST(&hls->inits, hls_init_list), *made;

	hls_close_segment(hls);
	hls->broken = hls->next_number > 0;
	if (!init->web || (last && fragment_init_equal(last->init, init->web)))
		return;
	made = xcalloc(1, sizeof(*made));
	made->number = ++hls->next_init;
	made->init = fragment_init_ref(init->web);
	TAILQ_INSERT_TAIL(&hls->inits, made, entry);
}

static bool hls_is_boundary(const struct hls_segment *open, const struct fragment *next)
{
	return (next->keyframe && open->duration_us >= SEGMENT_MIN_US) ||
	       open->duration_us + next->duration_us > SEGMENT_MAX_US ||
	       open->n == SEGMENT_FRAGMENTS;
}

static void hls_on_fragment(struct fragment_reader *reader, struct fragment *full)
{
	struct hls *hls = CONTAINER_OF(reader, struct hls, reader);
	struct fragment *fragment = fragment_web(full);

	if (!fragment)
		return;
	if (hls->open && hls_is_boundary(hls->open, fragment))
		hls_close_segment(hls);
	if (!hls->has_origin) {
		hls->origin_us = fragment_origin_us(fragment);
		hls->has_origin = true;
	}
	if (!hls->open) {
		hls->open = xcalloc(1, sizeof(*hls->open));
		hls->open->number = hls->next_number++;
		hls->open->init = hls->next_init;
		hls->open->start_us = fragment->start_us;
		hls->open->discontinuity = hls->broken;
		hls->broken = false;
	}
	hls->open->fragments[hls->open->n++] = fragment_ref(fragment);
	hls->open->bytes += fragment->bytes;
	hls->open->duration_us += fragment->duration_us;
	if (!TAILQ_EMPTY(&hls->waiters))
		hls_close_segment(hls); /* somebody waits for the first picture */
}

static void hls_on_end(struct fragment_reader *reader)
{
	hls_close_segment(CONTAINER_OF(reader, struct hls, reader));
}

static const struct fragment_reader_events hls_reader_events = {
	.on_init = hls_on_init,
	.on_fragment = hls_on_fragment,
	.on_end = hls_on_end,
};

/* --- life --- */

static void hls_free(struct hls *hls)
{
	struct hls_init *init;

	LIST_REMOVE(hls, entry);
	fragmenter_unsubscribe(&hls->reader);
	hls_segment_free(hls->open);
	hls->open = NULL;
	while (!TAILQ_EMPTY(&hls->segments))
		hls_drop_oldest(hls);
	hls_answer_waiters(hls);
	while ((init = TAILQ_FIRST(&hls->inits))) {
		TAILQ_REMOVE(&hls->inits, init, entry);
		fragment_init_unref(&init->init);
		free(init);
	}
	reactor_timer_free(&hls->idle_timer);
	reactor_timer_free(&hls->wait_timer);
	metric_add(hls->sessions, -1);
	free(hls);
}

static void hls_on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hls_free(arg);
}

static void hls_on_wait(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hls_answer_waiters(arg);
}

static struct hls *hls_new(struct stream *stream)
{
	struct hls *hls = xcalloc(1, sizeof(*hls));

	hls->stream = stream;
	TAILQ_INIT(&hls->inits);
	TAILQ_INIT(&hls->segments);
	TAILQ_INIT(&hls->waiters);
	hls->idle_timer = reactor_timer_new(hls_on_idle, hls);
	hls->wait_timer = reactor_timer_new(hls_on_wait, hls);
	hls->sessions = metric_get(METRIC_SESSIONS, "hls");
	metric_add(hls->sessions, 1);
	LIST_INSERT_HEAD(&playlists, hls, entry);
	fragmenter_subscribe(stream, &hls->reader, &hls_reader_events, true);
	hls_close_segment(
		hls); /* the pictures at hand are a first segment, so that play starts now */
	return hls;
}

static struct hls *hls_find(const struct stream *stream)
{
	struct hls *hls;

	LIST_FOREACH (hls, &playlists, entry) {
		if (hls->stream == stream)
			return hls;
	}
	return NULL;
}

void hls_forget_stream(const struct stream *stream)
{
	struct hls *hls = hls_find(stream);

	if (hls)
		hls_free(hls);
}

void hls_fini(void)
{
	while (!LIST_EMPTY(&playlists))
		hls_free(LIST_FIRST(&playlists));
}

/* --- requests --- */

static void hls_on_waiter_gone(void *context)
{
	struct hls_waiter *waiter = context;

	if (waiter->hls)
		TAILQ_REMOVE(&waiter->hls->waiters, waiter, entry);
	free(waiter);
}

static void hls_get_playlist(struct hls *hls, struct http_request *request)
{
	struct hls_waiter *waiter;

	if (!TAILQ_EMPTY(&hls->segments)) {
		hls_answer_playlist(hls, request);
		return;
	}
	waiter = xcalloc(1, sizeof(*waiter));
	waiter->hls = hls;
	waiter->request = request;
	TAILQ_INSERT_TAIL(&hls->waiters, waiter, entry);
	http_set_context(request, waiter, hls_on_waiter_gone);
	reactor_timer_start(hls->wait_timer, WAIT_US);
}

/* The number between prefix and suffix of a file's name, or -1. */
static int64_t hls_file_number(const char *file, const char *prefix, const char *suffix)
{
	size_t n = strlen(prefix);
	char *end;
	unsigned long long number;

	if (strncmp(file, prefix, n) || file[n] < '0' || file[n] > '9')
		return -1;
	number = strtoull(file + n, &end, 10);
	return strcmp(end, suffix) || number > INT64_MAX ? -1 : (int64_t)number;
}

static bool hls_get_init(struct hls *hls, struct http_request *request, int64_t number)
{
	struct hls_init *init;
	struct evbuffer *body;

	TAILQ_FOREACH (init, &hls->inits, entry) {
		if (init->number != number)
			continue;
		body = evbuffer_new();
		evbuffer_add(body, init->init->data, init->init->bytes);
		http_answer(request, 200, "video/mp4", body);
		evbuffer_free(body);
		return true;
	}
	return false;
}

static bool hls_get_segment(struct hls *hls, struct http_request *request, int64_t number)
{
	struct hls_segment *segment;
	struct evbuffer *body;

	TAILQ_FOREACH (segment, &hls->segments, entry) {
		if (segment->number != (uint64_t)number)
			continue;
		body = evbuffer_new();
		for (size_t i = 0; i < segment->n; i++)
			fragment_append(segment->fragments[i], hls->origin_us, body);
		http_answer(request, 200, "video/mp4", body);
		evbuffer_free(body);
		return true;
	}
	return false;
}

void hls_get(struct http_request *request, struct stream *stream, const char *file)
{
	int64_t init = hls_file_number(file, "init-", ".mp4");
	int64_t segment = hls_file_number(file, "seg-", ".m4s");
	bool playlist = !strcmp(file, "index.m3u8");
	struct hls *hls = hls_find(stream);

	if (!hls && playlist) {
		if (!stream_is_up(stream)) {
			http_add_field(request, "Retry-After", "2");
			http_answer_error(request, 503, "The camera is offline.");
			return;
		}
		hls = hls_new(stream);
	}
	if (hls)
		reactor_timer_start(hls->idle_timer, IDLE_US);
	if (hls && playlist)
		hls_get_playlist(hls, request);
	else if (!hls || !((init >= 0 && hls_get_init(hls, request, init)) ||
				 (segment >= 0 && hls_get_segment(hls, request, segment))))
		http_answer_error(request, 404, "This segment is not in the playlist any more.");
}
