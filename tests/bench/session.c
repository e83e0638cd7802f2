/*
 * One camera's session without sockets: an RTSP client pulls the H.264 file given (Annex B, each
 * picture begun by an access unit delimiter, 25 a second) over interleaved TCP, as fast as it
 * takes it, and its stream is cut into fragments. For counting instructions:
 *   valgrind --tool=callgrind --toggle-collect=session_feed tests/bench/session FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtp_packetise.h"
#include "protocols/rtsp_client.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/fragmenter.h"
#include "tests/fake_connection.h"

enum {
	PICTURE_US = 40000,
	PICTURE_90K = 3600,
	PICTURE_BYTES = 4 << 20,
	AUD = 9
};

static unsigned long fragments, pictures;

static void on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	(void)reader, (void)init;
}

static void on_fragment(struct fragment_reader *reader, struct fragment *fragment)
{
	(void)reader;
	fragments++;
	pictures += fragment->n_packets;
}

static void on_end(struct fragment_reader *reader)
{
	(void)reader;
}

static const struct fragment_reader_events reader_events = { on_init, on_fragment, on_end };

static void on_up(void *arg)
{
	(void)arg;
}

static void on_source_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg;
	fprintf(stderr, "the client ended: %s %s\n", source_end_words(end), detail ? detail : "");
	exit(1);
}

static const struct source_events source_events = { .on_up = on_up, .on_end = on_source_end };

/* What is measured. */
__attribute__((noinline)) static void session_feed(const void *p, size_t n)
{
	fake_connection_feed(p, n);
}

static void answer(unsigned cseq, const char *fields, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
		"RTSP/1.0 200 OK\r\nCSeq: %u\r\n%sContent-Length: %zu\r\n\r\n%s", cseq, fields,
		strlen(body), body);

	fake_connection_feed(text, (size_t)n);
}

static void shake_hands(void)
{
	fake_connection_accept();
	answer(1, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", "");
	answer(2, "Content-Type: application/sdp\r\n",
		"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
		"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:0\r\n");
	answer(3, "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", "");
	answer(4, "Session: 1\r\n", "");
}

/* The start code at or after p, or end. */
static const uint8_t *next_start(const uint8_t *p, const uint8_t *end)
{
	for (; p + 3 <= end; p++) {
		if (!p[0] && !p[1] && p[2] == 1)
			return p;
	}
	return end;
}

/* Packetises one picture, NAL units with 4-byte lengths, and feeds it. */
static void send_picture(
	struct rtp_packetiser *packetiser, const uint8_t *p, size_t n, uint32_t timestamp)
{
	static uint8_t block[2 * PICTURE_BYTES];
	static uint32_t offsets[PICTURE_BYTES / 1000];
	struct rtp_packets packets = { .block = block, .offsets = offsets };

	(void)rtp_packetise(packetiser, &packets, p, n, timestamp);
	rtp_packets_mark(&packets);
	session_feed(packets.block, packets.bytes);
	fake_clock_set(fake_clock() + PICTURE_US);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

static void send_file(const uint8_t *p, const uint8_t *end)
{
	static uint8_t picture[PICTURE_BYTES];
	const AVCodecParameters parameters = { .codec_id = AV_CODEC_ID_H264 };
	struct rtp_packetiser packetiser = {
		.encoding = rtp_encoding_of(&parameters), .payload_type = 96, .ssrc = 0x1234
	};
	uint32_t timestamp = 0;
	size_t n = 0;

	for (p = next_start(p, end); p < end;) {
		const uint8_t *nal = p + 3, *next = next_start(nal, end);
		size_t bytes = (size_t)(next - nal);

		while (bytes && !nal[bytes - 1])
			bytes--;
		if ((nal[0] & 31) == AUD && n) {
			send_picture(&packetiser, picture, n, timestamp);
			timestamp += PICTURE_90K;
			n = 0;
		}
		if (n + 4 + bytes > sizeof(picture))
			abort();
		picture[n++] = 0;
		picture[n++] = (uint8_t)(bytes >> 16);
		picture[n++] = (uint8_t)(bytes >> 8);
		picture[n++] = (uint8_t)bytes;
		memcpy(picture + n, nal, bytes);
		n += bytes;
		p = next;
	}
}

static uint8_t *read_file(const char *path, size_t *ret)
{
	FILE *file = fopen(path, "rb");
	uint8_t *p;
	long n;

	if (!file || fseek(file, 0, SEEK_END) || (n = ftell(file)) <= 0) {
		perror(path);
		exit(1);
	}
	rewind(file);
	p = xmalloc((size_t)n);
	*ret = fread(p, 1, (size_t)n, file);
	(void)fclose(file);
	return p;
}

int main(int argc, char **argv)
{
	struct config_camera config = { .transport = TRANSPORT_TCP };
	struct rtsp_client_memory memory = { .transport = TRANSPORT_AUTO };
	struct fragment_reader reader = { 0 };
	struct rtsp_client *client;
	struct source_order order;
	const char *why;
	uint8_t *file;
	size_t n;

	if (argc != 2) {
		fprintf(stderr, "usage: session FILE.h264\n");
		return 2;
	}
	file = read_file(argv[1], &n);
	reactor_init();
	order = (struct source_order){
		.url = "rtsp://192.0.2.1/",
		.config = &config,
		.stream = stream_new("bench"),
		.camera = "bench",
		.events = &source_events,
	};
	fragmenter_subscribe(order.stream, &reader, &reader_events, false);
	client = rtsp_client_new(&order, &memory, &why);
	shake_hands();
	send_file(file, file + n);
	printf("%lu fragments, %lu pictures\n", fragments, pictures);
	rtsp_client_free(client);
	fragmenter_unsubscribe(&reader);
	stream_free(order.stream);
	reactor_fini();
	free(file);
	return 0;
}
