/* Live MP4 and HLS: browsers get the tracks that they play, sound made for them, and a clear word when there is nothing. */
#include "protocols/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "protocols/hls.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/sound.h"
#include "storage/mp4_reader.h"
#include "tests/http_conversation.h"
#include "tests/synthetic.h"

#define FOURCC(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
	PICTURES = 30,
	PICTURE_BYTES = 100,
	SOUND_BYTES = 1024
};

// clang-format off
static const struct http_route routes[] = {
	{ "/live/", HTTP_GET, ROLE_VIEWER, live_get },
	{ NULL, 0, ROLE_VIEWER, NULL },
};
// clang-format on

static struct http_server *server;
static struct stream *stream;
static struct stream_track tracks[2];
static struct event *timer;

/* A libavcodec that cannot make AAC. */
static bool is_poor;

struct sound *__real_sound_new(const AVCodecParameters *from, AVRational from_base,
	enum sound_target target, struct metric *dropped, sound_fn *on_packet, void *arg,
	const char **why);
struct sound *__wrap_sound_new(const AVCodecParameters *from, AVRational from_base,
	enum sound_target target, struct metric *dropped, sound_fn *on_packet, void *arg,
	const char **why);

struct sound *__wrap_sound_new(const AVCodecParameters *from, AVRational from_base,
	enum sound_target target, struct metric *dropped, sound_fn *on_packet, void *arg,
	const char **why)
{
	*why = "it is poor";
	return is_poor ? NULL
		       : __real_sound_new(from, from_base, target, dropped, on_packet, arg, why);
}

static int set_up(void **state)
{
	(void)state;
	is_poor = false;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	stream = stream_new("porch");
	synthetic_tracks(tracks);
	tracks[1].parameters->codec_id = AV_CODEC_ID_PCM_MULAW;
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_free(server);
	hls_fini();
	reactor_timer_free(&timer);
	assert_true(stream_readers(stream) <= 1); /* what makes sound lingers */
	stream_free(stream);
	synthetic_tracks_free(tracks);
	reactor_fini();
	metrics_fini();
	return 0;
}

