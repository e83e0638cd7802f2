/* Connections by TLS: versions, what is no TLS, farewells, going over to TLS, tickets, and a new certificate. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#include "server/base/certificate.h"
#include "server/base/memory.h"
#include "tests/connection_sides.h"
#include "tests/reactor_until.h"

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
	connection_set_input_limit(there.c, 1000);
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

static int tear_down_peer(void **state)
{
	peer_fini();
	return tear_down(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_tls, tear_down_peer)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_versions_before_1_2_are_refused),
		TEST(test_what_is_no_tls_ends_the_connection),
		TEST(test_plain_and_tls_do_not_understand_each_other),
		TEST(test_what_is_written_early_is_sent_after_the_handshake),
		TEST(test_pausing_does_not_stop_the_handshake),
		TEST(test_an_end_without_farewell_is_told_from_one_with),
		TEST(test_the_farewell_comes_whatever_was_sent),
		TEST(test_a_plain_connection_goes_on_by_tls),
		TEST(test_tickets_can_be_withheld),
		TEST(test_words_behind_the_command_are_refused),
		TEST(test_words_between_command_and_handshake_are_refused),
		TEST(test_sessions_outlive_their_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
