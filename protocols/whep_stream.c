/* TCP connections of WebRTC: see whep_stream.h. */
#include "protocols/whep_stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "protocols/stun.h"
#include "server/base/connection.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/memory.h"

enum {
	LENGTH_BYTES = 2,      /* before each datagram */
	DATAGRAM_BYTES = 2048, /* what is longer is none of STUN, DTLS and RTCP */
	UNSENT_BYTES = 512 << 10,
	STRANGER_BYTES = 4096, /* who was sent less watches nothing */
};
#define IDLE_US (INT64_C(30) * 1000000) /* as consent (RFC 7675) */

struct whep_stream {
	TAILQ_ENTRY(whep_stream) entry;
	struct whep_streams *streams;
	struct connection *connection;
	struct whep_path path;
	size_t sent; /* bytes */
};

struct whep_streams {
	struct listener *listener;
	struct log_name log;
	whep_port_datagram_fn *on_datagram;
	TAILQ_HEAD(, whep_stream) all; /* the oldest first */
	size_t n;
	uint64_t last_id;
};

static void stream_free(struct whep_stream *stream)
{
	TAILQ_REMOVE(&stream->streams->all, stream, entry);
	stream->streams->n--;
	free(stream);
}

/* Takes one whole datagram. False: there is none, or the connection has ended. */
static bool stream_take(struct whep_stream *stream)
{
	struct evbuffer *input = connection_input(stream->connection);
	uint8_t length[LENGTH_BYTES], datagram[DATAGRAM_BYTES];
	size_t n;

	if (evbuffer_copyout(input, length, sizeof(length)) < LENGTH_BYTES)
		return false;
	n = (size_t)length[0] << 8 | length[1];
	if (n > sizeof(datagram)) {
		connection_close(stream->connection, CLOSE_BAD_REQUEST);
		return false;
	}
	if (evbuffer_get_length(input) < LENGTH_BYTES + n)
		return false;
	(void)evbuffer_drain(input, LENGTH_BYTES);
	(void)evbuffer_remove(input, datagram, n);
	if (stream->sent == 0 && !stun_is(datagram, n)) {
		connection_close(stream->connection, CLOSE_BAD_REQUEST);
		return false;
	}
	stream->streams->on_datagram(&stream->path, datagram, n);
	return true;
}

static void stream_on_data(void *arg)
{
	while (stream_take(arg))
		;
}

static void stream_on_close(void *arg, enum close_reason reason, const char *detail)
{
	(void)reason, (void)detail;
	stream_free(arg);
}

static const struct connection_events stream_events = {
	.on_data = stream_on_data,
	.on_close = stream_on_close,
};

/* False: everybody watches. */
static bool make_room(struct whep_streams *streams)
{
	struct whep_stream *stream;

	if (streams->n < WHEP_STREAMS)
		return true;
	TAILQ_FOREACH (stream, &streams->all, entry) {
		if (stream->sent < STRANGER_BYTES) {
			connection_close(stream->connection, CLOSE_CROWDED);
			return true;
		}
	}
	return false;
}

static void on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct whep_streams *streams = arg;
	struct whep_stream *stream;
	bool has_room = make_room(streams);

	stream = xcalloc(1, sizeof(*stream));
	stream->streams = streams;
	stream->path.stream = ++streams->last_id;
	stream->path.peer_bytes = (socklen_t)peer_bytes;
	memcpy(&stream->path.peer, peer, (size_t)peer_bytes);
	TAILQ_INSERT_TAIL(&streams->all, stream, entry);
	streams->n++;
	stream->connection = connection_accept(
		fd, peer, peer_bytes, NULL, "webrtc", &streams->log, &stream_events, stream);
	connection_set_idle(stream->connection, IDLE_US);
	if (!has_room)
		connection_close(stream->connection, CLOSE_CROWDED);
}

size_t whep_streams_send(
	struct whep_streams *streams, uint64_t id, const struct iovec *packets, size_t n)
{
	struct whep_stream *stream;
	struct evbuffer *output;
	size_t i;

	TAILQ_FOREACH (stream, &streams->all, entry) {
		if (stream->path.stream == id)
			break;
	}
	if (!stream)
		return n;
	output = connection_output(stream->connection);
	for (i = 0; i < n && evbuffer_get_length(output) < UNSENT_BYTES; i++) {
		uint8_t length[LENGTH_BYTES] = { (uint8_t)(packets[i].iov_len >> 8),
			(uint8_t)packets[i].iov_len };

		connection_write(stream->connection, length, sizeof(length));
		connection_write(stream->connection, packets[i].iov_base, packets[i].iov_len);
		stream->sent += packets[i].iov_len;
	}
	return i;
}

struct whep_streams *whep_streams_new(
	const char *address, bool loopback_only, whep_port_datagram_fn *on_datagram)
{
	struct whep_streams *streams = xcalloc(1, sizeof(*streams));

	streams->log = (struct log_name){ .kind = "webrtc" };
	streams->on_datagram = on_datagram;
	TAILQ_INIT(&streams->all);
	streams->listener = listener_new(address, loopback_only, on_accept, streams);
	if (!streams->listener) {
		free(streams);
		return NULL;
	}
	return streams;
}

void whep_streams_free(struct whep_streams *streams)
{
	if (!streams)
		return;
	listener_free(streams->listener);
	while (!TAILQ_EMPTY(&streams->all))
		connection_close(TAILQ_FIRST(&streams->all)->connection, CLOSE_SHUTDOWN);
	free(streams);
}
