/*
 * HLS of live streams: whose playlist is kept, and for how long; requests, and those that wait for
 * what is not there yet (RFC 8216bis sections 6.2.5.2, 6.2.6).
 */
#include "protocols/hls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "protocols/hls_private.h"
#include "protocols/http_server.h"
#include "protocols/message.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/sound_stream.h"
#include "server/media/stream.h"
#include "storage/fragmenter.h"

enum {
	IDLE_US = 30000000,                   /* nobody asked for so long: the playlist goes */
	WAIT_US = 3 * HLS_TARGET_S * 1000000, /* then a request that waits is refused */
	WAITERS = 2048,                       /* of a stream; one more is refused */
	ANSWERS_AT_ONCE = 64,                 /* then others have their turn on the reactor */
	STREAM_NAME_BYTES = 72,
	DIRECTIVE_BYTES = 24,
};

/* A request that waits for a playlist with that segment and part, or for that part itself. */
struct hls_waiter {
	TAILQ_ENTRY(hls_waiter) entry;
	struct hls *hls; /* NULL: it waits no more */
	struct http_request *request;
	bool wants_part; /* number `part`; else the playlist */
	struct hls_directives wanted;
	int64_t until_us; /* monotonic */
};

struct hls {
	LIST_ENTRY(hls) entry;
	struct stream *stream;
	struct stream *source; /* whose fragments they are: hls_choose_source() */
	struct fragment_reader reader;
	struct hls_window window;
	struct evbuffer
		*playlists[2]; /* whole and delta, shared by all answers; NULL: to be written */
	TAILQ_HEAD(, hls_waiter)
	waiters; /* limit WAITERS, METRIC_HLS_WAITING; who came first is first */
	size_t n_waiters;
	bool is_new; /* it takes what is at hand */
	struct event *idle_timer, *wait_timer, *answer_timer;
	struct metric *sessions, *waiting;
};

static LIST_HEAD(, hls) all = LIST_HEAD_INITIALIZER(all);

static struct hls *hls_find(const struct stream *stream)
{
	struct hls *hls;

	LIST_FOREACH (hls, &all, entry) {
		if (hls->stream == stream)
			return hls;
	}
	return NULL;
}

const struct hls_window *hls_window_of(const struct hls *hls)
{
	return &hls->window;
}

struct stream *hls_sibling(const struct stream *stream)
{
	const char *name = stream_name(stream), *slash = strchr(name, '/');
	char other[STREAM_NAME_BYTES];

	if (slash)
		(void)snprintf(other, sizeof(other), "%.*s", (int)(slash - name), name);
	else
		(void)snprintf(other, sizeof(other), "%s/sub", name);
	return stream_find(other);
}

/* --- playlists, written once for all who ask --- */

static void hls_forget_playlists(struct hls *hls)
{
	for (size_t i = 0; i < ARRAY_LENGTH(hls->playlists); i++) {
		if (hls->playlists[i])
			evbuffer_free(hls->playlists[i]);
		hls->playlists[i] = NULL;
	}
}

/* What is to be said of the other stream; false: nothing. */
static bool hls_report_on_sibling(const struct hls *hls, struct hls_report *ret)
{
	struct stream *sibling = hls_sibling(hls->stream);
	const struct hls *other = sibling ? hls_find(sibling) : NULL;
	const struct hls_segment *last = other ? hls_window_last(&other->window) : NULL;

	if (!last)
		return false;
	ret->uri = strchr(stream_name(sibling), '/') ? "sub/media.m3u8" : "../media.m3u8";
	ret->segment = last->number;
	ret->part = last->is_partless ? HLS_NO_PART : last->n - 1;
	return true;
}

static struct evbuffer *hls_playlist(struct hls *hls, bool delta)
{
	struct evbuffer **playlist = &hls->playlists[delta];
	struct hls_report report;

	if (!*playlist) {
		*playlist = evbuffer_new();
		hls_playlist_write(&hls->window, delta,
			hls_report_on_sibling(hls, &report) ? &report : NULL, *playlist);
	}
	return *playlist;
}

static void hls_answer_playlist(struct hls *hls, struct http_request *request, bool delta)
{
	struct evbuffer *body = evbuffer_new();

	if (evbuffer_add_buffer_reference(body, hls_playlist(hls, delta)))
		abort();
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "application/vnd.apple.mpegurl", body);
	evbuffer_free(body);
}

