/* Behind a reverse proxy: whom it speaks for, the base path, and what of it nobody else is believed. */
#include "protocols/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/authenticate.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"

static struct http_server *server;

/* Says how the request is seen: its path, the base, who asks, and whether Destination is here. */
static void on_show(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();
	const struct log_name *log = http_log(request);

	(void)evbuffer_add_printf(body, "path=%s base=%s client=%s us=%d\n", http_path(request),
		http_base(request), strcmp(log->kind, "for") == 0 ? log->name : "peer",
		http_is_us(request, http_field(request, "X-Authority")));
	http_answer(request, 200, "text/plain", body);
	evbuffer_free(body);
}

static const struct http_route routes[] = {
	{"/",   HTTP_GET | HTTP_PROPFIND, ROLE_VIEWER, on_show},
	{ NULL, 0,			ROLE_VIEWER, NULL   },
};

static void configure(const char *proxy, const char *base_path, bool hsts)
{
	char *name = proxy ? xstrdup(proxy) : NULL;
	char *const proxies[] = { name, NULL };

	http_configure(&(struct http_settings){ proxies, base_path, hsts });
	free(name);
}

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

static void expect(const char *target, const char *fields, const char *there)
{
	char *answer = ask("GET", target, fields);

	if (!strstr(answer, there))
		fail_msg("%s with %s: no \"%s\" in:\n%s", target, fields, there, answer);
	free(answer);
}

static void test_a_trusted_proxy_is_believed(void **state)
{
	(void)state;
	configure("127.0.0.0/8", NULL, false);
	expect("/a", "", "client=peer");
	expect("/a", "X-Forwarded-For: 203.0.113.9\r\n", "client=203.0.113.9");
	expect("/a", "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", "client=203.0.113.9");
	/* several fields are one list (RFC 9110 section 5.3) */
	expect("/a", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9, 127.0.0.2\r\n",
		"client=203.0.113.9");
	expect("/a", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 127.0.0.3, 127.0.0.2\r\n",
		"client=203.0.113.9");
	expect("/a", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: nonsense\r\n",
		"client=peer");
}

static void test_nobody_else_is_believed(void **state)
{
	static const char *const proxies[] = { NULL, "192.0.2.0/24", "::1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(proxies); i++) {
		configure(proxies[i], NULL, true);
		expect("/a", "X-Forwarded-For: 203.0.113.9\r\n", "client=peer");
		expect("/a", "X-Forwarded-Host: nvr.example\r\nX-Authority: nvr.example\r\n",
			"us=0");
		char *answer = ask("GET", "/a", "X-Forwarded-Proto: https\r\n");
		assert_null(strstr(answer, "Strict-Transport-Security"));
		free(answer);
	}
}

static void test_which_authorities_are_ours(void **state)
{
	static const struct {
		const char *fields;
		bool us;
	} rows[] = {
		{"X-Authority: localhost:8080\r\n",                                       true },
		{ "X-Authority: LocalHost:8080\r\n",                                      true },
		{ "X-Authority: localhost\r\n",                                           false},
		{ "X-Authority: localhost:80\r\n",                                        false},
		{ "X-Authority: nvr.example\r\n",                                         false},
		{ "X-Forwarded-Host: nvr.example\r\nX-Authority: nvr.example\r\n",        true },
		{ "X-Forwarded-Host: nvr.example\r\nX-Authority: nvr.example:443\r\n",    true },
		{ "X-Forwarded-Host: nvr.example:443\r\nX-Authority: nvr.example\r\n",    true },
		{ "X-Forwarded-Host: nvr.example, inner\r\nX-Authority: nvr.example\r\n", true },
		{ "X-Forwarded-Host: nvr.example\r\nX-Authority: nvr.example:444\r\n",    false},
		{ "X-Forwarded-Host: nvr.example\r\nX-Authority: nvr.example.org\r\n",    false},
		{ "X-Forwarded-Host: \r\n",					       false},
	};

	(void)state;
	configure("127.0.0.1", NULL, false);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect("/a", rows[i].fields, rows[i].us ? "us=1" : "us=0");
}

static void test_the_base_path_is_taken_off_and_put_in_front(void **state)
{
	(void)state;
	configure(NULL, "/nvr", false);
	expect("/nvr/a/b", "", "path=/a/b base=/nvr ");
	expect("/nvr/", "", "path=/ base=/nvr ");
	expect("/a", "", "path=/a base= "); /* somebody who came directly */
	expect("/nvrd/a", "", "path=/nvrd/a base= ");
	expect("/n%76r/a", "", "path=/a base=/nvr ");
	expect("/nvr/../a", "", "path=/a base= ");
	configure("127.0.0.1", "/nvr", false);
	expect("/a", "", "path=/a base=/nvr "); /* the proxy has taken it off */
	expect("/nvr/nvr/a", "", "path=/nvr/a base=/nvr ");
}

