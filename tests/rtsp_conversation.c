/* Conversations with the RTSP server: see rtsp_conversation.h. */
#include "tests/rtsp_conversation.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "protocols/authenticate.h"
#include "protocols/rtsp_publish.h"
#include "protocols/rtsp_server.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "tests/http_conversation.h"
#include "tests/synthetic.h"

struct config *config;
struct rtsp_server *server;
struct stream *porch, *yard;

static const char *server_address;
static unsigned next_picture;     /* of the porch */
static struct rtsp_publish *gate; /* others publish to it */

/* --- the server and its streams --- */

void begin(struct stream *stream, size_t n)
{
	struct stream_track tracks[2];

	synthetic_tracks(tracks);
	stream_begin(stream, tracks, n);
	synthetic_tracks_free(tracks);
}

void publish_picture(struct stream *stream, bool key, size_t bytes)
{
	AVPacket *packet = synthetic_video(next_picture++, key, bytes);

	for (unsigned i = 0; i < 4; i++)
		packet->data[i] = (uint8_t)((bytes - 4) >> (24 - 8 * i));
	packet->data[4] = key ? 0x65 : 0x41;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

void publish_sound(unsigned i)
{
	AVPacket *packet = synthetic_audio(i, 200);

	stream_publish(porch, packet);
	av_packet_free(&packet);
}

static void gate_on_up(void *arg)
{
	(void)arg;
}

static void gate_on_left(void *arg, enum source_end end, const char *detail)
{
	(void)arg, (void)detail;
	assert_int_equal(end, SOURCE_CLOSED);
}

static struct rtsp_publish *gate_new(void)
{
	static const struct source_events events = { .on_up = gate_on_up, .on_left = gate_on_left };
	static const struct config_camera options = { 0 };
	static const struct log_name log = { .kind = "camera", .name = "gate" };
	const struct source_order order = {
		.config = &options,
		.stream = stream_new("gate"),
		.camera = "gate",
		.log = &log,
		.events = &events,
	};

	return rtsp_publish_new(&order);
}

int set_up(void **state)
{
	char *errors = NULL;

	(void)state;
	porch = stream_new("porch");
	yard = stream_new("yard/sub");
	(void)stream_new("garden");
	gate = gate_new();
	begin(porch, 2);
	begin(yard, 1);
	publish_picture(yard, true, PICTURE_BYTES);
	next_picture = 0;
	publish_picture(porch, true, KEY_BYTES);
	publish_sound(0);
	publish_picture(porch, false, PICTURE_BYTES);
	authenticate_set_users(NULL);
	config = config_parse("nvrd.yaml", "", 0, &errors);
	assert_non_null(config);
	server = rtsp_server_new(config, NULL);
	server_address = rtsp_server_listen(server, "127.0.0.1:0", true, NULL);
	assert_non_null(server_address);
	return 0;
}

void turn(void)
{
	for (int i = 0; i < 3; i++)
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

int tear_down(void **state)
{
	(void)state;
	rtsp_server_free(server);
	rtsp_publish_free(gate);
	config_free(config);
	while (stream_next(NULL))
		stream_free(stream_next(NULL));
	turn();
	return 0;
}
int start(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	reactor_init();
	return 0;
}

int finish(void **state)
{
	(void)state;
	reactor_fini();
	metrics_fini();
	return 0;
}

/* --- a client --- */

struct client *client_to(const char *address)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->fd = http_connect(address);
	return c;
}

struct client *client_new(void)
{
	return client_to(server_address);
}

void client_free(struct client *c)
{
	(void)close(c->fd);
	free(c);
	turn();
}

void client_read(struct client *c)
{
	struct pollfd wait = { .fd = c->fd, .events = POLLIN };
	ssize_t n;

	turn();
	n = recv(c->fd, c->input + c->n, INPUT_BYTES - c->n, 0);
	if (n > 0)
		c->n += (size_t)n;
	else if (n == 0 || errno == ECONNRESET)
		c->closed = true;
	else
		(void)poll(&wait, 1, 1);
	assert_true(c->n < INPUT_BYTES);
}

void client_send(struct client *c, const char *p, size_t n, bool byte_by_byte)
{
	while (n > 0) {
		ssize_t sent = send(c->fd, p, byte_by_byte ? 1 : n, MSG_NOSIGNAL);
		turn();
		if (sent < 0 && errno != EAGAIN)
			return;
		p += sent < 0 ? 0 : sent;
		n -= sent < 0 ? 0 : (size_t)sent;
	}
}

const uint8_t *client_packet(struct client *c, size_t *bytes)
{
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;

	for (;;) {
		const uint8_t *p = c->input + c->used;
		size_t n = c->n - c->used;
		size_t whole = n >= 4 ? 4 + ((size_t)p[2] << 8 | p[3]) : 4;
		if (n > 0 && p[0] != '$')
			return NULL;
		if (n >= 4 && n >= whole) {
			c->used += whole;
			*bytes = whole - 4;
			return p;
		}
		if (c->closed)
			return NULL;
		if (reactor_monotonic_us() > end_us)
			fail_msg("no packet came");
		client_read(c);
	}
}

char *client_answer(struct client *c)
{
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;
	size_t bytes;

	for (;;) {
		while (c->used < c->n && c->input[c->used] == '$')
			if (!client_packet(c, &bytes))
				break;
		const char *p = (const char *)c->input + c->used;
		const char *end = memmem(p, c->n - c->used, "\r\n\r\n", 4);
		if (end) {
			const char *field = memmem(p, (size_t)(end - p), "Content-Length: ", 16);
			size_t n =
				(size_t)(end + 4 - p) + (field ? strtoul(field + 16, NULL, 10) : 0);
			if (c->n - c->used >= n) {
				c->used += n;
				return xstrndup(p, n);
			}
		}
		if (c->closed)
			return xstrdup("closed");
		if (reactor_monotonic_us() > end_us)
			fail_msg("no answer came");
		client_read(c);
	}
}
bool client_is_closed(struct client *c)
{
	client_read(c);
	return c->closed;
}

/* --- UDP --- */

struct udp_client udp_open(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t n = sizeof(any);
	struct udp_client u = { 0 };

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 2; i++) {
		u.fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		any.sin_port = 0;
		assert_int_equal(bind(u.fds[i], (struct sockaddr *)&any, n), 0);
	}
	return u;
}

