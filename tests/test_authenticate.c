/* Who is asking: Basic, Digest with both hashes, nonces that grow old, clients with odd URIs. */
#include <netinet/in.h>
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
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"
#include "tests/reactor_until.h"

static struct auth_users users;
static struct authenticate_asker asker;
static struct sockaddr_in address = { .sin_family = AF_INET };

static unsigned known; /* calls */

static void on_known(void *arg)
{
	(void)arg;
	known++;
}

/* Nobody has failed, and a client comes that nobody has heard of. */
static void ask_from_elsewhere(void)
{
	authenticate_fini();
	authenticate_set_users(&users);
	address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + 1);
	authenticate_asker_init(
		&asker, "http", (const struct sockaddr *)(const void *)&address, on_known, NULL);
}

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	http_test_users_init(&users);
	ask_from_elsewhere();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	authenticate_fini();
	http_test_users_fini(&users);
	reactor_fini();
	metrics_fini();
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
		authenticate(&asker, text(method), text(target), text(authorization), &user);

	if (result == AUTHENTICATE_WRONG)
		ask_from_elsewhere();
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
	authenticate_write_challenge(out, AUTHENTICATE_STALE, true);
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
	authenticate_write_challenge(out, AUTHENTICATE_MISSING, true);
	assert_int_equal(evbuffer_search(out, "stale", 5, NULL).pos, -1);
	assert_int_equal(evbuffer_drain(out, evbuffer_get_length(out)), 0);
	authenticate_write_challenge(out, AUTHENTICATE_UNFIT, true);
	assert_int_equal(evbuffer_search(out, "Digest", 6, NULL).pos, -1);
	evbuffer_free(out);
}

#define RIGHT "Basic YW5uYTpzZWNyZXQ="
#define WRONG "Basic YW5uYTpTZWNyZXQ="

static enum authenticate_result say(struct authenticate_asker *by, const char *authorization)
{
	const struct auth_user *user;

	return authenticate(by, text("GET"), text("/"), text(authorization), &user);
}

static void test_who_is_wrong_too_often_has_to_wait(void **state)
{
	struct authenticate_asker another;
	double limited = metric_value(metric_get(METRIC_AUTH_LIMITED, "http"));
	const struct auth_user *user;

	(void)state;
	ask_from_elsewhere();
	for (int i = 0; i < 5; i++)
		assert_int_equal(say(&asker, WRONG), AUTHENTICATE_WRONG);
	authenticate_asker_init(&another, "ftp", asker.address, on_known, NULL);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_LATER);
	assert_int_equal(asker.retry_after_s, 4);
	assert_int_equal(
		authenticate_password(&another, "anna", "secret", &user), AUTHENTICATE_LATER);
	assert_true(metric_value(metric_get(METRIC_AUTH_LIMITED, "http")) == limited + 1);
	assert_int_equal(authenticate_password(&another, "nas", "p:w", &user), AUTHENTICATED);
	assert_string_equal(user->name, "nas");
	ask_from_elsewhere();
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
}

/* Another client behind the same address may be wrong as often as it likes. */
static void test_who_has_logged_in_by_a_connection_goes_on(void **state)
{
	struct authenticate_asker another;

	(void)state;
	ask_from_elsewhere();
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	authenticate_asker_init(&another, "http", asker.address, on_known, NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(say(&another, WRONG), AUTHENTICATE_WRONG);
	assert_int_equal(say(&another, RIGHT), AUTHENTICATE_LATER);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	assert_int_equal(say(&another, RIGHT), AUTHENTICATE_LATER); /* his success is not its own */
	assert_int_equal(say(&asker, WRONG), AUTHENTICATE_WRONG);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_LATER);
}

/* Nor is he who asks next by a proxy's connection the one who has logged in by it. */
static void test_another_client_of_a_proxy_has_not_logged_in(void **state)
{
	struct authenticate_asker another;
	struct sockaddr_in next;

	(void)state;
	ask_from_elsewhere();
	next = address;
	next.sin_addr.s_addr = htonl(ntohl(next.sin_addr.s_addr) + 1);
	authenticate_asker_init(
		&another, "http", (const struct sockaddr *)(const void *)&next, on_known, NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(say(&another, WRONG), AUTHENTICATE_WRONG);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	authenticate_asker_move(&asker, another.address);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_LATER);
}

/* What Digest does by itself is no failure. */
static void test_requests_without_credentials_or_with_an_old_nonce_do_not_count(void **state)
{
	char nonce[64], value[2048];
	const char *name;

	(void)state;
	ask_from_elsewhere();
	authenticate_write_nonce(nonce, sizeof(nonce), reactor_monotonic_us() - 400000000);
	answer(value, AUTH_MD5, true, nonce, "secret", "GET", "/");
	for (int i = 0; i < 50; i++) {
		assert_int_equal(judge("GET", "/", NULL, &name), AUTHENTICATE_MISSING);
		assert_int_equal(judge("GET", "/", value, &name), AUTHENTICATE_STALE);
	}
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
}

