/* The cookie of the page's sessions in conversations: who gets one, how it looks, and for which requests it counts. */
#include "protocols/http_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/authenticate.h"
#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"

static struct http_server *server;
static struct auth_users users;

static void on_who(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();
	const struct auth_user *user = http_user(request);

	(void)evbuffer_add_printf(body, "user=%s\n", user ? user->name : "nobody");
	http_answer(request, 200, "text/plain", body);
	evbuffer_free(body);
}

/* As a protocol does whose messages may say who asks. */
static void on_call(struct http_request *request)
{
	if (http_user(request)) {
		on_who(request);
		return;
	}
	http_add_challenge(request);
	http_answer(request, 401, NULL, NULL);
}

static const struct http_route routes[] = {
	{"/",       HTTP_GET | HTTP_PUBLIC,       ROLE_VIEWER, on_who      },
	{ "/who",   HTTP_GET | HTTP_DELETE,       ROLE_VIEWER, on_who      },
	{ "/admin", HTTP_GET,                     ROLE_ADMIN,  on_who      },
	{ "/soap",  HTTP_POST | HTTP_ASKS_ITSELF, ROLE_VIEWER, on_call     },
	{ "/live/", HTTP_GET,                     ROLE_VIEWER, on_who      },
	{ "/login", HTTP_POST,                    ROLE_VIEWER, http_log_in },
	{ "/login", HTTP_DELETE,                  ROLE_VIEWER, http_log_out},
	{ NULL,     0,			    ROLE_VIEWER, NULL        },
};

#define LOCAL "http://localhost:8080"
#define NAME "nvrd-session-8080"

/* The answer to a request with these fields. */
static char *ask(const char *method, const char *target, const char *fields)
{
	char *request =
		xasprintf("%s %s HTTP/1.1\r\nHost: localhost:8080\r\n%sConnection: close\r\n\r\n",
			method, target, fields);
	char *answer = http_say(http_server_address(server), request);

	free(request);
	return answer;
}

/* Expects the status, and that a text is there ("!": is not). */
static void expect(
	const char *method, const char *target, const char *fields, int status, const char *there)
{
	char *answer = ask(method, target, fields), line[32];
	bool absent = there && there[0] == '!';

	(void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(answer, line, strlen(line)) != 0)
		fail_msg("%s %s with %s: not %d:\n%s", method, target, fields, status, answer);
	if (there && (strstr(answer, there + (absent ? 1 : 0)) == NULL) != absent)
		fail_msg("%s %s with %s: \"%s\" in:\n%s", method, target, fields, there, answer);
	free(answer);
}

static char *basic(const char *user_and_password, const char *more)
{
	char text[128];

	assert_true(base64_write(text, sizeof(text), (const uint8_t *)user_and_password,
			    strlen(user_and_password)) > 0);
	return xasprintf("Authorization: Basic %s\r\n%s", text, more);
}

/* Logs in; returns the value of Set-Cookie. The caller frees it. */
static char *log_in(const char *user_and_password, const char *more)
{
	char *fields = basic(user_and_password, more), *answer = ask("POST", "/login", fields);
	const char *at = strstr(answer, "\r\nSet-Cookie: ");
	char cookie[256] = "";

	if (strncmp(answer, "HTTP/1.1 204 ", 13) != 0 || !at ||
		sscanf(at, " Set-Cookie: %255[^\r]", cookie) != 1)
		fail_msg("no cookie:\n%s", answer);
	free(answer);
	free(fields);
	return xstrdup(cookie);
}

/* The fields of a request of who has logged in, and more fields. */
static char *with_cookie(const char *set_cookie, const char *more)
{
	return xasprintf(
		"Cookie: a=b; %.*s; c=d\r\n%s", (int)strcspn(set_cookie, ";"), set_cookie, more);
}

static void expect_with(const char *set_cookie, const char *method, const char *target,
	const char *more, int status, const char *there)
{
	char *fields = with_cookie(set_cookie, more);

	expect(method, target, fields, status, there);
	free(fields);
}

static void test_a_cookie_stands_for_the_password(void **state)
{
	char *anna = log_in("anna:secret", ""), *nas = log_in("nas:p:w", "");

	(void)state;
	expect_with(anna, "GET", "/who", "", 200, "user=anna");
	expect_with(anna, "GET", "/who", "", 200, "\r\nSession-User: anna\r\n");
	expect_with(anna, "POST", "/soap", "", 200, "user=anna");
	expect_with(anna, "POST", "/soap", "", 200, "\r\nSession-User: anna\r\n");
	expect_with(anna, "GET", "/admin", "", 200, NULL);
	expect_with(nas, "GET", "/who", "", 200, "user=nas");
	expect_with(nas, "GET", "/admin", "", 403, NULL);
	expect_with(nas, "GET", "/live/porch/x", "", 200, NULL);
	expect_with(nas, "GET", "/live/attic/x", "", 404, NULL);
	free(anna);
	free(nas);
}

