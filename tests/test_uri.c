/* URIs as cameras' owners and cameras write them (QUIRKS R1, R2), and paths of HTTP. */
#include "protocols/uri.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_uris_are_read(void **state)
{
	static const struct {
		const char *text, *scheme, *user, *password, *host, *path;
		uint16_t port;
	} cases[] = {
		{"rtsp://192.0.2.10/stream1",                        "rtsp", "",  "",        "192.0.2.10",       "/stream1", 0   },
		{ "RTSP://cam.example:8554",                         "rtsp", "",  "",        "cam.example",      "/",        8554},
		{ "rtsp://u:p@192.0.2.10:554/x?channel=1&subtype=0", "rtsp", "u", "p",       "192.0.2.10",
                 "/x?channel=1&subtype=0",										   554 },
		{ "rtsp://u:p%40s%3As%2F%25@h/x",                    "rtsp", "u", "p@s:s/%", "h",                "/x",       0   },
		{ "rtsp://u:p@ss@h/x",                               "rtsp", "u", "p@ss",    "h",                "/x",       0   },
		{ "rtsp://u:pa/ss@h/x",                              "rtsp", "u", "pa/ss",   "h",                "/x",       0   },
		{ "rtsp://h:554/me@home",                            "rtsp", "",  "",        "h",                "/me@home", 554 },
		{ "rtsp://u:100%@h/x",                               "rtsp", "u", "100%",    "h",                "/x",       0   },
		{ "rtsp://u@h/x",				    "rtsp", "u", "",        "h",                "/x",       0   },
		{ "rtsp://[2001:db8::1]:8554/x",                     "rtsp", "",  "",        "2001:db8::1",      "/x",       8554},
		{ "rtsp://::ffff:192.0.2.1/x/",                      "rtsp", "",  "",        "::ffff:192.0.2.1", "/x/",      0   },
		{ "http://h?query",                                  "http", "",  "",        "h",                "/?query",  0   },
		{ "/path#fragment",                                  "",     "",  "",        "",                 "/path",    0   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		struct uri uri;

		if (uri_parse(&uri, cases[i].text, strlen(cases[i].text), &why) < 0)
			fail_msg("%s: %s", cases[i].text, why);
		assert_string_equal(uri.scheme, cases[i].scheme);
		assert_string_equal(uri.user, cases[i].user);
		assert_string_equal(uri.password, cases[i].password);
		assert_string_equal(uri.host, cases[i].host);
		assert_string_equal(uri.path, cases[i].path);
		assert_int_equal(uri.port, cases[i].port);
	}
}

static void test_nonsense_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"camera",
		"rtsp:/h/x",
		"rtsp://h:99999/x",
		"rtsp://h:port/x",
		"rtsp://[::1/x",
		"rtsp://h h/x",
		"rtsp://h/x y",
		"1rtsp://h/x",
		"averyveryverylongscheme://h/x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		struct uri uri;

		if (uri_parse(&uri, cases[i], strlen(cases[i]), &why) == 0)
			fail_msg("accepted: %s", cases[i]);
		assert_non_null(why);
	}
}

static void test_what_is_written_has_no_credentials(void **state)
{
	static const char text[] = "rtsp://user:secret@[2001:db8::1]:554/x?a=b";
	const char *why;
	struct uri uri;
	char written[128];

	(void)state;
	assert_int_equal(uri_parse(&uri, text, strlen(text), &why), 0);
	assert_string_equal(
		uri_write(written, sizeof(written), &uri), "rtsp://[2001:db8::1]:554/x?a=b");
}

/* Base and control, joined as players do it; the host stays the connected one. */
static void test_controls_are_joined(void **state)
{
	static const struct {
		const char *base, *control, *path;
	} cases[] = {
		{"rtsp://192.0.2.1/x/",                     "trackID=0",                      "/x/trackID=0"},
		{ "rtsp://192.0.2.1/x",                     "trackID=0",                      "/x/trackID=0"},
		{ "rtsp://192.0.2.1/x",                     "/trackID=0",                     "/x/trackID=0"},
		{ "rtsp://192.0.2.1/x/",                    "/trackID=0",                     "/x/trackID=0"},
		{ "rtsp://192.0.2.1/x?channel=1&subtype=0", "trackID=0",
                 "/x?channel=1&subtype=0/trackID=0"                                                         },
		{ "rtsp://192.0.2.1/x/",                    "*",                              "/x/"         },
		{ "rtsp://192.0.2.1/x/",                    "",                               "/x/"         },
		{ "rtsp://192.0.2.1/x/",                    "rtsp://10.0.0.1:999/y/track1?z", "/y/track1?z" },
		{ "rtsp://::ffff:192.0.2.1/x/",             "t",                              "/x/t"        },
		{ "rtsp://rtsp://192.0.2.1/x/",             "t",                              "/x/t"        },
		{ "192.0.2.1:1935/live/",                   "t",                              "/live/t"     },
		{ "rtsp://192.0.2.1",                       "t",                              "/t"          },
	};
	static const char own[] = "rtsp://192.0.2.99:554/connected";
	const char *why;
	struct uri connected, joined;

	(void)state;
	assert_int_equal(uri_parse(&connected, own, strlen(own), &why), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(
			uri_join_control(&joined, &connected, cases[i].base, cases[i].control), 0);
		assert_string_equal(joined.path, cases[i].path);
		assert_string_equal(joined.host, "192.0.2.99");
		assert_int_equal(joined.port, 554);
	}
}

static void test_paths_are_decoded(void **state)
{
	static const struct {
		const char *text, *path; /* NULL: refused */
	} cases[] = {
		{"/",              "/"            },
		{ "/a%20b/%C3%A9", "/a b/\303\251"},
		{ "/a/./b/../c/",  "/a/c/"        },
		{ "//a///b",       "/a/b"         },
		{ "/a/..",         "/"            },
		{ "/a/b/..",       "/a/"          },
		{ "/..",           NULL           },
		{ "/a/../..",      NULL           },
		{ "/%2e%2e/x",     NULL           },
		{ "/a%2fb",        NULL           },
		{ "/a%00b",        NULL           },
		{ "/a%0ab",        NULL           },
		{ "/a%zz",         NULL           },
		{ "/a%2",          NULL           },
		{ "a",             NULL           },
		{ "",              NULL           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		char path[64];
		int error = uri_decode_path(
			path, sizeof(path), cases[i].text, strlen(cases[i].text), &why);

		if ((error == 0) != (cases[i].path != NULL))
			fail_msg("%s: %d %s", cases[i].text, error, why);
		if (!error)
			assert_string_equal(path, cases[i].path);
		else
			assert_non_null(why);
	}
}

static void test_paths_are_encoded(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(uri_encode_path(text, sizeof(text), "/a b/14-30-00+0100.mp4?#%"), 0);
	assert_string_equal(text, "/a%20b/14-30-00+0100.mp4%3F%23%25");
	assert_int_equal(uri_encode_path(text, 4, "/a b"), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uris_are_read),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_what_is_written_has_no_credentials),
		cmocka_unit_test(test_controls_are_joined),
		cmocka_unit_test(test_paths_are_decoded),
		cmocka_unit_test(test_paths_are_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
