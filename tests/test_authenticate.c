/* Who is asking: Basic, Digest with both hashes, nonces that grow old, clients with odd URIs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/authenticate.h"
#include "protocols/authenticate_private.h"
#include "protocols/digest.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"

static struct auth_users users;

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	http_test_users_init(&users);
	authenticate_set_users(&users);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
	reactor_fini();
	return 0;
}

static struct message_text text(const char *s)
{
	return (struct message_text){ s, s ? strlen(s) : 0 };
}

static enum authenticate_result judge(
	const char *method, const char *target, const char *authorization, const char **name)
{
	const struct auth_user *user = NULL;
	enum authenticate_result result =
		authenticate(text(method), text(target), text(authorization), &user);

	*name = user ? user->name : NULL;
	return result;
}

static void test_without_users_everybody_is_let_in(void **state)
{
	struct auth_users none = TAILQ_HEAD_INITIALIZER(none);
	const char *name;

	(void)state;
	authenticate_set_users(&none);
	assert_true(authenticate_is_open());
	assert_int_equal(judge("GET", "/", "nonsense", &name), AUTHENTICATED);
	assert_null(name);
	authenticate_set_users(NULL);
	assert_true(authenticate_is_open());
	authenticate_set_users(&users);
	assert_false(authenticate_is_open());
}

static void test_basic(void **state)
{
	static const struct {
		const char *value;
		enum authenticate_result result;
		const char *name;
	} cases[] = {
		{NULL,			  AUTHENTICATE_MISSING, NULL  },
		{ "Basic YW5uYTpzZWNyZXQ=",     AUTHENTICATED,        "anna"}, /* anna:secret */
		{ "basic bmFzOnA6dw==",         AUTHENTICATED,        "nas" }, /* nas:p:w */
		{ "Basic YW5uYTpTZWNyZXQ=",     AUTHENTICATE_WRONG,   NULL  },
		{ "Basic bm9ib2R5OnNlY3JldA==", AUTHENTICATE_WRONG,   NULL  },
		{ "Basic OnNlY3JldA==",         AUTHENTICATE_WRONG,   NULL  },
		{ "Basic YW5uYTo=",             AUTHENTICATE_WRONG,   NULL  },
		{ "Basic !",                    AUTHENTICATE_WRONG,   NULL  },
		{ "Bearer abc",                 AUTHENTICATE_WRONG,   NULL  },
	};
	const char *name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(judge("GET", "/", cases[i].value, &name), cases[i].result);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
	}
}

/* What a client makes of a challenge with that nonce. */
static void answer(char ret[2048], enum auth_algorithm algorithm, bool qop, const char *nonce,
	const char *password, const char *method, const char *uri)
{
	struct digest_challenge challenge = {
		.scheme = DIGEST_DIGEST, .algorithm = algorithm, .realm = "nvrd", .qop_auth = qop
	};

	(void)snprintf(challenge.nonce, sizeof(challenge.nonce), "%s", nonce);
	assert_int_equal(digest_write_credentials(
				 ret, 2048, &challenge, "anna", password, method, uri, 1, "c0ffee"),
		0);
}

static void test_digest(void **state)
{
	char nonce[64], value[2048];
	const char *name;

	(void)state;
	authenticate_write_nonce(nonce, sizeof(nonce), reactor_monotonic_us());
	for (int algorithm = AUTH_MD5; algorithm <= AUTH_SHA256; algorithm++) {
		for (int qop = 0; qop < 2; qop++) {
			answer(value, (enum auth_algorithm)algorithm, qop, nonce, "secret", "GET",
				"/a?b=c");
			assert_int_equal(judge("GET", "/a?b=c", value, &name), AUTHENTICATED);
			assert_string_equal(name, "anna");
			assert_int_equal(judge("PUT", "/a?b=c", value, &name), AUTHENTICATE_WRONG);
			assert_int_equal(judge("GET", "/a", value, &name), AUTHENTICATE_WRONG);
			assert_int_equal(
				judge("GET", "/a?b=c/d", value, &name), AUTHENTICATE_WRONG);
			answer(value, (enum auth_algorithm)algorithm, qop, nonce, "Secret", "GET",
				"/a?b=c");
			assert_int_equal(judge("GET", "/a?b=c", value, &name), AUTHENTICATE_WRONG);
			assert_null(name);
		}
	}
}