/* RFC 6265bis sections 4.1.2 and 4.1.3 */
static void test_how_the_cookie_looks(void **state)
{
	static const struct {
		const char *proto, *base, *prefix, *attributes;
	} rows[] = {
		{"http",   NULL,   "nvrd-session-8080=",
                 "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"            },
		{ "http",  "/nvr", "nvrd-session-8080=",
                 "; Path=/nvr/; Max-Age=2592000; HttpOnly; SameSite=Strict"        },
		{ "https", NULL,   "__Host-nvrd-session-8080=",
                 "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure"    },
		{ "https", "/nvr", "__Secure-nvrd-session-8080=",
                 "; Path=/nvr/; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure"},
	};
	char proxy[] = "127.0.0.1";
	char *const proxies[] = { proxy, NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *proto = xasprintf("X-Forwarded-Proto: %s\r\n", rows[i].proto), *cookie;
		size_t n = strlen(rows[i].prefix);

		http_configure(&(struct http_settings){ proxies, rows[i].base, false });
		cookie = log_in("anna:secret", proto);
		assert_memory_equal(cookie, rows[i].prefix, n);
		assert_int_equal(strspn(cookie + n, "0123456789abcdef"), 64);
		assert_string_equal(cookie + n + 64, rows[i].attributes);
		expect_with(cookie, "GET", "/who", proto, 200, "user=anna");
		free(cookie);
		free(proto);
	}
	/* nobody else says what TLS is */
	http_configure(NULL);
	char *cookie = log_in("anna:secret", "X-Forwarded-Proto: https\r\n");
	assert_null(strstr(cookie, "Secure"));
	free(cookie);
}

/* Cookies know no ports: what another nvrd of the same host has given is nobody's here. */
static void test_each_port_has_a_cookie(void **state)
{
	static const struct {
		const char *host, *name;
	} rows[] = {
		{"nvr:9090",          "nvrd-session-9090"},
		{ "nvr",              "nvrd-session"     },
		{ "nvr:80",           "nvrd-session"     },
		{ "nvr:",             "nvrd-session"     },
		{ "[2001:db8::1]:81", "nvrd-session-81"  },
		{ "[2001:db8::1]",    "nvrd-session"     },
	};
	char *cookie = log_in("anna:secret", ""), *token = strchr(cookie, '=') + 1;

	(void)state;
	token[LOGIN_TOKEN_BYTES - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		for (int is_own = 0; is_own < 2; is_own++) {
			char *request = xasprintf("GET /who HTTP/1.1\r\nHost: %s\r\n"
						  "Cookie: %s=%s\r\nConnection: close\r\n\r\n",
				rows[i].host, is_own ? rows[i].name : NAME, token);
			char *answer = http_say(http_server_address(server), request);

			assert_memory_equal(answer, is_own ? "HTTP/1.1 200 " : "HTTP/1.1 401 ", 13);
			free(answer);
			free(request);
		}
	}
	free(cookie);
}

static void test_who_gets_no_cookie(void **state)
{
	static const char *const wrong[] = { "anna:wrong", "nobody:secret", "nas:app" };
	struct auth_app_password *app =
		auth_app_password_new(TAILQ_NEXT(TAILQ_FIRST(&users), entry));

	(void)state;
	app->name = xstrdup("phone");
	app->password = xstrdup("app");
	app->scopes = SCOPE_DAV | SCOPE_DAV_READ | SCOPE_LIVE | SCOPE_METRICS;
	expect("POST", "/login", "", 401, "!Set-Cookie");
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		char *fields = basic(wrong[i], "");

		expect("POST", "/login", fields, i < 2 ? 401 : 403, "!Set-Cookie");
		free(fields);
	}
	expect("GET", "/login", "", 401, NULL);
	char *cookie = log_in("anna:secret", "");
	expect_with(cookie, "POST", "/login", "", 204, "!Set-Cookie");
	free(cookie);
}

static void test_guesses_have_to_wait(void **state)
{
	char *guess = basic("anna:wrong", ""), *right = basic("anna:secret", "");
	char *cookie = log_in("anna:secret", "");

	(void)state;
	authenticate_set_users(&users);
	for (int i = 0; i < 5; i++)
		expect("POST", "/login", guess, 401, NULL);
	expect("POST", "/login", guess, 429, "\r\nRetry-After: ");
	expect("POST", "/login", right, 429, "!Set-Cookie");
	expect_with(cookie, "GET", "/who", "", 200, "user=anna");
	free(guess);
	free(right);
	free(cookie);
}

