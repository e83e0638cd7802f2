/* UDP pairs: ports, order, sources, sizes, bounded work, freeing from inside a callback. */
#include "server/base/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"

enum {
	LARGEST = 65507 /* of a UDP datagram over IPv4 */
};

/* One end that writes down what it gets. */
struct end {
	struct datagram_pair *pair;
	unsigned got[2]; /* by kind */
	unsigned in_order[2];
	size_t bytes;
	struct sockaddr_storage from;
	socklen_t from_bytes;
	const size_t *sizes; /* of what comes, each filled with its number; NULL: not looked at */
	unsigned free_after; /* frees the pair inside the callback; 0: never */
};

static void end_on_datagram(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
	const struct sockaddr *from, socklen_t from_bytes)
{
	struct end *end = arg;
	uint32_t number = UINT32_MAX;

	assert_non_null(end->pair); /* nothing after the end */
	if (n >= sizeof(number))
		memcpy(&number, p, sizeof(number));
	if (end->sizes) {
		assert_int_equal(n, end->sizes[end->got[kind]]);
		assert_true(n == 0 || (p[0] == end->got[kind] && p[n - 1] == end->got[kind]));
	}
	end->in_order[kind] += number == end->got[kind];
	end->got[kind]++;
	end->bytes += n;
	memcpy(&end->from, from, from_bytes);
	end->from_bytes = from_bytes;
	if (end->free_after && end->got[kind] == end->free_after) {
		datagram_pair_free(end->pair);
		end->pair = NULL;
	}
}

static const struct datagram_events end_events = { end_on_datagram };

static struct sockaddr_storage loopback(int family)
{
	struct sockaddr_storage ret = { .ss_family = (sa_family_t)family };

	if (family == AF_INET6)
		((struct sockaddr_in6 *)&ret)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)&ret)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return ret;
}

/* Whether there is such an address here. */
static bool end_open(struct end *end, int family)
{
	struct sockaddr_storage local = loopback(family);

	((struct sockaddr_in *)&local)->sin_port = htons(9); /* is ignored */
	end->pair = datagram_pair_new((struct sockaddr *)&local, &end_events, end);
	if (!end->pair) {
		assert_int_equal(family, AF_INET6);
		assert_true(errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
	}
	return end->pair != NULL;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
	return ntohs(address->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)address)->sin6_port
			     : ((const struct sockaddr_in *)address)->sin_port);
}

static void direct(struct datagram_pair *from, const struct datagram_pair *to, int family)
{
	for (unsigned kind = DATAGRAM_RTP; kind <= DATAGRAM_RTCP; kind++) {
		struct sockaddr_storage address = loopback(family);

		((struct sockaddr_in *)&address)->sin_port = htons(
			(uint16_t)(datagram_pair_port(to) + kind)); /* at the same place in both */
		datagram_pair_set_peer(from, kind, (struct sockaddr *)&address,
			family == AF_INET6 ? sizeof(struct sockaddr_in6)
					   : sizeof(struct sockaddr_in));
	}
}

/* Sends n numbered datagrams of `bytes` in one call. */
static size_t send_numbers(
	struct datagram_pair *pair, enum datagram_kind kind, unsigned n, size_t bytes)
{
	struct iovec *packets = xcalloc(n, sizeof(*packets));
	size_t sent;

	for (uint32_t i = 0; i < n; i++) {
		packets[i] = (struct iovec){ .iov_base = xcalloc(1, bytes), .iov_len = bytes };
		memcpy(packets[i].iov_base, &i, sizeof(i));
	}
	sent = datagram_pair_send(pair, kind, packets, n);
	for (uint32_t i = 0; i < n; i++)
		free(packets[i].iov_base);
	free(packets);
	return sent;
}

