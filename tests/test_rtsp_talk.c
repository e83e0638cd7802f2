/* Talking to a camera: who may at a time and how much, and how the RTSP client asks for the back channel, by a clock of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/rtp.h"
#include "protocols/rtsp_client.h"
#include "protocols/rtsp_talk.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "tests/fake_connection.h"

#define SECOND_US INT64_C(1000000)
#define SAID_US 20000 /* 160 samples of G.711 */

enum {
	SAID_BYTES = 160
};

static const struct sdp_media pcmu = {
	.kind = SDP_AUDIO,
	.encoding = "PCMU",
	.clock_hz = 8000,
	.channels = 1,
};

/* --- the camera that listens --- */

static struct {
	unsigned packets;
	struct rtp_packet first, last; /* without payloads */
	uint8_t last_byte;
	bool refuses;
} heard;

static bool hear(void *arg, uint8_t *p, size_t n)
{
	struct rtp_packet packet;
	const char *why;

	(void)arg;
	assert_int_equal(rtp_parse(&packet, p, n, &why), 0);
	heard.last_byte = p[n - 1];
	packet.payload = NULL;
	heard.last = packet;
	if (heard.packets++ == 0)
		heard.first = packet;
	return !heard.refuses;
}

static struct rtsp_talk *open_talk(const struct sdp_media *media)
{
	struct rtsp_talk *talk = rtsp_talk_new("porch", media, hear, NULL);

	assert_non_null(talk);
	memset(&heard, 0, sizeof(heard));
	return talk;
}

static double counted(const char *result)
{
	return metric_value(metric_get(METRIC_TALK_PACKETS, "porch", result));
}

/* --- who talks --- */

struct person {
	struct rtsp_talker talker;
	struct rtp_packet next;
};

static struct person person_of(const char *stream, uint32_t ssrc)
{
	struct person person = {
		.next = {.ssrc = ssrc, .sequence = (uint16_t)(ssrc * 7), .timestamp = ssrc * 1000}
	};

	rtsp_talker_init(&person.talker, stream);
	person.talker.description = rtsp_talk_description(&person.talker);
	return person;
}

/* One packet of n bytes, and the time that so many samples take. */
static int say(struct person *person, size_t n, uint8_t byte)
{
	uint8_t bytes[RTP_HEADER_BYTES + 8192];
	int result;

	rtp_write_header(bytes, &person->next);
	memset(bytes + RTP_HEADER_BYTES, byte, n);
	result = rtsp_talk_take(&person->talker, bytes, RTP_HEADER_BYTES + n);
	person->next.sequence++;
	person->next.timestamp += (uint32_t)n;
	return result;
}

static void say_for(struct person *person, int64_t us)
{
	for (; us > 0; us -= SAID_US) {
		fake_clock_set(fake_clock() + SAID_US);
		assert_int_equal(say(person, SAID_BYTES, 0xff), 0);
	}
}

static void numbers_are_those_of_one_sender(void **state)
{
	struct rtsp_talk *talk = open_talk(&pcmu);
	struct person anna = person_of("porch", 1), bob = person_of("porch/sub", 2);

	(void)state;
	say_for(&anna, SECOND_US);
	assert_int_equal(heard.packets, 50);
	assert_int_equal((uint16_t)(heard.last.sequence - heard.first.sequence), 49);
	assert_int_equal(heard.last.timestamp - heard.first.timestamp, 49 * SAID_BYTES);
	assert_int_not_equal(heard.first.ssrc, 1);

	anna.next.sequence += 3; /* lost on the way to us, which is said to the camera */
	say_for(&anna, SAID_US);
	assert_int_equal((uint16_t)(heard.last.sequence - heard.first.sequence), 53);

	rtsp_talk_leave(&anna.talker);
	fake_clock_set(fake_clock() + SECOND_US);
	say_for(&bob, SAID_US); /* at once, as time has gone on */
	assert_int_equal((uint16_t)(heard.last.sequence - heard.first.sequence), 54);
	assert_int_equal(heard.last.timestamp - heard.first.timestamp, 51 * SAID_BYTES + 8000);
	assert_int_equal(heard.last.ssrc, heard.first.ssrc);

	bob.next = (struct rtp_packet){ .ssrc = 3, .sequence = 9, .timestamp = 77 };
	say_for(&bob, SAID_US); /* his program began anew */
	assert_int_equal((uint16_t)(heard.last.sequence - heard.first.sequence), 55);
	assert_int_equal(heard.last.timestamp - heard.first.timestamp, 52 * SAID_BYTES + 8000);
	rtsp_talk_free(talk);
}

