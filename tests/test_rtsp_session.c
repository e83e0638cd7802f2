/* A whole session of the RTSP client without sockets, by a clock of the test's own: time and silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/rtcp.h"
#include "protocols/rtsp_client.h"
#include "server/base/reactor.h"
#include "server/media/event.h"
#include "server/media/stream.h"
#include "tests/fake_connection.h"

#define SECOND_US INT64_C(1000000)

enum {
	PICTURE_US = 40000,
	SOUND_US = 20000, /* 160 samples of G.711 */
	GROUP = 25,
};

static const uint8_t sps[] = { 0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5,
	0xc0, 0x5a, 0x80, 0x80, 0x80, 0xa0, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x07, 0x81,
	0xe3, 0x06, 0x32, 0xc0 };
static const uint8_t pps[] = { 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0 };

/* What the stream's reader and the source's owner saw. */
static struct {
	unsigned pictures, sounds, runs, documents;
	int64_t picture_us, sound_us, first_picture_us; /* the last ones' times */
	int64_t least_step_us;                          /* from picture to picture */
	bool up, ended;
	enum source_end end;
} seen;

static void on_tracks(struct stream_reader *reader)
{
	(void)reader;
	seen.runs++;
}

static void on_packet(struct stream_reader *reader, AVPacket *packet)
{
	AVRational base = stream_track(reader->stream, (size_t)packet->stream_index)->time_base;
	int64_t us =
		packet->pts / base.den * SECOND_US + packet->pts % base.den * SECOND_US / base.den;

	if (packet->stream_index == 0) {
		if (!seen.pictures++)
			seen.first_picture_us = us;
		else if (us - seen.picture_us < seen.least_step_us)
			seen.least_step_us = us - seen.picture_us;
		seen.picture_us = us;
	} else {
		seen.sounds++;
		seen.sound_us = us;
	}
}

static void on_up(void *arg)
{
	(void)arg;
	seen.up = true;
}

static void on_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg, (void)detail;
	assert_false(seen.ended);
	seen.ended = true;
	seen.end = end;
}

static void on_notice(struct event_listener *listener, const struct event_notice *notice)
{
	(void)listener;
	assert_int_equal(notice->kind, EVENT_METADATA);
	assert_string_equal(notice->camera, "porch");
	seen.documents++;
}

static const struct source_events source_events = { .on_up = on_up, .on_end = on_end };
static const struct stream_reader_events reader_events = { .on_tracks = on_tracks,
	.on_packet = on_packet };

/* The camera. */
static struct session {
	struct config_camera config;
	struct rtsp_client_memory memory;
	struct source_order order;
	struct rtsp_client *client;
	struct stream_reader reader;
	struct event_listener listener;
	uint16_t sequences[3];
	unsigned pictures; /* sent */
	int64_t start_us, sound_due_us;
} session;

static void answer(const char *fields, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "RTSP/1.0 200 OK\r\n%sContent-Length: %zu\r\n\r\n%s",
		fields, strlen(body), body);

	fake_connection_feed(text, (size_t)n);
}

static void begin(void)
{
	const char *why;

	memset(&seen, 0, sizeof(seen));
	seen.least_step_us = INT64_MAX;
	memset(&session, 0, sizeof(session));
	session.config = (struct config_camera){ .transport = TRANSPORT_TCP };
	session.order = (struct source_order){
		.url = "rtsp://192.0.2.1/x",
		.config = &session.config,
		.stream = stream_new("porch"),
		.camera = "porch",
		.events = &source_events,
	};
	session.listener.on_notice = on_notice;
	event_subscribe(&session.listener);
	stream_subscribe(session.order.stream, &session.reader, &reader_events, false);
	session.client = rtsp_client_new(&session.order, &session.memory, &why);
	assert_non_null(session.client);
	fake_connection_accept();
	answer("Public: DESCRIBE\r\n", "");
	answer("", "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n"
		   "m=audio 0 RTP/AVP 0\r\na=control:1\r\n"
		   "m=application 0 RTP/AVP 98\r\na=rtpmap:98 VND.ONVIF.METADATA/90000\r\n"
		   "a=control:2\r\n");
	answer("Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n", "");
	answer("Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n", "");
	answer("Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=4-5\r\n", "");
	answer("Session: 1\r\n", "");
	session.start_us = fake_clock();
}

