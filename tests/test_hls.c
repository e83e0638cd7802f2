/* Low-Latency HLS: the window of segments and parts, playlists of it, and requests that wait (RFC 8216bis). */
#include "protocols/hls.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>

#include "protocols/hls_directives.h"
#include "protocols/hls_private.h"
#include "protocols/http_server.h"
#include "protocols/live.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"
#include "tests/synthetic.h"

enum {
	PICTURE_BYTES = 100,
	PART = 12, /* pictures, at 25 a second: 480 ms */
	GROUP = 50,
	NAME_BYTES = 80
};

#define NOW_S INT64_C(1795185000)

static struct stream_track tracks[2];
static struct fragment_init *init;
static struct hls_window window;
static unsigned made; /* pictures */

/* --- the window --- */

static int set_up(void **state)
{
	(void)state;
	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 1);
	hls_window_init(&window, NOW_S * 1000000);
	hls_window_begin(&window, init->web);
	made = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	hls_window_fini(&window);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
	return 0;
}

static void add_bytes(unsigned pictures, bool keyframe, size_t bytes)
{
	struct fragment *fragment = synthetic_fragment(init, made, pictures, bytes);

	fragment->keyframe = keyframe;
	made += pictures;
	hls_window_add(&window, fragment);
	fragment_unref(&fragment);
}

static void add(unsigned pictures, bool keyframe)
{
	add_bytes(pictures, keyframe, PICTURE_BYTES);
}

/* Two seconds: four parts, and what is left before the next keyframe. */
static void add_group(void)
{
	for (unsigned i = 0; i < GROUP; i += PART)
		add(GROUP - i < PART ? GROUP - i : PART, i == 0);
}

