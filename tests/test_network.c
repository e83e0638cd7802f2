/* Addresses and networks. */
#include "server/base/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "server/base/attributes.h"

static bool has(const char *network, const char *address)
{
	struct network n;
	struct network_address a;

	assert_true(network_parse(&n, network));
	assert_true(network_address_parse(&a, address, strlen(address)));
	return network_has(&n, &a);
}

static void test_what_is_in_a_network(void **state)
{
	static const struct {
		const char *network, *address;
		bool inside;
	} rows[] = {
		{"10.0.0.0/8",           "10.0.0.0",         true },
		{ "10.0.0.0/8",          "10.255.255.255",   true },
		{ "10.0.0.0/8",          "11.0.0.0",         false},
		{ "10.0.0.0/8",          "9.255.255.255",    false},
		{ "192.0.2.128/25",      "192.0.2.128",      true },
		{ "192.0.2.128/25",      "192.0.2.127",      false},
		{ "192.0.2.1",           "192.0.2.1",        true },
		{ "192.0.2.1",           "192.0.2.2",        false},
		{ "192.0.2.1/31",        "192.0.2.0",        true }, /* what the bits leave out does not count */
		{ "0.0.0.0/0",           "203.0.113.9",      true },
		{ "0.0.0.0/0",           "2001:db8::1",      false},
		{ "::/0",                "2001:db8::1",      true },
		{ "2001:db8::/32",       "2001:db8:ffff::1", true },
		{ "2001:db8::/32",       "2001:db9::1",      false},
		{ "2001:db8::/33",       "2001:db8:8000::1", false},
		{ "::1",                 "::1",              true },
		{ "::1",                 "127.0.0.1",        false},
		{ "192.0.2.1",           "::ffff:192.0.2.1",
                 true					     }, /* as a socket of both families sees it */
		{ "::ffff:10.0.0.0/104", "10.1.2.3",         true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (has(rows[i].network, rows[i].address) != rows[i].inside)
			fail_msg("%s in %s", rows[i].address, rows[i].network);
	}
}

static void test_what_is_no_network(void **state)
{
	static const char *const wrong[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10/8",
		"10.0.0/8", "10.0.0.256", "::/129", "::/1000", "[::1]", "localhost", "::1%lo",
		"10.0.0.0/0x8", "all", "*" };
	struct network network = { .bits = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		if (network_parse(&network, wrong[i]))
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(network.bits, 7); /* untouched */
	}
}

static void test_addresses_are_written_as_they_are_read(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.1",           "192.0.2.1"  },
		{ "::ffff:192.0.2.1",   "192.0.2.1"  },
		{ "2001:DB8:0:0::0001", "2001:db8::1"},
		{ "::",                 "::"         },
	};
	struct network_address address;
	char text[INET6_ADDRSTRLEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		assert_true(network_address_parse(&address, rows[i][0], strlen(rows[i][0])));
		assert_string_equal(network_address_write(&address, text), rows[i][1]);
	}
	assert_true(network_address_parse(&address, "192.0.2.17", strlen("192.0.2.1")));
	assert_string_equal(network_address_write(&address, text), "192.0.2.1");
	assert_false(network_address_parse(&address, "192.0.2.1\0x", 11));
	assert_false(network_address_parse(&address, "", 0));
}

static void test_sockets_addresses(void **state)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const struct sockaddr other = { .sa_family = AF_UNIX };
	struct network_address address;
	char text[INET6_ADDRSTRLEN];

	(void)state;
	assert_true(network_address_of(&address, (const struct sockaddr *)&v4));
	assert_string_equal(network_address_write(&address, text), "192.0.2.1");
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::2", &v6.sin6_addr), 1);
	assert_true(network_address_of(&address, (const struct sockaddr *)&v6));
	assert_string_equal(network_address_write(&address, text), "2001:db8::2");
	assert_false(network_address_of(&address, &other));
}

static void test_multicast_groups(void **state)
{
	static const struct {
		const char *text;
		uint16_t port; /* 0: it is none */
	} rows[] = {
		{"239.1.2.3",              5004 },
		{ "239.1.2.3:6000",        6000 },
		{ "224.0.1.0:1024",        1024 },
		{ "239.255.255.255:65520", 65520},
		{ "239.1.2.3:6001",        0    },
		{ "239.1.2.3:65522",       0    },
		{ "239.1.2.3:1022",        0    },
		{ "239.1.2.3:",            0    },
		{ "239.1.2.3:6000x",       0    },
		{ "239.1.2.3:106000",      0    },
		{ "224.0.0.1",             0    },
		{ "192.0.2.1",             0    },
		{ "240.0.0.1",             0    },
		{ "[ff05::1]:5004",        0    },
		{ "",		      0    },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct sockaddr_in group = { 0 };
		bool taken = network_group_parse(&group, rows[i].text);

		if (taken != (rows[i].port != 0) || ntohs(group.sin_port) != rows[i].port)
			fail_msg("%s: %u", rows[i].text, ntohs(group.sin_port));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_in_a_network),
		cmocka_unit_test(test_what_is_no_network),
		cmocka_unit_test(test_addresses_are_written_as_they_are_read),
		cmocka_unit_test(test_sockets_addresses),
		cmocka_unit_test(test_multicast_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