/* No name is used twice, but what is sent is for who asked, with his password. */
static void hls_answer_media(struct http_request *request, struct evbuffer *body)
{
	http_add_field(request, "Cache-Control", "private, max-age=60, immutable");
	http_answer(request, 200, "video/mp4", body);
}

static void hls_answer_gone(struct http_request *request)
{
	http_answer_error(request, 404, "This segment is not in the playlist any more.");
}

static void hls_answer_offline(struct http_request *request)
{
	http_add_field(request, "Retry-After", "2");
	http_answer_error(request, 503, "The camera is offline.");
}

static void hls_answer_part(struct hls *hls, struct http_request *request, uint64_t number)
{
	struct evbuffer *body = evbuffer_new();

	if (hls_window_append_part(&hls->window, number, body))
		hls_answer_media(request, body);
	else
		hls_answer_gone(request);
	evbuffer_free(body);
}

/* --- requests that wait --- */

/* They are one less: it is answered, or its client has gone. */
static void hls_waiter_leave(struct hls_waiter *waiter)
{
	struct hls *hls = waiter->hls;

	if (!hls)
		return;
	TAILQ_REMOVE(&hls->waiters, waiter, entry);
	hls->n_waiters--;
	metric_add(hls->waiting, -1);
	waiter->hls = NULL;
}

static void hls_on_waiter_gone(void *context)
{
	hls_waiter_leave(context);
	free(context);
}

static bool hls_has_wanted(const struct hls *hls, bool part, const struct hls_directives *wanted)
{
	return part ? wanted->part < hls->window.next_part
		    : hls_window_has(&hls->window, wanted->segment, wanted->part);
}

static void hls_answer(struct hls *hls, struct http_request *request, bool part,
	const struct hls_directives *wanted)
{
	if (part)
		hls_answer_part(hls, request, wanted->part);
	else
		hls_answer_playlist(hls, request, wanted->skip);
}

/* Answers who waited for what is there now. */
static void hls_on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct hls *hls = arg;
	struct hls_waiter *waiter, *next;
	unsigned answered = 0;

	(void)fd, (void)what;
	for (waiter = TAILQ_FIRST(&hls->waiters); waiter; waiter = next) {
		next = TAILQ_NEXT(waiter, entry);
		if (!hls_has_wanted(hls, waiter->wants_part, &waiter->wanted))
			continue;
		if (answered++ == ANSWERS_AT_ONCE) {
			reactor_timer_start(hls->answer_timer, 0);
			break;
		}
		hls_waiter_leave(waiter);
		hls_answer(hls, waiter->request, waiter->wants_part, &waiter->wanted);
	}
	hls_index_look();
}

/* Refuses who has waited for too long. */
static void hls_on_wait(evutil_socket_t fd, short what, void *arg)
{
	struct hls *hls = arg;
	struct hls_waiter *waiter;
	int64_t now_us = reactor_monotonic_us();

	(void)fd, (void)what;
	while ((waiter = TAILQ_FIRST(&hls->waiters))) {
		if (waiter->until_us > now_us) {
			reactor_timer_start(hls->wait_timer, waiter->until_us - now_us);
			return;
		}
		hls_waiter_leave(waiter);
		hls_answer_offline(waiter->request);
	}
}

static void hls_wait(struct hls *hls, struct http_request *request, bool part,
	const struct hls_directives *wanted)
{
	struct hls_waiter *waiter;

	if (hls->n_waiters == WAITERS) {
		http_add_field(request, "Retry-After", "1");
		http_answer_error(request, 503, "Too many players wait for this stream.");
		return;
	}
	waiter = xcalloc(1, sizeof(*waiter));
	waiter->hls = hls;
	waiter->request = request;
	waiter->wants_part = part;
	waiter->wanted = *wanted;
	waiter->until_us = reactor_monotonic_us() + WAIT_US;
	if (TAILQ_EMPTY(&hls->waiters))
		reactor_timer_start(hls->wait_timer, WAIT_US);
	TAILQ_INSERT_TAIL(&hls->waiters, waiter, entry);
	hls->n_waiters++;
	metric_add(hls->waiting, 1);
	http_set_context(request, waiter, hls_on_waiter_gone);
}

