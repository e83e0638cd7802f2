/* SEARCH (RFC 5323) over a catalogue of 100,000 recordings: what is found, in which order, by whom, and what SQLite does for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <libxml/parser.h>

#include "protocols/authenticate.h"
#include "protocols/dav.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/catalogue_private.h"
#include "storage/tree.h"
#include "storage/volume.h"
#include "tests/http_conversation.h"
#include "tests/multistatus.h"
#include "tests/synthetic.h"

#define ALL "/recordings/"
#define PORCH "/recordings/porch/"
#define DAY PORCH "2026-09-20/"
#define IS(property, operator, literal)                                                         \
	"<D:" operator"><D:prop><" property "/></D:prop><D:literal>" literal "</D:literal></D:" \
	operator">"
#define PORCHES IS("N:camera", "eq", "porch")
#define BY(property, direction) \
	"<D:order><D:prop><" property "/></D:prop><D:" direction "/></D:order>"
#define HOUR IS("N:start", "lt", "2026-09-20T13:00:00Z") IS("N:end", "gt", "2026-09-20T12:00:00Z")

static char *folder;
static struct catalogue *catalogue;
static struct volume *volume;
static struct tree *tree;
static struct http_server *server;
/* of the questions about segments, which the catalogue's thread asks */
static _Atomic int steps, scans, sorts;

static const struct http_route routes[] = {
	{"/",   HTTP_SEARCH,   ROLE_VIEWER, dav_search  },
	{ "/",  HTTP_PROPFIND, ROLE_VIEWER, dav_propfind},
	{ NULL, 0,             ROLE_VIEWER, NULL        },
};

/* The youngest have the smallest ids. Ten cameras, "porch" and c1 to c9: a recording of ten minutes every ten minutes from 2026-09-13 14:30 on. */
static const char fill[] =
	"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999),"
	" rows(i, camera, start) AS (SELECT i, CASE i % 10 WHEN 0 THEN 'porch' ELSE 'c' || (i % 10) END,"
	"  1789309800 + i / 10 * 600 FROM n),"
	" folders(i, camera, start, folder) AS (SELECT i, camera, start,"
	"  'recordings/' || camera || '/' || date(start, 'unixepoch') FROM rows)"
	" INSERT INTO segments (camera, stream, path, folder, start_us, end_us, bytes, codecs, width,"
	"  height, state, fragments) SELECT camera, 'main',"
	"  folder || '/' || strftime('%H-%M-%S', start, 'unixepoch') || '+0000.mp4', folder,"
	"  start * 1000000, (start + 600) * 1000000, 1000 + i, CASE i % 2 WHEN 0 THEN 'avc1.42c01e' ELSE 'hvc1' END,"
	"  i % 7 * 100, i % 7 * 100, 1, zeroblob(100) FROM folders ORDER BY i DESC";

static int on_profile(unsigned what, void *context, void *statement, void *time)
{
	(void)what, (void)context, (void)time;
	if (!strstr(sqlite3_sql(statement), "FROM segments"))
		return 0;
	atomic_fetch_add(&steps, sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0));
	atomic_fetch_add(
		&scans, sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0));
	atomic_fetch_add(&sorts, sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 0));
	return 0;
}

