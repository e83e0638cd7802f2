/* PROPFIND: bodies, depths, properties, long collections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/parser.h>

#include "protocols/dav.h"
#include "protocols/dav_body.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/fake_tree.h"
#include "tests/http_conversation.h"
#include "tests/multistatus.h"

#define DAY "/recordings/porch/2026-11-20/"
#define FILE_PATH DAY "14-30-00+0100.mp4"
#define XML "<?xml version=\"1.0\" encoding=\"utf-8\"?>"

static struct http_server *server;

static const struct http_route routes[] = {
	{"/",   HTTP_PROPFIND, ROLE_VIEWER, dav_propfind},
	{ NULL, 0,             ROLE_VIEWER, NULL        },
};

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	dav_set_tree(fake_tree_reset());
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	return server ? 0 : -1;
}

static int reset(void **state)
{
	(void)state;
	dav_set_tree(fake_tree_reset());
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_free(server);
	reactor_fini();
	metrics_fini();
	xmlCleanupParser();
	return 0;
}

/* --- bodies --- */

static void test_bodies_are_understood(void **state)
{
	/* clang-format off */
	static const struct {
		const char *body;
		enum dav_query_kind kind;
		size_t n;
		const char *space, *name; /* of the last property */
	} cases[] = {
		{ "", DAV_ALLPROP, 0, NULL, NULL },
		{ XML "<propfind xmlns=\"DAV:\"><allprop/></propfind>", DAV_ALLPROP, 0, NULL, NULL },
		{ XML "<D:propfind xmlns:D=\"DAV:\"><D:propname/></D:propfind>", DAV_PROPNAME, 0,
			NULL, NULL },
		/* RFC 4918 section 9.1.3 */
		{ XML
			"<D:propfind xmlns:D=\"DAV:\"><D:prop xmlns:R=\"http://ns.example.com/boxschema/\">"
			"<R:bigbox/><R:author/><R:DingALing/><R:Random/></D:prop></D:propfind>",
			DAV_PROP, 4, "http://ns.example.com/boxschema/", "Random" },
		/* RFC 4918 section 9.1.6 */
		{ XML "<D:propfind xmlns:D=\"DAV:\"><D:allprop/><D:include>"
			"<D:supported-live-property-set/><D:supported-report-set/>"
			"</D:include></D:propfind>", DAV_ALLPROP, 2, "DAV:",
			"supported-report-set"},
		{ "<propfind xmlns=\"DAV:\"><prop><x xmlns=\"\"/></prop></propfind>", DAV_PROP, 1,
			"", "x" },
		{ "<propfind xmlns=\"DAV:\"><prop><getetag><inner/></getetag></prop></propfind>",
			DAV_PROP, 1, "DAV:", "getetag" },
		{ "<propfind xmlns=\"DAV:\"><unknown><prop/></unknown><prop/></propfind>", DAV_PROP,
			0, NULL, NULL },
		{ "<propfind xmlns=\"DAV:\" xmlns:o=\"urn:o\"><o:prop/><allprop/></propfind>",
			DAV_ALLPROP, 0, NULL, NULL },
		{ "\xef\xbb\xbf<propfind xmlns=\"DAV:\"><allprop/></propfind>", DAV_ALLPROP, 0,
			NULL, NULL },
	};
	/* clang-format on */
	struct dav_query *query = xmalloc(sizeof(*query));

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		if (dav_body_parse(query, cases[i].body, strlen(cases[i].body), &why) < 0)
			fail_msg("%s: %s", why, cases[i].body);
		assert_int_equal(query->kind, cases[i].kind);
		assert_int_equal(query->n_properties, cases[i].n);
		if (!cases[i].n)
			continue;
		assert_string_equal(query->properties[cases[i].n - 1].space, cases[i].space);
		assert_string_equal(query->properties[cases[i].n - 1].name, cases[i].name);
	}
	free(query);
}