/* --- what the fragmenter gives --- */

static void hls_subscribe(struct hls *hls);

/* Whoever publishes is in the middle of something: answers come in the reactor's next turn. */
static void hls_changed(struct hls *hls)
{
	struct stream *sibling = hls_sibling(hls->stream);
	struct hls *other = sibling ? hls_find(sibling) : NULL;

	hls_forget_playlists(hls);
	if (other)
		hls_forget_playlists(other); /* which reports on this one */
	reactor_timer_start(hls->answer_timer, 0);
}

/* The stream, or that with AAC in place of other sound, which is all that every player of HLS has. */
static struct stream *hls_choose_source(const struct hls *hls)
{
	struct stream *made = sound_stream_of(hls->stream, SOUND_AAC_SOON);

	return made ? made : hls->stream;
}

static void hls_on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	struct hls *hls = CONTAINER_OF(reader, struct hls, reader);

	if (hls_choose_source(hls) != hls->source) { /* the camera has other sound than before */
		fragmenter_unsubscribe(reader);
		hls_subscribe(hls);
		return;
	}
	hls_window_begin(&hls->window, init->web);
	hls_changed(hls);
}

static void hls_on_fragment(struct fragment_reader *reader, struct fragment *full)
{
	struct hls *hls = CONTAINER_OF(reader, struct hls, reader);
	struct fragment *fragment = fragment_web(full);
	bool first = !hls_window_last(&hls->window);

	if (!fragment)
		return;
	hls_window_add(&hls->window, fragment);
	if (first && !hls->is_new) /* players begin with a whole segment, however short */
		hls_window_close_segment(&hls->window);
	hls_changed(hls);
}

static void hls_on_end(struct fragment_reader *reader)
{
	struct hls *hls = CONTAINER_OF(reader, struct hls, reader);

	hls_window_close_segment(&hls->window);
	hls_changed(hls);
}

static const struct fragment_reader_events hls_reader_events = {
	.on_init = hls_on_init,
	.on_fragment = hls_on_fragment,
	.on_end = hls_on_end,
};

static void hls_subscribe(struct hls *hls)
{
	hls->source = hls_choose_source(hls);
	fragmenter_subscribe(hls->source, &hls->reader, &hls_reader_events, true);
}

/* --- life --- */

static void hls_free(struct hls *hls)
{
	struct hls_waiter *waiter;

	LIST_REMOVE(hls, entry);
	fragmenter_unsubscribe(&hls->reader);
	while ((waiter = TAILQ_FIRST(&hls->waiters))) {
		hls_waiter_leave(waiter);
		hls_answer_offline(waiter->request);
	}
	hls_window_fini(&hls->window);
	hls_forget_playlists(hls);
	reactor_timer_free(&hls->idle_timer);
	reactor_timer_free(&hls->wait_timer);
	reactor_timer_free(&hls->answer_timer);
	metric_add(hls->sessions, -1);
	free(hls);
}

static void hls_on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hls_free(arg);
}

static struct hls *hls_new(struct stream *stream)
{
	struct hls *hls = xcalloc(1, sizeof(*hls));

	hls->stream = stream;
	hls_window_init(&hls->window, reactor_now_us());
	TAILQ_INIT(&hls->waiters);
	hls->idle_timer = reactor_timer_new(hls_on_idle, hls);
	hls->wait_timer = reactor_timer_new(hls_on_wait, hls);
	hls->answer_timer = reactor_timer_new(hls_on_answer, hls);
	hls->sessions = metric_get(METRIC_SESSIONS, "hls");
	hls->waiting = metric_get(METRIC_HLS_WAITING);
	metric_add(hls->sessions, 1);
	LIST_INSERT_HEAD(&all, hls, entry);
	hls->is_new = true;
	hls_subscribe(hls);
	hls->is_new = false;
	/* the pictures at hand are a first segment, so that play starts now */
	hls_window_close_segment(&hls->window);
	return hls;
}

struct hls *hls_wake(struct stream *stream)
{
	struct hls *hls = hls_find(stream);

	if (!hls)
		hls = hls_new(stream);
	reactor_timer_start(hls->idle_timer, IDLE_US);
	return hls;
}

