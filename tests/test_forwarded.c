/* Whom X-Forwarded-For names: the last that is no proxy of ours, whatever was put before it. */
#include "protocols/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/attributes.h"
#include "server/base/memory.h"

static struct network trusted[2]; /* 127.0.0.1 and 10.0.0.0/8 */

/* Follows a field that 127.0.0.1 has sent. The text lies in a block of its size: none is read behind it. */
static bool follow(const char *list, char ret[INET6_ADDRSTRLEN])
{
	struct message_text text = { NULL, strlen(list) };
	struct network_address at;
	char *block = xmalloc(text.n + 1);
	bool more;

	memcpy(block + 1, list, text.n);
	text.p = block + 1;
	assert_true(network_address_parse(&at, "127.0.0.1", 9));
	more = forwarded_follow(&at, text, trusted, ARRAY_LENGTH(trusted));
	(void)network_address_write(&at, ret);
	free(block);
	return more;
}

static void test_the_last_that_is_no_proxy_is_the_client(void **state)
{
	static const struct {
		const char *list, *client;
		bool more;
	} rows[] = {
		{"203.0.113.9",				 "203.0.113.9", false},
		{ "198.51.100.1, 203.0.113.9",                  "203.0.113.9", false}, /* the first is invented */
		{ "203.0.113.9, 10.1.2.3",                      "203.0.113.9", false},
		{ "198.51.100.1,203.0.113.9,10.1.2.3,10.9.9.9", "203.0.113.9", false},
		{ "10.1.2.3",				   "10.1.2.3",    true },
		{ "10.1.2.3 , 10.9.9.9",                        "10.1.2.3",    true },
		{ "",					   "127.0.0.1",   true },
		{ "203.0.113.9:5000",                           "203.0.113.9", false},
		{ "[2001:db8::1]:5000",                         "2001:db8::1", false},
		{ "[2001:db8::1]",                              "2001:db8::1", false},
		{ "2001:db8::1",                                "2001:db8::1", false},
		{ "::ffff:203.0.113.9",                         "203.0.113.9", false},
 /* what cannot be read ends the way at who sent it */
		{ "unknown",				    "127.0.0.1",   false},
		{ "203.0.113.9, unknown",                       "127.0.0.1",   false},
		{ "203.0.113.9, unknown, 10.1.2.3",             "10.1.2.3",    false},
		{ "203.0.113.9,",                               "127.0.0.1",   false},
		{ ",",					  "127.0.0.1",   false},
		{ "[203.0.113.9]",                              "127.0.0.1",   false},
		{ "[2001:db8::1",                               "127.0.0.1",   false},
		{ "[2001:db8::1]x",                             "127.0.0.1",   false},
		{ "[]",					 "127.0.0.1",   false},
		{ ":5000",				      "127.0.0.1",   false},
		{ "203.0.113.9 198.51.100.1",                   "127.0.0.1",   false},
		{ "\"203.0.113.9\"",                            "127.0.0.1",   false},
		{ "203.0.113.9\r\n",                            "127.0.0.1",   false},
	};
	char client[INET6_ADDRSTRLEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bool more = follow(rows[i].list, client);

		if (more != rows[i].more || strcmp(client, rows[i].client) != 0)
			fail_msg("\"%s\": %s, %d", rows[i].list, client, more);
	}
}

/* Who is no proxy of ours says nothing that counts. */
static void test_nobody_else_is_believed(void **state)
{
	struct network_address at;
	char client[INET6_ADDRSTRLEN];

	(void)state;
	assert_true(network_address_parse(&at, "192.0.2.7", 9));
	assert_false(forwarded_follow(
		&at, (struct message_text){ "203.0.113.9", 11 }, trusted, ARRAY_LENGTH(trusted)));
	assert_string_equal(network_address_write(&at, client), "192.0.2.7");
	assert_false(forwarded_follow(&at, (struct message_text){ "203.0.113.9", 11 }, NULL, 0));
	assert_string_equal(network_address_write(&at, client), "192.0.2.7");
}

static int setup(void **state)
{
	(void)state;
	return network_parse(&trusted[0], "127.0.0.1") && network_parse(&trusted[1], "10.0.0.0/8")
		       ? 0
		       : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_that_is_no_proxy_is_the_client),
		cmocka_unit_test(test_nobody_else_is_believed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