static void test_whose_requests_count(void **state)
{
	static const struct {
		const char *fields;
		bool counts;
	} rows[] = {
		{"",						    true },
		{ "Origin: " LOCAL "\r\n",                              true },
		{ "Origin: HTTP://LocalHost:8080\r\n",                  true },
		{ "Origin: https://localhost:8080\r\n",                 false},
		{ "Origin: http://localhost:8081\r\n",                  false},
		{ "Origin: http://localhost\r\n",                       false},
		{ "Origin: http://evil.example\r\n",                    false},
		{ "Origin: null\r\n",                                   false},
		{ "Origin: \r\n",				       false},
		{ "Sec-Fetch-Site: same-origin\r\n",                    true },
		{ "Sec-Fetch-Site: same-site\r\nOrigin: " LOCAL "\r\n", false},
		{ "Sec-Fetch-Site: cross-site\r\n",                     false},
		{ "Sec-Fetch-Site: none\r\n",                           false},
	};
	char *cookie = log_in("anna:secret", ""), *fields;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int status = rows[i].counts ? 200 : 403;

		expect_with(cookie, "DELETE", "/who", rows[i].fields, status, NULL);
		expect_with(cookie, "GET", "/who", rows[i].fields, 200, "user=anna");
		/* where the body may say who asks, the cookie says nothing then */
		expect_with(cookie, "POST", "/soap", rows[i].fields, rows[i].counts ? 200 : 401,
			rows[i].counts ? "user=anna" : "!Session-User");
		if (!rows[i].counts)
			expect_with(cookie, "DELETE", "/login", rows[i].fields, 403, "!Set-Cookie");
		/* for who shows the password it does not matter; but he is not logged in */
		fields = basic("anna:secret", rows[i].fields);
		expect("DELETE", "/who", fields, 200, NULL);
		expect("POST", "/login", fields, rows[i].counts ? 204 : 403, NULL);
		free(fields);
	}
	expect_with(cookie, "GET", "/who", "", 200, "user=anna");
	free(cookie);
}

static void test_behind_a_proxy_the_origin_is_its(void **state)
{
	static const char fields[] = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: nvr.example\r\n"
				     "Origin: https://nvr.example\r\n";
	char proxy[] = "127.0.0.1";
	char *const proxies[] = { proxy, NULL };
	char *cookie;

	(void)state;
	http_configure(&(struct http_settings){ proxies, NULL, false });
	cookie = log_in("anna:secret", fields);
	expect_with(cookie, "DELETE", "/who", fields, 200, NULL);
	free(cookie);
}

static void test_logging_out(void **state)
{
	char *one = log_in("anna:secret", ""), *other = log_in("anna:secret", "");

	(void)state;
	expect_with(one, "DELETE", "/login", "", 204,
		"\r\nSet-Cookie: nvrd-session-8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict\r\n");
	expect_with(one, "GET", "/who", "", 401, NULL);
	expect_with(one, "DELETE", "/login", "", 401, NULL);
	expect("DELETE", "/login", "", 401, NULL);
	expect_with(other, "GET", "/who", "", 200, "user=anna");
	free(one);
	free(other);
}

static void test_logging_in_again_ends_the_session_before(void **state)
{
	char *first = log_in("anna:secret", ""), *fields = with_cookie(first, "");
	char *second = log_in("nas:p:w", fields);

	(void)state;
	expect_with(first, "GET", "/who", "", 401, NULL);
	expect_with(second, "GET", "/who", "", 200, "user=nas");
	free(first);
	free(second);
	free(fields);
}

static void test_another_password_ends_the_session(void **state)
{
	char *cookie = log_in("anna:secret", "");
	struct auth_user *anna = TAILQ_FIRST(&users);

	(void)state;
	authenticate_set_users(&users);
	expect_with(cookie, "GET", "/who", "", 200, "user=anna");
	free(anna->password);
	anna->password = xstrdup("other");
	authenticate_set_users(&users);
	expect_with(cookie, "GET", "/who", "", 401, NULL);
	free(cookie);
}

