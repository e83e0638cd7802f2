/* Files and collections of the tree over HTTP. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "protocols/authenticate.h"
#include "protocols/base64.h"
#include "protocols/http_files.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/fake_tree.h"
#include "tests/http_conversation.h"

#define DAY "/recordings/porch/2026-11-20/"
#define FILE_PATH DAY "14-30-00+0100.mp4"

static struct http_server *server;

static const struct http_route routes[] = {
	{"/recordings/", HTTP_GET, ROLE_VIEWER, http_files_get},
	{ NULL,          0,        ROLE_VIEWER, NULL          },
};

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	http_files_set_tree(fake_tree_reset());
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	return server ? 0 : -1;
}

static int reset(void **state)
{
	(void)state;
	http_files_set_tree(fake_tree_reset());
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_free(server);
	reactor_fini();
	metrics_fini();
	return 0;
}

/* The whole answer to `method path` with these fields. */
static char *ask(const char *method, const char *path, const char *fields, size_t *n)
{
	char *request =
		xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n",
			method, path, fields);
	char *answer =
		http_conversation(http_server_address(server), request, strlen(request), WHOLE, n);

	free(request);
	return answer;
}

static void assert_has(const char *answer, const char *s)
{
	if (!strstr(answer, s))
		fail_msg("no \"%s\" in:\n%.2000s", s, answer);
}

static void assert_status(const char *answer, int status)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "HTTP/1.1 %d ", status);
	if (strncmp(answer, text, strlen(text)) != 0)
		fail_msg("expected %d:\n%.2000s", status, answer);
}

/* Nothing is left open when a request has ended. */
static void assert_clean(void)
{
	assert_int_equal(fake_tree.open_files, 0);
	assert_int_equal(fake_tree.pending, 0);
}

static void assert_file_bytes(const char *body, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (body[i] != fake_tree_byte(from + i))
			fail_msg("byte %zu of the body is wrong", i);
	}
}

static void test_a_file_comes_whole_with_its_fields(void **state)
{
	size_t n;
	char *answer = ask("GET", FILE_PATH, "", &n);

	(void)state;
	assert_status(answer, 200);
	assert_has(answer, "\r\nContent-Length: 1000000\r\n");
	assert_has(answer, "\r\nContent-Type: video/mp4\r\n");
	assert_has(answer, "\r\nETag: \"1-f4240\"\r\n");
	assert_has(answer, "\r\nLast-Modified: Fri, 20 Nov 2026 13:40:00 GMT\r\n");
	assert_has(answer, "\r\nAccept-Ranges: bytes\r\n");
	assert_has(answer, "\r\nCache-Control: private, max-age=86400\r\n");
	assert_has(answer, "\r\nContent-Disposition: inline; "
			   "filename=\"porch-2026-11-20-14-30-00+0100.mp4\"\r\n");
	const char *body = http_body_of(answer);
	assert_int_equal(n - (size_t)(body - answer), 1000000);
	assert_file_bytes(body, 0, 1000000);
	assert_true(fake_tree.largest_read <= 256 << 10);
	assert_int_equal(fake_tree.reads, 4);
	assert_clean();
	free(answer);
}

static void test_head_reads_nothing(void **state)
{
	size_t n;
	char *answer = ask("HEAD", FILE_PATH, "Range: bytes=0-1\r\n", &n);

	(void)state;
	assert_status(answer, 200);
	assert_has(answer, "\r\nContent-Length: 1000000\r\n");
	assert_int_equal(n, (size_t)(http_body_of(answer) - answer));
	assert_int_equal(fake_tree.reads, 0);
	assert_clean();
	free(answer);
}

static void test_an_open_recording_is_not_cached(void **state)
{
	char *answer = ask("GET", DAY "14-40-00+0100.mp4", "", NULL);

	(void)state;
	assert_status(answer, 200);
	assert_has(answer, "\r\nCache-Control: private, no-cache\r\n");
	free(answer);
	answer = ask("GET", DAY "empty.mp4", "", NULL);
	assert_status(answer, 200);
	assert_has(answer, "\r\nContent-Length: 0\r\n");
	assert_clean();
	free(answer);
}