static void finish(void)
{
	event_unsubscribe(&session.listener);
	rtsp_client_free(session.client);
	stream_unsubscribe(&session.reader);
	stream_free(session.order.stream);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

static void send_frame(uint8_t channel, const uint8_t *p, size_t n)
{
	uint8_t frame[4 + 1024] = { '$', channel, (uint8_t)(n >> 8), (uint8_t)n };

	assert_true(n <= 1024);
	memcpy(frame + 4, p, n);
	fake_connection_feed(frame, 4 + n);
}

/* An RTP packet of track 0, 1 or 2. */
static void send_rtp(unsigned track, uint32_t timestamp, bool marker, const uint8_t *p, size_t n)
{
	static const uint8_t types[] = { 96, 0, 98 };
	uint16_t sequence = session.sequences[track]++;
	uint8_t packet[12 + 512] = { 0x80, (uint8_t)(types[track] | (marker ? 0x80 : 0)),
		(uint8_t)(sequence >> 8), (uint8_t)sequence, (uint8_t)(timestamp >> 24),
		(uint8_t)(timestamp >> 16), (uint8_t)(timestamp >> 8), (uint8_t)timestamp, 0, 0, 0,
		(uint8_t)(1 + track) };

	memcpy(packet + 12, p, n);
	send_frame((uint8_t)(2 * track), packet, 12 + n);
}

/* The camera's own clocks: the picture's and the sound's, from other beginnings. */
static uint32_t picture_time(int64_t us)
{
	return 1000 + (uint32_t)(us * 9 / 100);
}

static uint32_t sound_time(int64_t us)
{
	return 500000 + (uint32_t)(us / 125);
}

static void send_picture(bool may_be_key)
{
	static const uint8_t key[60] = { 0x65, 0x88, 0x84 }, other[30] = { 0x41, 0x9a };
	uint32_t timestamp = picture_time(fake_clock() - session.start_us);
	bool is_key = may_be_key && session.pictures % GROUP == 0;

	session.pictures++;
	if (is_key) {
		send_rtp(0, timestamp, false, sps, sizeof(sps));
		send_rtp(0, timestamp, false, pps, sizeof(pps));
		send_rtp(0, timestamp, true, key, sizeof(key));
	} else {
		send_rtp(0, timestamp, true, other, sizeof(other));
	}
}

/* Both for so long; the sound comes `late_us` after its time, as the network likes it. */
static void play(int64_t us, bool pictures, bool sound, int64_t late_us)
{
	static const uint8_t samples[160] = { 0x55 };

	for (int64_t end_us = fake_clock() + us; fake_clock() < end_us && !seen.ended;) {
		int64_t now_us = fake_clock() - session.start_us;

		if (pictures)
			send_picture(true);
		for (unsigned i = 0; sound && i < PICTURE_US / SOUND_US; i++)
			send_rtp(1, sound_time(now_us - late_us + i * SOUND_US), true, samples,
				sizeof(samples));
		fake_clock_set(fake_clock() + PICTURE_US);
		event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	}
}

/* A sender report: RTP time `timestamp` was at this instant of the camera's wall clock. */
static void send_report(unsigned track, int64_t camera_us, uint32_t timestamp)
{
	struct rtcp_sender_report report = {
		.ssrc = 1 + track, .ntp = rtcp_ntp_of_us(camera_us), .timestamp = timestamp
	};
	uint8_t packet[128];
	size_t n = rtcp_write_sender_report(packet, sizeof(packet), &report, "camera");

	send_frame((uint8_t)(2 * track + 1), packet, n);
}

static int64_t apart_us(void)
{
	int64_t now_us = fake_clock() - session.start_us;

	/* the last picture and the last sound were sent in the same step */
	(void)now_us;
	return llabs(seen.picture_us - seen.sound_us);
}

static void test_q110_reports_that_make_sense_align_sound_and_others_do_not(void **state)
{
	(void)state;
	begin();
	play(2 * SECOND_US, true, true, 300000);
	assert_true(seen.up && seen.pictures > 40 && seen.sounds > 80);
	/* without reports the sound stands where it came: 300 ms too late, but for its own length */
	assert_in_range(apart_us(), 0, 50000);

	/* nonsense: the sound's wall clock is an hour away */
	for (unsigned i = 0; i < 4; i++) {
		int64_t now_us = fake_clock() - session.start_us;

		send_report(0, fake_clock(), picture_time(now_us));
		send_report(1, fake_clock() + 3600 * SECOND_US, sound_time(now_us));
		play(SECOND_US, true, true, 300000);
	}
	assert_in_range(apart_us(), 0, 50000);

	/* sense, although the camera thinks that it is 1970: what came together was not made together */
	for (unsigned i = 0; i < 4; i++) {
		int64_t now_us = fake_clock() - session.start_us;

		send_report(0, now_us, picture_time(now_us));
		send_report(1, now_us, sound_time(now_us));
		play(SECOND_US, true, true, 300000);
	}
	assert_in_range(apart_us(), 250000, 350000);
	assert_int_equal(seen.runs, 1);
	finish();
}

static void test_p12_sound_begins_late_stops_and_comes_back(void **state)
{
	(void)state;
	begin();
	play(3 * SECOND_US, true, false, 0);
	assert_int_equal(seen.sounds, 0);
	assert_true(seen.pictures >= 70);
	play(2 * SECOND_US, true, true, 0);
	assert_true(seen.sounds > 90);
	assert_in_range(apart_us(), 0, 60000);
	play(30 * SECOND_US, true, false, 0);
	play(2 * SECOND_US, true, true, 0);
	assert_in_range(apart_us(), 0, 60000);
	assert_true(seen.pictures >= 37 * 25 - 3);
	assert_int_equal(seen.runs, 1);
	assert_false(seen.ended);
	finish();
}

static void test_q112_sound_alone_is_no_life(void **state)
{
	(void)state;
	begin();
	play(2 * SECOND_US, true, true, 0);
	play(12 * SECOND_US, false, true, 0);
	assert_true(seen.ended);
	assert_int_equal(seen.end, SOURCE_STALLED);
	finish();
}

static void test_a_camera_without_keyframes_is_given_up_after_a_minute(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 59 * 25; i++) {
		send_picture(false);
		fake_clock_set(fake_clock() + PICTURE_US);
	}
	assert_false(seen.ended);
	for (unsigned i = 0; i < 4 * 25; i++) {
		send_picture(false);
		fake_clock_set(fake_clock() + PICTURE_US);
	}
	assert_true(seen.ended);
	assert_int_equal(seen.end, SOURCE_NO_KEYFRAME);
	assert_int_equal(seen.pictures, 0);
	finish();
}