static void test_nonces_grow_stale(void **state)
{
	static const struct {
		int64_t age_us;
		enum authenticate_result result;
	} cases[] = {
		{1000000,                  AUTHENTICATED     },
                { 299 * INT64_C(1000000),  AUTHENTICATED     },
		{ 301 * INT64_C(1000000),  AUTHENTICATE_STALE},
		{ -100 * INT64_C(1000000), AUTHENTICATE_STALE}, /* of the future */
	};
	char nonce[64], value[2048];
	const char *name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		authenticate_write_nonce(
			nonce, sizeof(nonce), reactor_monotonic_us() - cases[i].age_us);
		answer(value, AUTH_MD5, true, nonce, "secret", "GET", "/");
		assert_int_equal(judge("GET", "/", value, &name), cases[i].result);
	}
}

/* As after a restart: the client is told to try again, not to ask for another password. */
static void test_a_nonce_that_we_did_not_make_is_stale(void **state)
{
	char nonce[64], value[2048];
	const char *name;

	(void)state;
	authenticate_write_nonce(nonce, sizeof(nonce), reactor_monotonic_us());
	nonce[strlen(nonce) - 1] ^= 1;
	answer(value, AUTH_SHA256, true, nonce, "secret", "GET", "/");
	assert_int_equal(judge("GET", "/", value, &name), AUTHENTICATE_STALE);
	assert_null(name);
	answer(value, AUTH_SHA256, true, "x", "secret", "GET", "/");
	assert_int_equal(judge("GET", "/", value, &name), AUTHENTICATE_STALE);
	answer(value, AUTH_SHA256, true, "x", "wrong", "GET", "/");
	assert_int_equal(judge("GET", "/", value, &name), AUTHENTICATE_WRONG);
}

static void test_uris_that_rtsp_clients_sign(void **state)
{
	static const struct {
		const char *uri, *target;
		bool matches;
	} cases[] = {
		{"/a",                    "/a",                   true },
		{ "/a",                   "/a/b",                 false}, /* HTTP: to the letter */
		{ "rtsp://h/a",           "rtsp://h/a",           true },
		{ "rtsp://h/a",           "rtsp://h/a/trackID=0", true }, /* the base URL */
		{ "rtsp://h/a/",          "rtsp://h/a/trackID=0", true },
		{ "rtsp://h/a/trackID=0", "rtsp://h/a",           true },
		{ "rtsp://h:554/a",       "rtsp://h/a",           true },
		{ "/a/trackID=0",         "rtsp://h/a/trackID=0", true }, /* a relative one */
		{ "/a",                   "rtsps://h/a",          true },
		{ "rtsp://h/ab",          "rtsp://h/a",           false},
		{ "rtsp://h/a",           "rtsp://h/ab",          false},
		{ "rtsp://h/a",           "rtsp://h/b",           false},
		{ "a",                    "rtsp://h/a",           false},
		{ "",                     "rtsp://h/a",           false},
		{ "*",                    "rtsp://h/a",           false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(
			authenticate_uri_matches(cases[i].uri, cases[i].target), cases[i].matches);
}

static void test_challenges(void **state)
{
	struct evbuffer *out = evbuffer_new();
	struct digest_challenge challenge;
	char *line;
	int n = 0;

	(void)state;
	authenticate_write_challenge(out, true, true);
	while ((line = evbuffer_readln(out, NULL, EVBUFFER_EOL_CRLF_STRICT))) {
		static const char name[] = "WWW-Authenticate: ";
		static const enum auth_algorithm algorithms[] = { AUTH_MD5, AUTH_SHA256, AUTH_MD5 };
		size_t at = 0;
		const char *why = NULL, *value = line + strlen(name);
		assert_memory_equal(line, name, strlen(name));
		assert_int_equal(
			digest_parse_challenge(&challenge, value, strlen(value), &at, &why), 1);
		assert_string_equal(challenge.realm, AUTH_REALM);
		assert_int_equal(challenge.scheme, n < 3 ? DIGEST_DIGEST : DIGEST_BASIC);
		if (n < 3) {
			assert_int_equal(challenge.algorithm, algorithms[n]);
			assert_true(challenge.qop_auth);
			assert_true(challenge.stale);
		}
		free(line);
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(evbuffer_get_length(out), 0);
	authenticate_write_challenge(out, false, false);
	assert_int_equal(evbuffer_search(out, "Basic", 5, NULL).pos, -1);
	assert_int_equal(evbuffer_search(out, "stale", 5, NULL).pos, -1);
	evbuffer_free(out);
}

static void test_the_name_in_credentials(void **state)
{
	char name[16];

	(void)state;
	assert_true(authenticate_name(name, sizeof(name), text("Basic bmFzOnA6dw==")));
	assert_string_equal(name, "nas");
	assert_false(authenticate_name(name, sizeof(name), text(NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_users_everybody_is_let_in),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_nonces_grow_stale),
		cmocka_unit_test(test_a_nonce_that_we_did_not_make_is_stale),
		cmocka_unit_test(test_uris_that_rtsp_clients_sign),
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_the_name_in_credentials),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