static void test_ranges_and_conditions(void **state)
{
	/* clang-format off */
	static const struct {
		const char *fields;
		int status;
		const char *there;
		uint64_t from;
		size_t bytes; /* of the body, when 200 or 206 */
	} cases[] = {
		{ "Range: bytes=0-99\r\n", 206, "\r\nContent-Range: bytes 0-99/1000000\r\n", 0, 100 },
		{ "Range: bytes=999999-\r\n", 206,
			"\r\nContent-Range: bytes 999999-999999/1000000\r\n", 999999, 1 },
		{ "Range: bytes=-300000\r\n", 206, "\r\nContent-Length: 300000\r\n", 700000, 300000 },
		{ "Range: bytes=1000000-\r\n", 416, "\r\nContent-Range: bytes */1000000\r\n", 0, 0 },
		{ "Range: bytes=0-1,5-6\r\n", 206, "\r\nContent-Range: bytes 0-6/1000000\r\n", 0, 7 },
		{ "Range: bytes=0-1,5000-5001\r\nIf-Range: \"other\"\r\n", 200, "", 0, 1000000 },
		{ "Range: bytes=2000000-,3000000-\r\n", 416, "", 0, 0 },
		{ "Range: bytes=0-9\r\nIf-Range: \"1-f4240\"\r\n", 206, "", 0, 10 },
		{ "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n", 200, "", 0, 1000000},
		{ "Range: bytes=0-9\r\nIf-Range: Fri, 20 Nov 2026 13:40:00 GMT\r\n", 206, "", 0, 10 },
		{ "Range: bytes=0-9\r\nIf-Range: Fri, 20 Nov 2026 13:39:59 GMT\r\n", 200, "", 0,
			1000000 },
		{ "If-None-Match: \"1-f4240\"\r\n", 304, "\r\nETag: \"1-f4240\"\r\n", 0, 0 },
		{ "If-None-Match: \"x\"\r\nRange: bytes=3-4\r\n", 206, "", 3, 2 },
		{ "If-Modified-Since: Fri, 20 Nov 2026 13:40:00 GMT\r\n", 304, "", 0, 0 },
		{ "If-Modified-Since: Fri, 20 Nov 2026 13:39:59 GMT\r\n", 200, "", 0, 1000000},
		{ "If-Match: \"x\"\r\n", 412, "", 0, 0 },
		{ "If-Unmodified-Since: Fri, 20 Nov 2026 13:39:59 GMT\r\n", 412, "", 0, 0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t n;
		char *answer = ask("GET", FILE_PATH, cases[i].fields, &n);
		const char *body = http_body_of(answer);
		assert_status(answer, cases[i].status);
		assert_has(answer, cases[i].there);
		if (cases[i].bytes) {
			assert_int_equal(n - (size_t)(body - answer), cases[i].bytes);
			assert_file_bytes(body, cases[i].from, cases[i].bytes);
		}
		if (cases[i].status == 304)
			assert_int_equal(n, (size_t)(body - answer));
		assert_clean();
		free(answer);
	}
}

/* RFC 9110 section 14.6: each part says which bytes it has. */
static void test_several_ranges_are_parts(void **state)
{
	static const struct {
		uint64_t first;
		size_t bytes;
	} parts[] = {
		{999990,  10    },
		{ 0,      300000},
		{ 500000, 1     },
	};
	size_t n, length;
	char *answer = ask("GET", FILE_PATH, "Range: bytes=999990-,0-299999,500000-500000\r\n", &n);
	const char *type = strstr(answer, "\r\nContent-Type: multipart/byteranges; boundary=");
	const char *at = http_body_of(answer);
	char *field = xasprintf("\r\nContent-Length: %zu\r\n", n - (size_t)(at - answer));

	(void)state;
	assert_status(answer, 206);
	assert_non_null(type);
	type += strlen("\r\nContent-Type: multipart/byteranges; boundary=");
	assert_has(answer, field);
	assert_null(strstr(answer, "\r\nContent-Range: bytes */"));
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		char *head = xasprintf("\r\n--%.32s\r\nContent-Type: video/mp4\r\n"
				       "Content-Range: bytes %d-%d/1000000\r\n\r\n",
			type, (int)parts[i].first, (int)(parts[i].first + parts[i].bytes - 1));

		length = strlen(head);
		assert_memory_equal(at, head, length);
		assert_file_bytes(at + length, parts[i].first, parts[i].bytes);
		at += length + parts[i].bytes;
		free(head);
	}
	assert_memory_equal(at, "\r\n--", 4);
	assert_memory_equal(at + 4, type, 32);
	assert_string_equal(at + 36, "--\r\n");
	assert_true(fake_tree.largest_read <= 256 << 10);
	assert_clean();
	free(field);
	free(answer);
}