static char *playlist(bool delta)
{
	struct evbuffer *out = evbuffer_new();
	size_t n;
	char *text;

	hls_playlist_write(&window, delta, NULL, out);
	n = evbuffer_get_length(out);
	text = xmalloc(n + 1);
	evbuffer_remove(out, text, n);
	text[n] = '\0';
	evbuffer_free(out);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* The number behind a tag. */
static uint64_t number_of(const char *text, const char *tag)
{
	const char *at = strstr(text, tag);

	assert_non_null(at);
	return strtoull(at + strlen(tag), NULL, 10);
}

static void test_a_playlist_as_the_draft_has_it(void **state)
{
	uint64_t segment = window.next_segment, part = window.next_part;
	char expected[2048], *text;

	(void)state;
	add_group();
	add(PART, true);
	snprintf(expected, sizeof(expected),
		"#EXTM3U\n"
		"#EXT-X-VERSION:6\n"
		"#EXT-X-TARGETDURATION:4\n"
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.62,CAN-SKIP-UNTIL=24\n"
		"#EXT-X-PART-INF:PART-TARGET=0.54\n"
		"#EXT-X-MEDIA-SEQUENCE:%" PRIu64 "\n"
		"#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n"
		"#EXT-X-MAP:URI=\"init-%" PRIu64 ".mp4\"\n"
		"#EXT-X-PROGRAM-DATE-TIME:2026-11-20T14:30:00.000Z\n"
		"#EXT-X-PART:DURATION=0.480000,URI=\"part-%" PRIu64 ".m4s\",INDEPENDENT=YES\n"
		"#EXT-X-PART:DURATION=0.480000,URI=\"part-%" PRIu64 ".m4s\"\n"
		"#EXT-X-PART:DURATION=0.480000,URI=\"part-%" PRIu64 ".m4s\"\n"
		"#EXT-X-PART:DURATION=0.480000,URI=\"part-%" PRIu64 ".m4s\"\n"
		"#EXT-X-PART:DURATION=0.080000,URI=\"part-%" PRIu64 ".m4s\"\n"
		"#EXTINF:2.000000,\n"
		"seg-%" PRIu64 ".m4s\n"
		"#EXT-X-PROGRAM-DATE-TIME:2026-11-20T14:30:02.000Z\n"
		"#EXT-X-PART:DURATION=0.480000,URI=\"part-%" PRIu64 ".m4s\",INDEPENDENT=YES\n"
		"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-%" PRIu64 ".m4s\"\n",
		segment, window.discontinuities, segment, part, part + 1, part + 2, part + 3,
		part + 4, segment, part + 5, part + 6);
	text = playlist(false);
	assert_string_equal(text, expected);
	free(text);
}

/* What stands in a row is pictures of each fragment ('k' before: a keyframe), and where segments end. */
static void test_where_segments_end(void **state)
{
	static const struct {
		const char *fragments;
		const char *segments; /* parts of each; '-' for one that lists none */
	} rows[] = {
		{"k12 12 12 12 2 k12 12 12 12 2 k12", "5 5 1"}, /* at keyframes */
		{ "k12 k12 12 k12",                   "3 1"  }, /* but not within 0.9 s of the beginning */
		{ "k12 3 k12 3 k12",
                 "2 2 1"				     }, /* unless a part is short, which the last one may be */
		{ "k3 k3 k3 k3 k3 k3 k3 k3 k3",
                 "8 1"				       }, /* short ones with a keyframe may be anywhere */
		{ "k12 12 12 12 12 12 12 12 12 12",   "9 1"  }, /* and before 4.45 s are over */
		{ "k12 12 20 12 12",                  "2 - 2"}, /* longer than PART-TARGET: a segment of its own */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct hls_segment *segment;
		char seen[64] = "";
		const char *p = rows[i].fragments;

		hls_window_fini(&window);
		hls_window_init(&window, NOW_S * 1000000);
		hls_window_begin(&window, init->web);
		while (*p) {
			bool keyframe = *p == 'k';
			char *end;

			add((unsigned)strtoul(p + keyframe, &end, 10), keyframe);
			p = *end ? end + 1 : end;
		}
		TAILQ_FOREACH (segment, &window.segments, entry) {
			size_t at = strlen(seen);

			if (segment->is_partless)
				snprintf(seen + at, sizeof(seen) - at, " -");
			else
				snprintf(seen + at, sizeof(seen) - at, " %zu", segment->n);
		}
		assert_string_equal(seen + 1, rows[i].segments);
	}
}

static void test_a_picture_that_stood_for_long(void **state)
{
	char *text;

	(void)state;
	add_group();
	add(PART, true);
	add(150, false); /* six seconds, more than a segment may last */
	add(PART, true);
	text = playlist(false);
	assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 1);
	assert_non_null(strstr(text, "#EXTINF:4.450000,\n"));
	assert_int_equal(count(text, "#EXT-X-MAP"), 2);
	free(text);
}

static void test_what_a_request_waits_for(void **state)
{
	uint64_t first = window.next_segment;
	static const struct {
		unsigned segment; /* after the first */
		uint64_t part;
		bool has, is_far;
	} rows[] = {
		{0,  0,           true,  false},
		{ 0, HLS_NO_PART, true,  false},
		{ 0, 4,           true,  false},
		{ 0, 99,          true,  false}, /* more than it has: the first one of the next */
		{ 1, 0,           true,  false},
		{ 1, 1,           true,  false},
		{ 1, 2,           false, false}, /* what is to come */
		{ 1, HLS_NO_PART, false, false},
		{ 2, 0,           false, false},
		{ 2, HLS_NO_PART, false, false}, /* the last one that is whole, and two */
		{ 3, 0,           false, true },
		{ 3, HLS_NO_PART, false, true },
		{ 1, 6,           false, false}, /* 3 s / 0.54 s: five ahead of the last one, which is 1 */
		{ 1, 7,           false, true },
		{ 2, 5,           false, true },
	};

	(void)state;
	assert_false(hls_window_has(&window, 0, HLS_NO_PART)); /* as long as it is empty */
	add_group();
	add(PART, true);
	add(PART, false);
	assert_true(hls_window_has(&window, 0, HLS_NO_PART)); /* long gone */
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bool has = hls_window_has(&window, first + rows[i].segment, rows[i].part);
		bool is_far = hls_window_is_far(&window, first + rows[i].segment, rows[i].part);

		if (has != rows[i].has || is_far != rows[i].is_far)
			fail_msg("row %zu: %d %d", i, has, is_far);
	}
	hls_window_close_segment(&window);
	assert_true(hls_window_has(&window, first + 1, HLS_NO_PART));
	assert_false(hls_window_has(&window, first + 1, 2));
	assert_false(hls_window_is_far(&window, first + 3, 0));
	assert_true(hls_window_is_far(&window, first + 4, HLS_NO_PART));
}

