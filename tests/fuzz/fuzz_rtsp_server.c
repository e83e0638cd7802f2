/*
 * Connections of the RTSP server: what clients send, byte for byte, without a socket; requests and interleaved packets,
 * while a camera sends pictures and listens, and another one waits for somebody to publish. The input is a run of steps: a byte that says what happens, then its argument. What is
 * answered must be whole answers and whole packets.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "protocols/http_server.h"
#include "protocols/rtsp_publish.h"
#include "protocols/rtsp_server.h"
#include "protocols/rtsp_talk.h"
#include "server/base/config.h"
#include "server/base/connection.h"
#include "server/base/datagram.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "tests/fake_connection.h"
#include "tests/fake_listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum step {
	STEP_FEED,    /* two bytes of length, the bytes */
	STEP_CONNECT, /* another client; the one before says nothing more */
	STEP_PICTURE,
	STEP_WAIT, /* a byte: tenths of a second */
	STEP_CLOSE,
	STEP_END, /* the camera goes, and comes again */
	STEP_DATAGRAM, /* to the newest UDP ports: a byte that is odd for RTCP, two of length, the bytes */
	STEP_PLACE, /* the camera that waits goes, and comes again */
	STEP_EAR,   /* the one that listens stops to, or begins; a byte: that is odd for A-law */
	STEPS
};
enum {
	SESSION = 0x01, /* in what is fed: the id of the last session */
	ID_BYTES = 32,
	PICTURE_BYTES = 3000
};

static struct stream *porch, *gate;
static struct rtsp_publish *place; /* of the gate */
static char id[ID_BYTES + 1];
static int64_t pictures;

/* --- what stands in for sockets --- */

struct datagram_pair {
	size_t sent;
	const struct datagram_events *events;
	void *arg;
};
static struct datagram_pair *newest;

struct datagram_pair *datagram_pair_new(
	const struct sockaddr *local, const struct datagram_events *events, void *arg)
{
	(void)local;
	newest = xcalloc(1, sizeof(struct datagram_pair));
	newest->events = events;
	newest->arg = arg;
	return newest;
}

struct datagram_pair *datagram_group_new(const struct sockaddr_in *local,
	const struct sockaddr_in *group, unsigned char ttl, const struct datagram_events *events,
	void *arg)
{
	(void)local, (void)group, (void)ttl, (void)events, (void)arg;
	return xcalloc(1, sizeof(struct datagram_pair));
}

void datagram_pair_free(struct datagram_pair *pair)
{
	if (pair == newest)
		newest = NULL;
	free(pair);
}

uint16_t datagram_pair_port(const struct datagram_pair *pair)
{
	(void)pair;
	return 5000;
}

void datagram_pair_set_peer(struct datagram_pair *pair, enum datagram_kind kind,
	const struct sockaddr *to, socklen_t to_bytes)
{
	(void)pair, (void)kind, (void)to, (void)to_bytes;
}

size_t datagram_pair_send(
	struct datagram_pair *pair, enum datagram_kind kind, const struct iovec *packets, size_t n)
{
	(void)kind, (void)packets;
	pair->sent += n;
	return n;
}

/* Nothing comes through HTTP. */
void http_set_tunnel(void (*handle)(void *arg, struct http_request *request), void *arg)
{
	(void)handle, (void)arg;
}

struct connection *http_hand_over(struct http_request *request, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	(void)request, (void)parent, (void)events, (void)arg;
	abort();
}

const struct sockaddr *http_peer_address(const struct http_request *request)
{
	(void)request;
	abort();
}

struct message_text http_field(const struct http_request *request, const char *name)
{
	(void)request, (void)name;
	abort();
}

enum http_method http_method(const struct http_request *request)
{
	(void)request;
	abort();
}

uint64_t http_body_bytes(const struct http_request *request)
{
	(void)request;
	abort();
}

void http_answer_error(struct http_request *request, int status, const char *format, ...)
{
	(void)request, (void)status, (void)format;
	abort();
}

