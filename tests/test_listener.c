/* Listening: the addresses that people write, what an accepted socket is like, running out of descriptors. */
#include "server/base/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"

static int accepted_fd = -1;
static unsigned accepted;

static void on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	assert_ptr_equal(arg, &accepted);
	assert_int_equal(peer->sa_family, AF_INET);
	assert_true(peer_bytes >= (int)sizeof(struct sockaddr_in));
	if (accepted_fd >= 0)
		close(accepted_fd);
	accepted_fd = fd;
	accepted++;
}

static struct listener *listen_on(const char *address, bool loopback_only)
{
	return listener_new(address, loopback_only, on_accept, &accepted);
}

/* A client, not waiting for it to be accepted. */
static int dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

// clang-format off
static const struct {
	const char *address;
	bool loopback_only;
	const char *host; /* what it becomes; the port follows */
} addresses[] = {
	{ "127.0.0.1:0", false, "127.0.0.1:" },
	{ "127.0.0.2:0", true,  "127.0.0.2:" },
	{ "localhost:0", false, "127.0.0.1:" },
	{ ":0",          true,  "127.0.0.1:" },
	{ "0.0.0.0:0",   true,  "127.0.0.1:" },
	{ "[::]:0",      true,  "127.0.0.1:" },
	{ "[::1]:0",     true,  "[::1]:" },
};
// clang-format on

static void test_an_address_says_where(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		struct listener *listener =
			listen_on(addresses[i].address, addresses[i].loopback_only);
		char *wanted;

		if (!listener && errno == EADDRNOTAVAIL && addresses[i].host[0] == '[')
			continue; /* no IPv6 here */
		assert_non_null(listener);
		assert_int_not_equal(listener_port(listener), 0);
		wanted = xasprintf("%s%u", addresses[i].host, listener_port(listener));
		assert_string_equal(listener_address(listener), wanted);
		free(wanted);
		listener_free(listener);
	}
}

static void test_what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = { "", ":", "8080", "127.0.0.1", "127.0.0.1:", "1.2.3:80",
		"127.0.0.1:65536", "127.0.0.1:80x", "127.0.0.1:-1", "127.0.0.1:+80",
		"127.0.0.1: 80", "127.0.0.1:99999999999999999999", "::1:80", "[::1:80", "[::1]",
		"[::1]x:80", "[127.0.0.1]:80", "camera.example:80",
		"127.0.0.1000000000000000000000000000000000000000000000000000000000000000:80" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		errno = 0;
		if (listen_on(wrong[i], true))
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(errno, EINVAL);
	}
	listener_free(NULL);
}

static void test_a_taken_port_is_refused_and_free_again_later(void **state)
{
	struct listener *first = listen_on("127.0.0.1:0", true), *second;
	char *address = xstrdup(listener_address(first));

	(void)state;
	assert_null(listen_on(address, true));
	assert_int_equal(errno, EADDRINUSE);
	listener_free(first);
	second = listen_on(address, true);
	assert_non_null(second);
	assert_string_equal(listener_address(second), address);
	listener_free(second);
	free(address);
}

static void test_an_accepted_socket_neither_blocks_nor_is_inherited(void **state)
{
	struct listener *listener = listen_on("127.0.0.1:0", true);
	unsigned before = accepted;
	int client = dial(listener_port(listener)), value = 0;
	socklen_t n = sizeof(value);

	(void)state;
	REACTOR_UNTIL(accepted == before + 1);
	assert_true(fcntl(accepted_fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(accepted_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(accepted_fd, IPPROTO_TCP, TCP_NODELAY, &value, &n), 0);
	assert_int_not_equal(value, 0);
	close(client);
	listener_free(listener);
}

/* Descriptors run out for one accept(2); the listener waits, then takes who has waited. */
static void test_running_out_of_descriptors_ends(void **state)
{
	struct listener *listener = listen_on("127.0.0.1:0", true);
	struct metric *errors = metric_get(METRIC_LOG_MESSAGES, "error");
	unsigned before = accepted;
	double logged = metric_value(errors);
	int client = dial(listener_port(listener));
	struct rlimit limit, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	REACTOR_UNTIL(metric_value(errors) > logged);
	assert_int_equal(accepted, before);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	REACTOR_UNTIL(accepted == before + 1);
	assert_true(metric_value(errors) == logged + 1); /* it did not spin */
	close(client);
	listener_free(listener);
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
	if (accepted_fd >= 0)
		close(accepted_fd);
	reactor_fini();
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_says_where),
		cmocka_unit_test(test_what_is_no_address_is_refused),
		cmocka_unit_test(test_a_taken_port_is_refused_and_free_again_later),
		cmocka_unit_test(test_an_accepted_socket_neither_blocks_nor_is_inherited),
		cmocka_unit_test(test_running_out_of_descriptors_ends),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