static void test_q109_seconds_of_the_past_are_dated_back(void **state)
{
	int64_t came_us;

	(void)state;
	begin();
	/* five seconds at once; what the camera's clock says was then is now */
	session.start_us -= 5 * SECOND_US;
	came_us = fake_clock();
	for (int64_t us = 0; us < 5 * SECOND_US; us += PICTURE_US) {
		fake_clock_set(came_us + us / 50);
		session.start_us = fake_clock() - us;
		send_picture(true);
	}
	play(SECOND_US, true, false, 0);
	assert_true(seen.up);
	assert_int_equal(seen.runs, 1);
	assert_in_range(came_us - seen.first_picture_us, 4800000, 5000000);
	assert_true(seen.pictures >= 6 * 25 - 3);
	finish();
}

static void test_q115_metadata_reaches_the_bus(void **state)
{
	static const char document[] = "<tt:MetadataStream xmlns:tt=\"x\"/>";

	(void)state;
	begin();
	send_rtp(2, 1, true, (const uint8_t *)document, strlen(document));
	send_rtp(2, 9001, false, (const uint8_t *)document, 10);
	send_rtp(2, 9001, true, (const uint8_t *)document + 10, strlen(document) - 10);
	assert_int_equal(seen.documents, 2);
	play(SECOND_US, true, false, 0);
	assert_int_equal(stream_tracks(session.order.stream), 2);
	finish();
}