static const char *const wrong_bodies[] = {
	"x",
	"<propfind xmlns=\"DAV:\"><allprop/>",
	"<propfind xmlns=\"DAV:\"><allprop/></propfind>x",
	"<propfind><allprop/></propfind>",
	"<lockinfo xmlns=\"DAV:\"/>",
	"<propfind xmlns=\"DAV:\"/>",
	"<propfind xmlns=\"DAV:\"><prop/><allprop/></propfind>",
	"<propfind xmlns=\"DAV:\"><propname/><include/></propfind>",
	"<propfind xmlns=\"DAV:\"><prop><b:x/></prop></propfind>",
	"<propfind xmlns=\"DAV:\"><prop><b:x xmlns:b=\"\"/></prop></propfind>",
	/* a document type, whatever is in it */
	"<!DOCTYPE propfind><propfind xmlns=\"DAV:\"><allprop/></propfind>",
	("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>"
	 "<propfind xmlns=\"DAV:\"><prop><b>&b;</b></prop></propfind>"),
	"<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><propfind xmlns=\"DAV:\"><allprop/></propfind>",
	"<propfind xmlns=\"DAV:\"><prop><b>&undefined;</b></prop></propfind>",
};

static void test_wrong_bodies_are_refused(void **state)
{
	struct dav_query *query = xmalloc(sizeof(*query));

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong_bodies); i++) {
		const char *why = NULL;
		int error = dav_body_parse(query, wrong_bodies[i], strlen(wrong_bodies[i]), &why);
		if (error != -EBADMSG || !why)
			fail_msg("accepted: %s", wrong_bodies[i]);
	}
	free(query);
}

static void test_every_cut_of_a_body_is_refused(void **state)
{
	static const char body[] = XML "<D:propfind xmlns:D=\"DAV:\"><D:prop><D:getetag/>"
				       "<x:y xmlns:x=\"urn:&amp;x\"/></D:prop></D:propfind>";
	struct dav_query *query = xmalloc(sizeof(*query));
	const char *why = NULL;

	(void)state;
	for (size_t n = 1; n < strlen(body); n++) {
		char *cut = xmalloc(n);
		memcpy(cut, body, n);
		assert_int_equal(dav_body_parse(query, cut, n, &why), -EBADMSG);
		free(cut);
	}
	assert_int_equal(dav_body_parse(query, body, strlen(body), &why), 0);
	free(query);
}

/* A prop of n properties with names of `name_bytes`. */
static char *large_body(size_t n, size_t name_bytes)
{
	char *name = xcalloc(1, name_bytes + 1), *body = xmalloc(n * (name_bytes + 4) + 128);
	char *at = body;

	memset(name, 'n', name_bytes);
	at = stpcpy(at, "<propfind xmlns=\"DAV:\"><prop>");
	for (size_t i = 0; i < n; i++) {
		at = stpcpy(at, "<");
		at = stpcpy(at, name);
		at = stpcpy(at, "/>");
	}
	(void)stpcpy(at, "</prop></propfind>");
	free(name);
	return body;
}

static void test_bodies_have_limits(void **state)
{
	static const struct {
		size_t n, name_bytes;
		int result;
	} cases[] = {
		{DAV_PROPERTIES,      10,                  0       },
                { DAV_PROPERTIES + 1, 10,                  -EBADMSG},
		{ 4,                  DAV_NAMES_BYTES / 5, 0       },
                { 4,                  DAV_NAMES_BYTES / 4, -EBADMSG}
	};
	struct dav_query *query = xmalloc(sizeof(*query));

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *body = large_body(cases[i].n, cases[i].name_bytes);
		const char *why = NULL;
		assert_int_equal(dav_body_parse(query, body, strlen(body), &why), cases[i].result);
		free(body);
	}
	free(query);
}

/* --- answers --- */

