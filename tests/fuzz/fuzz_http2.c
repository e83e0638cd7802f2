/*
 * A connection of HTTP/2: what a client sends, byte for byte, without a socket. The input is a run of steps: a byte that
 * says what happens, then its argument. What is answered must be whole frames, and every request must come to its end.
 */
#include <stdint.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "server/base/log.h"
#include "server/base/reactor.h"
#include "tests/fake_connection.h"
#include "tests/http2_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum step {
	STEP_FEED,  /* two bytes of length, the bytes */
	STEP_BEGIN, /* the preface and empty SETTINGS */
	STEP_DRAIN, /* the peer takes what was written */
	STEP_WAIT,  /* a byte: tenths of a second */
	STEP_CLOSE,
	STEP_CONNECT,
	STEP_FRAME, /* its length is put right: a byte of it, type, flags, stream, the payload */
	STEPS
};
enum {
	FRAME_HEAD_BYTES = 9,
	FRAME_MOST_BYTES = 16384, /* nobody has asked for larger ones */
};

static void wait_a_little(int64_t us)
{
	fake_clock_set(fake_clock() + us);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

/* Takes what was written, which may be nothing but whole frames. */
static void drain(void)
{
	struct evbuffer *output = fake_connection_output();
	size_t n = output ? evbuffer_get_length(output) : 0;
	const uint8_t *p = n ? evbuffer_pullup(output, -1) : NULL;

	while (n > 0) {
		size_t bytes =
			n < FRAME_HEAD_BYTES ? n : (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];

		if (bytes > FRAME_MOST_BYTES || bytes + FRAME_HEAD_BYTES > n)
			abort();
		p += FRAME_HEAD_BYTES + bytes;
		n -= FRAME_HEAD_BYTES + bytes;
	}
	fake_connection_drain();
}

static void feed_frame(const uint8_t *p, size_t bytes)
{
	const uint8_t head[FRAME_HEAD_BYTES] = { 0, 0, (uint8_t)bytes, p[1], p[2], 0, 0, 0, p[3] };

	fake_connection_feed(head, sizeof(head));
	fake_connection_feed(p + 4, bytes);
}

/* One step. Returns the bytes that it used. */
static size_t run_step(const uint8_t *p, size_t n)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	size_t bytes;

	switch ((enum step)(p[0] % STEPS)) {
	case STEP_FEED:
		if (n < 3)
			return n;
		bytes = (size_t)p[1] << 8 | p[2];
		bytes = bytes < n - 3 ? bytes : n - 3;
		fake_connection_feed(p + 3, bytes);
		return 3 + bytes;
	case STEP_BEGIN:
		fake_connection_feed(preface, sizeof(preface)); /* the NUL is its last byte */
		return 1;
	case STEP_DRAIN:
		drain();
		return 1;
	case STEP_WAIT:
		if (n < 2)
			return n;
		wait_a_little(p[1] * INT64_C(100000));
		return 2;
	case STEP_CLOSE:
		fake_connection_end();
		return 1;
	case STEP_CONNECT:
		fake_connection_end();
		http2_server_connect();
		return 1;
	case STEP_FRAME:
		if (n < 5)
			return n;
		bytes = p[1] < n - 5 ? p[1] : n - 5;
		feed_frame(p + 1, bytes);
		return 5 + bytes;
	case STEPS:
		break;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!reactor_base()) {
		reactor_init();
		log_setup(LOG_ERROR, LOG_TEXT);
	}
	http2_server_start();
	http2_server_connect();
	while (n > 0) {
		size_t used = run_step(p, n);

		p += used;
		n -= used;
	}
	wait_a_little(1000000);
	drain();
	http2_server_stop();
	wait_a_little(1000);
	if (http2_server_requests() != 0)
		abort();
	return 0;
}