static void test_r15_a_stalled_session_gets_its_teardown(void **state)
{
	struct evbuffer *out;

	(void)state;
	begin();
	play(SECOND_US, true, false, 0);
	out = fake_connection_output();
	evbuffer_drain(out, evbuffer_get_length(out));
	for (unsigned i = 0; i < 12 && !seen.ended; i++) {
		fake_clock_set(fake_clock() + SECOND_US);
		if (!seen.ended)
			evbuffer_drain(out, evbuffer_get_length(out));
	}
	assert_true(seen.ended);
	assert_int_equal(seen.end, SOURCE_STALLED);
	assert_true(evbuffer_search(out, "TEARDOWN ", 9, NULL).pos >= 0);
	finish();
}

/* GStreamer's server plays a shared mount from its start when one more reader comes. */
static void test_p14_a_camera_that_goes_back_a_little_begins_a_new_run(void **state)
{
	static const int64_t backs_us[] = { 240000, 500000, 960000, 1500000 };

	(void)state;
	for (size_t i = 0; i < sizeof(backs_us) / sizeof(backs_us[0]); i++) {
		begin();
		play(2 * SECOND_US, true, true, 0);
		session.start_us += backs_us[i];
		session.pictures = 0;
		play(4 * SECOND_US, true, true, 0);
		assert_int_equal(seen.runs, 2);
		assert_in_range(seen.least_step_us, 39900, 40100);
		assert_in_range(apart_us(), 0, 50000);
		assert_false(seen.ended);
		finish();
	}
}

static void test_pictures_that_go_back_between_keyframes_do_not(void **state)
{
	(void)state;
	begin();
	play(2 * SECOND_US, true, true, 0);
	session.pictures = 1;
	session.start_us += 480000; /* B-frames, more of them than promised */
	play(4 * PICTURE_US, true, false, 0);
	session.start_us -= 480000;
	play(4 * SECOND_US, true, true, 0);
	assert_int_equal(seen.runs, 1);
	finish();
}

static void send_bye(unsigned track)
{
	uint8_t packet[] = { 0x81, 203, 0, 1, 0, 0, 0, (uint8_t)(1 + track) };

	send_frame((uint8_t)(2 * track + 1), packet, sizeof(packet));
}

static void test_r20_after_the_pictures_bye_two_seconds_are_enough(void **state)
{
	(void)state;
	begin();
	send_bye(0); /* of somebody before us */
	play(5 * SECOND_US, false, true, 0);
	assert_false(seen.ended);
	play(SECOND_US, true, true, 0);
	send_bye(0); /* of a camera that plays on all the same */
	play(5 * SECOND_US, true, true, 0);
	play(5 * SECOND_US, false, true, 0);
	assert_false(seen.ended);
	play(SECOND_US, true, true, 0);
	send_bye(1); /* the sound's is not the picture's */
	play(5 * SECOND_US, false, true, 0);
	assert_false(seen.ended);
	play(SECOND_US, true, true, 0);
	send_bye(0);
	play(4 * SECOND_US, false, true, 0);
	assert_true(seen.ended);
	assert_int_equal(seen.end, SOURCE_STALLED);
	finish();
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reactor_fini();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q110_reports_that_make_sense_align_sound_and_others_do_not),
		cmocka_unit_test(test_p12_sound_begins_late_stops_and_comes_back),
		cmocka_unit_test(test_q112_sound_alone_is_no_life),
		cmocka_unit_test(test_a_camera_without_keyframes_is_given_up_after_a_minute),
		cmocka_unit_test(test_q109_seconds_of_the_past_are_dated_back),
		cmocka_unit_test(test_q115_metadata_reaches_the_bus),
		cmocka_unit_test(test_r15_a_stalled_session_gets_its_teardown),
		cmocka_unit_test(test_p14_a_camera_that_goes_back_a_little_begins_a_new_run),
		cmocka_unit_test(test_pictures_that_go_back_between_keyframes_do_not),
		cmocka_unit_test(test_r20_after_the_pictures_bye_two_seconds_are_enough),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