static void one_talks_until_he_is_silent(void **state)
{
	struct rtsp_talk *talk = open_talk(&pcmu);
	struct person anna = person_of("porch", 1), bob = person_of("porch", 2);
	double busy = counted("busy");

	(void)state;
	assert_false(rtsp_talk_is_busy(&bob.talker));
	say_for(&anna, SECOND_US);
	assert_true(rtsp_talk_is_busy(&bob.talker));
	assert_false(rtsp_talk_is_busy(&anna.talker));
	assert_int_equal(say(&bob, SAID_BYTES, 0xff), 0);
	assert_int_equal(heard.packets, 50);
	assert_true(counted("busy") == busy + 1);

	fake_clock_set(fake_clock() + RTSP_TALK_SILENCE_US);
	assert_true(rtsp_talk_is_busy(&bob.talker));
	fake_clock_set(fake_clock() + 1);
	assert_false(rtsp_talk_is_busy(&bob.talker));
	say_for(&bob, SECOND_US);
	assert_true(rtsp_talk_is_busy(&anna.talker));
	assert_int_equal(heard.packets, 100);

	rtsp_talk_leave(&anna.talker); /* who talks no more anyhow */
	assert_true(rtsp_talk_is_busy(&anna.talker));
	rtsp_talk_leave(&bob.talker);
	assert_false(rtsp_talk_is_busy(&anna.talker));
	rtsp_talk_free(talk);
}

static void what_is_not_right_is_dropped(void **state)
{
	struct rtsp_talk *talk = open_talk(&pcmu);
	struct person anna = person_of("porch", 1);
	double malformed = counted("malformed"), behind = counted("behind");
	static const uint8_t report[] = { 0x80, 200, 0, 0, 0, 0, 0, 1 };

	(void)state;
	assert_int_equal(rtsp_talk_take(&anna.talker, (const uint8_t *)"", 0), 0);
	assert_int_equal(rtsp_talk_take(&anna.talker, (const uint8_t *)"\x80\0\0", 3), 0);
	assert_int_equal(say(&anna, 0, 0), 0);
	assert_int_equal(say(&anna, 4097, 0), 0);
	anna.next.payload_type = 8; /* A-law */
	assert_int_equal(say(&anna, SAID_BYTES, 0), 0);
	assert_true(counted("malformed") == malformed + 5);
	assert_int_equal(rtsp_talk_take(&anna.talker, report, sizeof(report)), 0); /* no harm */
	assert_true(counted("malformed") == malformed + 5);
	assert_int_equal(heard.packets, 0);
	assert_false(rtsp_talk_is_busy(&(struct rtsp_talker){ .camera = "porch" }));

	anna.next.payload_type = 0;
	heard.refuses = true;
	assert_int_equal(say(&anna, SAID_BYTES, 0), 0);
	assert_true(counted("behind") == behind + 1);
	rtsp_talk_free(talk);
}

static void nobody_says_more_than_sound_is(void **state)
{
	struct rtsp_talk *talk = open_talk(&pcmu);
	struct person anna = person_of("porch", 1);
	double too_much = counted("too_much");
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(say(&anna, 4096, 0), 0);
	assert_int_equal(heard.packets, 32); /* 128 KiB at once */
	assert_true(counted("too_much") == too_much + 68);
	before = heard.packets;
	fake_clock_set(fake_clock() + SECOND_US / 2);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(say(&anna, 4096, 0), 0);
	assert_int_equal(heard.packets - before, 16);
	before = heard.packets;
	fake_clock_set(fake_clock() + SECOND_US);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(say(&anna, 1, 0), 0);
	assert_int_equal(heard.packets - before, 512);
	rtsp_talk_free(talk);
}