static void test_old_segments_leave_the_playlist_and_then_the_memory(void **state)
{
	uint64_t first = window.next_segment;
	char *text;

	(void)state;
	for (unsigned i = 0; i < 14; i++)
		add_group();
	text = playlist(false);
	assert_int_equal(number_of(text, "#EXT-X-MEDIA-SEQUENCE:"), first);
	free(text);
	add_group();
	text = playlist(false); /* 28 s stay, seven target durations */
	assert_int_equal(number_of(text, "#EXT-X-MEDIA-SEQUENCE:"), first + 1);
	assert_int_equal(count(text, "#EXTINF"), 13); /* and one that is open */
	assert_int_equal(
		count(text, "#EXT-X-PART:"), 6 * 5); /* of those that end within 12 s of the end */
	free(text);
	for (unsigned i = 0; i < 5; i++)
		add_group();
	assert_non_null(
		hls_window_find_segment(&window, first)); /* who is behind may still get it */
	add_group();
	assert_null(hls_window_find_segment(&window, first));
	assert_non_null(hls_window_find_segment(&window, first + 1));
	assert_non_null(hls_window_find_init(&window, first)); /* of all that follow */
}

static void test_too_many_bytes_make_it_shorter(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		add_bytes(PART, i % 4 == 0, 100000); /* 20 Mbit/s */
	assert_true(window.bytes <= 32 << 20);
	assert_true(window.bytes > 24 << 20);
	add_bytes(PART, true, 3 << 20); /* two stay, whatever they hold */
	add_bytes(PART, true, 3 << 20);
	add_bytes(PART, true, 3 << 20);
	assert_true(window.n >= 2);
}

static void test_a_delta_leaves_out_what_is_old(void **state)
{
	unsigned skipped;
	char *text, *delta, *rest;

	(void)state;
	add_group();
	text = playlist(false);
	delta = playlist(true);
	assert_string_equal(delta, text); /* there is nothing to skip */
	free(text);
	free(delta);
	for (unsigned i = 0; i < 14; i++)
		add_group();
	text = playlist(false);
	delta = playlist(true);
	assert_int_equal(number_of(delta, "#EXT-X-VERSION:"), 9);
	skipped = (unsigned)number_of(delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS=");
	assert_int_equal(skipped,
		1); /* of 14 that last two seconds each: the next one ends 24 s from the end */
	assert_int_equal(count(delta, "#EXTINF") + skipped, count(text, "#EXTINF"));
	rest = strchr(strstr(delta, "#EXT-X-SKIP"), '\n') + 1;
	assert_string_equal(rest, text + strlen(text) - strlen(rest));
	free(text);
	free(delta);
}

static void test_a_discontinuity_is_counted_when_it_has_gone(void **state)
{
	uint64_t first = window.next_segment, before = window.discontinuities;
	struct fragment_init *other;
	char map[NAME_BYTES], *text;

	(void)state;
	add_group();
	hls_window_begin(&window, init->web); /* the source was lost and is back */
	add_group();
	tracks[0].parameters->width = 1280;
	other = fragment_init_new(tracks, 1);
	hls_window_begin(&window, other->web);
	add_group();
	text = playlist(false);
	assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 2);
	snprintf(map, sizeof(map), "#EXT-X-MAP:URI=\"init-%" PRIu64 ".mp4\"", first);
	assert_int_equal(count(text, map), 2); /* said again: the same */
	snprintf(map, sizeof(map), "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-%" PRIu64 ".mp4\"",
		first + 2);
	assert_int_equal(count(text, map), 1);
	assert_int_equal(number_of(text, "#EXT-X-DISCONTINUITY-SEQUENCE:"), before);
	free(text);
	for (unsigned i = 0; i < 30; i++)
		add_group();
	text = playlist(false);
	assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 0);
	assert_int_equal(number_of(text, "#EXT-X-DISCONTINUITY-SEQUENCE:"), before + 2);
	free(text);
	assert_null(hls_window_find_init(&window, first));
	assert_non_null(hls_window_find_init(&window, first + 2));
	fragment_init_unref(&other);
}