uint16_t udp_port(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t n = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	return ntohs(address.sin_port);
}

/* --- what they say --- */

/* Replaces all of `from` in text. The text is freed, the caller frees the result. */
static char *replaced(char *text, const char *from, const char *to)
{
	char *at;

	if (!*from)
		return text;
	while ((at = strstr(text, from))) {
		*at = '\0';
		char *next = xasprintf("%s%s%s", text, to, at + strlen(from));
		free(text);
		text = next;
	}
	return text;
}

/* The digits behind each `before` become '#'. */
static void blank_digits(char *text, const char *before)
{
	for (char *at = strstr(text, before); at; at = strstr(at, before)) {
		at += strlen(before);
		size_t n = strspn(at, "0123456789");
		if (n > 0) {
			*at = '#';
			memmove(at + 1, at + n, strlen(at + n) + 1);
		}
	}
}

void say(struct client *c, const char *line, bool byte_by_byte)
{
	char *text = xstrdup(line);
	char *body = strstr(text, "||");
	char *fields, *path;

	if (body) {
		*body = '\0';
		body += 2;
	}
	fields = strchr(text, '|');
	if (fields)
		*fields++ = '\0';
	path = strchr(text, ' ');
	assert_non_null(path);
	*path++ = '\0';
	char *request = xasprintf("%s %s%s RTSP/1.0|CSeq: %u|%s%s%s", text,
		*path == '-' ? "*" : "rtsp://@HOST/", *path == '-' ? "" : path, ++c->cseq,
		fields ? fields : "", fields ? "|" : "", "|");
	request = replaced(request, "@HOST", server_address);
	request = replaced(request, "@ID", c->session);
	request = replaced(request, "|", "\r\n");
	client_send(c, request, strlen(request), byte_by_byte);
	if (body)
		client_send(c, body, strlen(body), byte_by_byte);
	free(request);
	free(text);
}