static void check_family(int family)
{
	struct end a = { 0 }, b = { 0 };

	if (!end_open(&a, family))
		return;
	assert_true(end_open(&b, family));
	assert_int_equal(datagram_pair_port(a.pair) % 2, 0);
	assert_int_not_equal(datagram_pair_port(a.pair), datagram_pair_port(b.pair));
	direct(a.pair, b.pair, family);
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTP, 100, 200), 100);
	REACTOR_UNTIL(b.got[DATAGRAM_RTP] == 100);
	assert_int_equal(b.in_order[DATAGRAM_RTP], 100);
	assert_int_equal(b.bytes, 20000);
	assert_int_equal(b.from.ss_family, family);
	assert_int_equal(port_of(&b.from), datagram_pair_port(a.pair));
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTCP, 1, 28), 1);
	REACTOR_UNTIL(b.got[DATAGRAM_RTCP] == 1);
	assert_int_equal(port_of(&b.from), datagram_pair_port(a.pair) + 1);
	datagram_pair_free(a.pair);
	datagram_pair_free(b.pair);
}

static void test_a_pair_sends_to_a_pair(void **state)
{
	(void)state;
	check_family(AF_INET);
	check_family(AF_INET6);
}

static void test_many_pairs_have_even_ports_of_their_own(void **state)
{
	struct end ends[32] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
		assert_true(end_open(&ends[i], AF_INET));
		assert_int_equal(datagram_pair_port(ends[i].pair) % 2, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(
				datagram_pair_port(ends[i].pair), datagram_pair_port(ends[k].pair));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
		datagram_pair_free(ends[i].pair);
}

static void test_any_size_passes_but_what_udp_cannot_carry(void **state)
{
	static uint8_t block[LARGEST + 1];
	const struct iovec largest = { block, LARGEST }, empty = { block, 0 };
	const struct iovec mixed[] = {
		{block,  100        },
                { block, LARGEST + 1},
                { block, 100        }
	};
	struct end a = { 0 }, b = { 0 };

	(void)state;
	assert_true(end_open(&a, AF_INET) && end_open(&b, AF_INET));
	direct(a.pair, b.pair, AF_INET);
	assert_int_equal(datagram_pair_send(a.pair, DATAGRAM_RTP, &largest, 1), 1);
	REACTOR_UNTIL(b.got[DATAGRAM_RTP] == 1);
	assert_int_equal(b.bytes, LARGEST);
	assert_int_equal(datagram_pair_send(a.pair, DATAGRAM_RTP, &empty, 1), 1);
	REACTOR_UNTIL(b.got[DATAGRAM_RTP] == 2);
	assert_int_equal(b.bytes, LARGEST);
	assert_int_equal(datagram_pair_send(a.pair, DATAGRAM_RTP, mixed, 0), 0);
	assert_int_equal(datagram_pair_send(a.pair, DATAGRAM_RTP, mixed, 3), 1);
	datagram_pair_free(a.pair);
	datagram_pair_free(b.pair);
}

/* As the packets of a frame are: parameter sets, pieces of one size, a rest, and the next frame. Each comes as it was. */
static void check_frame(const struct end *a, struct end *b)
{
	static const size_t sizes[] = { 12, 40, 40, 1400, 1400, 1400, 1400, 1400, 700, 1400, 1400,
		1400, 1500, 1500, 0, 1500, 8, 1400, 60000, 60000, 9 };
	static uint8_t blocks[ARRAY_LENGTH(sizes)][LARGEST];
	struct iovec packets[ARRAY_LENGTH(sizes)];
	size_t n = ARRAY_LENGTH(sizes);

	for (uint32_t i = 0; i < n; i++) {
		packets[i] = (struct iovec){ blocks[i], sizes[i] };
		memset(blocks[i], (int)i, sizes[i]);
	}
	b->sizes = sizes;
	b->got[DATAGRAM_RTP] = 0;
	assert_int_equal(datagram_pair_send(a->pair, DATAGRAM_RTP, packets, n), n);
	REACTOR_UNTIL(b->got[DATAGRAM_RTP] == n);
}

/* The pair's socket for RTP, which it keeps for itself. */
static int socket_of(const struct datagram_pair *pair)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in address = { 0 };
		socklen_t n = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &n) == 0 &&
			ntohs(address.sin_port) == datagram_pair_port(pair))
			return fd;
	}
	fail_msg("the pair has no socket");
	return -1;
}