static void test_no_number_comes_twice(void **state)
{
	uint64_t segment, part, discontinuity;

	(void)state;
	add_group();
	hls_window_begin(&window, init->web);
	add_group();
	segment = window.next_segment, part = window.next_part;
	discontinuity = window.discontinuities + 1;
	hls_window_fini(&window);
	hls_window_init(&window, (NOW_S - 86400) * 1000000); /* the clock went back */
	assert_true(window.next_segment >= segment && window.next_part >= part);
	assert_true(window.discontinuities >= discontinuity);
	hls_window_fini(&window);
	hls_window_init(&window, (NOW_S + 86400) * 1000000); /* another process, the next day */
	assert_int_equal(window.next_segment, NOW_S + 86400);
	hls_window_begin(&window, init->web);
}

static void test_rates_are_measured(void **state)
{
	struct hls_rates rates;

	(void)state;
	add_bytes(25, true, 10000);
	add_bytes(25, true, 10000); /* 2 Mbit/s for two seconds */
	for (unsigned i = 0; i < 4; i++)
		add_bytes(25, true, 1000);
	rates = hls_window_measure(&window);
	assert_in_range(rates.peak, 2000000, 2030000); /* and the heads */
	assert_in_range(rates.average, 800000, 830000);
	assert_int_equal(rates.frames_1000, 25000);
}

static void test_directives(void **state)
{
	static const struct {
		const char *msn, *part, *skip;
		int result;
		struct hls_directives expected;
	} rows[] = {
		{NULL,                   NULL,                   NULL,  0,        { HLS_DIRECTIVE_NONE, HLS_DIRECTIVE_NONE, false }},
		{ "12",                  NULL,                   NULL,  0,        { 12, HLS_DIRECTIVE_NONE, false }                },
		{ "12",                  "3",                    "YES", 0,        { 12, 3, true }                                  },
		{ "0",                   "0",                    "v2",  0,        { 0, 0, true }                                   },
		{ NULL,                  "3",                    NULL,  -EBADMSG, { 0 }                                            },
		{ "",                    NULL,                   NULL,  -EBADMSG, { 0 }                                            },
		{ "-1",                  NULL,                   NULL,  -EBADMSG, { 0 }                                            },
		{ "1x",                  NULL,                   NULL,  -EBADMSG, { 0 }                                            },
		{ "9223372036854775808", NULL,                   NULL,  -EBADMSG, { 0 }                                            },
		{ "1",                   "18446744073709551615", NULL,  -EBADMSG, { 0 }                                            },
		{ NULL,                  NULL,                   "yes", -EBADMSG, { 0 }                                            },
		{ NULL,                  NULL,                   "",    -EBADMSG, { 0 }                                            },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct hls_directives seen = { 0 };
		const char *why = NULL;

		assert_int_equal(
			hls_directives_parse(&seen, rows[i].msn, rows[i].part, rows[i].skip, &why),
			rows[i].result);
		assert_int_equal(why != NULL, rows[i].result != 0);
		assert_true(seen.segment == rows[i].expected.segment &&
			    seen.part == rows[i].expected.part &&
			    seen.skip == rows[i].expected.skip);
	}
}

/* --- over HTTP --- */

// clang-format off
static const struct http_route routes[] = {
	{ "/live/", HTTP_GET, ROLE_VIEWER, live_get },
	{ NULL, 0, ROLE_VIEWER, NULL },
};
// clang-format on

static struct http_server *server;
static struct stream *stream, *sub;
static struct event *timer;
static unsigned published;
static void (*then)(void); /* what the timer does once a request waits */