static void publish(AVPacket *packet)
{
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

static void play(unsigned from)
{
	for (unsigned i = from; i < from + PICTURES; i++) {
		publish(synthetic_video(i, i % PICTURES == 0, PICTURE_BYTES));
		publish(synthetic_audio(i * 2, SOUND_BYTES));
	}
}

/* Decodes a chunked body of n bytes, which are no text, in place; returns its length. */
static size_t unchunk(char *body, size_t n)
{
	char *from = body, *to = body;

	for (;;) {
		size_t length = strtoul(from, &from, 16);

		assert_memory_equal(from, "\r\n", 2);
		from += 2;
		if (!length)
			return (size_t)(to - body);
		assert_true(length + 2 <= n - (size_t)(from - body));
		memmove(to, from, length);
		to += length;
		from += length + 2;
	}
}

/* The answer's body in *ret (inside the answer, which the caller frees), unchunked. */
static char *get(const char *file, int status, const char **ret, size_t *bytes)
{
	char request[160], expected[16];
	size_t n;
	char *answer;

	snprintf(request, sizeof(request),
		"GET /live/porch/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		file);
	answer =
		http_conversation(http_server_address(server), request, strlen(request), WHOLE, &n);
	snprintf(expected, sizeof(expected), "HTTP/1.1 %d ", status);
	if (strncmp(answer, expected, strlen(expected)))
		fail_msg("%s: %.60s", file, answer);
	*ret = http_body_of(answer);
	*bytes = n - (size_t)(*ret - answer);
	if (strcasestr(answer, "Transfer-Encoding: chunked"))
		*bytes = unchunk(answer + (*ret - answer), *bytes);
	return answer;
}

/* Walks a file: one track, and so many bytes of media in so many samples. */
static void check_file(const char *body, size_t n, unsigned movies, unsigned samples)
{
	const uint8_t *p = (const uint8_t *)body;
	static const struct mp4_movie fixed = { .n_tracks = 1, .tracks = { { .id = 1 } } };
	struct mp4_fragment fragment;
	struct mp4_movie movie;
	struct mp4_box box;
	const char *why;
	uint64_t media = 0;

	for (size_t at = 0; at < n; at += (size_t)box.bytes) {
		assert_int_equal(mp4_box_parse(&box, p + at, n - at, &why), 1);
		assert_true(box.bytes <= n - at);
		if (box.type == FOURCC('m', 'o', 'o', 'v')) {
			assert_int_equal(mp4_moov_parse(&movie, p + at, box.bytes, &why), 0);
			assert_int_equal(movie.n_tracks, 1);
			assert_string_equal(movie.tracks[0].name, "h264");
			movies--;
		} else if (box.type == FOURCC('m', 'o', 'o', 'f')) {
			assert_int_equal(
				mp4_moof_parse(&fragment, p + at, box.bytes, &fixed, &why), 0);
			assert_int_equal(fragment.n_tracks, 1);
			samples -= fragment.tracks[0].samples;
			media += fragment.data_bytes;
		} else if (box.type == FOURCC('m', 'd', 'a', 't')) {
			assert_true(box.bytes == 8 + media);
			media = 0;
		}
	}
	assert_int_equal(movies, 0);
	assert_int_equal(samples, 0);
}

/* The name of a file in a playlist, from that prefix on. */
static char *name_in(char ret[64], const char *playlist, const char *prefix)
{
	const char *name = strstr(playlist, prefix);

	assert_non_null(name);
	snprintf(ret, 64, "%.*s", (int)strcspn(name, "\"\n"), name);
	return ret;
}

/* As soon as somebody reads: more pictures, then a camera that was set to another codec. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (metric_value(metric_get(METRIC_SESSIONS, "mp4")) == 0) {
		reactor_timer_start(timer, 1000);
		return;
	}
	play(PICTURES);
	tracks[0].parameters->codec_id = AV_CODEC_ID_MJPEG;
	stream_begin(stream, tracks, 2);
}

static void test_sound_is_made_aac(void **state)
{
	char init[64];
	const char *body;
	char *answer;
	size_t n;

	(void)state;
	stream_begin(stream, tracks, 2);
	play(0);
	answer = get("index.m3u8", 200, &body, &n);
	assert_non_null(strstr(body, "CODECS=\"avc1.42c01e,mp4a.40.2\",RESOLUTION=640x360"));
	free(answer);
	answer = get("media.m3u8", 200, &body, &n);
	name_in(init, body, "init-");
	free(answer);
	answer = get(init, 200, &body, &n);
	assert_non_null(memmem(body, n, "mp4a", 4));
	free(answer);
	timer = reactor_timer_new(on_timer, NULL);
	reactor_timer_start(timer, 1000);
	answer = get("live.mp4", 200, &body, &n);
	assert_non_null(strstr(answer, "video/mp4; codecs=\"avc1.42c01e,mp4a.40.2\"\r\n"));
	free(answer);
	stream_end(stream);
}

static void test_hls_leaves_out_what_browsers_do_not_play(void **state)
{
	char init[64], segment[64];
	const char *body;
	char *answer;
	size_t n;

	(void)state;
	is_poor = true;
	stream_begin(stream, tracks, 2);
	play(0);
	answer = get("index.m3u8", 200, &body, &n);
	assert_non_null(strstr(body, "CODECS=\"avc1.42c01e\",RESOLUTION=640x360"));
	free(answer);
	answer = get("media.m3u8", 200, &body, &n);
	name_in(init, body, "init-");
	name_in(segment, body, "seg-");
	free(answer);
	answer = get(init, 200, &body, &n);
	check_file(body, n, 1, 0);
	free(answer);
	play(PICTURES); /* its keyframe ends the fragment before */
	answer = get(segment, 200, &body, &n);
	check_file(body, n, 0, 24); /* the fragments that were whole: twice 12 pictures */
	free(answer);
	stream_end(stream);
}

static void test_live_mp4_ends_when_browsers_cannot_go_on(void **state)
{
	const char *body;
	char *answer;
	size_t n;

	(void)state;
	is_poor = true;
	stream_begin(stream, tracks, 2);
	play(0);
	timer = reactor_timer_new(on_timer, NULL);
	reactor_timer_start(timer, 1000);
	answer = get("live.mp4", 200, &body, &n);
	assert_non_null(strstr(answer, "video/mp4; codecs=\"avc1.42c01e\"\r\n"));
	check_file(body, n, 1, 2 * PICTURES);
	free(answer);
	stream_end(stream);
}

static void test_pictures_that_browsers_do_not_play(void **state)
{
	static const char *const files[] = { "index.m3u8", "media.m3u8", "init-1.mp4", "seg-0.m4s",
		"part-0.m4s", "live.mp4" };

	(void)state;
	tracks[0].parameters->codec_id = AV_CODEC_ID_MJPEG;
	stream_begin(stream, tracks, 2);
	play(0);
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		const char *body;
		size_t n;
		char *answer = get(files[i], 415, &body, &n);

		assert_non_null(strstr(body, "Motion JPEG"));
		free(answer);
	}
	stream_end(stream);
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		bool begins = i < 2 || i == ARRAY_LENGTH(files) - 1; /* playlists, and live.mp4 */
		const char *body;
		size_t n;

		free(get(files[i], begins ? 503 : 404, &body, &n));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_sound_is_made_aac),
		TEST(test_hls_leaves_out_what_browsers_do_not_play),
		TEST(test_live_mp4_ends_when_browsers_cannot_go_on),
		TEST(test_pictures_that_browsers_do_not_play),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