static void test_what_cannot_be_had(void **state)
{
	static const struct {
		const char *path;
		int find_error, open_error, list_error, status;
	} cases[] = {
		{DAY "nothing.mp4", 0,       0,       0,       404},
		{ FILE_PATH "/",    0,       0,       0,       404},
		{ FILE_PATH,        -EAGAIN, 0,       0,       503},
		{ FILE_PATH,        -EIO,    0,       0,       500},
		{ FILE_PATH,        0,       -ENOENT, 0,       404},
		{ FILE_PATH,        0,       -EIO,    0,       500},
		{ DAY,              0,       0,       -EIO,    500},
		{ DAY,              0,       0,       -EAGAIN, 503},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		fake_tree.find_error = cases[i].find_error;
		fake_tree.open_error = cases[i].open_error;
		fake_tree.list_error = cases[i].list_error;
		char *answer = ask("GET", cases[i].path, "", NULL);
		assert_status(answer, cases[i].status);
		assert_clean();
		free(answer);
	}
}

static void test_a_busy_disk_is_asked_again(void **state)
{
	char *answer;

	(void)state;
	fake_tree.busy_reads = 2;
	answer = ask("GET", FILE_PATH, "Range: bytes=0-9\r\n", NULL);
	assert_status(answer, 206);
	assert_file_bytes(http_body_of(answer), 0, 10);
	assert_clean();
	free(answer);
}

static void test_a_failed_read_breaks_the_connection(void **state)
{
	size_t n;
	char *answer;

	(void)state;
	fake_tree.read_error_at = 300000;
	answer = ask("GET", FILE_PATH, "", &n);
	assert_true(n - (size_t)(http_body_of(answer) - answer) < 1000000);
	assert_clean();
	free(answer);
}

/* --- collections --- */

static void test_a_collection_without_its_slash_is_redirected(void **state)
{
	char *answer = ask("GET", "/recordings/porch", "", NULL);

	(void)state;
	assert_status(answer, 301);
	assert_has(answer, "\r\nLocation: /recordings/porch/\r\n");
	assert_clean();
	free(answer);
}

