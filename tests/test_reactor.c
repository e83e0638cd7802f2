/* The event loop: deferred freeing, timers, lag, the resolver without a network. */
#include "server/base/reactor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/util.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"

struct thing {
	struct reactor_dead dead;
	struct thing *next; /* dies with this one */
	unsigned *buried;
};

static void thing_fini(void *object)
{
	struct thing *thing = object;

	++*thing->buried;
	if (thing->next)
		reactor_free_later(&thing->next->dead, thing_fini, thing->next);
	free(thing);
}

static struct thing *thing_new(struct thing *next, unsigned *buried)
{
	struct thing *thing = xcalloc(1, sizeof(*thing));

	thing->next = next;
	thing->buried = buried;
	return thing;
}

static void test_the_dead_are_buried_by_the_loop_once(void **state)
{
	unsigned buried = 0;
	struct thing *last = thing_new(NULL, &buried), *first = thing_new(last, &buried);
	struct thing *other = thing_new(NULL, &buried);

	(void)state;
	reactor_free_later(&first->dead, thing_fini, first);
	reactor_free_later(&other->dead, thing_fini, other);
	assert_int_equal(buried, 0); /* not inside of the call */
	REACTOR_UNTIL(buried == 3);  /* with what the first one took along */
	(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	assert_int_equal(buried, 3);
}

static void test_the_end_buries_what_is_left(void **state)
{
	unsigned buried = 0;
	struct thing *thing = thing_new(thing_new(NULL, &buried), &buried);

	(void)state;
	reactor_free_later(&thing->dead, thing_fini, thing);
	reactor_fini();
	assert_int_equal(buried, 2);
	reactor_init(); /* for the teardown; and it can be had again */
}

static void on_count(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	++*(unsigned *)arg;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	on_count(fd, what, arg);
	reactor_stop();
}

static void test_timers_fire_once_unless_stopped(void **state)
{
	unsigned first = 0, stopped = 0, last = 0;
	struct event *a = reactor_timer_new(on_count, &first);
	struct event *b = reactor_timer_new(on_count, &stopped);
	struct event *c = reactor_timer_new(on_stop, &last);

	(void)state;
	reactor_timer_start(a, 0);
	reactor_timer_start(b, 1000);
	reactor_timer_start(c, 5000);
	reactor_timer_start(c, 20000); /* moves it */
	reactor_timer_stop(b);
	reactor_run();
	assert_int_equal(first, 1);
	assert_int_equal(stopped, 0);
	assert_int_equal(last, 1);
	reactor_timer_free(&a);
	assert_null(a);
	reactor_timer_free(&a);
	reactor_timer_free(&b);
	reactor_timer_free(&c);
}

static void test_a_loop_that_does_not_turn_is_seen(void **state)
{
	struct metric *worst = metric_get(METRIC_REACTOR_LAG_MAX);
	int64_t end_us = reactor_monotonic_us() + 300000;
	struct evbuffer *out = evbuffer_new();

	(void)state;
	/* holds the loop up; the timer stood at 0.1 s or less */
	while (reactor_monotonic_us() < end_us)
		;
	REACTOR_UNTIL(metric_value(worst) > 0.15);
	metrics_write(out);
	(void)evbuffer_add(out, "", 1);
	assert_non_null(strstr((char *)evbuffer_pullup(out, -1),
		"nvrd_reactor_lag_seconds_bucket{le=\"0.1\"} 0\n"));
	assert_null(strstr(
		(char *)evbuffer_pullup(out, -1), "nvrd_reactor_lag_seconds_bucket{le=\"1\"} 0\n"));
	evbuffer_free(out);
}

static void test_writing_to_a_closed_pipe_is_no_signal(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	close(fds[1]);
}

static void test_clocks_run(void **state)
{
	int64_t before_us = reactor_monotonic_us();

	(void)state;
	while (reactor_monotonic_us() == before_us)
		;
	assert_true(reactor_monotonic_us() > before_us);
	assert_true(reactor_now_us() > INT64_C(1700000000) * 1000000);
}

struct lookup {
	bool ended;
	int error;
	uint32_t address;
};

static void on_lookup(int error, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *lookup = arg;

	lookup->ended = true;
	lookup->error = error;
	if (list && list->ai_family == AF_INET)
		lookup->address =
			ntohl(((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr.s_addr);
	if (list)
		evutil_freeaddrinfo(list);
}

static void test_names_of_the_hosts_file_need_no_server(void **state)
{
	static const char *const names[] = { "localhost", "127.0.0.1" };
	struct evutil_addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };

	(void)state;
	assert_int_equal(evdns_base_clear_nameservers_and_suspend(reactor_dns()), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		struct lookup lookup = { 0 };

		(void)evdns_getaddrinfo(reactor_dns(), names[i], "554", &hints, on_lookup, &lookup);
		REACTOR_UNTIL(lookup.ended);
		assert_int_equal(lookup.error, 0);
		assert_int_equal(lookup.address, INADDR_LOOPBACK);
	}
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reactor_fini();
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_dead_are_buried_by_the_loop_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_buries_what_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_timers_fire_once_unless_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_loop_that_does_not_turn_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_writing_to_a_closed_pipe_is_no_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clocks_run, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_names_of_the_hosts_file_need_no_server, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