void remember_session(struct client *c, const char *answer)
{
	const char *field = strstr(answer, "\r\nSession: ");

	if (field && sscanf(field + 11, "%32[0-9a-f]", c->session) != 1)
		fail_msg("no session: %s", answer);
}

char *hear(struct client *c)
{
	char *answer = client_answer(c);
	char *start = xasprintf("\r\nCSeq: %u\r\nServer: nvrd\r\n", c->cseq);

	if (strncmp(answer, "RTSP/1.0 ", 9) == 0)
		memmove(answer, answer + 9, strlen(answer + 9) + 1);
	remember_session(c, answer);
	answer = replaced(answer, start, "\r\n");
	answer = replaced(answer, c->session, "@ID");
	answer = replaced(answer, server_address, "@HOST");
	answer = replaced(answer, "\r\n\r\n", "|\r\n");
	size_t n = strlen(answer);
	if (n >= 3 && strcmp(answer + n - 3, "|\r\n") == 0)
		answer[n - 3] = '\0';
	answer = replaced(answer, "\r\n", "|");
	blank_digits(answer, "seq=");
	blank_digits(answer, "rtptime=");
	blank_digits(answer, "server_port=");
	blank_digits(answer, "server_port=#-");
	free(start);
	return answer;
}
/* "400 *" stands for anything that begins so. */
static bool is_as_expected(const char *answer, const char *expected)
{
	size_t n = strlen(expected);

	if (n > 0 && expected[n - 1] == '*')
		return strncmp(answer, expected, n - 1) == 0;
	return strcmp(answer, expected) == 0;
}

/* The next line of *lines, in which "\r\n" does not end one; the caller frees it. */
static char *take_line(const char **lines)
{
	const char *end = *lines;

	while (*end != '\n' || (end > *lines && end[-1] == '\r'))
		end++;
	char *line = xstrndup(*lines, (size_t)(end - *lines));
	*lines = end + 1;
	return line;
}

void converse(const struct conversation *conversation, bool byte_by_byte)
{
	const char *lines = conversation->lines;
	struct client *c = client_new();

	while (*lines) {
		char *request = take_line(&lines), *expected = take_line(&lines);
		say(c, request, byte_by_byte);
		char *answer = hear(c);
		blank_digits(answer, "Content-Length: ");
		if (!is_as_expected(answer, expected))
			fail_msg("%s: %s\nanswered:     %s\nand not: %s", conversation->rule,
				request, answer, expected);
		free(answer);
		free(expected);
		free(request);
	}
	client_free(c);
}

void expect(struct client *c, const char *request, const char *expected)
{
	say(c, request, false);
	char *answer = hear(c);
	if (!is_as_expected(answer, expected))
		fail_msg("%s\nanswered: %s", request, answer);
	free(answer);
}

void play(struct client *c, const char *path, unsigned sequences[2], uint32_t times[2])
{
	char *request = xasprintf("PLAY %s|" SESSION, path);

	say(c, request, false);
	char *answer = client_answer(c);
	assert_int_equal(strncmp(answer, "RTSP/1.0 200 OK\r\n", 17), 0);
	const char *at = strstr(answer, "RTP-Info: ");
	for (int i = 0; i < 2 && at && (at = strstr(at, ";seq=")); i++) {
		char *end;
		sequences[i] = (unsigned)strtoul(at + 5, &end, 10);
		assert_int_equal(strncmp(end, ";rtptime=", 9), 0);
		times[i] = (uint32_t)strtoul(end + 9, NULL, 10);
		at = end;
	}
	free(answer);
	free(request);
}