static void a_camera_that_comes_back_listens_on(void **state)
{
	static const struct sdp_media alaw = {
		.encoding = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8
	};
	struct stream *stream = stream_new("porch");
	struct rtsp_talk *talk = open_talk(&pcmu);
	struct person anna = person_of("porch", 1);
	double away = counted("away");

	(void)state;
	say_for(&anna, SECOND_US);
	rtsp_talk_free(talk);
	assert_int_equal(rtsp_talk_description(&anna.talker), 0);
	assert_int_equal(say(&anna, SAID_BYTES, 0), 0); /* it may come back */
	assert_true(counted("away") == away + 1);
	talk = open_talk(&pcmu);
	assert_int_equal(rtsp_talk_description(&anna.talker), anna.talker.description);
	say_for(&anna, SECOND_US);
	assert_int_equal(heard.packets, 50);
	rtsp_talk_free(talk);

	talk = open_talk(&alaw);
	assert_int_not_equal(rtsp_talk_description(&anna.talker), anna.talker.description);
	assert_int_equal(say(&anna, SAID_BYTES, 0), -ENOTCONN); /* it would be noise */
	assert_int_equal(heard.packets, 0);
	rtsp_talk_free(talk);
	stream_free(stream);
}

static void descriptions_are_plain_text(void **state)
{
	struct sdp_media media = { .encoding = "MPEG4-GENERIC",
		.clock_hz = 16000,
		.channels = 2,
		.payload_type = 97,
		.fmtp = "mode=AAC-hbr;config=1410" };
	struct rtsp_talk *talk = open_talk(&media);
	struct person anna = person_of("porch", 1);
	struct evbuffer *out = evbuffer_new();

	(void)state;
	rtsp_talk_write_sdp(&anna.talker, 3, out);
	evbuffer_add(out, "", 1);
	assert_string_equal((char *)evbuffer_pullup(out, -1),
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/2\r\n"
		"a=fmtp:97 mode=AAC-hbr;config=1410\r\na=sendonly\r\na=control:trackID=3\r\n");
	evbuffer_free(out);
	rtsp_talk_free(talk);

	(void)strcpy(media.fmtp, "a\ra=control:x");
	assert_null(rtsp_talk_new("porch", &media, hear, NULL));
	media.fmtp[0] = '\0';
	media.clock_hz = 0;
	assert_null(rtsp_talk_new("porch", &media, hear, NULL));
	media.clock_hz = 8000;
	media.encoding[0] = '\0';
	assert_null(rtsp_talk_new("porch", &media, hear, NULL));
}

/* --- the RTSP client --- */

#define VIDEO "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n"
#define SOUND "m=audio 0 RTP/AVP 8\r\na=control:1\r\n"
#define BACK "m=audio 0 RTP/AVP 0\r\na=control:2\r\na=sendonly\r\n"
#define REQUIRE "\r\nRequire: " RTSP_BACKCHANNEL "\r\n"

static struct {
	struct config_camera config;
	struct rtsp_client_memory memory;
	struct source_order order;
	struct rtsp_client *client;
	bool ended;
} dialled;

static void on_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg, (void)end, (void)detail;
	dialled.ended = true;
}

static const struct source_events source_events = { .on_end = on_end };

static void dial(const char *camera)
{
	const char *why;

	dialled.ended = false;
	dialled.config = (struct config_camera){ .transport = TRANSPORT_TCP, .backchannel = true };
	dialled.order = (struct source_order){
		.url = "rtsp://192.0.2.1/x",
		.config = &dialled.config,
		.stream = stream_new(camera),
		.camera = camera,
		.events = &source_events,
	};
	dialled.client = rtsp_client_new(&dialled.order, &dialled.memory, &why);
	assert_non_null(dialled.client);
	fake_connection_accept();
}

