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
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/util.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/connection_sides.h"
#include "tests/reactor_until.h"

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

/* What is waiting in the socket for the peer. */
static int arrived(const struct side *side)
{
	int n = 0;

	assert_int_equal(ioctl(connection_fd(side->c), FIONREAD, &n), 0);
	return n;
}

static void test_flushing_does_not_wait_for_the_loop(void **state)
{
	enum {
		BIGS = 8
	};
	double sent = metric_value(metric_get(METRIC_SENT_BYTES, "here"));

	(void)state;
	there.takes = true;
	stand();
	say(&here, 0, 1000);
	assert_int_equal(arrived(&there), 0);
	connection_flush(here.c);
	assert_int_equal(arrived(&there), tls ? 0 : 1000);
	assert_int_equal(connection_has_unsent(here.c), tls != NULL);
	for (size_t i = 0; i < BIGS; i++) /* more than the sockets take */
		say(&here, 1000 + i * BIG, BIG);
	connection_flush(here.c);
	assert_true(connection_has_unsent(here.c));
	REACTOR_UNTIL(there.got == 1000 + BIGS * BIG);
	REACTOR_UNTIL(here.drained);
	assert_true(
		metric_value(metric_get(METRIC_SENT_BYTES, "here")) - sent == 1000 + BIGS * BIG);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_TLS(f)                                       \
	{                                                 \
#f " by TLS", f, set_up_tls, tear_down, 0 \
	}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_is_sent_arrives),
		TEST(test_flushing_does_not_wait_for_the_loop),
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
		TEST_TLS(test_flushing_does_not_wait_for_the_loop),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