/* --- the camera --- */

static void camera_begin(void)
{
	static const uint8_t extradata[] = { 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42,
		0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80 };
	AVCodecParameters *parameters = avcodec_parameters_alloc();
	struct stream_track track = {
		.parameters = parameters, .time_base = {1, 90000}
	};

	parameters->codec_type = AVMEDIA_TYPE_VIDEO;
	parameters->codec_id = AV_CODEC_ID_H264;
	parameters->width = 640;
	parameters->height = 360;
	parameters->extradata = av_mallocz(sizeof(extradata) + AV_INPUT_BUFFER_PADDING_SIZE);
	memcpy(parameters->extradata, extradata, sizeof(extradata));
	parameters->extradata_size = sizeof(extradata);
	stream_begin(porch, &track, 1);
	avcodec_parameters_free(&parameters);
}

static void camera_send(void)
{
	static const uint8_t head[] = { 0, 0, (PICTURE_BYTES - 4) >> 8,
		(PICTURE_BYTES - 4) & 0xff };
	AVPacket *packet = av_packet_alloc();
	bool key = pictures % 8 == 0;

	if (av_new_packet(packet, PICTURE_BYTES) < 0)
		abort();
	memset(packet->data, 0x5a, PICTURE_BYTES);
	memcpy(packet->data, head, sizeof(head));
	packet->data[4] = key ? 0x65 : 0x41;
	packet->flags = key ? AV_PKT_FLAG_KEY : 0;
	packet->pts = packet->dts = INT64_C(1700000000) * 90000 + pictures * 3600;
	packet->duration = 3600;
	pictures++;
	stream_publish(porch, packet);
	av_packet_free(&packet);
}

static struct rtsp_talk *ear;

/* What it hears is a whole packet, of what it listens to. */
static bool camera_hear(void *arg, uint8_t *p, size_t n)
{
	if (n <= 12 || p[0] != 0x80 || (p[1] & 0x7f) != *(const uint8_t *)arg)
		abort();
	return p[n - 1] & 1;
}

static void camera_listen(bool alaw)
{
	static uint8_t types[] = { 0, 8 };
	struct sdp_media media = { .payload_type = types[alaw], .clock_hz = 8000 };

	memcpy(media.encoding, alaw ? "PCMA" : "PCMU", 5);
	ear = rtsp_talk_new("porch", &media, camera_hear, &types[alaw]);
}

/* --- the camera that waits --- */

static bool published; /* and it was told so once */

static void gate_on_up(void *arg)
{
	(void)arg;
	if (published)
		abort();
	published = true;
}

static void gate_on_degraded(void *arg, const char *why)
{
	(void)arg, (void)why;
}

static void gate_on_left(void *arg, enum source_end end, const char *detail)
{
	(void)arg, (void)end, (void)detail;
	published = false;
	stream_end(gate);
}

static void gate_begin(void)
{
	static const struct source_events events = {
		.on_up = gate_on_up, .on_degraded = gate_on_degraded, .on_left = gate_on_left
	};
	static const struct config_camera options = { .audio = AUDIO_COPY };
	static const struct log_name log = { .kind = "camera", .name = "gate" };
	const struct source_order order = {
		.config = &options,
		.stream = gate,
		.camera = "gate",
		.log = &log,
		.events = &events,
	};

	published = false;
	place = rtsp_publish_new(&order);
}

/* --- clients --- */