static struct auth_user *user_of(const char *name)
{
	struct auth_user *user;

	TAILQ_FOREACH (user, &users, entry) {
		if (strcmp(user->name, name) == 0)
			return user;
	}
	fail_msg("no user %s", name);
	abort(); /* is not reached */
}

static void set_password(const char *name, const char *password)
{
	struct auth_user *user = user_of(name);

	free(user->password);
	user->password = strdup(password);
	authenticate_set_users(&users);
}

/* The password "secret" with a low cost: python3, hashlib.scrypt(). */
#define KEPT \
	"$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$S7FwBvpu+z8K0PUVUagFRTUAB2dAxIZpzVHvLZir+98"

static void test_a_password_kept_by_scrypt_is_checked_by_a_worker(void **state)
{
	struct authenticate_asker another;
	char nonce[64], value[2048];

	(void)state;
	ask_from_elsewhere();
	set_password("anna", KEPT);
	authenticate_asker_init(&another, "rtsp", asker.address, on_known, NULL);
	known = 0;
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_PENDING);
	REACTOR_UNTIL(known == 1);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	assert_int_equal(say(&another, RIGHT), AUTHENTICATED); /* it is remembered */
	assert_int_equal(say(&asker, WRONG), AUTHENTICATE_PENDING);
	REACTOR_UNTIL(known == 2);
	assert_int_equal(say(&asker, WRONG), AUTHENTICATE_WRONG);
	assert_int_equal(say(&asker, WRONG), AUTHENTICATE_PENDING); /* that is not */
	REACTOR_UNTIL(known == 3);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	authenticate_set_users(&users);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_PENDING); /* a reload forgets */
	REACTOR_UNTIL(known == 4);
	authenticate_write_nonce(nonce, sizeof(nonce), reactor_monotonic_us());
	answer(value, AUTH_MD5, true, nonce, KEPT, "GET", "/");
	assert_int_equal(say(&asker, value), AUTHENTICATE_UNFIT);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	set_password("anna", "secret");
}

/* An unknown user costs the same, and never gets in, even with another one's password. */
static void test_an_unknown_user_is_checked_like_one_with_scrypt(void **state)
{
	static const char nobody[] = "Basic bm9ib2R5OnNlY3JldA=="; /* nobody:secret */

	(void)state;
	ask_from_elsewhere();
	set_password("anna", KEPT);
	known = 0;
	assert_int_equal(say(&asker, nobody), AUTHENTICATE_PENDING);
	REACTOR_UNTIL(known == 1);
	assert_int_equal(say(&asker, nobody), AUTHENTICATE_WRONG);
	set_password("anna", "secret");
}

/* Given with the user's name, by Basic and by Digest; good for its scope until its day. */
/* The example of ONVIF's Application Programmer's Guide, section 6.1.1.3. */
static void test_tokens(void **state)
{
	static char name[] = "user", password[] = "userpassword";
	static const struct {
		const char *name, *digest, *created;
		enum authenticate_result result;
	} cases[] = {
		{"user",  "tuOSpGlFlIXsozq4HFNeeGeFLEI=", "2010-09-16T07:50:45Z", AUTHENTICATED     },
		{ "user", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", "2010-09-16T07:50:46Z",
                 AUTHENTICATE_WRONG								 },
		{ "user", "tuOSpGlFlIXsozq4HFNeeGeFLEJ=", "2010-09-16T07:50:45Z",
                 AUTHENTICATE_WRONG								 },
		{ "user", "",                             "2010-09-16T07:50:45Z", AUTHENTICATE_WRONG},
 /* of the empty password, which nobody unknown has either: base64(sha1(nonce + created)) */
		{ "else", "7Rs/BJ5CcRVV71gaoAqhN9AvzbI=", "2010-09-16T07:50:45Z",
                 AUTHENTICATE_WRONG								 },
	};
	static const uint8_t nonce[] = { 0x2c, 0xaa, 0x88, 0xe8, 0x6f, 0xc0, 0x8a, 0x42, 0x82, 0x42,
		0xb3, 0x74, 0xce, 0xa6, 0x45, 0x96 };
	struct auth_user user = { .name = name, .password = password };
	struct auth_users one = TAILQ_HEAD_INITIALIZER(one);
	const struct auth_user *found;

	(void)state;
	TAILQ_INIT(&user.app_passwords);
	TAILQ_INSERT_TAIL(&one, &user, entry);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct authenticate_token token = { .name = cases[i].name,
			.digest = cases[i].digest,
			.created = cases[i].created,
			.nonce = nonce,
			.nonce_bytes = sizeof(nonce) };

		ask_from_elsewhere();
		authenticate_set_users(&one);
		assert_int_equal(authenticate_token(&asker, &token, &found), cases[i].result);
		assert_ptr_equal(found, cases[i].result == AUTHENTICATED ? &user : NULL);
	}
	authenticate_set_users(&users);
}