static void test_a_listing_names_everything_escaped(void **state)
{
	char *answer = ask("GET", DAY, "", NULL);

	(void)state;
	assert_status(answer, 200);
	assert_has(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_has(answer, "<a href=\"../\">");
	assert_has(answer, "<a href=\"./14-30-00+0100.mp4\">14-30-00+0100.mp4</a></td>"
			   "<td class=\"n\">1.0 MB</td><td>2026-11-20T13:40:00Z</td>"
			   "<td class=\"n\">9:59</td>");
	assert_has(answer, ">700 B<");
	assert_has(answer, ">odd &lt;&amp;&quot;&#39;&gt;:.mp4</a>");
	assert_null(strstr(answer, "odd <"));
	assert_null(strstr(answer, "<script"));
	assert_has(answer, "href=\"./odd%20%3C");
	assert_clean();
	free(answer);
}

static void test_a_listing_links_collections_with_a_slash(void **state)
{
	char *answer = ask("GET", "/recordings/", "", NULL);

	(void)state;
	assert_has(answer, "<a href=\"./porch/\">porch/</a>");
	assert_null(strstr(answer, "14-30"));
	free(answer);
	answer = ask("HEAD", "/recordings/", "", NULL);
	assert_status(answer, 200);
	assert_string_equal(http_body_of(answer), "");
	assert_clean();
	free(answer);
}

static void test_a_long_listing_comes_in_batches(void **state)
{
	size_t rows = 0;
	char *answer = ask("GET", "/recordings/many/", "", NULL);

	(void)state;
	char *body = strstr(answer, "\r\n\r\n") + 4;
	assert_true(http_unchunk(body) > 0);
	for (const char *p = body; (p = strstr(p, "<tr><td>")); p++)
		rows++;
	assert_int_equal(rows, 1200);
	assert_has(body, "f00000.mp4");
	assert_has(body, "f01199.mp4");
	assert_has(body, "</html>\n");
	assert_clean();
	free(answer);
}

static void test_a_listing_that_fails_midway_is_broken_off(void **state)
{
	char *answer;

	(void)state;
	fake_tree.list_error = -EIO;
	fake_tree.list_error_after = 1;
	answer = ask("GET", "/recordings/many/", "", NULL);
	assert_null(strstr(answer, "</html>"));
	assert_null(strstr(answer, "\r\n0\r\n\r\n"));
	assert_clean();
	free(answer);
}

static void test_the_pages_policy_allows_its_own_style(void **state)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_bytes;
	char text[64], source[96];
	char *answer = ask("GET", DAY, "", NULL);
	const char *from = strstr(answer, "<style>") + strlen("<style>");
	const char *to = strstr(from, "</style>");

	(void)state;
	assert_int_equal(
		EVP_Digest(from, (size_t)(to - from), hash, &hash_bytes, EVP_sha256(), NULL), 1);
	assert_true(base64_write(text, sizeof(text), hash, hash_bytes) > 0);
	(void)snprintf(source, sizeof(source), "style-src 'sha256-%s'", text);
	assert_has(answer, source);
	free(answer);
}

static void test_the_user_is_passed_on(void **state)
{
	struct auth_users users;
	char *answer;

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	/* nas:p:w */
	answer = ask("GET", FILE_PATH, "Authorization: Basic bmFzOnA6dw==\r\n", NULL);
	assert_status(answer, 200);
	assert_string_equal(fake_tree.last_user, "nas");
	free(answer);
	answer = ask("GET", "/recordings/attic/", "Authorization: Basic bmFzOnA6dw==\r\n", NULL);
	assert_status(answer, 404);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
	free(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_file_comes_whole_with_its_fields, reset),
		cmocka_unit_test_setup(test_head_reads_nothing, reset),
		cmocka_unit_test_setup(test_an_open_recording_is_not_cached, reset),
		cmocka_unit_test_setup(test_ranges_and_conditions, reset),
		cmocka_unit_test_setup(test_several_ranges_are_parts, reset),
		cmocka_unit_test_setup(test_what_cannot_be_had, reset),
		cmocka_unit_test_setup(test_a_busy_disk_is_asked_again, reset),
		cmocka_unit_test_setup(test_a_failed_read_breaks_the_connection, reset),
		cmocka_unit_test_setup(test_a_collection_without_its_slash_is_redirected, reset),
		cmocka_unit_test_setup(test_a_listing_names_everything_escaped, reset),
		cmocka_unit_test_setup(test_a_listing_links_collections_with_a_slash, reset),
		cmocka_unit_test_setup(test_a_long_listing_comes_in_batches, reset),
		cmocka_unit_test_setup(test_a_listing_that_fails_midway_is_broken_off, reset),
		cmocka_unit_test_setup(test_the_pages_policy_allows_its_own_style, reset),
		cmocka_unit_test_setup(test_the_user_is_passed_on, reset),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
