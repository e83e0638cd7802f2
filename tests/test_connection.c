/* Connections, plain and by TLS: opening and why that fails, pausing, limits, idleness, and every way to end. */
#include "server/base/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#include "server/base/certificate.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"

enum {
	LONG_US = 10000000,
	BIG = 3 << 20
};

/* One side that writes down what it is told. */
struct side {
	struct connection *c;
	unsigned opened, data, drained, closed;
	enum close_reason reason;
	bool whole; /* the peer had ended */
	char detail[128];
	bool takes;                         /* drains what comes */
	size_t got;                         /* bytes so drained */
	void (*on_told)(struct side *side); /* what a test does inside on_data */
};

static void side_take(struct side *side)
{
	struct evbuffer *input = connection_input(side->c);
	size_t n = evbuffer_get_length(input);
	uint8_t *bytes = xmalloc(n);

	assert_int_equal(evbuffer_remove(input, bytes, n), (int)n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], (uint8_t)(side->got + i));
	side->got += n;
	free(bytes);
}

static void side_on_open(void *arg)
{
	struct side *side = arg;

	assert_non_null(side->c); /* never from inside of connection_connect() */
	side->opened++;
}

static void side_on_data(void *arg)
{
	struct side *side = arg;

	assert_non_null(side->c);
	side->data++;
	if (side->takes)
		side_take(side);
	if (side->on_told)
		side->on_told(side);
}

static void side_on_drained(void *arg)
{
	((struct side *)arg)->drained++;
}

static void side_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct side *side = arg;

	assert_non_null(side->c);
	side->closed++;
	side->reason = reason;
	side->whole = connection_ended_whole(side->c);
	(void)snprintf(side->detail, sizeof(side->detail), "%s", detail ? detail : "");
	connection_close(side->c, CLOSE_ERROR); /* twice does nothing */
	side->c = NULL;
}

static const struct connection_events side_events = { side_on_open, side_on_data, side_on_drained,
	side_on_close };

static struct listener *listener;
static struct side here, there; /* who connects, who is connected to */
static struct tls_server *tls;  /* by which `there` speaks, or NULL */

static void on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	(void)arg;
	assert_null(there.c);
	there.c = connection_accept(fd, peer, peer_bytes, tls, "there", NULL, &side_events, &there);
}

static const struct log_name *owner; /* of `here`, or NULL */

static void dial(const char *host, uint16_t port, int64_t timeout_us)
{
	static const struct tls_client trusting = { 0 };
	const struct connection_target target = { host, port, timeout_us, tls ? &trusting : NULL };

	here.c = connection_connect(&target, "here", owner, &side_events, &here);
	assert_int_equal(here.opened + here.closed, 0);
}

/* Both sides stand. */
static void stand(void)
{
	dial("127.0.0.1", listener_port(listener), LONG_US);
	REACTOR_UNTIL(here.opened && there.c && (!tls || there.opened));
}

/* Sends n bytes that count on from `first`. */
static void say(struct side *side, size_t first, size_t n)
{
	uint8_t *bytes = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(first + i);
	connection_write(side->c, bytes, n);
	free(bytes);
}

static size_t waiting(const struct side *side)
{
	return evbuffer_get_length(connection_input(side->c));
}