static void test_application_passwords(void **state)
{
	static const char basic[] = "Basic YW5uYTphcHA="; /* anna:app */
	int64_t now_us = reactor_now_us();
	struct auth_user *anna = user_of("anna");
	struct auth_app_password *app;
	char nonce[64], value[2048];

	(void)state;
	ask_from_elsewhere();
	app = auth_app_password_new(anna);
	app->name = strdup("phone");
	app->password = strdup("app");
	app->scopes = SCOPE_LIVE;
	assert_int_equal(say(&asker, basic), AUTHENTICATED);
	assert_int_equal(asker.scopes, SCOPE_LIVE);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	assert_int_equal(asker.scopes, SCOPE_ALL);
	authenticate_write_nonce(nonce, sizeof(nonce), reactor_monotonic_us());
	answer(value, AUTH_SHA256, true, nonce, "app", "GET", "/");
	assert_int_equal(say(&asker, value), AUTHENTICATED);
	assert_int_equal(asker.scopes, SCOPE_LIVE);
	answer(value, AUTH_SHA256, true, nonce, "ap", "GET", "/");
	assert_int_equal(say(&asker, value), AUTHENTICATE_WRONG);
	app->expires_us = now_us - 1;
	assert_int_equal(say(&asker, basic), AUTHENTICATE_WRONG);
	app->expires_us = now_us + INT64_C(3600000000);
	assert_int_equal(say(&asker, basic), AUTHENTICATED);
	app->written_us = now_us + INT64_C(3000000000); /* the clock is behind */
	assert_int_equal(say(&asker, basic), AUTHENTICATE_WRONG);
	app->expires_us = 0;
	assert_int_equal(say(&asker, basic), AUTHENTICATED);

	set_password("anna", KEPT);
	app->written_us = 0;
	assert_int_equal(say(&asker, basic), AUTHENTICATED); /* without the worker */
	answer(value, AUTH_SHA256, true, nonce, "app", "GET", "/");
	assert_int_equal(say(&asker, value), AUTHENTICATED);
	known = 0;
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATE_PENDING);
	REACTOR_UNTIL(known == 1);
	assert_int_equal(say(&asker, RIGHT), AUTHENTICATED);
	assert_int_equal(asker.scopes, SCOPE_ALL);
	set_password("anna", "secret");
}

static void test_too_many_checks_are_refused(void **state)
{
	enum {
		MANY = 40
	};
	struct authenticate_asker askers[MANY];
	unsigned posted = 0;

	(void)state;
	ask_from_elsewhere();
	set_password("anna", KEPT);
	known = 0;
	for (size_t i = 0; i < MANY; i++) {
		char name[32];
		const struct auth_user *user;

		authenticate_asker_init(&askers[i], "ftp", asker.address, on_known, NULL);
		(void)snprintf(name, sizeof(name), "wrong%zu", i);
		enum authenticate_result result =
			authenticate_password(&askers[i], "anna", name, &user);
		if (result == AUTHENTICATE_PENDING)
			posted++;
		else
			assert_int_equal(result, AUTHENTICATE_LATER);
	}
	assert_in_range(posted, 8, MANY - 1);
	for (size_t i = 1; i < MANY; i++)
		authenticate_asker_fini(&askers[i]); /* gone: nobody is told */
	REACTOR_UNTIL(known == 1);
	authenticate_fini();
	assert_int_equal(known, 1);
	authenticate_set_users(&users);
	set_password("anna", "secret");
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
		cmocka_unit_test(test_who_is_wrong_too_often_has_to_wait),
		cmocka_unit_test(test_who_has_logged_in_by_a_connection_goes_on),
		cmocka_unit_test(test_another_client_of_a_proxy_has_not_logged_in),
		cmocka_unit_test(
			test_requests_without_credentials_or_with_an_old_nonce_do_not_count),
		cmocka_unit_test(test_a_password_kept_by_scrypt_is_checked_by_a_worker),
		cmocka_unit_test(test_an_unknown_user_is_checked_like_one_with_scrypt),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_application_passwords),
		cmocka_unit_test(test_too_many_checks_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