static char *propfind(const char *path, const char *fields, const char *body)
{
	char *request = xasprintf("PROPFIND %s HTTP/1.1\r\nHost: localhost\r\n%s"
				  "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		path, fields, strlen(body), body);
	char *answer = http_say(http_server_address(server), request);

	free(request);
	assert_int_equal(fake_tree.pending, 0);
	return answer;
}

/* Expressions and what they must give, up to a NULL. */
struct expectation {
	const char *expression, *expected;
};

static void check(char *answer, const struct expectation *expectations)
{
	struct multistatus m = multistatus_of(answer);

	for (; expectations->expression; expectations++)
		assert_xpath(&m, expectations->expression, expectations->expected);
	multistatus_fini(&m);
	free(answer);
}

#define OK_PROP "//D:propstat[D:status='HTTP/1.1 200 OK']/D:prop/"
#define MISSING_PROP "//D:propstat[D:status='HTTP/1.1 404 Not Found']/D:prop/"

static void test_allprop_of_a_recording(void **state)
{
	(void)state;
	check(propfind(FILE_PATH, "Depth: 0\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)",                 "1"                            },
			{ "//D:href",                           FILE_PATH                      },
			{ "count(" OK_PROP "D:resourcetype/*)", "0"                            },
			{ OK_PROP "D:displayname",              "14-30-00+0100.mp4"            },
			{ OK_PROP "D:getcontentlength",         "1000000"                      },
			{ OK_PROP "D:getcontenttype",           "video/mp4"                    },
			{ OK_PROP "D:getetag",                  "\"1-f4240\""                  },
			{ OK_PROP "D:getlastmodified",          "Fri, 20 Nov 2026 13:40:00 GMT"},
			{ OK_PROP "D:creationdate",             "2026-11-20T13:30:00Z"         },
			{ "count(" OK_PROP "D:supportedlock)",  "1"                            },
			{ "count(" OK_PROP "D:lockdiscovery)",  "1"                            },
			{ OK_PROP "N:camera",                   "porch"                        },
			{ OK_PROP "N:start",                    "2026-11-20T13:30:00.250Z"     },
			{ OK_PROP "N:end",                      "2026-11-20T13:40:00.000Z"     },
			{ OK_PROP "N:duration",                 "599.750"                      },
			{ OK_PROP "N:codec",                    "avc1.64001f,mp4a.40.2"        },
			{ OK_PROP "N:width",                    "1920"                         },
			{ OK_PROP "N:height",                   "1080"                         },
			{ OK_PROP "N:state",                    "closed"                       },
			{ "count(//D:propstat)",                "1"                            },
			{ NULL,				 NULL                           },
        });
}

static void test_what_an_entry_has_not_is_404(void **state)
{
	(void)state;
	check(propfind(DAY "14-40-00+0100.mp4", "Depth: 0\r\n",
		      "<propfind xmlns=\"DAV:\"><prop><getetag/><quota-used-bytes/>"
		      "<width xmlns=\"urn:nvrd:dav\"/><state xmlns=\"urn:nvrd:dav\"/>"
		      "<x:y xmlns:x=\"urn:&amp;x\"/></prop></propfind>"),
		(const struct expectation[]){
			{OK_PROP "D:getetag",                          "\"2-2bc\""},
			{ OK_PROP "N:state",                           "open"     },
			{ "count(" OK_PROP "*)",                       "2"        },
			{ "count(" MISSING_PROP "*)",                  "3"        },
			{ "count(" MISSING_PROP "D:quota-used-bytes)", "1"        },
			{ "count(" MISSING_PROP "N:width)",            "1"        },
			{ "count(" MISSING_PROP "x:y)",                "1"        },
			{ NULL,					NULL       },
        });
	check(propfind(DAY, "Depth: 0\r\n",
		      "<propfind xmlns=\"DAV:\"><prop><getcontentlength/></prop></propfind>"),
		(const struct expectation[]){
			{"count(//D:propstat)",                        "1" },
			{ "count(" MISSING_PROP "D:getcontentlength)", "1" },
			{ NULL,					NULL},
        });
}

static void test_propname_gives_names_alone(void **state)
{
	(void)state;
	check(propfind(
		      FILE_PATH, "Depth: 0\r\n", "<propfind xmlns=\"DAV:\"><propname/></propfind>"),
		(const struct expectation[]){
			{"count(" OK_PROP "D:getetag)",                  "1" },
			{ "count(" OK_PROP "N:camera)",                  "1" },
			{ "string-length(string(" OK_PROP "D:getetag))", "0" },
			{ NULL,					  NULL},
        });
}

static void test_allprop_with_include(void **state)
{
	(void)state;
	check(propfind(FILE_PATH, "Depth: 0\r\n",
		      "<propfind xmlns=\"DAV:\"><allprop/><include><getetag/><nothing/></include>"
		      "</propfind>"),
		(const struct expectation[]){
			{"count(" OK_PROP "D:getetag)",       "1" },
			{ "count(" MISSING_PROP "*)",         "1" },
			{ "count(" MISSING_PROP "D:nothing)", "1" },
			{ NULL,                               NULL},
        });
}