static void test_a_frame_passes_whether_the_kernel_cuts_it_or_not(void **state)
{
	struct end a = { 0 }, b = { 0 };
	int one = 1;

	(void)state;
	assert_true(end_open(&a, AF_INET) && end_open(&b, AF_INET));
	direct(a.pair, b.pair, AF_INET);
	check_frame(&a, &b);
	/* without checksums the kernel cuts nothing: that is found out, and nothing is lost */
	assert_int_equal(
		setsockopt(socket_of(a.pair), SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)), 0);
	check_frame(&a, &b);
	check_frame(&a, &b);
	datagram_pair_free(a.pair);
	datagram_pair_free(b.pair);
}

static void test_without_a_peer_nothing_is_sent(void **state)
{
	struct end a = { 0 };

	(void)state;
	assert_true(end_open(&a, AF_INET));
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTP, 1, 100), 0);
	datagram_pair_free(a.pair);
}

static void test_one_wake_up_reads_a_bounded_number(void **state)
{
	struct end a = { 0 }, b = { 0 };

	(void)state;
	assert_true(end_open(&a, AF_INET) && end_open(&b, AF_INET));
	direct(a.pair, b.pair, AF_INET);
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTP, 200, 100), 200);
	(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_true(b.got[DATAGRAM_RTP] > 0 && b.got[DATAGRAM_RTP] <= 128);
	REACTOR_UNTIL(b.got[DATAGRAM_RTP] == 200);
	assert_int_equal(b.in_order[DATAGRAM_RTP], 200);
	datagram_pair_free(a.pair);
	datagram_pair_free(b.pair);
}

static void test_a_callback_may_free_the_pair(void **state)
{
	struct end a = { 0 }, b = { .free_after = 3 }, c = { 0 };

	(void)state;
	assert_true(end_open(&a, AF_INET) && end_open(&b, AF_INET) && end_open(&c, AF_INET));
	direct(a.pair, b.pair, AF_INET);
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTP, 100, 100), 100);
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTCP, 100, 100), 100);
	REACTOR_UNTIL(!b.pair);
	direct(a.pair, c.pair, AF_INET);
	assert_int_equal(send_numbers(a.pair, DATAGRAM_RTP, 1, 100), 1);
	REACTOR_UNTIL(c.got[DATAGRAM_RTP] == 1); /* the loop has turned; b has asserted */
	assert_true(b.got[DATAGRAM_RTP] == 3 || b.got[DATAGRAM_RTCP] == 3);
	assert_true(b.got[DATAGRAM_RTP] <= 3 && b.got[DATAGRAM_RTCP] <= 3);
	datagram_pair_free(a.pair);
	datagram_pair_free(c.pair);
	datagram_pair_free(NULL);
}

static void test_a_foreign_address_is_refused(void **state)
{
	struct sockaddr_in foreign = { .sin_family = AF_INET };
	struct end end = { 0 };

	(void)state;
	foreign.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, of nobody */
	assert_null(datagram_pair_new((struct sockaddr *)&foreign, &end_events, &end));
	assert_int_equal(errno, EADDRNOTAVAIL);
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
		cmocka_unit_test(test_a_pair_sends_to_a_pair),
		cmocka_unit_test(test_many_pairs_have_even_ports_of_their_own),
		cmocka_unit_test(test_any_size_passes_but_what_udp_cannot_carry),
		cmocka_unit_test(test_a_frame_passes_whether_the_kernel_cuts_it_or_not),
		cmocka_unit_test(test_without_a_peer_nothing_is_sent),
		cmocka_unit_test(test_one_wake_up_reads_a_bounded_number),
		cmocka_unit_test(test_a_callback_may_free_the_pair),
		cmocka_unit_test(test_a_foreign_address_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