/* Turns the loop so often that what can happen at once has happened. */
static void turn(void)
{
	for (int i = 0; i < 20; i++)
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

static double closed_count(const char *server, enum close_reason reason)
{
	return metric_value(
		metric_get(METRIC_CONNECTIONS_CLOSED, server, close_reason_metric(reason)));
}

/* --- opening --- */

static void test_what_is_sent_arrives(void **state)
{
	struct sockaddr_storage local;
	socklen_t n = sizeof(int);
	int value = 0;

	(void)state;
	here.takes = there.takes = true;
	stand();
	assert_true(metric_value(metric_get(METRIC_CONNECTIONS, "there")) == 1);
	say(&here, 0, BIG);
	say(&there, 0, BIG);
	REACTOR_UNTIL(here.got == BIG && there.got == BIG);
	REACTOR_UNTIL(here.drained && there.drained);
	assert_true(metric_value(metric_get(METRIC_SENT_BYTES, "there")) == BIG);
	assert_string_equal(connection_peer(here.c), listener_address(listener));
	assert_true(connection_peer_is_loopback(here.c) && connection_peer_is_loopback(there.c));
	assert_int_equal(connection_local_address(here.c, &local), 0);
	assert_memory_equal(&local, connection_peer_address(there.c), sizeof(struct sockaddr_in));
	assert_int_equal(
		getsockopt(connection_fd(here.c), IPPROTO_TCP, TCP_NODELAY, &value, &n), 0);
	assert_int_not_equal(value, 0);
	assert_int_equal(
		getsockopt(connection_fd(here.c), SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
	assert_int_not_equal(value, 0);
}

static void test_version_6_with_and_without_brackets(void **state)
{
	static const char *const hosts[] = { "::1", "[::1]" };
	struct listener *v6 = listener_new("[::1]:0", true, on_accept, NULL);

	(void)state;
	for (size_t i = 0; v6 && i < ARRAY_LENGTH(hosts); i++) {
		dial(hosts[i], listener_port(v6), LONG_US);
		REACTOR_UNTIL(here.closed || (here.opened && there.c));
		assert_int_equal(here.closed, 0);
		assert_string_equal(connection_peer(here.c), listener_address(v6));
		assert_true(connection_peer_is_loopback(there.c));
		connection_abandon(&here.c);
		connection_abandon(&there.c);
		here = there = (struct side){ 0 };
	}
	listener_free(v6);
}

static void test_a_closed_port_refuses(void **state)
{
	uint16_t port = listener_port(listener);

	(void)state;
	listener_free(listener);
	listener = NULL;
	dial("127.0.0.1", port, LONG_US);
	REACTOR_UNTIL(here.closed);
	assert_int_equal(here.reason, CLOSE_REFUSED);
	assert_string_equal(here.detail, "Connection refused");
	assert_int_equal(here.opened, 0);
}

/* A name server of our own: camera.test is this machine, silent.test gets no answer, no other is known. */
static void on_question(struct evdns_server_request *request, void *arg)
{
	const struct evdns_server_question *question = request->questions[0];
	const uint32_t address = htonl(INADDR_LOOPBACK);

	(void)arg;
	if (!strcmp(question->name, "silent.test")) {
		evdns_server_request_drop(request);
		return;
	}
	if (!strcmp(question->name, "camera.test") && question->type == EVDNS_TYPE_A)
		evdns_server_request_add_a_reply(request, question->name, 1, &address, 60);
	evdns_server_request_respond(
		request, strcmp(question->name, "camera.test") ? DNS_ERR_NOTEXIST : DNS_ERR_NONE);
}

static struct evdns_server_port *name_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	evdns_base_clear_nameservers_and_suspend(reactor_dns());
	evdns_base_search_clear(reactor_dns());
	assert_int_equal(evdns_base_set_option(reactor_dns(), "randomize-case:", "0"), 0);
	assert_int_equal(evdns_base_nameserver_sockaddr_add(
				 reactor_dns(), (struct sockaddr *)&address, n, 0),
		0);
	evdns_base_resume(reactor_dns());
	return evdns_add_server_port_with_base(reactor_base(), fd, 0, on_question, NULL);
}

static void test_names_are_looked_up(void **state)
{
	struct evdns_server_port *server = name_server();

	(void)state;
	dial("camera.test", listener_port(listener), LONG_US);
	REACTOR_UNTIL(here.closed || (here.opened && there.c));
	assert_int_equal(here.closed, 0);
	assert_string_equal(connection_peer(here.c), listener_address(listener));
	evdns_close_server_port(server);
}

static void test_an_unknown_name_is_not_found(void **state)
{
	struct evdns_server_port *server = name_server();

	(void)state;
	dial("nobody.test", listener_port(listener), LONG_US);
	REACTOR_UNTIL(here.closed);
	assert_int_equal(here.reason, CLOSE_NOT_FOUND);
	assert_string_not_equal(here.detail, "");
	evdns_close_server_port(server);
}

static void test_a_silent_name_server_ends_in_a_timeout(void **state)
{
	struct evdns_server_port *server = name_server();

	(void)state;
	dial("silent.test", listener_port(listener), 50000);
	REACTOR_UNTIL(here.closed);
	assert_int_equal(here.reason, CLOSE_TIMEOUT);
	evdns_close_server_port(server);
}

static void test_what_is_given_up_while_connecting_says_nothing(void **state)
{
	(void)state;
	dial("127.0.0.1", listener_port(listener), LONG_US);
	connection_abandon(&here.c);
	assert_null(here.c);
	turn();
	connection_abandon(&there.c);
	dial("127.0.0.1", listener_port(listener), LONG_US);
	connection_release(&here.c);
	assert_null(here.c);
	turn();
	assert_int_equal(here.opened + here.closed, 0);
}

/* --- reading --- */

static void test_reading_goes_on_when_no_reason_is_left(void **state)
{
	(void)state;
	there.takes = true;
	stand();
	connection_pause(there.c, PAUSE_BUSY);
	connection_pause(there.c, PAUSE_SLOW);
	connection_pause(there.c, PAUSE_SLOW);
	say(&here, 0, 100);
	turn();
	assert_int_equal(there.data, 0);
	connection_resume(there.c, PAUSE_SLOW);
	turn();
	assert_int_equal(there.data, 0);
	connection_resume(there.c, PAUSE_BUSY);
	REACTOR_UNTIL(there.got == 100);
}

static void on_data_pause(struct side *side)
{
	connection_pause(side->c, PAUSE_BUSY);
}

static void test_what_was_left_is_told_again_after_a_pause(void **state)
{
	(void)state;
	there.on_told = on_data_pause;
	stand();
	say(&here, 0, 100);
	REACTOR_UNTIL(there.data == 1);
	turn();
	assert_int_equal(there.data, 1);
	connection_resume(there.c, PAUSE_BUSY);
	assert_int_equal(there.data, 1); /* not from inside of the call */
	REACTOR_UNTIL(there.data == 2);
}

enum {
	LIMIT = 1000,
	RECORD = 16 << 10,
	MUCH = 112000 /* ends with a record that is larger than the limit */
};

/* By TLS what is read is read by records. */
static bool is_full(const struct side *side)
{
	return waiting(side) >= LIMIT && waiting(side) <= LIMIT + (tls ? RECORD : 0);
}

/* The owner is behind. */
static void on_data_fill(struct side *side)
{
	assert_true(waiting(side) <= LIMIT || is_full(side));
	if (is_full(side))
		connection_pause(side->c, PAUSE_SLOW);
}

static void check_limit(void (*how)(struct connection *))
{
	there.on_told = on_data_fill;
	stand();
	connection_set_input_limit(there.c, LIMIT);
	if (how)
		how(there.c);
	say(&here, 0, MUCH);
	while (there.got < MUCH) {
		REACTOR_UNTIL(is_full(&there) || there.got + waiting(&there) == MUCH);
		turn();
		assert_true(is_full(&there) || there.got + waiting(&there) == MUCH);
		side_take(&there);
		connection_resume(there.c, PAUSE_SLOW);
	}
	assert_int_equal(there.closed + here.closed, 0);
}

static void test_input_is_held_up_to_its_limit(void **state)
{
	(void)state;
	check_limit(NULL);
}

static void test_paced_input_is_held_up_to_its_limit(void **state)
{
	(void)state;
	check_limit(connection_set_paced);
}

static void test_bulk_input_is_held_up_to_its_limit(void **state)
{
	(void)state;
	check_limit(connection_set_bulk);
}

static void test_bulk_input_is_told_of_at_once(void **state)
{
	(void)state;
	there.takes = true;
	stand();
	connection_set_bulk(there.c);
	connection_pause(there.c, PAUSE_BUSY);
	say(&here, 0, 50000);
	REACTOR_UNTIL(here.drained);
	connection_resume(there.c, PAUSE_BUSY);
	REACTOR_UNTIL(there.got > 0);
	assert_int_equal(there.got, 50000);
	say(&here, there.got, BIG);
	connection_finish(here.c);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, CLOSE_PEER);
	assert_int_equal(there.got, 50000 + BIG);
}

static void test_a_paced_connection_reads_pauses_and_ends(void **state)
{
	(void)state;
	there.takes = true;
	stand();
	connection_set_paced(there.c);
	connection_set_paced(there.c);
	say(&here, 0, BIG);
	REACTOR_UNTIL(there.got == BIG);
	connection_pause(there.c, PAUSE_SLOW);
	say(&here, BIG, 100);
	REACTOR_UNTIL(here.drained);
	turn();
	assert_int_equal(there.got, BIG);
	connection_resume(there.c, PAUSE_SLOW);
	REACTOR_UNTIL(there.got == BIG + 100);
	connection_finish(here.c);
	REACTOR_UNTIL(there.closed && here.closed);
	assert_int_equal(there.reason, CLOSE_PEER);
	assert_int_equal(here.reason, CLOSE_DONE);
}

static void on_data_close(struct side *side)
{
	connection_close(side->c, CLOSE_BAD_REQUEST);
}

static void test_a_callback_may_close(void **state)
{
	(void)state;
	there.on_told = on_data_close;
	stand();
	say(&here, 0, 10);
	REACTOR_UNTIL(there.closed && here.closed);
	assert_int_equal(there.reason, CLOSE_BAD_REQUEST);
	assert_int_equal(there.data, 1);
	assert_int_equal(there.closed, 1);
}

/* --- ends --- */

static void test_finishing_sends_everything_first(void **state)
{
	double before = closed_count("here", CLOSE_DONE);

	(void)state;
	there.takes = true;
	stand();
	say(&here, 0, BIG);
	connection_finish(here.c);
	connection_finish(here.c);
	assert_int_equal(here.closed, 0);
	REACTOR_UNTIL(here.closed && there.closed);
	assert_int_equal(there.got, BIG);
	assert_int_equal(there.reason, CLOSE_PEER);
	assert_int_equal(here.reason, CLOSE_DONE);
	assert_int_equal(here.data, 0);
	assert_true(closed_count("here", CLOSE_DONE) == before + 1);
}

static void test_finishing_with_nothing_to_send_calls_back_later(void **state)
{
	(void)state;
	stand();
	connection_finish(here.c);
	assert_int_equal(here.closed, 0);
	REACTOR_UNTIL(here.closed && there.closed);
	assert_int_equal(here.reason, CLOSE_DONE);
}

static void test_no_data_is_told_of_after_finishing(void **state)
{
	(void)state;
	stand();
	say(&here, 0, 10);
	connection_finish(here.c);
	say(&there, 0, 100000);
	connection_finish(there.c);
	REACTOR_UNTIL(here.closed && there.closed);
	assert_int_equal(here.data + there.data, 0);
	assert_int_equal(here.reason, CLOSE_DONE);
	assert_int_equal(there.reason, CLOSE_DONE);
}

static void test_releasing_sends_without_an_owner(void **state)
{
	(void)state;
	there.takes = true;
	stand();
	say(&here, 0, BIG);
	connection_release(&here.c);
	assert_null(here.c);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.got, BIG);
	assert_int_equal(here.closed, 0);
	connection_release(&here.c);
}