static void test_the_base_path_alone_gets_its_slash(void **state)
{
	char *answer;

	(void)state;
	configure(NULL, "/nvr", false);
	expect("/nvr", "", "HTTP/1.1 301 ");
	expect("/nvr", "", "Location: /nvr/\r\n");
	answer = ask("PROPFIND", "/nvr", "Content-Length: 0\r\n");
	assert_non_null(strstr(answer, "path=/ base=/nvr "));
	free(answer);
}

static void test_hsts_is_for_who_came_by_tls(void **state)
{
	static const char field[] = "Strict-Transport-Security: max-age=31536000\r\n";
	char *answer;

	(void)state;
	configure("127.0.0.1", NULL, true);
	expect("/a", "X-Forwarded-Proto: https\r\n", field);
	expect("/a", "X-Forwarded-Proto: http, https\r\n", field);
	answer = ask("GET", "/a", "X-Forwarded-Proto: https, http\r\n");
	assert_null(strstr(answer, field));
	free(answer);
	answer = ask("GET", "/a", "");
	assert_null(strstr(answer, field));
	free(answer);
	configure("127.0.0.1", NULL, false);
	answer = ask("GET", "/a", "X-Forwarded-Proto: https\r\n");
	assert_null(strstr(answer, field));
	free(answer);
}

/* What ffmpeg or curl would send: signed for the target that the client knows. */
static void test_digest_holds_though_the_proxy_took_the_base_path_off(void **state)
{
	struct auth_users users;
	char *answer, *at, nonce[128], ha1[AUTH_HASH_HEX_BYTES], hash[AUTH_HASH_HEX_BYTES];

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	configure("127.0.0.1", "/nvr", false);
	answer = ask("GET", "/a", "");
	at = strstr(answer, "nonce=\"");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "nonce=\"%127[^\"]", nonce), 1);
	free(answer);
	auth_user_ha1(auth_find(&users, "anna", 4), AUTH_MD5, ha1);
	auth_digest_response(AUTH_MD5, ha1, "GET", "/nvr/a", nonce, NULL, "", hash);
	char *fields = xasprintf("Authorization: Digest username=\"anna\", realm=\"" AUTH_REALM
				 "\", nonce=\"%s\", uri=\"/nvr/a\", response=\"%s\"\r\n",
		nonce, hash);
	expect("/a", fields, "HTTP/1.1 200 ");
	configure(NULL, "/nvr", false); /* nobody says that this is behind a proxy */
	expect("/a", fields, "HTTP/1.1 401 ");
	free(fields);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
}

/* Each client of a proxy pays for its own wrong passwords; they all are one peer. */
static void test_wrong_passwords_count_for_who_sent_them(void **state)
{
	static const char guess[] = "Authorization: Basic YW5uYTp3cm9uZw==\r\n"; /* anna:wrong */
	struct auth_users users;
	char *mine = xasprintf("X-Forwarded-For: 203.0.113.9\r\n%s", guess);
	char *others = xasprintf("X-Forwarded-For: 203.0.113.8\r\n%s", guess);

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	configure("127.0.0.1", NULL, false);
	for (int i = 0; i < 5; i++)
		expect("/a", mine, "HTTP/1.1 401 ");
	expect("/a", mine, "HTTP/1.1 429 ");
	expect("/a", others, "HTTP/1.1 401 ");
	configure(NULL, NULL, false);
	expect("/a", mine, "HTTP/1.1 401 "); /* it is 127.0.0.1 that asks */
	free(mine);
	free(others);
	authenticate_fini();
	http_test_users_fini(&users);
}

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_configure(NULL);
	http_server_free(server);
	reactor_fini();
	metrics_fini();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_trusted_proxy_is_believed),
		TEST(test_nobody_else_is_believed),
		TEST(test_which_authorities_are_ours),
		TEST(test_the_base_path_is_taken_off_and_put_in_front),
		TEST(test_the_base_path_alone_gets_its_slash),
		TEST(test_hsts_is_for_who_came_by_tls),
		TEST(test_digest_holds_though_the_proxy_took_the_base_path_off),
		TEST(test_wrong_passwords_count_for_who_sent_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
