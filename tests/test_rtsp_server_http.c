/* The RTSP server through HTTP: a GET and a POST that are one connection. */
#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "server/base/metrics.h"
#include "tests/rtsp_conversation.h"

static const struct http_route no_routes[] = {
	{NULL, 0, ROLE_VIEWER, NULL}
};
static struct http_server *http;

/* What HTTP says to it, head and body; the connection stays open. */
static struct client *tunnel_open(const char *method, const char *cookie, const char *fields)
{
	struct client *c = client_to(http_server_address(http));
	char *head = xasprintf("%s /porch HTTP/1.1\r\nHost: %s\r\nx-sessioncookie: %s\r\n%s\r\n",
		method, http_server_address(http), cookie, fields);

	client_send(c, head, strlen(head), false);
	free(head);
	return c;
}

#define POST_FIELDS "Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n"

/* The GET's; its answer is taken off. */
static struct client *tunnel_get(const char *cookie)
{
	struct client *c = tunnel_open("GET", cookie, "Accept: application/x-rtsp-tunnelled\r\n");
	char *answer = client_answer(c);

	assert_int_equal(strncmp(answer, "HTTP/1.0 200 OK\r\n", 17), 0);
	assert_non_null(strstr(answer, "\r\nContent-Type: application/x-rtsp-tunnelled\r\n"));
	free(answer);
	return c;
}

/* A request goes in by the POST in two pieces, each of its own Base64; the answer comes by the GET. */
static void tunnel_expect(struct client *get, struct client *post, const char *request,
	const char *expected, bool byte_by_byte)
{
	char *text = xasprintf("%s\r\nCSeq: %u\r\n%s%s\r\n\r\n", request, ++get->cseq,
		get->session[0] ? "Session: " : "X: ", get->session);
	size_t n = strlen(text), cut = n / 3 * 2 + 1;
	char base64[2048];

	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)text, cut) > 0);
	client_send(post, base64, strlen(base64), byte_by_byte);
	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)text + cut, n - cut) > 0);
	client_send(post, base64, strlen(base64), byte_by_byte);
	free(text);
	char *answer = client_answer(get);
	if (strncmp(answer + strlen("RTSP/1.0 "), expected, strlen(expected)) != 0)
		fail_msg("%s\nanswered: %s", request, answer);
	if (strstr(answer, "\r\nSession: "))
		remember_session(get, answer);
	free(answer);
}

static int set_up_http(void **state)
{
	set_up(state);
	http = http_server_new("127.0.0.1:0", true, NULL, no_routes);
	assert_non_null(http);
	return 0;
}

static int tear_down_http(void **state)
{
	http_server_free(http);
	return tear_down(state);
}

static void a_tunnel_plays(void **state)
{
	struct client *get = tunnel_get("a"), *post = tunnel_open("POST", "a", POST_FIELDS);
	size_t n;

	(void)state;
	tunnel_expect(get, post, "OPTIONS rtsp://h/porch RTSP/1.0", "200 OK", false);
	tunnel_expect(get, post,
		"SETUP rtsp://h/yard/sub RTSP/1.0\r\nTransport: RTP/AVP;unicast;client_port=5000-5001",
		"461 ", false);
	tunnel_expect(get, post,
		"SETUP rtsp://h/yard/sub RTSP/1.0\r\nTransport: RTP/AVP/TCP;interleaved=0-1",
		"200 OK", true);
	/* the POST goes, what it has begun is ended by another */
	client_send(post, "UExBW", 5, false); /* PLA, and bits of another byte */
	client_free(post);
	post = tunnel_open("POST", "a", POST_FIELDS);
	char *play = xasprintf(
		"Y rtsp://h/yard/sub RTSP/1.0\r\nCSeq: 9\r\nSession: %s\r\n\r\n", get->session);
	char base64[512];
	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)play, strlen(play)) > 0);
	client_send(post, base64, strlen(base64), false);
	free(play);
	char *answer = client_answer(get);
	assert_int_equal(strncmp(answer, "RTSP/1.0 200 OK\r\nCSeq: 9\r\n", 26), 0);
	free(answer);
	assert_non_null(client_packet(get, &n)); /* the report */
	assert_non_null(client_packet(get, &n));
	/* without any POST it plays on */
	client_free(post);
	publish_picture(yard, false, PICTURE_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(client_packet(get, &n));
	client_free(get);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "rtsp")) == 0);
}

static void http_refused(
	const char *method, const char *cookie, const char *fields, const char *status)
{
	struct client *c = tunnel_open(method, cookie, fields);
	char *answer = client_answer(c);

	if (strncmp(answer + strlen("HTTP/1.1 "), status, 3) != 0)
		fail_msg("%s: %s", method, answer);
	free(answer);
	client_free(c);
}

static void tunnels_are_told_apart_by_their_cookies(void **state)
{
	struct client *get = tunnel_get("a"), *other = tunnel_get("b");
	struct client *post = tunnel_open("POST", "b", POST_FIELDS);
	char longest[200];

	(void)state;
	http_refused("GET", "a", "", "409");
	http_refused("POST", "c", POST_FIELDS, "404");
	http_refused("POST", "a", "Transfer-Encoding: chunked\r\n", "501");
	http_refused("GET", "", "", "400");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	http_refused("GET", longest, "", "400");
	http_refused("PUT", "a", "Content-Length: 0\r\n", "404"); /* a request like any other */
	tunnel_expect(other, post, "OPTIONS * RTSP/1.0", "200 OK", false);
	assert_int_equal(get->n, get->used);
	client_free(get);
	client_free(post);
	client_free(other);
}

static void a_tunnel_of_something_else_is_closed(void **state)
{
	struct client *get = tunnel_get("a"), *post = tunnel_open("POST", "a", POST_FIELDS);

	(void)state;
	client_send(post, "T1BU*", 5, false);
	char *answer = client_answer(get);
	assert_int_equal(strncmp(answer, "RTSP/1.0 400 the tunnel ", 24), 0);
	free(answer);
	while (!client_is_closed(get) || !client_is_closed(post))
		;
	client_free(post);
	client_free(get);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_http, tear_down_http)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tunnel_plays),
		TEST(tunnels_are_told_apart_by_their_cookies),
		TEST(a_tunnel_of_something_else_is_closed),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