static int set_up(void **state)
{
	char *why = NULL, *file;

	(void)state;
	reactor_init();
	folder = synthetic_folder();
	file = xasprintf("%s/nvrd.db", folder);
	volume = volume_open(folder, 0, &why);
	assert_non_null(volume);
	catalogue = catalogue_open(file, &why);
	assert_non_null(catalogue);
	assert_int_equal(sqlite3_exec(catalogue->db, fill, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_trace_v2(catalogue->db, SQLITE_TRACE_PROFILE, on_profile, NULL);
	tree = tree_new(catalogue, volume);
	dav_set_tree(tree);
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	free(file);
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_free(server);
	tree_free(tree);
	volume_close(volume);
	catalogue_close(catalogue);
	synthetic_folder_remove(folder);
	reactor_fini();
	metrics_fini();
	xmlCleanupParser();
	return 0;
}

/* --- asking --- */

/* What a body gets, of a user when `login` is not "". */
static char *ask(const char *method, const char *path, const char *login, const char *body)
{
	char *request = xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nDepth: 0\r\n%s"
				  "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		method, path, login, strlen(body), body);
	char *answer;

	steps = scans = sorts = 0;
	answer = http_say(http_server_address(server), request);
	free(request);
	return answer;
}

static char *body_of(const char *scope, const char *depth, const char *rest)
{
	return xasprintf(
		"<?xml version=\"1.0\"?><D:searchrequest xmlns:D=\"DAV:\" xmlns:N=\"urn:nvrd:dav\">"
		"<D:basicsearch><D:select><D:prop><N:start/><N:camera/><N:weather/></D:prop></D:select>"
		"<D:from><D:scope><D:href>%s</D:href><D:depth>%s</D:depth></D:scope></D:from>"
		"%s</D:basicsearch></D:searchrequest>",
		scope, depth, rest);
}

static char *search_as(const char *login, const char *scope, const char *depth, const char *rest)
{
	char *body = body_of(scope, depth, rest), *answer = ask("SEARCH", ALL, login, body);

	free(body);
	return answer;
}

static char *search(const char *scope, const char *depth, const char *rest)
{
	return search_as("", scope, depth, rest);
}

/* Asserts how many there are, and the first and the last of them by the end of their names. */
static void assert_found(char *answer, size_t n, const char *first, const char *last)
{
	struct multistatus m = multistatus_of(answer);
	char *count = xasprintf("%zu", n), expression[200];

	assert_xpath(&m, "count(/D:multistatus/D:response)", count);
	for (int i = 0; n && i < 2; i++) {
		(void)snprintf(expression, sizeof(expression),
			"substring-after(/D:multistatus/D:response[%s]/D:href, '/recordings/')",
			i ? "last()" : "1");
		assert_xpath(&m, expression, i ? last : first);
	}
	multistatus_fini(&m);
	free(count);
	free(answer);
}

/* --- what is found --- */

static void test_a_camera_and_an_hour_by_the_index(void **state)
{
	static const char rest[] =
		"<D:where><D:and>" PORCHES HOUR
		"</D:and></D:where><D:orderby>" BY("N:start", "ascending") "</D:orderby>";
	struct multistatus m;
	char *answer;

	(void)state;
	answer = search(ALL, "infinity", rest);
	/* of 100,000 rows, those of the two days before are looked at, which a recording may last */
	assert_in_range(steps, 1, 10000);
	assert_int_equal(scans, 0);
	assert_int_equal(sorts, 0);
	m = multistatus_of(answer);
	assert_xpath(&m, "count(//D:response)", "6");
	assert_xpath(&m, "//D:response[1]//N:start", "2026-09-20T12:00:00.000Z");
	assert_xpath(&m, "//D:response[6]//N:start", "2026-09-20T12:50:00.000Z");
	assert_xpath(&m,
		"count(//D:response[1]/D:propstat[D:status='HTTP/1.1 404 Not Found']//N:weather)",
		"1");
	multistatus_fini(&m);
	free(answer);
}

static void test_the_newest_by_the_index(void **state)
{
	(void)state;
	assert_found(search(ALL, "infinity",
			     "<D:where>" PORCHES "</D:where><D:orderby>" BY("N:start",
				     "descending") "</D:orderby>"
						   "<D:limit><D:nresults>3</D:nresults></D:limit>"),
		3, "porch/2026-11-22/01-00-00+0000.mp4", "porch/2026-11-22/00-40-00+0000.mp4");
	assert_in_range(steps, 1, 30000);
	assert_int_equal(scans, 0);
	assert_int_equal(sorts, 0);
}

static void test_all_of_a_camera_come_in_batches(void **state)
{
	(void)state;
	assert_found(search(PORCH, "infinity", ""), 10000, "porch/2026-09-13/14-30-00+0000.mp4",
		"porch/2026-11-22/01-00-00+0000.mp4");
	assert_int_equal(sorts, 0);
	assert_found(
		search(PORCH, "infinity", "<D:orderby>" BY("N:start", "descending") "</D:orderby>"),
		10000, "porch/2026-11-22/01-00-00+0000.mp4", "porch/2026-09-13/14-30-00+0000.mp4");
	assert_int_equal(sorts, 0);
}

static void test_scopes_and_depths(void **state)
{
	/* clang-format off */
	static const struct {
		const char *scope, *depth, *rest;
		size_t n;
		const char *first, *last;
	} cases[] = {
		{ DAY, "1", "", 144, "porch/2026-09-20/00-00-00+0000.mp4", "porch/2026-09-20/23-50-00+0000.mp4" },
		{ DAY, "infinity", "<D:limit><D:nresults>2</D:nresults></D:limit>", 2, "porch/2026-09-20/00-00-00+0000.mp4", "porch/2026-09-20/00-10-00+0000.mp4" },
		{ "porch/2026-09-20", "1", "<D:orderby>" BY("N:start", "descending") "</D:orderby>", 144, "porch/2026-09-20/23-50-00+0000.mp4", "porch/2026-09-20/00-00-00+0000.mp4" },
		{ DAY, "0", "", 0, "", "" },
		{ PORCH, "1", "", 0, "", "" },
		{ ALL, "1", "", 0, "", "" },
		{ "/", "0", "", 0, "", "" },
		{ DAY "00-10-00+0000.mp4", "0", "", 1, "porch/2026-09-20/00-10-00+0000.mp4", "porch/2026-09-20/00-10-00+0000.mp4" },
		{ DAY "00-10-00+0000.mp4", "infinity", "<D:where><D:is-collection/></D:where>", 0, "", "" },
		{ "http://localhost" DAY, "1", "<D:where>" IS("N:camera", "eq", "c1") "</D:where>", 0, "", "" },
		{ "", "infinity", "<D:where><D:and>" IS("N:camera", "gt", "c8") HOUR "</D:and></D:where>", 12, "c9/2026-09-20/12-00-00+0000.mp4", "porch/2026-09-20/12-50-00+0000.mp4" },
		{ "/", "infinity", "<D:where><D:and>" HOUR IS("N:width", "eq", "600") IS("N:codec", "like", "avc1.%") "</D:and></D:where>", 5, "c2/2026-09-20/12-00-00+0000.mp4", "porch/2026-09-20/12-30-00+0000.mp4" },
		{ ALL, "infinity", "<D:limit><D:nresults>0</D:nresults></D:limit>", 0, "", "" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_found(search(cases[i].scope, cases[i].depth, cases[i].rest), cases[i].n,
			cases[i].first, cases[i].last);
}

static void test_other_orders_are_sorted(void **state)
{
	static const char hour[] = "<D:where><D:and>" HOUR "</D:and></D:where>";
	char *rest = xasprintf("%s<D:orderby>" BY("N:start", "descending")
				       BY("N:camera", "descending") "</D:orderby>",
		hour);

	(void)state;
	assert_found(search(ALL, "infinity", rest), 60, "porch/2026-09-20/12-50-00+0000.mp4",
		"c1/2026-09-20/12-00-00+0000.mp4");
	free(rest);
	rest = xasprintf("%s<D:orderby>" BY("N:camera", "ascending")
				 BY("N:start", "descending") "</D:orderby>",
		hour);
	assert_found(search(ALL, "infinity", rest), 60, "c1/2026-09-20/12-50-00+0000.mp4",
		"porch/2026-09-20/12-00-00+0000.mp4");
	free(rest);
	/* by start alone: as of one moment, not as of one camera */
	rest = xasprintf(
		"%s<D:orderby>" BY("N:start",
			"ascending") "</D:orderby><D:limit><D:nresults>2</D:nresults></D:limit>",
		hour);
	assert_found(search(ALL, "infinity", rest), 2, "c1/2026-09-20/12-00-00+0000.mp4",
		"c2/2026-09-20/12-00-00+0000.mp4");
	free(rest);
	assert_found(search(DAY, "1",
			     "<D:orderby>" BY("D:getcontentlength", "descending") "</D:orderby>"),
		144, "porch/2026-09-20/23-50-00+0000.mp4", "porch/2026-09-20/00-00-00+0000.mp4");
	/* the widest and then the largest of them: what has no width comes first when it is ascending */
	rest = xasprintf("%s<D:orderby>" BY("N:width", "descending") BY("D:getcontentlength",
				 "descending") "</D:orderby>"
					       "<D:limit><D:nresults>4</D:nresults></D:limit>",
		hour);
	assert_found(search(ALL, "infinity", rest), 4, "c8/2026-09-20/12-50-00+0000.mp4",
		"c7/2026-09-20/12-30-00+0000.mp4");
	free(rest);
	rest = xasprintf("%s<D:orderby>" BY("N:width", "ascending") BY("D:getcontentlength",
				 "ascending") "</D:orderby>"
					      "<D:limit><D:nresults>1</D:nresults></D:limit>",
		hour);
	assert_found(search(ALL, "infinity", rest), 1, "c3/2026-09-20/12-00-00+0000.mp4",
		"c3/2026-09-20/12-00-00+0000.mp4");
	free(rest);
}

/* RFC 5323 section 2.3.1 */
static void test_too_many_to_sort_are_cut_off_and_it_is_said(void **state)
{
	char *answer = search(ALL, "infinity",
		"<D:where>" IS("N:start", "lt", "2026-09-16T00:00:00Z") "</D:where><D:orderby>" BY(
			"D:displayname", "ascending") "</D:orderby>");
	struct multistatus m = multistatus_of(answer);

	(void)state;
	assert_xpath(&m, "count(//D:response[D:propstat])", "2000");
	assert_xpath(&m, "//D:response[1]//N:start", "2026-09-14T00:00:00.000Z");
	assert_xpath(&m, "count(//D:response)", "2001");
	assert_xpath(&m, "//D:response[last()]/D:href", ALL);
	assert_xpath(&m, "//D:response[last()]/D:status", "HTTP/1.1 507 Insufficient Storage");
	multistatus_fini(&m);
	free(answer);
}

/* At any moment: nothing of its search is left, or called back. */
static void test_a_client_goes_away(void **state)
{
	char *body = body_of(
		ALL, "infinity", "<D:orderby>" BY("D:displayname", "ascending") "</D:orderby>");
	char *request = xasprintf("SEARCH " ALL
				  " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);

	(void)state;
	for (int turns = 1; turns < 100; turns += 7) {
		int fd = http_connect(http_server_address(server));

		(void)event_base_loop(reactor_base(), EVLOOP_ONCE);
		assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
		for (int i = 0; i < turns; i++)
			(void)event_base_loop(reactor_base(), EVLOOP_ONCE);
		assert_int_equal(close(fd), 0);
	}
	assert_found(search(DAY, "1", ""), 144, "porch/2026-09-20/00-00-00+0000.mp4",
		"porch/2026-09-20/23-50-00+0000.mp4");
	free(request);
	free(body);
}

/* As a reverse proxy shows us. */
static void test_below_a_base_path(void **state)
{
	static const char *const scopes[] = { "/nvr" DAY, "2026-09-20/", DAY };

	(void)state;
	http_configure(&(struct http_settings){ .base_path = "/nvr" });
	for (size_t i = 0; i < ARRAY_LENGTH(scopes); i++) {
		char *body =
			body_of(scopes[i], "1", "<D:limit><D:nresults>1</D:nresults></D:limit>");
		char *answer = ask("SEARCH", "/nvr" PORCH, "", body);
		struct multistatus m = multistatus_of(answer);

		assert_xpath(
			&m, "/D:multistatus/D:response/D:href", "/nvr" DAY "00-00-00+0000.mp4");
		multistatus_fini(&m);
		free(answer);
		free(body);
	}
	http_configure(NULL);
}

/* --- who --- */

static void test_what_a_user_may_not_see_does_not_exist(void **state)
{
	static const char nas[] = "Authorization: Basic bmFzOnA6dw==\r\n",
			  anna[] = "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n";
	static const char hour[] = "<D:where><D:and>" HOUR "</D:and></D:where>";
	struct auth_users users;
	char *hidden, *nothing;

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	assert_found(search_as(anna, "/", "infinity", hour), 60, "c1/2026-09-20/12-00-00+0000.mp4",
		"porch/2026-09-20/12-50-00+0000.mp4");
	assert_found(search_as(nas, "/", "infinity", hour), 6, "porch/2026-09-20/12-00-00+0000.mp4",
		"porch/2026-09-20/12-50-00+0000.mp4");
	hidden = search_as(nas, "/recordings/c1/", "infinity", "");
	nothing = search_as(nas, "/recordings/c0/", "infinity", "");
	assert_non_null(strstr(hidden, "HTTP/1.1 409 "));
	strstr(hidden, "/recordings/c1")[strlen("/recordings/c")] = '0';
	assert_string_equal(http_body_of(hidden), http_body_of(nothing));
	free(hidden);
	free(nothing);
	nothing = search_as("", "/", "infinity", hour);
	assert_non_null(strstr(nothing, "HTTP/1.1 401 "));
	free(nothing);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
}

/* --- what is refused, and what is said of it --- */

static void test_refusals(void **state)
{
	/* clang-format off */
	static const struct {
		const char *scope, *rest, *status, *there;
	} cases[] = {
		{ "/uploads/", "", "409 ", "<D:search-scope-valid>" },
		{ "/recordings/attic/", "", "409 ", "<D:search-scope-valid>" },
		{ PORCH "2020-01-01/", "", "409 ", "<D:search-scope-valid>" },
		{ "/recordings/../../etc/", "", "409 ", "<D:search-scope-valid/>" },
		{ "http://elsewhere.example/recordings/", "", "409 ", "<D:search-scope-valid/>" },
		{ "/recordings/porch' OR '1'='1/", "", "409 ", "<D:search-scope-valid>" },
		{ ALL, "<D:where><D:contains>cat</D:contains></D:where>", "422 ", "not supported" },
		{ ALL, "<D:where>" IS("N:start", "eq", "'; DELETE FROM segments; --") "</D:where>", "422 ", "instant" },
		{ ALL, "</D:basicsearch>", "400 ", "well-formed" },
	};
	/* clang-format on */
	char *answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		answer = search(cases[i].scope, "infinity", cases[i].rest);
		if (strncmp(answer + strlen("HTTP/1.1 "), cases[i].status, 4) != 0 ||
			!strstr(answer, cases[i].there))
			fail_msg("%s %s:\n%s", cases[i].scope, cases[i].rest, answer);
		free(answer);
	}
	answer = ask("SEARCH", "/", "", "<propfind xmlns=\"DAV:\"/>");
	assert_non_null(strstr(answer, "HTTP/1.1 422 "));
	assert_non_null(strstr(answer, "<D:search-grammar-supported/>"));
	free(answer);
	/* a text is compared with what is there, and is nothing else */
	assert_found(search(ALL, "infinity",
			     "<D:where>" IS("N:camera", "eq", "porch' OR '1'='1") "</D:where>"),
		0, "", "");
	assert_found(search(DAY, "1",
			     "<D:where>" IS("D:displayname", "like",
				     "12-_0-%'; DROP TABLE segments") "</D:where>"),
		0, "", "");
}

static void test_it_can_be_found_out(void **state)
{
	static const char schema[] =
		"<query-schema-discovery xmlns=\"DAV:\"><basicsearch><from><scope><href>/</href>"
		"<depth>infinity</depth></scope></from></basicsearch></query-schema-discovery>";
	static const char property[] =
		"<propfind xmlns=\"DAV:\"><prop><supported-query-grammar-set/></prop></propfind>";
	char *answer = ask("OPTIONS", ALL, "", "");
	struct multistatus m;

	(void)state;
	assert_non_null(strstr(answer, "\r\nDASL: <DAV:basicsearch>\r\n"));
	assert_non_null(strstr(strstr(answer, "\r\nAllow: "), "SEARCH"));
	free(answer);
	answer = ask("PROPFIND", ALL, "", property);
	m = multistatus_of(answer);
	assert_xpath(&m,
		"count(//D:supported-query-grammar-set/D:supported-query-grammar/D:grammar/D:basicsearch)",
		"1");
	multistatus_fini(&m);
	free(answer);
	answer = ask("SEARCH", ALL, "", schema);
	m = multistatus_of(answer);
	assert_xpath(&m,
		"count(//D:query-schema/D:basicsearchschema/D:properties/D:propdesc[D:searchable])",
		"15");
	assert_xpath(&m, "local-name(//D:propdesc[D:prop/N:start]/D:datatype/*)", "dateTime");
	assert_xpath(&m, "count(//D:operators/D:opdesc/D:like)", "1");
	multistatus_fini(&m);
	free(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_camera_and_an_hour_by_the_index),
		cmocka_unit_test(test_the_newest_by_the_index),
		cmocka_unit_test(test_all_of_a_camera_come_in_batches),
		cmocka_unit_test(test_scopes_and_depths),
		cmocka_unit_test(test_other_orders_are_sorted),
		cmocka_unit_test(test_too_many_to_sort_are_cut_off_and_it_is_said),
		cmocka_unit_test(test_a_client_goes_away),
		cmocka_unit_test(test_below_a_base_path),
		cmocka_unit_test(test_what_a_user_may_not_see_does_not_exist),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_it_can_be_found_out),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