static void test_releasing_what_is_finishing_loses_nothing(void **state)
{
	(void)state;
	there.takes = true;
	stand();
	say(&here, 0, BIG);
	connection_finish(here.c);
	connection_release(&here.c);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.got, BIG);
	assert_int_equal(here.closed, 0);
}

static void test_what_is_released_outlives_its_owners_name(void **state)
{
	struct log_name *name = xcalloc(1, sizeof(*name));

	(void)state;
	log_setup(LOG_DEBUG, LOG_TEXT);
	name->kind = "owner";
	owner = name;
	stand();
	connection_release(&here.c);
	owner = NULL;
	free(name); /* a sanitizer sees whoever still reads it */
	REACTOR_UNTIL(there.closed);
	turn();
	log_setup(LOG_INFO, LOG_TEXT);
}

static void test_abandoning_says_nothing(void **state)
{
	(void)state;
	stand();
	connection_abandon(&here.c);
	assert_null(here.c);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(here.closed, 0);
	assert_int_equal(there.reason, CLOSE_PEER);
	connection_abandon(&here.c);
	connection_close(NULL, CLOSE_DONE);
}

static void test_a_reset_is_the_peers_end(void **state)
{
	const struct linger hard = { 1, 0 };

	(void)state;
	stand();
	assert_int_equal(
		setsockopt(connection_fd(here.c), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	connection_abandon(&here.c);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, CLOSE_PEER);
	assert_string_equal(there.detail, "Connection reset by peer");
}

static void test_who_is_silent_is_idle(void **state)
{
	(void)state;
	stand();
	connection_set_idle(here.c, LONG_US);
	connection_set_idle(here.c, 0);
	connection_set_idle(there.c, 20000);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, CLOSE_IDLE);
	REACTOR_UNTIL(here.closed);
	assert_int_equal(here.reason, CLOSE_PEER);
}