void hls_forget_stream(const struct stream *stream)
{
	struct hls *hls = hls_find(stream);

	if (hls)
		hls_free(hls);
}

void hls_fini(void)
{
	while (!LIST_EMPTY(&all))
		hls_free(LIST_FIRST(&all));
}

/* --- requests --- */

static const char *hls_query(
	const struct http_request *request, const char *name, char ret[DIRECTIVE_BYTES])
{
	return http_query(request, name, ret, DIRECTIVE_BYTES) ? ret : NULL;
}

static void hls_get_playlist(struct hls *hls, struct http_request *request)
{
	char msn[DIRECTIVE_BYTES], part[DIRECTIVE_BYTES], skip[DIRECTIVE_BYTES];
	struct hls_directives wanted;
	const char *why;

	if (hls_directives_parse(&wanted, hls_query(request, "_HLS_msn", msn),
		    hls_query(request, "_HLS_part", part), hls_query(request, "_HLS_skip", skip),
		    &why)) {
		http_answer_error(request, 400, "%s", why);
		return;
	}
	if (wanted.segment == HLS_DIRECTIVE_NONE)
		wanted.segment = 0; /* whatever there is */
	if (hls_window_is_far(&hls->window, wanted.segment, wanted.part))
		http_answer_error(request, 400, "That is too far ahead.");
	else if (hls_has_wanted(hls, false, &wanted))
		hls_answer(hls, request, false, &wanted);
	else
		hls_wait(hls, request, false, &wanted);
}

/* The part that was hinted at is waited for. */
static void hls_get_part(struct hls *hls, struct http_request *request, uint64_t number)
{
	const struct hls_directives wanted = { .part = number };

	if (number == hls->window.next_part)
		hls_wait(hls, request, true, &wanted);
	else
		hls_answer_part(hls, request, number);
}

static void hls_get_segment(struct hls *hls, struct http_request *request, uint64_t number)
{
	struct hls_segment *segment = hls_window_find_segment(&hls->window, number);
	struct evbuffer *body;

	if (!segment || segment->is_open) {
		hls_answer_gone(request);
		return;
	}
	body = evbuffer_new();
	hls_segment_append(segment, body);
	hls_answer_media(request, body);
	evbuffer_free(body);
}

static void hls_get_init(struct hls *hls, struct http_request *request, uint64_t number)
{
	const struct fragment_init *init = hls_window_find_init(&hls->window, number);
	struct evbuffer *body;

	if (!init) {
		hls_answer_gone(request);
		return;
	}
	body = evbuffer_new();
	evbuffer_add(body, init->data, init->bytes);
	hls_answer_media(request, body);
	evbuffer_free(body);
}

// clang-format off
static const struct hls_file {
	const char *prefix, *suffix;
	void (*get)(struct hls *hls, struct http_request *request, uint64_t number);
} hls_files[] = {
	{ "init-", ".mp4", hls_get_init },
	{ "seg-",  ".m4s", hls_get_segment },
	{ "part-", ".m4s", hls_get_part },
};
// clang-format on

/* The row of a file's name, and the number in it; or NULL. */
static const struct hls_file *hls_file_find(const char *name, uint64_t *number)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_LENGTH(hls_files); i++) {
		size_t before = strlen(hls_files[i].prefix), after = strlen(hls_files[i].suffix);
		struct message_text digits = { name + before, n - before - after };

		if (n > before + after && strncmp(name, hls_files[i].prefix, before) == 0 &&
			strcmp(name + n - after, hls_files[i].suffix) == 0 &&
			message_text_number(digits, INT64_MAX, number))
			return &hls_files[i];
	}
	return NULL;
}

void hls_get(struct http_request *request, struct stream *stream, const char *name)
{
	struct hls *hls = hls_find(stream);
	const struct hls_file *file;
	uint64_t number;

	if (strcmp(name, "media.m3u8") == 0) {
		if (hls || stream_is_up(stream))
			hls_get_playlist(hls_wake(stream), request);
		else
			hls_answer_offline(request);
		return;
	}
	file = hls_file_find(name, &number);
	if (hls && file)
		file->get(hls_wake(stream), request, number);
	else
		hls_answer_gone(request);
}