static int set_up_server(void **state)
{
	(void)state;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	stream = stream_new("porch");
	synthetic_tracks(tracks);
	published = 0;
	return server ? 0 : -1;
}

static int tear_down_server(void **state)
{
	(void)state;
	http_server_free(server);
	hls_fini();
	reactor_timer_free(&timer);
	stream_free(sub);
	sub = NULL;
	assert_int_equal(stream_readers(stream), 0);
	stream_free(stream);
	synthetic_tracks_free(tracks);
	reactor_fini();
	metrics_fini();
	return 0;
}

static void publish_to(struct stream *to, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		AVPacket *packet = synthetic_video(i, i % GROUP == 0, PICTURE_BYTES);

		stream_publish(to, packet);
		av_packet_free(&packet);
	}
}

static void publish(unsigned n)
{
	publish_to(stream, published, n);
	published += n;
}

static char *get(const char *path)
{
	char request[240];

	snprintf(request, sizeof(request),
		"GET /live/porch/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		path);
	return http_say(http_server_address(server), request);
}

/* The answer to such a request must have that status. */
static char *get_status(const char *path, int status)
{
	char *answer = get(path), expected[16];

	snprintf(expected, sizeof(expected), "HTTP/1.1 %d ", status);
	if (strncmp(answer, expected, strlen(expected)) != 0)
		fail_msg("%s: %.80s", path, answer);
	return answer;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (metric_value(metric_get(METRIC_HLS_WAITING)) < 1)
		reactor_timer_start(timer, 1000);
	else
		then();
}

/* The same, of a request that waits until `what` happens. */
static char *get_after(const char *path, void (*what)(void), int status)
{
	then = what;
	reactor_timer_free(&timer);
	timer = reactor_timer_new(on_timer, NULL);
	reactor_timer_start(timer, 1000);
	return get_status(path, status);
}

static void publish_part(void)
{
	publish(PART);
}

static void lose_source(void)
{
	stream_end(stream);
	hls_forget_stream(stream);
}

/*
 * A stream of which a player knows: four parts as a segment, since they were at hand; the two
 * pictures before the next keyframe; part 0 of a third segment. Returns the number of that.
 */
static uint64_t begin(void)
{
	uint64_t segment;
	char *answer;

	stream_begin(stream, tracks, 1);
	publish(GROUP);
	answer = get_status("media.m3u8", 200);
	segment = number_of(answer, "#EXT-X-MEDIA-SEQUENCE:") + 2;
	assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
	free(answer);
	publish(PART + 1); /* the last one ends a part */
	return segment;
}

static void test_a_request_waits_for_its_part(void **state)
{
	uint64_t segment = begin();
	char path[NAME_BYTES], *answer;

	(void)state;
	snprintf(path, sizeof(path), "media.m3u8?_HLS_msn=%" PRIu64 "&_HLS_part=0", segment);
	free(get_status(path, 200)); /* is there */
	snprintf(path, sizeof(path), "media.m3u8?_HLS_msn=%" PRIu64 "&_HLS_part=1", segment);
	answer = get_after(path, publish_part, 200);
	assert_int_equal(count(answer, "#EXT-X-PART:"), 4 + 1 + 2);
	free(answer);
	snprintf(path, sizeof(path), "media.m3u8?_HLS_msn=%" PRIu64 "&_HLS_part=2&_HLS_skip=YES",
		segment);
	answer = get_after(path, publish_part, 200);
	assert_int_equal(count(answer, "#EXT-X-PART:"), 4 + 1 + 3);
	free(answer);
	assert_true(metric_value(metric_get(METRIC_HLS_WAITING)) < 1);
}

static void test_the_hinted_part_is_waited_for(void **state)
{
	char path[NAME_BYTES], *answer;
	uint64_t part;

	(void)state;
	begin();
	answer = get_status("media.m3u8", 200);
	part = number_of(answer, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-");
	free(answer);
	snprintf(path, sizeof(path), "part-%" PRIu64 ".m4s", part);
	answer = get_after(path, publish_part, 200);
	assert_non_null(strstr(answer, "Content-Type: video/mp4\r\n"));
	assert_non_null(strstr(answer, "immutable"));
	free(answer);
	free(get_status(path, 200)); /* and is still there */
	snprintf(path, sizeof(path), "part-%" PRIu64 ".m4s", part + 2);
	free(get_status(path, 404)); /* nobody hinted at that */
	snprintf(path, sizeof(path), "part-%" PRIu64 ".m4s", part + 1);
	free(get_after(path, lose_source, 503)); /* it never comes */
}

static void test_requests_that_make_no_sense(void **state)
{
	static const char *const rows[] = { "media.m3u8?_HLS_part=1",
		"media.m3u8?_HLS_msn=999999999999", "media.m3u8?_HLS_msn=x",
		"media.m3u8?_HLS_skip=no" };
	static const char *const unknown[] = { "seg-1.m4s", "part-1.m4s", "init-1.mp4", "seg-.m4s",
		"part-x.m4s", "seg-1.mp4", "init-1", "seg-1.m4s.m4s",
		"seg-99999999999999999999999.m4s" };

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		free(get_status(rows[i], 400));
	for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++)
		free(get_status(unknown[i], 404));
}

static void test_both_streams_are_variants_and_tell_of_each_other(void **state)
{
	char *answer;

	(void)state;
	sub = stream_new("porch/sub");
	stream_begin(stream, tracks, 2);
	tracks[0].rotation = 90;
	stream_begin(sub, tracks, 1);
	publish(GROUP);
	publish_to(sub, 0, GROUP);
	answer = get_status("index.m3u8", 200);
	assert_int_equal(count(answer, "#EXT-X-STREAM-INF:BANDWIDTH="), 2);
	assert_non_null(strstr(answer,
		",CODECS=\"avc1.42c01e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000\nmedia.m3u8\n"));
	assert_non_null(strstr(answer,
		",CODECS=\"avc1.42c01e\",RESOLUTION=360x640,FRAME-RATE=25.000\nsub/media.m3u8\n"));
	free(answer);
	answer = get_status("sub/index.m3u8", 200);
	assert_int_equal(count(answer, "#EXT-X-STREAM-INF"), 1);
	free(answer);
	answer = get_status("media.m3u8", 200);
	assert_non_null(strstr(answer, "#EXT-X-RENDITION-REPORT:URI=\"sub/media.m3u8\",LAST-MSN="));
	assert_non_null(strstr(answer, ",LAST-PART=3\n"));
	free(answer);
	publish_to(sub, GROUP, 1); /* what it says of the other one is never old */
	answer = get_status("media.m3u8", 200);
	assert_non_null(strstr(answer, ",LAST-PART=0\n"));
	free(answer);
	answer = get_status("sub/media.m3u8", 200);
	assert_non_null(strstr(answer, "#EXT-X-RENDITION-REPORT:URI=\"../media.m3u8\",LAST-MSN="));
	free(answer);
}

int main(void)
{
#define WINDOW_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_server, tear_down_server)
	const struct CMUnitTest tests[] = {
		WINDOW_TEST(test_a_playlist_as_the_draft_has_it),
		WINDOW_TEST(test_where_segments_end),
		WINDOW_TEST(test_a_picture_that_stood_for_long),
		WINDOW_TEST(test_what_a_request_waits_for),
		WINDOW_TEST(test_old_segments_leave_the_playlist_and_then_the_memory),
		WINDOW_TEST(test_too_many_bytes_make_it_shorter),
		WINDOW_TEST(test_a_delta_leaves_out_what_is_old),
		WINDOW_TEST(test_a_discontinuity_is_counted_when_it_has_gone),
		WINDOW_TEST(test_no_number_comes_twice),
		WINDOW_TEST(test_rates_are_measured),
		cmocka_unit_test(test_directives),
		SERVER_TEST(test_a_request_waits_for_its_part),
		SERVER_TEST(test_the_hinted_part_is_waited_for),
		SERVER_TEST(test_requests_that_make_no_sense),
		SERVER_TEST(test_both_streams_are_variants_and_tell_of_each_other),
	};
#undef WINDOW_TEST
#undef SERVER_TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