static void test_depth_1_shows_the_collection_and_its_members(void **state)
{
	(void)state;
	check(propfind(DAY, "Depth: 1\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)",                                  "5"                         },
			{ "//D:response[1]/D:href",                              DAY                         },
			{ "count(//D:response[1]//D:resourcetype/D:collection)", "1"                         },
			{ "//D:response[2]/D:href",                              FILE_PATH                   },
			{ "//D:response[5]/D:href",                              DAY "odd%20%3C&%22'%3E:.mp4"},
			{ "//D:response[5]//D:displayname",                      "odd <&\"'>:.mp4"           },
			{ NULL,						  NULL                        },
        });
	check(propfind(DAY, "Depth: 1,noroot\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)",     "4"      },
                        { "//D:response[1]/D:href", FILE_PATH},
			{ NULL,                     NULL     }
        });
	check(propfind(FILE_PATH, "Depth: 1\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)", "1" },
                        { NULL,                 NULL}
        });
}

static void test_the_root_and_names_without_a_slash(void **state)
{
	char *answer;

	(void)state;
	check(propfind("/", "Depth: 1\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)",     "2"           },
			{ "//D:response[1]/D:href", "/"           },
			{ "//D:response[2]/D:href", "/recordings/"},
			{ NULL,                     NULL          },
        });
	answer = propfind("/recordings/porch", "Depth: 0\r\n", "");
	assert_non_null(strstr(answer, "\r\nContent-Location: /recordings/porch/\r\n"));
	check(answer, (const struct expectation[]){
			      {"//D:href", "/recordings/porch/"},
                              { NULL,      NULL                }
        });
}

static void test_a_long_collection_comes_in_batches(void **state)
{
	(void)state;
	check(propfind("/recordings/many/", "Depth: 1\r\n", ""),
		(const struct expectation[]){
			{"count(//D:response)",        "1201"                       },
			{ "//D:response[1201]/D:href", "/recordings/many/f01199.mp4"},
			{ NULL,                        NULL                         },
        });
}

static void test_refusals(void **state)
{
	/* clang-format off */
	static const struct {
		const char *path, *fields, *body;
		int find_error, list_error, status;
		const char *there;
	} cases[] = {
		{DAY, "", "", 0, 0, 403, "<D:propfind-finite-depth/>"},
		{ DAY, "Depth: infinity\r\n", "", 0, 0, 403, "<D:propfind-finite-depth/>"},
		{ DAY, "Depth: 2\r\n", "", 0, 0, 400, "Depth" },
		{ DAY, "Depth: 1\r\n", "<a>", 0, 0, 400, "well-formed" },
		{ DAY "nothing", "Depth: 0\r\n", "", 0, 0, 404, "" },
		{ FILE_PATH "/", "Depth: 0\r\n", "", 0, 0, 404, "" },
		{ DAY, "Depth: 1\r\n", "", -EAGAIN, 0, 503, "\r\nRetry-After: 1\r\n" },
		{ DAY, "Depth: 1\r\n", "", 0, -EIO, 500, "" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char status[32];
		fake_tree.find_error = cases[i].find_error;
		fake_tree.list_error = cases[i].list_error;
		char *answer = propfind(cases[i].path, cases[i].fields, cases[i].body);
		(void)snprintf(status, sizeof(status), "HTTP/1.1 %d ", cases[i].status);
		if (strncmp(answer, status, strlen(status)) != 0)
			fail_msg("expected %d:\n%s", cases[i].status, answer);
		assert_non_null(strstr(answer, cases[i].there));
		free(answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bodies_are_understood, reset),
		cmocka_unit_test_setup(test_wrong_bodies_are_refused, reset),
		cmocka_unit_test_setup(test_every_cut_of_a_body_is_refused, reset),
		cmocka_unit_test_setup(test_bodies_have_limits, reset),
		cmocka_unit_test_setup(test_allprop_of_a_recording, reset),
		cmocka_unit_test_setup(test_what_an_entry_has_not_is_404, reset),
		cmocka_unit_test_setup(test_propname_gives_names_alone, reset),
		cmocka_unit_test_setup(test_allprop_with_include, reset),
		cmocka_unit_test_setup(test_depth_1_shows_the_collection_and_its_members, reset),
		cmocka_unit_test_setup(test_the_root_and_names_without_a_slash, reset),
		cmocka_unit_test_setup(test_a_long_collection_comes_in_batches, reset),
		cmocka_unit_test_setup(test_refusals, reset),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