/* Takes whole answers and packets off what was written; there may be nothing else. */
static void check_output(void)
{
	struct evbuffer *output = fake_connection_output();
	size_t n = output ? evbuffer_get_length(output) : 0, used;
	const char *p = n ? (const char *)evbuffer_pullup(output, -1) : NULL;

	for (; n > 0; p += used, n -= used) {
		const char *end = memmem(p, n, "\r\n\r\n", 4), *field;
		if (p[0] == '$' && n >= 4) {
			used = 4 + ((size_t)(uint8_t)p[2] << 8 | (uint8_t)p[3]);
		} else {
			if (!end || strncmp(p, "RTSP/1.0 ", 9) != 0)
				abort();
			field = memmem(p, (size_t)(end - p), "\r\nContent-Length: ", 18);
			used = (size_t)(end + 4 - p) + (field ? strtoul(field + 18, NULL, 10) : 0);
			field = memmem(p, (size_t)(end - p), "\r\nSession: ", 11);
			if (field)
				memcpy(id, field + 11, ID_BYTES);
		}
		if (used > n)
			abort();
	}
	fake_connection_drain();
}

static void feed(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t plain = 0;
		while (i + plain < n && p[i + plain] != SESSION)
			plain++;
		fake_connection_feed(p + i, plain);
		i += plain;
		if (i < n)
			fake_connection_feed(id, strlen(id));
		i++;
		check_output();
	}
}

static void wait_a_little(int64_t us)
{
	fake_clock_set(fake_clock() + us);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	check_output();
}

static void send_datagram(enum datagram_kind kind, const uint8_t *p, size_t n)
{
	const struct sockaddr *peer = connection_peer_address(NULL); /* all have the same */
	uint8_t *copy = xmalloc(n + 1);

	memcpy(copy + 1, p, n); /* so that it ends where the block does */
	if (newest)
		newest->events->on_datagram(
			newest->arg, kind, copy + 1, n, peer, sizeof(struct sockaddr_in));
	free(copy);
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
		feed(p + 3, bytes);
		return 3 + bytes;
	case STEP_CONNECT:
		fake_listener_accept();
		return 1;
	case STEP_PICTURE:
		camera_send();
		check_output();
		return 1;
	case STEP_WAIT:
		if (n < 2)
			return n;
		wait_a_little(p[1] * INT64_C(100000));
		return 2;
	case STEP_CLOSE:
		fake_connection_end();
		return 1;
	case STEP_END:
		stream_end(porch);
		check_output();
		camera_begin();
		camera_send();
		return 1;
	case STEP_DATAGRAM:
		if (n < 4)
			return n;
		bytes = (size_t)p[2] << 8 | p[3];
		bytes = bytes < n - 4 ? bytes : n - 4;
		send_datagram(p[1] & 1 ? DATAGRAM_RTCP : DATAGRAM_RTP, p + 4, bytes);
		return 4 + bytes;
	case STEP_PLACE:
		rtsp_publish_free(place);
		stream_end(gate);
		gate_begin();
		check_output();
		return 1;
	case STEP_EAR:
		if (n < 2)
			return n;
		if (ear) {
			rtsp_talk_free(ear);
			ear = NULL;
		} else {
			camera_listen(p[1] & 1);
		}
		return 2;
	case STEPS:
		break;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char text[] = "rtsp: {sessions: 8, sessions_per_address: 6}\n"
				   "cameras: {porch: {source: 'test:', multicast: 239.1.2.3}}\n";
	char *errors = NULL;
	struct rtsp_server *server;
	struct config *config;

	if (!reactor_base()) {
		reactor_init();
		log_setup(LOG_ERROR, LOG_TEXT);
	}
	id[0] = '\0';
	config = config_parse("fuzz", text, sizeof(text) - 1, &errors);
	server = rtsp_server_new(config, NULL);
	if (!config || !rtsp_server_listen(server, "192.0.2.2:554", false, NULL))
		abort();
	porch = stream_new("porch");
	pictures = 0;
	camera_begin();
	camera_send();
	gate = stream_new("gate");
	gate_begin();
	camera_listen(false);
	fake_listener_accept();
	while (n > 0) {
		size_t used = run_step(p, n);

		p += used;
		n -= used;
	}
	wait_a_little(1000000);
	rtsp_server_free(server);
	rtsp_publish_free(place);
	rtsp_talk_free(ear);
	ear = NULL;
	stream_free(porch);
	stream_free(gate);
	config_free(config);
	wait_a_little(1000);
	return 0;
}
