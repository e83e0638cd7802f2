/*
 * A whole session of the RTSP client: what a camera sends, byte for byte, without a socket, while somebody talks to it, should it
 * listen. The input is a run of steps: a byte that says what happens, then its argument.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "protocols/rtsp_client.h"
#include "protocols/rtsp_talk.h"
#include "server/base/log.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "tests/fake_connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum step {
	STEP_FEED,  /* two bytes of length, the bytes */
	STEP_WAIT,  /* a byte: tens of milliseconds */
	STEP_CLOSE, /* the camera closes */
	STEP_HELLO, /* all that a camera says before media */
	STEPS
};

static volatile uint8_t sum;
static unsigned ends;

static void on_up(void *arg)
{
	(void)arg;
}

static void on_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg;
	if (end == SOURCE_STOPPED || ++ends > 1)
		abort();
	for (; detail && *detail; detail++)
		sum += (uint8_t)*detail;
}

static void on_packet(struct stream_reader *reader, AVPacket *packet)
{
	if (packet->size <= 0 || packet->pts < packet->dts ||
		(size_t)packet->stream_index >= stream_tracks(reader->stream))
		abort();
	for (int i = 0; i < packet->size; i++)
		sum += packet->data[i];
}

static const struct source_events source_events = { .on_up = on_up, .on_end = on_end };
static const struct stream_reader_events reader_events = { .on_packet = on_packet };

static const char hello[] =
	"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: GET_PARAMETER\r\n\r\n"
	"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 283\r\n\r\n"
	"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n"
	"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n"
	"a=fmtp:97 config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\na=control:1\r\n"
	"m=application 0 RTP/AVP 98\r\na=rtpmap:98 VND.ONVIF.METADATA/90000\r\na=control:2\r\n"
	"RTSP/1.0 200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n"
	"RTSP/1.0 200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n\r\n"
	"RTSP/1.0 200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n"
	"RTSP/1.0 200 OK\r\nSession: 1\r\n\r\n";

static void say(void)
{
	static const uint8_t packet[12 + 160] = { 0x80 }; /* PCMU */
	struct rtsp_talker talker;

	rtsp_talker_init(&talker, "fuzz");
	talker.description = rtsp_talk_description(&talker);
	if (rtsp_talk_take(&talker, packet, sizeof(packet)) < 0 && talker.description)
		abort();
	rtsp_talk_leave(&talker);
}

static void wait_a_little(int64_t us)
{
	fake_clock_set(fake_clock() + us);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

/* One step. Returns the bytes that it used. */
static size_t run_step(const uint8_t *p, size_t n)
{
	size_t bytes;

	switch ((enum step)(p[0] % STEPS)) {
	case STEP_FEED:
		if (n < 3)
			return n;
		bytes = (size_t)p[1] << 8 | p[2];
		bytes = bytes < n - 3 ? bytes : n - 3;
		fake_connection_feed(p + 3, bytes);
		return 3 + bytes;
	case STEP_WAIT:
		if (n < 2)
			return n;
		wait_a_little(p[1] * INT64_C(10000));
		return 2;
	case STEP_CLOSE:
		fake_connection_end();
		return 1;
	case STEP_HELLO:
		fake_connection_feed(hello, sizeof(hello) - 1);
		return 1;
	case STEPS:
		break;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct config_camera config = {
		.transport = TRANSPORT_TCP,
		.backchannel = n && p[0] & 0x40,
	};
	struct rtsp_client_memory memory = { .transport = TRANSPORT_AUTO };
	struct stream_reader reader = { 0 };
	struct rtsp_client *client;
	struct source_order order;
	const char *why;

	if (!reactor_base()) {
		reactor_init();
		log_setup(LOG_ERROR, LOG_TEXT);
	}
	ends = 0;
	order = (struct source_order){
		.url = n && p[0] & 0x80 ? "rtsp+http://a:b@192.0.2.1/x" : "rtsp://a:b@192.0.2.1/x",
		.config = &config,
		.stream = stream_new("fuzz"),
		.camera = "fuzz",
		.events = &source_events,
	};
	stream_subscribe(order.stream, &reader, &reader_events, false);
	client = rtsp_client_new(&order, &memory, &why);
	fake_connection_accept();
	while (n > 0) {
		size_t used = run_step(p, n);

		say();
		p += used;
		n -= used;
	}
	wait_a_little(1000000);
	rtsp_client_free(client);
	stream_unsubscribe(&reader);
	stream_free(order.stream);
	wait_a_little(1000);
	return 0;
}