/* RFC 9113 section 8.2.3; and a cookie that another server of this host has set does no harm. */
static void test_one_of_many_cookies(void **state)
{
	char *cookie = log_in("anna:secret", "");
	char *fields = xasprintf("Cookie: " NAME "=%064d; " NAME "\r\nCookie: x=\r\n"
				 "Cookie: y=\"" NAME "=1\";%.*s\r\n",
		0, (int)strcspn(cookie, ";"), cookie);

	(void)state;
	expect("GET", "/who", fields, 200, "user=anna");
	free(fields);
	fields = xasprintf("Cookie: " NAME "=%064d; " NAME "=2; " NAME "=3; " NAME "=4; "
			   "%.*s\r\n",
		0, (int)strcspn(cookie, ";"), cookie);
	expect("GET", "/who", fields, 401, NULL); /* nobody has us hash for ever */
	free(fields);
	fields = xasprintf("Cookie: %.*s0\r\n", (int)strcspn(cookie, ";"), cookie);
	expect("GET", "/who", fields, 401, NULL);
	free(fields);
	free(cookie);
}

static void test_a_password_goes_before_the_cookie(void **state)
{
	char *cookie = log_in("anna:secret", ""), *fields = basic("nas:p:w", "");

	(void)state;
	expect_with(cookie, "GET", "/who", fields, 200, "user=nas");
	free(fields);
	fields = basic("nas:wrong", "");
	expect_with(cookie, "GET", "/who", fields, 401, NULL);
	free(fields);
	free(cookie);
}

/* Where the page asks, the browser must not; every other client is asked as ever. */
static void test_who_is_asked_by_which_scheme(void **state)
{
	static const char basic_field[] = "\r\nWWW-Authenticate: Basic realm=\"nvrd\"";
	static const char digest_field[] = "\r\nWWW-Authenticate: Digest realm=\"nvrd\"";
	static const char session_field[] = "\r\nWWW-Authenticate: Session realm=\"nvrd\"\r\n";
	static const char page[] = "X-Requested-With: nvrd\r\n";
	static const char old[] = "Cookie: " NAME "=0123\r\n";
	static const char old_visit[] = "Cookie: " NAME "=0123\r\nAccept: text/html,*/*;q=0.8\r\n";

	(void)state;
	expect("GET", "/who", "", 401, basic_field);
	expect("GET", "/who", "", 401, digest_field);
	expect("GET", "/who", "", 401, "!Session");
	expect("GET", "/who", page, 401, session_field);
	expect("GET", "/who", page, 401, "!Basic");
	expect("GET", "/who", page, 401, "!Digest");
	expect("GET", "/who", old, 401, session_field);
	expect("GET", "/who", old, 401, "!Basic");
	expect("GET", "/who", old_visit, 401, basic_field);
	expect("POST", "/login", page, 401, session_field);
	expect("POST", "/soap", "", 401, digest_field);
	expect("POST", "/soap", page, 401, session_field);
	expect("POST", "/soap", page, 401, "!Digest");
	expect("POST", "/soap", old, 401, session_field);
}

static void test_what_is_public(void **state)
{
	(void)state;
	expect("GET", "/", "", 200, "user=nobody");
	expect("HEAD", "/", "", 200, NULL);
	expect("GET", "/", "Authorization: Basic YW5uYTp3cm9uZw==\r\n", 401, NULL);
	expect("GET", "/", "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n", 200, "user=anna");
	expect("GET", "/page.js", "", 200, NULL);
	expect("OPTIONS", "/", "", 401, NULL);
	expect("PROPFIND", "/", "", 401, NULL);
	expect("GET", "/live/", "", 401, NULL);
	expect("GET", "/who", "", 401, NULL);
}

static void test_without_users_nobody_logs_in(void **state)
{
	char *cookie = log_in("anna:secret", ""), *fields = basic("anna:secret", "");

	(void)state;
	authenticate_set_users(NULL);
	expect("POST", "/login", fields, 204, "!Set-Cookie");
	expect_with(cookie, "GET", "/who", "", 200, "user=nobody");
	authenticate_set_users(&users);
	expect_with(cookie, "GET", "/who", "", 401, NULL);
	free(fields);
	free(cookie);
}

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	http_test_users_init(&users);
	authenticate_set_users(&users);
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_configure(NULL);
	http_server_free(server);
	authenticate_fini();
	http_test_users_fini(&users);
	reactor_fini();
	metrics_fini();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_cookie_stands_for_the_password),
		TEST(test_how_the_cookie_looks),
		TEST(test_each_port_has_a_cookie),
		TEST(test_who_gets_no_cookie),
		TEST(test_guesses_have_to_wait),
		TEST(test_whose_requests_count),
		TEST(test_behind_a_proxy_the_origin_is_its),
		TEST(test_logging_out),
		TEST(test_logging_in_again_ends_the_session_before),
		TEST(test_another_password_ends_the_session),
		TEST(test_one_of_many_cookies),
		TEST(test_a_password_goes_before_the_cookie),
		TEST(test_who_is_asked_by_which_scheme),
		TEST(test_what_is_public),
		TEST(test_without_users_nobody_logs_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
