/* What comes from the camera, cut into messages and interleaved packets (RFC 2326 section 10.12). */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "protocols/rtp.h"
#include "protocols/rtsp_client_private.h"

enum {
	INTERLEAVED_HEAD = 4,
	GARBAGE_BYTES = 256 << 10,
	BODY_US = 1000000, /* a body that is shorter than it said is waited for */
};

/* --- messages --- */

/* Whether the n bytes begin a message: 1 yes, 0 perhaps, with more of them, -1 no. */
static int input_begins_message(const char *p, size_t n)
{
	static const char *const starts[] = { "RTSP/1.", "HTTP/1.", "OPTIONS ", "ANNOUNCE ",
		"GET_PARAMETER ", "SET_PARAMETER ", "TEARDOWN ", "REDIRECT ", "PLAY_NOTIFY " };
	int verdict = -1;

	for (size_t i = 0; i < ARRAY_LENGTH(starts); i++) {
		size_t length = strlen(starts[i]);

		if (strncasecmp(p, starts[i], n < length ? n : length) != 0)
			continue;
		if (n >= length)
			return 1;
		verdict = 0;
	}
	return verdict;
}

/*
 * How many bytes of body follow a head; -EAGAIN to wait, -EMSGSIZE when it is too long. Some
 * cameras leave out the length of a description, some count a few bytes too many.
 */
static ssize_t input_body_bytes(
	const struct rtsp_client *client, const struct message *m, const char *p, size_t n)
{
	bool is_description = !m->is_request && client->state == RTSP_DESCRIBE && m->status == 200;
	uint64_t length = 0;

	if (client->state == RTSP_TUNNEL)
		return 0; /* its length is that of the whole session */
	if (message_find(m, "Content-Length").p && message_content_length(m, &length) == 0) {
		if (length > RTSP_BODY_BYTES)
			return -EMSGSIZE;
		if (length > n)
			return client->body_due ? (ssize_t)n : -EAGAIN;
		return (ssize_t)length;
	}
	if (!is_description)
		return 0;
	return client->body_due && memmem(p, n, "m=", 2) ? (ssize_t)n : -EAGAIN;
}

static void input_act(
	struct rtsp_client *client, const struct message *m, const char *body, size_t body_bytes)
{
	struct message_text text = { body, body_bytes };

	if (m->is_request)
		rtsp_client_on_request(client, m, text);
	else
		rtsp_client_on_answer(client, m, text);
}

/* Whether the client still reads from this buffer: a new connection, or none, has another. */
static bool input_is(const struct rtsp_client *client, const struct evbuffer *input)
{
	return client->state != RTSP_ENDED && client->connection &&
	       connection_input(client->connection) == input;
}

static bool input_skip_garbage(struct rtsp_client *client, struct evbuffer *input, size_t n);

/* Takes one message from the input. Returns whether there was a whole one. */
static bool input_take_message(struct rtsp_client *client, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	const char *p, *why;
	struct message m;
	ssize_t used, body;

	if (n > MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES)
		n = MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES;
	p = (const char *)evbuffer_pullup(input, (ssize_t)n);
	used = message_parse(&m, p, n, client->seen, false, &why);
	client->seen = used ? 0 : n; /* a head is read again while its body is awaited */
	if (used < 0 && client->state == RTSP_PLAYING)
		return input_skip_garbage(client, input, 1);
	if (used < 0) {
		rtsp_client_end(client, SOURCE_PROTOCOL, why);
		return false;
	}
	if (used == 0)
		return false;
	body = input_body_bytes(client, &m, p + used, n - (size_t)used);
	if (body == -EMSGSIZE)
		rtsp_client_end(client, SOURCE_PROTOCOL, "the body is too long");
	else if (body < 0)
		reactor_timer_start(client->body_timer, BODY_US);
	if (body < 0)
		return false;
	client->body_due = false;
	reactor_timer_stop(client->body_timer);
	input_act(client, &m, p + used, (size_t)body);
	if (input_is(client, input))
		evbuffer_drain(input, (size_t)(used + body));
	return input_is(client, input);
}

void rtsp_client_on_body_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_client *client = arg;

	(void)fd, (void)what;
	client->body_due = true;
	rtsp_client_on_data(client);
}

/* --- packets --- */