static void hang_up(void)
{
	rtsp_client_free(dialled.client);
	stream_free(dialled.order.stream);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

/* The request that is due names the method; and whether it has Require. It is answered. */
static bool answer(const char *method, const char *status, const char *fields, const char *body)
{
	struct evbuffer *output = fake_connection_output();
	char text[1024];
	bool asks;
	int n;

	evbuffer_add(output, "", 1);
	const char *request = (const char *)evbuffer_pullup(output, -1);
	if (strncmp(request, method, strlen(method)) != 0)
		fail_msg("%s is due, not %s", method, request);
	asks = strstr(request, REQUIRE);
	evbuffer_drain(output, evbuffer_get_length(output));
	n = snprintf(text, sizeof(text), "RTSP/1.0 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
		fields, strlen(body), body);
	fake_connection_feed(text, (size_t)n);
	return asks;
}

static bool answer_setup(const char *control, const char *status, unsigned channel)
{
	char request[64], fields[128];

	(void)snprintf(request, sizeof(request), "SETUP rtsp://192.0.2.1/x/%s ", control);
	(void)snprintf(fields, sizeof(fields),
		"Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=%u-%u\r\n", channel, channel + 1);
	return answer(request, status, fields, "");
}

static bool listens(void)
{
	struct rtsp_talker talker;

	rtsp_talker_init(&talker, dialled.order.camera);
	return rtsp_talk_description(&talker) != 0;
}

static void it_is_asked_for_and_set_up_last(void **state)
{
	struct person anna;
	double behind = counted("behind");
	uint8_t head[4];

	(void)state;
	dialled.memory = (struct rtsp_client_memory){ 0 };
	dial("porch");
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_true(answer("DESCRIBE", "200 OK", "", VIDEO SOUND BACK));
	assert_true(answer_setup("0", "200 OK", 0));
	assert_true(answer_setup("1", "200 OK", 2));
	assert_true(answer_setup("2", "200 OK", 10));
	assert_false(listens());
	assert_true(answer("PLAY", "200 OK", "Session: 1\r\n", ""));
	assert_true(listens());

	anna = person_of("porch", 1);
	assert_int_equal(say(&anna, SAID_BYTES, 0x55), 0);
	assert_int_equal(
		evbuffer_get_length(fake_connection_output()), 4 + RTP_HEADER_BYTES + SAID_BYTES);
	evbuffer_remove(fake_connection_output(), head, sizeof(head));
	assert_memory_equal(head, "$\x0a\0\xac", 4);
	for (unsigned i = 0; i < 16; i++) /* it takes nothing: 32 KiB wait */
		assert_int_equal(say(&anna, 4096, 0), 0);
	assert_in_range(evbuffer_get_length(fake_connection_output()), 28 << 10, 40 << 10);
	assert_true(counted("behind") > behind);
	hang_up();
	assert_int_equal(rtsp_talk_description(&anna.talker), 0);
}

static void a_camera_without_it_is_pulled_all_the_same(void **state)
{
	(void)state;
	dialled.memory = (struct rtsp_client_memory){ 0 };
	dial("porch");
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_true(answer("DESCRIBE", "551 Option not supported", "", ""));
	assert_false(answer("DESCRIBE", "200 OK", "", VIDEO SOUND));
	assert_false(answer_setup("0", "200 OK", 0));
	assert_false(answer_setup("1", "200 OK", 2));
	assert_false(answer("PLAY", "200 OK", "Session: 1\r\n", ""));
	assert_false(listens());
	assert_false(dialled.ended);
	hang_up();

	dial("porch"); /* it takes the word, and has none */
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_true(answer("DESCRIBE", "200 OK", "", VIDEO SOUND));
	assert_false(answer_setup("0", "200 OK", 0));
	hang_up();

	dial("porch"); /* somebody else has it */
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_true(answer("DESCRIBE", "200 OK", "", VIDEO BACK));
	assert_true(answer_setup("0", "200 OK", 0));
	assert_true(answer_setup("2", "453 Not Enough Bandwidth", 2));
	assert_true(answer("PLAY", "200 OK", "Session: 1\r\n", ""));
	assert_false(listens());
	assert_false(dialled.ended);
	hang_up();
}

static void test_q75_a_camera_that_fails_when_asked_is_not_asked_again(void **state)
{
	(void)state;
	dialled.memory = (struct rtsp_client_memory){ 0 };
	dial("porch");
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	fake_connection_end();
	assert_true(dialled.ended);
	hang_up();

	dial("porch");
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_false(answer("DESCRIBE", "200 OK", "", VIDEO));
	fake_connection_end(); /* that was not it */
	hang_up();

	dial("porch");
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_true(answer("DESCRIBE", "200 OK", "", VIDEO));
	hang_up();

	dial("porch/sub"); /* the main stream has it */
	assert_false(answer("OPTIONS", "200 OK", "", ""));
	assert_false(answer("DESCRIBE", "200 OK", "", VIDEO));
	hang_up();
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	log_setup(LOG_ERROR, LOG_TEXT);
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
		cmocka_unit_test(numbers_are_those_of_one_sender),
		cmocka_unit_test(one_talks_until_he_is_silent),
		cmocka_unit_test(what_is_not_right_is_dropped),
		cmocka_unit_test(nobody_says_more_than_sound_is),
		cmocka_unit_test(a_camera_that_comes_back_listens_on),
		cmocka_unit_test(descriptions_are_plain_text),
		cmocka_unit_test(it_is_asked_for_and_set_up_last),
		cmocka_unit_test(a_camera_without_it_is_pulled_all_the_same),
		cmocka_unit_test(test_q75_a_camera_that_fails_when_asked_is_not_asked_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
