/* An endless fragmented MP4 over HTTP, from the fragments that recordings consist of. */
#include "protocols/mp4_live.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/sound_stream.h"
#include "server/media/stream.h"
#include "storage/fragmenter.h"
#include "storage/sample_entry.h"

enum {
	UNSENT_BYTES = 4 << 20, /* above it the reader is slow and skips to the next keyframe */
	STUCK_US = 20000000,    /* nothing taken for so long while slow: closed */
	OFFLINE_RETRY_S = 2,
};

enum mp4_live_state {
	MP4_LIVE_WAITING,  /* for a run to begin */
	MP4_LIVE_SKIPPING, /* for a keyframe */
	MP4_LIVE_SENDING,
};

struct mp4_live {
	struct fragment_reader reader;
	struct http_request *request;
	struct fragment_init
		*init; /* what was sent, of the tracks that browsers play; NULL before */
	int64_t origin_us;
	enum mp4_live_state state;
	bool has_origin;
	size_t unsent_before; /* at the last look, to see progress */
	int64_t progress_us;  /* monotonic */
	struct metric *skipped, *sessions;
};

static void mp4_live_send_init(struct mp4_live *live, struct fragment_init *init)
{
	struct evbuffer *body = evbuffer_new();
	char type[160];

	live->init = fragment_init_ref(init);
	http_add_field(live->request, "Cache-Control", "no-store");
	evutil_snprintf(type, sizeof(type), "video/mp4; codecs=\"%s\"", init->codecs);
	http_start(live->request, 200, type, HTTP_UNKNOWN);
	evbuffer_add(body, init->data, init->bytes);
	http_send(live->request, body);
	evbuffer_free(body);
}

static void mp4_live_on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	struct mp4_live *live = CONTAINER_OF(reader, struct mp4_live, reader);
	struct fragment_init *sent = live->init;

	live->state = MP4_LIVE_SKIPPING;
	if (!sent && init->web) {
		mp4_live_send_init(live, init->web);
	} else if (sent && (!init->web || !fragment_init_equal(sent, init->web))) {
		fragmenter_unsubscribe(reader);
		http_end(live->request); /* another codec or size: the player starts anew */
	}
}

/* Follows how much the reader is behind; returns whether it took nothing for too long. */
static bool mp4_live_is_stuck(struct mp4_live *live, size_t unsent)
{
	int64_t now = reactor_monotonic_us();

	if (unsent <= UNSENT_BYTES || unsent < live->unsent_before)
		live->progress_us = now;
	live->unsent_before = unsent;
	return now - live->progress_us > STUCK_US;
}

static void mp4_live_on_fragment(struct fragment_reader *reader, struct fragment *full)
{
	struct mp4_live *live = CONTAINER_OF(reader, struct mp4_live, reader);
	size_t unsent = http_unsent(live->request);
	const struct fragment *fragment = fragment_web(full);
	struct evbuffer *body;

	if (!fragment)
		return;
	if (mp4_live_is_stuck(live, unsent)) {
		http_abort(live->request);
		return;
	}
	if (unsent > UNSENT_BYTES)
		live->state = MP4_LIVE_SKIPPING;
	else if (fragment->keyframe)
		live->state = MP4_LIVE_SENDING;
	if (live->state != MP4_LIVE_SENDING) {
		metric_add(live->skipped, (double)fragment->n_packets);
		return;
	}
	if (!live->has_origin) {
		live->origin_us = fragment_origin_us(fragment);
		live->has_origin = true;
	}
	body = evbuffer_new();
	fragment_append(fragment, live->origin_us, body);
	http_send(live->request, body);
	evbuffer_free(body);
}

static void mp4_live_on_end(struct fragment_reader *reader)
{
	struct mp4_live *live = CONTAINER_OF(reader, struct mp4_live, reader);

	live->state = MP4_LIVE_WAITING;
}

static const struct fragment_reader_events mp4_live_events = {
	.on_init = mp4_live_on_init,
	.on_fragment = mp4_live_on_fragment,
	.on_end = mp4_live_on_end,
};

static void mp4_live_on_gone(void *context)
{
	struct mp4_live *live = context;

	fragmenter_unsubscribe(&live->reader);
	fragment_init_unref(&live->init);
	metric_add(live->sessions, -1);
	free(live);
}

/* The stream, or that with AAC in place of sound that browsers do not play in MP4. */
static struct stream *mp4_live_source(struct stream *stream)
{
	int sound = stream_find_track(stream, AVMEDIA_TYPE_AUDIO);
	struct stream *made = NULL;

	if (sound >= 0 && !sample_entry_is_web(stream_track(stream, (size_t)sound)->parameters))
		made = sound_stream_of(stream, SOUND_AAC_SOON);
	return made ? made : stream;
}

void mp4_live_get(struct http_request *request, struct stream *stream, const char *file)
{
	struct mp4_live *live;

	(void)file;
	if (!stream_is_up(stream)) {
		http_add_field(request, "Retry-After", "%d", OFFLINE_RETRY_S);
		http_answer_error(request, 503, "The camera is offline.");
		return;
	}
	if (http_is_head(request)) {
		http_add_field(request, "Cache-Control", "no-store");
		http_answer(request, 200, "video/mp4", NULL);
		return;
	}
	live = xcalloc(1, sizeof(*live));
	live->request = request;
	live->progress_us = reactor_monotonic_us();
	live->skipped = metric_get(METRIC_READER_SKIPPED, "mp4");
	live->sessions = metric_get(METRIC_SESSIONS, "mp4");
	metric_add(live->sessions, 1);
	http_set_context(request, live, mp4_live_on_gone);
	fragmenter_subscribe(mp4_live_source(stream), &live->reader, &mp4_live_events, true);
}