/* Skips n bytes of what is neither a packet nor a message. Returns whether to go on. */
static bool input_skip_garbage(struct rtsp_client *client, struct evbuffer *input, size_t n)
{
	log_write_repeated(&client->garbage, LOG_WARN, &client->log,
		"garbage between packets: skipping to the next one");
	client->seen = 0;
	client->garbage_bytes += n;
	if (client->garbage_bytes > GARBAGE_BYTES) {
		rtsp_client_end(client, SOURCE_PROTOCOL, "nothing but garbage");
		return false;
	}
	evbuffer_drain(input, n);
	return true;
}

/*
 * Whether what claims to be a packet of n bytes may be one, by the `seen` of them that are here. In
 * step with the camera its word is trusted as far as RTP's version goes; after garbage a packet
 * must be one that we know.
 */
static bool input_is_packet(
	const struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n, size_t seen)
{
	bool ours = rtsp_client_has_channel(client, channel);

	if (client->garbage_bytes)
		return ours && n >= RTP_HEADER_BYTES &&
		       (seen < RTP_HEADER_BYTES || rtp_receiver_knows(&client->receiver, p, seen));
	return n < INTERLEAVED_HEAD || seen == 0 || p[0] >> 6 == 2;
}

/* Whether the byte after a packet that is nobody's may begin what comes next. */
static bool input_may_begin(char next)
{
	return next == '$' || next == '\r' || next == '\n' || (next >= 'A' && next <= 'Z');
}

/* What stands first in the input, as much as there is. */
struct input_head {
	uint8_t bytes[INTERLEAVED_HEAD + RTP_HEADER_BYTES];
	size_t n;
};

/* Takes one interleaved packet. Returns whether there was a whole one. */
static bool input_take_packet(
	struct rtsp_client *client, struct evbuffer *input, const struct input_head *head)
{
	uint8_t channel = head->bytes[1];
	size_t n = (size_t)(head->bytes[2] << 8 | head->bytes[3]);
	bool ours = rtsp_client_has_channel(client, channel);
	const uint8_t *p;

	if (head->n < INTERLEAVED_HEAD)
		return false;
	if (!input_is_packet(
		    client, channel, head->bytes + INTERLEAVED_HEAD, n, head->n - INTERLEAVED_HEAD))
		return input_skip_garbage(client, input, 1);
	/* where a length is not a packet's, the next one is not where it says */
	p = evbuffer_pullup(input, (ssize_t)(INTERLEAVED_HEAD + n + (ours ? 0 : 1)));
	if (!p)
		return false;
	if (!ours && !input_may_begin((char)p[INTERLEAVED_HEAD + n]))
		return input_skip_garbage(client, input, 1);
	client->garbage_bytes = 0;
	(void)rtsp_client_on_interleaved(client, channel, p + INTERLEAVED_HEAD, n);
	if (!input_is(client, input))
		return false;
	evbuffer_drain(input, INTERLEAVED_HEAD + n);
	return true;
}

/* --- all --- */

static bool input_take(struct rtsp_client *client, struct evbuffer *input)
{
	struct input_head head = { .n = 0 };
	ssize_t n = evbuffer_copyout(input, head.bytes, sizeof(head.bytes));
	const char *text = (const char *)head.bytes;
	size_t blank = 0;
	int verdict;

	if (n <= 0)
		return false;
	head.n = (size_t)n;
	if (text[0] == '$')
		return input_take_packet(client, input, &head);
	while (blank < head.n && (text[blank] == '\r' || text[blank] == '\n'))
		blank++;
	if (blank) {
		client->seen = 0;
		evbuffer_drain(input, blank);
		return true;
	}
	verdict = input_begins_message(text, head.n);
	if (verdict < 0)
		return input_skip_garbage(client, input, 1);
	return verdict > 0 && input_take_message(client, input);
}

void rtsp_client_on_data(struct rtsp_client *client)
{
	struct evbuffer *input = client->connection ? connection_input(client->connection) : NULL;
	size_t before = input ? evbuffer_get_length(input) : 0;

	while (input && input_is(client, input)) {
		if (before - evbuffer_get_length(input) > RTSP_WAKEUP_BYTES) {
			/* go on in the next turn of the loop */
			connection_pause(client->connection, PAUSE_BUSY);
			connection_resume(client->connection, PAUSE_BUSY);
			return;
		}
		if (!input_take(client, input))
			return;
	}
}