static void test_every_reason_is_a_row(void **state)
{
	double open = metric_value(metric_get(METRIC_CONNECTIONS, "here"));

	(void)state;
	for (enum close_reason reason = CLOSE_DONE; reason <= CLOSE_ERROR; reason++) {
		double before = closed_count("here", reason);

		stand();
		connection_close(here.c, reason);
		assert_int_equal(here.closed, 1);
		assert_int_equal(here.reason, reason);
		assert_true(closed_count("here", reason) == before + 1);
		REACTOR_UNTIL(there.closed);
		here = there = (struct side){ 0 };
	}
	assert_true(metric_value(metric_get(METRIC_CONNECTIONS, "here")) == open);
	assert_string_equal(close_reason_metric(CLOSE_TOO_SLOW), "too_slow");
	assert_string_equal(close_reason_words(CLOSE_REFUSED), "connection refused");
	assert_true(close_reason_is_error(CLOSE_TIMEOUT));
	assert_false(close_reason_is_error(CLOSE_PEER));
}

/* --- TLS --- */

/* A peer that is no connection of ours: a socket, and what OpenSSL makes of it. */
static struct {
	int fd;
	SSL_CTX *context;
	SSL *ssl;
} peer = { .fd = -1 };

static void peer_connect(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons(listener_port(listener));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(peer.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(evutil_make_socket_nonblocking(peer.fd), 0);
	REACTOR_UNTIL(there.c);
}

static void peer_send(const void *p, size_t n)
{
	assert_int_equal(send(peer.fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Waits for exactly that text, plain. */
static void peer_expect(const char *text)
{
	char got[256];
	size_t n = 0;

	while (n < strlen(text)) {
		ssize_t some = recv(peer.fd, got + n, strlen(text) - n, 0);

		assert_true(some > 0 || (some < 0 && errno == EAGAIN));
		n += some > 0 ? (size_t)some : 0;
		turn();
	}
	assert_memory_equal(got, text, n);
}

static bool peer_has_ended(void)
{
	char byte;
	ssize_t n = recv(peer.fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* One step of the client's handshake: 1 when it is done, 0: more to come, -1: refused. */
static int peer_shake(void)
{
	int n = SSL_connect(peer.ssl);
	int error = SSL_get_error(peer.ssl, n);

	if (n == 1)
		return 1;
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int peer_start_tls(int most)
{
	int done;

	peer.context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(peer.context, 0);
	assert_int_equal(SSL_CTX_set_min_proto_version(peer.context, TLS1_VERSION), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(peer.context, most), 1);
	peer.ssl = SSL_new(peer.context);
	assert_int_equal(SSL_set_fd(peer.ssl, peer.fd), 1);
	REACTOR_UNTIL((done = peer_shake()) != 0);
	return done;
}

static void peer_fini(void)
{
	SSL_free(peer.ssl);
	SSL_CTX_free(peer.context);
	if (peer.fd >= 0)
		(void)close(peer.fd);
	memset(&peer, 0, sizeof(peer));
	peer.fd = -1;
}

/* A version that is spoken, or refused. */
static void check_version(int most, bool spoken)
{
	peer_connect();
	assert_int_equal(peer_start_tls(most), spoken ? 1 : -1);
	REACTOR_UNTIL(there.opened || there.closed);
	assert_int_equal(there.opened, spoken);
	if (there.closed)
		assert_int_equal(there.reason, CLOSE_HANDSHAKE);
	connection_abandon(&there.c);
	peer_fini();
	there = (struct side){ 0 };
}

static void test_versions_before_1_2_are_refused(void **state)
{
	(void)state;
	check_version(TLS1_VERSION, false);
	check_version(TLS1_1_VERSION, false);
	check_version(TLS1_2_VERSION, true);
	check_version(TLS1_3_VERSION, true);
}

/* Something that is no hello, from a peer that then sends no more. */
static void check_hello(const char *hello, enum close_reason reason)
{
	double before = closed_count("there", reason);

	peer_connect();
	peer_send(hello, strlen(hello));
	if (reason == CLOSE_PEER)
		(void)shutdown(peer.fd, SHUT_WR);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, reason);
	assert_int_equal(there.opened + there.data, 0);
	assert_true(closed_count("there", reason) == before + 1);
	REACTOR_UNTIL(peer_has_ended());
	peer_fini();
	there = (struct side){ 0 };
}

static void test_what_is_no_tls_ends_the_connection(void **state)
{
	(void)state;
	check_hello("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", CLOSE_HANDSHAKE);
	check_hello("USER anonymous\r\n", CLOSE_HANDSHAKE);
	check_hello("\x16\x03\x01\xff\xff\xff\xff\xff\xff", CLOSE_HANDSHAKE);
	/* it is longer than what comes, it says */
	check_hello("\x16\x03\x01\x02\x05\x01\xff\x01\xfc\x03\x03", CLOSE_PEER);
}

static void test_plain_and_tls_do_not_understand_each_other(void **state)
{
	struct tls_server *ours = tls;

	(void)state;
	tls = NULL; /* of a listener that speaks plain */
	there.on_told = on_data_close;
	peer_connect();
	peer.context = SSL_CTX_new(TLS_client_method());
	peer.ssl = SSL_new(peer.context);
	assert_int_equal(SSL_set_fd(peer.ssl, peer.fd), 1);
	REACTOR_UNTIL(peer_shake() < 0);
	assert_int_equal(there.reason, CLOSE_BAD_REQUEST);
	tls = ours;
}

/* Written before hands are shaken, and the end asked for. */
static void test_what_is_written_early_is_sent_after_the_handshake(void **state)
{
	(void)state;
	here.takes = true;
	dial("127.0.0.1", listener_port(listener), LONG_US);
	REACTOR_UNTIL(there.c);
	assert_int_equal(there.opened, 0);
	say(&there, 0, BIG);
	connection_finish(there.c);
	REACTOR_UNTIL(here.closed && there.closed);
	assert_int_equal(here.got, BIG);
	assert_int_equal(there.opened, 0);
	assert_int_equal(there.reason, CLOSE_DONE);
	assert_int_equal(here.reason, CLOSE_PEER);
}

static void test_pausing_does_not_stop_the_handshake(void **state)
{
	(void)state;
	there.takes = true;
	peer_connect();
	turn();
	connection_pause(there.c, PAUSE_SLOW);
	assert_int_equal(peer_start_tls(TLS1_3_VERSION), 1);
	assert_int_equal(SSL_write(peer.ssl, "\0\1", 2), 2);
	REACTOR_UNTIL(there.opened == 1);
	turn();
	assert_int_equal(there.got, 0);
	connection_resume(there.c, PAUSE_SLOW);
	REACTOR_UNTIL(there.got == 2);
}

static void test_an_end_without_farewell_is_told_from_one_with(void **state)
{
	static const bool farewells[] = { true, false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(farewells); i++) {
		peer_connect();
		assert_int_equal(peer_start_tls(TLS1_3_VERSION), 1);
		REACTOR_UNTIL(there.opened);
		if (farewells[i])
			(void)SSL_shutdown(peer.ssl);
		(void)shutdown(peer.fd, SHUT_WR);
		REACTOR_UNTIL(there.closed);
		assert_int_equal(there.reason, CLOSE_PEER);
		assert_int_equal(there.whole, farewells[i]);
		peer_fini();
		there = (struct side){ 0 };
	}
}

/* Some of these amounts fill what the kernel holds so that no farewell has room behind them. */
static void test_the_farewell_comes_whatever_was_sent(void **state)
{
	const int small = 1;

	(void)state;
	for (size_t n = 1000; n < 40000; n += 500) {
		here = there = (struct side){ .takes = true };
		stand();
		assert_int_equal(setsockopt(connection_fd(there.c), SOL_SOCKET, SO_SNDBUF, &small,
					 sizeof(small)),
			0);
		connection_pause(here.c, PAUSE_SLOW);
		say(&there, 0, n);
		connection_finish(there.c);
		turn();
		connection_resume(here.c, PAUSE_SLOW);
		REACTOR_UNTIL(here.closed && there.closed);
		assert_int_equal(here.got, n);
		assert_true(here.whole);
	}
}

static void on_data_upgrade(struct side *side)
{
	char command[64] = "";
	size_t n = waiting(side);

	if (!n)
		return;
	assert_true(n < sizeof(command));
	(void)evbuffer_copyout(connection_input(side->c), command, n);
	if (strncmp(command, "AUTH TLS\r\n", 10) != 0)
		return;
	(void)evbuffer_drain(connection_input(side->c), 10);
	connection_write(side->c, "234 Go\r\n", 8);
	if (connection_start_tls(side->c, tls) < 0)
		connection_close(side->c, CLOSE_BAD_REQUEST);
}

/* A plain connection that goes over to TLS when it is asked to. */
static void upgrading(void)
{
	struct tls_server *ours = tls;

	tls = NULL;
	peer_connect();
	tls = ours;
	there.on_told = on_data_upgrade;
}

static void test_a_plain_connection_goes_on_by_tls(void **state)
{
	char got[16] = "";
	int n;

	(void)state;
	upgrading();
	connection_set_input_limit(there.c, LIMIT);
	peer_send("AUTH TLS\r\n", 10);
	peer_expect("234 Go\r\n");
	assert_int_equal(there.opened, 0);
	assert_int_equal(peer_start_tls(TLS1_3_VERSION), 1);
	REACTOR_UNTIL(there.opened == 1);
	assert_true(connection_is_tls(there.c));
	assert_int_equal(connection_start_tls(there.c, tls), -EALREADY);
	assert_int_equal(SSL_write(peer.ssl, "PBSZ 0\r\n", 8), 8);
	REACTOR_UNTIL(waiting(&there) == 8);
	connection_write(there.c, "200 Yes\r\n", 9);
	REACTOR_UNTIL((n = SSL_read(peer.ssl, got, sizeof(got))) > 0);
	assert_int_equal(n, 9);
	assert_memory_equal(got, "200 Yes\r\n", 9);
	assert_int_equal(there.closed, 0);
}

/* Whether the peer got something by which to go on another time. */
static bool peer_has_ticket(void)
{
	SSL_SESSION *session = SSL_get1_session(peer.ssl);
	bool has = SSL_SESSION_is_resumable(session);

	SSL_SESSION_free(session);
	return has;
}

static void test_tickets_can_be_withheld(void **state)
{
	char got[16] = "";

	(void)state;
	for (int withheld = 0; withheld < 2; withheld++) {
		upgrading();
		if (withheld)
			connection_withhold_tickets(there.c);
		peer_send("AUTH TLS\r\n", 10);
		peer_expect("234 Go\r\n");
		assert_int_equal(peer_start_tls(TLS1_3_VERSION), 1);
		REACTOR_UNTIL(there.opened == 1);
		connection_write(there.c, "200 Yes\r\n", 9);
		REACTOR_UNTIL(SSL_read(peer.ssl, got, sizeof(got)) == 9);
		assert_int_equal(peer_has_ticket(), !withheld);
		peer_fini();
		connection_abandon(&there.c);
		there = (struct side){ 0 };
		turn();
	}
}

/* What an attacker on the way has put behind the command must not count as said by TLS (CVE-2011-0411). */
static void test_words_behind_the_command_are_refused(void **state)
{
	static const char both[] = "AUTH TLS\r\nDELE everything\r\n";

	(void)state;
	upgrading();
	peer_send(both, strlen(both));
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, CLOSE_BAD_REQUEST);
	assert_int_equal(there.opened, 0);
}

static void test_words_between_command_and_handshake_are_refused(void **state)
{
	(void)state;
	upgrading();
	peer_send("AUTH TLS\r\n", 10);
	peer_expect("234 Go\r\n");
	peer_send("DELE everything\r\n", 17);
	REACTOR_UNTIL(there.closed);
	assert_int_equal(there.reason, CLOSE_HANDSHAKE);
	assert_int_equal(there.opened, 0);
	assert_int_equal(there.data, 1);
}

static void test_sessions_outlive_their_certificate(void **state)
{
	(void)state;
	here.takes = there.takes = true;
	stand();
	tls_server_replace(tls, certificate_temporary());
	say(&here, 0, BIG);
	say(&there, 0, BIG);
	REACTOR_UNTIL(here.got == BIG && there.got == BIG);
	assert_int_equal(here.closed + there.closed, 0);
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	here = there = (struct side){ 0 };
	listener = listener_new("127.0.0.1:0", true, on_accept, NULL);
	return listener ? 0 : -1;
}

static int setup_tls(void **state)
{
	tls = certificate_temporary();
	return setup(state);
}

static int teardown(void **state)
{
	(void)state;
	peer_fini();
	connection_abandon(&here.c);
	connection_abandon(&there.c);
	listener_free(listener);
	turn();
	tls_server_free(tls);
	tls = NULL;
	reactor_fini();
	metrics_fini();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_TLS(f)                                     \
	{                                               \
#f " by TLS", f, setup_tls, teardown, 0 \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_sent_arrives),
		TEST(test_version_6_with_and_without_brackets),
		TEST(test_a_closed_port_refuses),
		TEST(test_names_are_looked_up),
		TEST(test_an_unknown_name_is_not_found),
		TEST(test_a_silent_name_server_ends_in_a_timeout),
		TEST(test_what_is_given_up_while_connecting_says_nothing),
		TEST(test_reading_goes_on_when_no_reason_is_left),
		TEST(test_what_was_left_is_told_again_after_a_pause),
		TEST(test_input_is_held_up_to_its_limit),
		TEST(test_paced_input_is_held_up_to_its_limit),
		TEST(test_a_paced_connection_reads_pauses_and_ends),
		TEST(test_bulk_input_is_held_up_to_its_limit),
		TEST(test_bulk_input_is_told_of_at_once),
		TEST(test_a_callback_may_close),
		TEST(test_finishing_sends_everything_first),
		TEST(test_finishing_with_nothing_to_send_calls_back_later),
		TEST(test_no_data_is_told_of_after_finishing),
		TEST(test_releasing_sends_without_an_owner),
		TEST(test_releasing_what_is_finishing_loses_nothing),
		TEST(test_what_is_released_outlives_its_owners_name),
		TEST(test_abandoning_says_nothing),
		TEST(test_a_reset_is_the_peers_end),
		TEST(test_who_is_silent_is_idle),
		TEST(test_every_reason_is_a_row),
		TEST_TLS(test_what_is_sent_arrives),
		TEST_TLS(test_what_is_given_up_while_connecting_says_nothing),
		TEST_TLS(test_reading_goes_on_when_no_reason_is_left),
		TEST_TLS(test_what_was_left_is_told_again_after_a_pause),
		TEST_TLS(test_input_is_held_up_to_its_limit),
		TEST_TLS(test_a_callback_may_close),
		TEST_TLS(test_finishing_sends_everything_first),
		TEST_TLS(test_finishing_with_nothing_to_send_calls_back_later),
		TEST_TLS(test_no_data_is_told_of_after_finishing),
		TEST_TLS(test_releasing_sends_without_an_owner),
		TEST_TLS(test_releasing_what_is_finishing_loses_nothing),
		TEST_TLS(test_abandoning_says_nothing),
		TEST_TLS(test_who_is_silent_is_idle),
		TEST_TLS(test_versions_before_1_2_are_refused),
		TEST_TLS(test_what_is_no_tls_ends_the_connection),
		TEST_TLS(test_plain_and_tls_do_not_understand_each_other),
		TEST_TLS(test_what_is_written_early_is_sent_after_the_handshake),
		TEST_TLS(test_pausing_does_not_stop_the_handshake),
		TEST_TLS(test_an_end_without_farewell_is_told_from_one_with),
		TEST_TLS(test_the_farewell_comes_whatever_was_sent),
		TEST_TLS(test_a_plain_connection_goes_on_by_tls),
		TEST_TLS(test_tickets_can_be_withheld),
		TEST_TLS(test_words_behind_the_command_are_refused),
		TEST_TLS(test_words_between_command_and_handshake_are_refused),
		TEST_TLS(test_sessions_outlive_their_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
