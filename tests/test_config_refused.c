/* The configuration: what is refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"
#include "tests/config_text.h"

/* clang-format off */
static const struct {
	const char *text, *errors;
} refused[] = {
	/* keys */
	{ PORCH "    segmnt: 10m\n",
		"nvrd.yaml:4: cameras.porch.segmnt: unknown key (did you mean storage.segment?)\n" },
	{ "storage:\n  segmnt: 10m\n", "nvrd.yaml:2: storage.segmnt: unknown key (did you mean segment?)\n" },
	{ "camera: {}\n", "nvrd.yaml:1: camera: unknown key (did you mean cameras?)\n" },
	{ "tls: {certificate: a.pem}\n", "nvrd.yaml:1: tls.key: must be given, too\n" },
	{ "\ntls:\n  key: a.key\n", "nvrd.yaml:2: tls.certificate: must be given, too\n" },
	{ "tls: {certificate: /nowhere/a.pem, key: /nowhere/a.key}\n",
		"nvrd.yaml:1: tls: /nowhere/a.pem: No such file or directory\n" },
	{ "tls: {certificate: /dev/null, key: /nowhere/a.key}\n",
		"nvrd.yaml:1: tls: /dev/null: is not a regular file\n" },
	{ "tls: {certificate: ''}\n", "nvrd.yaml:1: tls.certificate: \"\" must name a file\n" },
	{ "tls: {hst: yes}\n", "nvrd.yaml:1: tls.hst: unknown key (did you mean hsts?)\n" },
	{ "http: {trusted_proxies: [10.0.0.0/8,\n  proxy]}\n",
		"nvrd.yaml:2: http.trusted_proxies: \"proxy\" must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8\n" },
	{ "http: {trusted_proxies: 10.0.0.0/8}\n",
		"nvrd.yaml:1: http.trusted_proxies: expected a list such as [127.0.0.1, 10.0.0.0/8]\n" },
	{ "http: {base_path: nvr}\n", "nvrd.yaml:1: http.base_path: \"nvr\" must begin with / and go on, such as /nvr\n" },
	{ "http: {base_path: /}\n", "nvrd.yaml:1: http.base_path: \"/\" must begin with / and go on, such as /nvr\n" },
	{ "http: {base_path: /nvr/}\n", "nvrd.yaml:1: http.base_path: \"/nvr/\" may not end with /, nor hold // or /.\n" },
	{ "http: {base_path: /a/../b}\n", "nvrd.yaml:1: http.base_path: \"/a/../b\" may not end with /, nor hold // or /.\n" },
	{ "http: {base_path: '/a b'}\n", "nvrd.yaml:1: http.base_path: \"/a b\" may hold letters, digits, -, _, ., ~ and / only\n" },
	{ "path: /x\n", "nvrd.yaml:1: path: unknown key (did you mean storage.path?)\n" },
	{ "zzzzzz: 1\n", "nvrd.yaml:1: zzzzzz: unknown key\n" },
	{ PORCH "    zzzzzz: 1\n", "nvrd.yaml:4: cameras.porch.zzzzzz: unknown key\n" },
	{ "\"a\\nb\\e\": 1\n", "nvrd.yaml:1: a?b?: unknown key\n" },
	{ "log: {level: info}\n\nlog: {}\n", "nvrd.yaml:3: log: is given twice, first in line 1\n" },
	{ "log:\n  level: info\n  level: info\n",
		"nvrd.yaml:3: log.level: is given twice, first in line 2\n" },
	{ PORCH "  porch:\n    source: 'test:'\n",
		"nvrd.yaml:4: cameras.porch: is given twice, first in line 2\n" },
	{ PORCH "    timelaps: {every: 10s}\n",
		"nvrd.yaml:4: cameras.porch.timelaps: unknown key (did you mean timelapse?)\n" },
	{ PORCH "    timelapse:\n      every: 10s\n      evry: 10s\n",
		"nvrd.yaml:6: cameras.porch.timelapse.evry: unknown key (did you mean every?)\n" },
	{ PORCH "    timelapse.every: 10s\n", "nvrd.yaml:4: cameras.porch.timelapse.every: unknown key\n" },
	{ PORCH "    timelapse: {every: 10s, timelapse: {}}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.timelapse: unknown key\n" },
	{ PORCH "    timelapse: {every: 10s, every: 20s}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.every: is given twice, first in line 4\n" },
	/* shapes */
	{ PORCH "    timelapse: 10s\n",
		"nvrd.yaml:4: cameras.porch.timelapse: expected 'key: value' lines below it\n" },
	{ PORCH "    timelapse: {fps: 25}\n", "nvrd.yaml:4: cameras.porch.timelapse.every: must be given\n" },
	{ PORCH "    timelapse: {every: {s: 10}}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.every: expected one value\n" },
	{ "hello", "nvrd.yaml:1: expected 'key: value' lines\n" },
	{ "- a\n", "nvrd.yaml:1: expected 'key: value' lines\n" },
	{ "log: info\n", "nvrd.yaml:1: log: expected 'key: value' lines below it\n" },
	{ "log: [info]\n", "nvrd.yaml:1: log: expected 'key: value' lines below it\n" },
	{ "log: {level: {a: b}}\n", "nvrd.yaml:1: log.level: expected one value\n" },
	{ "log: {level: [info]}\n", "nvrd.yaml:1: log.level: expected one value\n" },
	{ "log:\n  level:\n", "nvrd.yaml:2: log.level: the value is missing\n" },
	{ "cameras: {porch: }\n", "nvrd.yaml:1: cameras.porch.source: must be given\n" },
	{ "users: {anna: {role: admin}}\n", "nvrd.yaml:1: users.anna.password: must be given\n" },
	/* names */
	{ "cameras: {Porch: {source: 'test:'}}\n",
		"nvrd.yaml:1: cameras.Porch: a camera's name is made of a-z, 0-9, _ and -, and begins with a letter or digit\n" },
	{ "cameras: {-a: {source: 'test:'}}\n",
		"nvrd.yaml:1: cameras.-a: a camera's name is made of a-z, 0-9, _ and -, and begins with a letter or digit\n" },
	{ "cameras: {'': {source: 'test:'}}\n",
		"nvrd.yaml:1: cameras.: a camera's name is made of a-z, 0-9, _ and -, and begins with a letter or digit\n" },
	{ "cameras: {recordings: {source: 'test:'}}\n",
		"nvrd.yaml:1: cameras.recordings: this name is kept for the replay of recordings\n" },
	{ "users: {'a:b': {password: x}}\n",
		"nvrd.yaml:1: users.a:b: a user's name is made of printable ASCII without : and \"\n" },
	{ "users: {'': {password: x}}\n", "nvrd.yaml:1: users.: a user's name has 1 to 64 letters\n" },
	{ "users: {nas: {password: x, cameras: [porhc]}}\n" PORCH,
		"nvrd.yaml:1: users.nas.cameras: there is no camera \"porhc\" (did you mean porch?)\n" },
	{ "users: {nas: {password: x, cameras: [zzz]}}\n" PORCH,
		"nvrd.yaml:1: users.nas.cameras: there is no camera \"zzz\"\n" },
	{ "users: {nas: {password: x, cameras: porch}}\n" PORCH,
		"nvrd.yaml:1: users.nas.cameras: expected a list such as [porch, yard]\n" },
	{ "users: {nas: {password: x, cameras: [[porch]]}}\n" PORCH,
		"nvrd.yaml:1: users.nas.cameras: expected names only\n" },
	/* values */
	{ "log: {level: inf}\n",
		"nvrd.yaml:1: log.level: expected error, warn, info or debug, not \"inf\"\n" },
	{ "log: {format: xml}\n", "nvrd.yaml:1: log.format: expected text or json, not \"xml\"\n" },
	{ "listen: {http: localhost}\n",
		"nvrd.yaml:1: listen.http: expected an address such as 0.0.0.0:8080 or [::]:8080, or off, not \"localhost\"\n" },
	{ "webrtc: {addresses: [nvr.example.org]}\n",
		"nvrd.yaml:1: webrtc.addresses: \"nvr.example.org\" must be an IP address, such as 203.0.113.7\n" },
	{ "listen: {ftp_passive: 50100-50000}\n",
		"nvrd.yaml:1: listen.ftp_passive: expected ports such as 50000-50100, not \"50100-50000\"\n" },
	{ "listen: {ftp_passive: 0-10}\n",
		"nvrd.yaml:1: listen.ftp_passive: expected ports such as 50000-50100, not \"0-10\"\n" },
	{ "listen: {ftp_passive: 1-65536}\n",
		"nvrd.yaml:1: listen.ftp_passive: expected ports such as 50000-50100, not \"1-65536\"\n" },
	{ "listen: {ftp_passive: 123456789-2}\n",
		"nvrd.yaml:1: listen.ftp_passive: expected ports such as 50000-50100, not \"123456789-2\"\n" },
	{ "listen: {http: '1.2.3.4:65536'}\n",
		"nvrd.yaml:1: listen.http: expected an address such as 0.0.0.0:8080 or [::]:8080, or off, not \"1.2.3.4:65536\"\n" },
	{ "listen: {http: '[1.2.3.4]:1'}\n",
		"nvrd.yaml:1: listen.http: expected an address such as 0.0.0.0:8080 or [::]:8080, or off, not \"[1.2.3.4]:1\"\n" },
	{ "storage: {segment: 7m}\n",
		"nvrd.yaml:1: storage.segment: \"7m\" must divide a day: 1m, 5m, 10m, 15m, 30m, 1h\n" },
	{ "storage: {segment: 500ms}\n",
		"nvrd.yaml:1: storage.segment: expected a duration from 1s to 24h, not \"500ms\"\n" },
	{ "storage: {segment: 2d}\n",
		"nvrd.yaml:1: storage.segment: \"2d\" must divide a day: 1m, 5m, 10m, 15m, 30m, 1h\n" },
	{ "storage: {sync: 61s}\n",
		"nvrd.yaml:1: storage.sync: expected a duration from 0 to 60s, not \"61s\"\n" },
	{ "storage: {keep: 0}\n",
		"nvrd.yaml:1: storage.keep: expected a duration that is not 0, or forever, not \"0\"\n" },
	{ "storage: {keep: 30}\n",
		"nvrd.yaml:1: storage.keep: expected a duration such as 12h or 30d, or forever, not \"30\"\n" },
	{ "storage: {max_size: 500}\n",
		"nvrd.yaml:1: storage.max_size: expected a size such as 500GB or 2TiB, or none, not \"500\"\n" },
	{ "storage: {queue: 3MiB}\n",
		"nvrd.yaml:1: storage.queue: expected a size from 4MiB to 64GiB, not \"3MiB\"\n" },
	{ "storage: {queue: 65GiB}\n",
		"nvrd.yaml:1: storage.queue: expected a size from 4MiB to 64GiB, not \"65GiB\"\n" },
	{ "storage: {queue: none}\n",
		"nvrd.yaml:1: storage.queue: expected a size from 4MiB to 64GiB, not \"none\"\n" },
	{ "storage: {reserve: 5}\n",
		"nvrd.yaml:1: storage.reserve: expected a share such as 5%, or a size such as 50GB, not \"5\"\n" },
	{ "storage: {reserve: 91%}\n",
		"nvrd.yaml:1: storage.reserve: expected at most 90%, not \"91%\"\n" },
	{ "storage: {sync: 5}\n",
		"nvrd.yaml:1: storage.sync: expected a duration such as 500ms, 10s, 5m, 2h or 1d, not \"5\"\n" },
	{ "storage: {path: ''}\n", "nvrd.yaml:1: storage.path: \"\" must name a folder\n" },
	{ PORCH "    timelapse: {every: 500ms}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.every: expected a duration from 1s to 1h, not \"500ms\"\n" },
	{ PORCH "    timelapse: {every: 10s, keep: 0}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.keep: expected a duration that is not 0, or forever, not \"0\"\n" },
	{ PORCH "    timelapse: {every: 10s, fps: 7}\n",
		"nvrd.yaml:4: cameras.porch.timelapse.fps: expected 1, 2, 5, 10, 12, 15, 20, 24, 25, 30, 50 or 60, not \"7\"\n" },
	{ PORCH "    enabled: maybe\n",
		"nvrd.yaml:4: cameras.porch.enabled: expected yes or no, not \"maybe\"\n" },
	{ "users: {a: {password: ''}}\n", "nvrd.yaml:1: users.a.password: may not be empty\n" },
	{ "users: {a: {password: \"\\x01\"}}\n",
		"nvrd.yaml:1: users.a.password: holds a control character\n" },
	{ "users: {a: {password: \"$scrypt$ln=15,r=8,p=1$aa\"}}\n",
		"nvrd.yaml:1: users.a.password: has no salt of 8 to 64 bytes in base64\n" },
	{ "users: {a: {password: \"$scrypt$ln=20,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg\"}}\n",
		"nvrd.yaml:1: users.a.password: has a cost of scrypt that is not from ln=10 to ln=17\n" },
	{ "users: {a: {password: $nvrd$1$00}}\n",
		"nvrd.yaml:1: users.a.password: is not a whole hash as nvrd --hash-password prints it\n" },
	{ "cameras: {a: {source: \"test:\", substream: \"upload:\"}}\n",
		"nvrd.yaml:1: cameras.a.substream: must begin with rtsp://, rtsps://, rtsp+http://, rtsp+https://, onvif://, onvif+https://, http://, https:// or av:, or be test: or publish:\n" },
	{ "cameras: {a: {source: \"test:\", onvif: \"rtsp://h/\"}}\n",
		"nvrd.yaml:1: cameras.a.onvif: must begin with onvif:// or onvif+https://\n" },
	{ "cameras: {a: {source: \"test:\", onvif: \"onvif:///hunter2\"}}\n",
		"nvrd.yaml:1: cameras.a.onvif: names no host after ://\n" },
	{ "cameras: {a: {source: 'ftp://u:hunter2@h/'}}\n",
		"nvrd.yaml:1: cameras.a.source: must begin with rtsp://, rtsps://, rtsp+http://, rtsp+https://, onvif://, onvif+https://, http://, https:// or av:, or be test: or publish:\n" },
	{ "cameras: {a: {source: 'rtsp:///hunter2'}}\n",
		"nvrd.yaml:1: cameras.a.source: names no host after ://\n" },
	{ "cameras: {a: {source: 'rtsp://h/hunter 2'}}\n",
		"nvrd.yaml:1: cameras.a.source: holds a blank or another byte that a URI may not have\n" },
	/* YAML */
	{ "log:\n  level: &a info\n", "nvrd.yaml:2: anchors and aliases are not supported\n" },
	{ "log: *a\n", "nvrd.yaml:1: anchors and aliases are not supported\n" },
	{ "log: &a {}\n", "nvrd.yaml:1: anchors and aliases are not supported\n" },
	{ "*a : 1\n", "nvrd.yaml:1: anchors and aliases are not supported\n" },
	{ "? [a]\n: 1\n", "nvrd.yaml:1: a key must be a plain word\n" },
	{ "!x a: 1\n", "nvrd.yaml:1: a key may have neither anchor nor tag\n" },
	{ "log: {}\n---\nlog: {}\n", "nvrd.yaml:3: a second document\n" },
	{ "log:\n\tlevel: info\n",
		"nvrd.yaml:2: found character that cannot start any token (while scanning for the next token)\n" },
	{ "log: {level: info\n",
		"nvrd.yaml:2: did not find expected ',' or '}' (while parsing a flow mapping)\n" },
	{ "log: {}\nx: \xff\n", "nvrd.yaml:2: invalid leading UTF-8 octet (while reading YAML)\n" },
	{ "log: {level: \"info\\0\"}\n", "nvrd.yaml:1: a value may not hold a NUL\n" },
	{ "a: [[[[[[[[1]]]]]]]]\n", "nvrd.yaml:1: nested deeper than 8 levels\n" },
	{ "log: {level: !vault x}\n", "nvrd.yaml:1: log.level: !vault is for secrets only\n" },
	{ "%YAML 1.1\n---\nlog: {level: info}\n", "nvrd.yaml:1: directives are not supported\n" },
	/* more than one thing */
	{ "log: {level: x, format: y}\nfoo: 1\n",
		"nvrd.yaml:1: log.level: expected error, warn, info or debug, not \"x\"\n"
		"nvrd.yaml:1: log.format: expected text or json, not \"y\"\n"
		"nvrd.yaml:2: foo: unknown key\n" },
};
/* clang-format on */

static void mistakes_are_named_with_file_line_and_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
		expect_errors(refused[i].text, refused[i].errors);
}

static void no_message_shows_a_secret(void **state)
{
	static const char *const texts[] = {
		"users: {a: {password: \"hunter2\\x01\"}}",
		"users: {a: {password: $nvrd$1$hunter2}}",
		"users: {a: {password: [hunter2]}}",
		"users: {a: {password: &hunter2x hunter2}}",
		"cameras: {a: {source: hunter2}}",
		"cameras: {a: {source: 'ftp://a:hunter2@h'}}",
		"cameras: {a: {source: 'rtsp:// a:hunter2@h'}}",
		"cameras: {a: {source: !vault hunter2}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		char *errors = NULL;

		assert_null(config_parse("f", texts[i], strlen(texts[i]), &errors));
		assert_non_null(errors);
		if (strstr(errors, "hunter2"))
			fail_msg("%s: %s", texts[i], errors);
		free(errors);
	}
}

static void at_most_twenty_messages_are_kept(void **state)
{
	char text[1024] = "";
	char *errors = NULL;
	unsigned lines = 0;

	(void)state;
	for (int i = 0; i < 30; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "wrong%d: x\n", i);
	assert_null(config_parse("f", text, strlen(text), &errors));
	for (const char *p = errors; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, CONFIG_ERRORS);
	free(errors);
}

static void too_large_a_file_is_refused(void **state)
{
	size_t n = CONFIG_FILE_BYTES + 1;
	char *text = xmalloc(n);
	char *errors = NULL;

	(void)state;
	memset(text, '\n', n);
	assert_null(config_parse("f", text, n, &errors));
	assert_string_equal(errors, "f: larger than 1048576 bytes\n");
	free(errors);
	struct config *config = config_parse("f", text, n - 1, &errors);
	assert_non_null(config);
	config_free(config);
	free(text);
}

static void too_many_values_are_refused(void **state)
{
	size_t n = 2 * (CONFIG_NODES + 2);
	char *text = xmalloc(n);
	char *errors = NULL;

	(void)state;
	for (size_t i = 0; i < n; i++)
		text[i] = i % 2 ? ',' : 'a';
	text[1] = ':';
	text[2] = ' ';
	text[3] = '[';
	assert_null(config_parse("f", text, n, &errors));
	assert_string_equal(errors, "f:1: more than 50000 values\n");
	free(errors);
	free(text);
}

static void every_cut_of_a_file_is_read_or_refused(void **state)
{
	static const char text[] =
		"listen: {http: '[::]:80'}\n"
		"users:\n  anna: {password: \"x\\u00e4\", cameras: [porch]}\n"
		"cameras:\n  porch:\n    source: !!str 'rtsp://h'\n    enabled: on\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *exact = n ? memcpy(xmalloc(n), text, n) : NULL;
		char *errors = NULL;
		struct config *config = config_parse("f", exact ? exact : "", n, &errors);

		assert_true((config == NULL) == (errors != NULL));
		config_free(config);
		free(errors);
		free(exact);
	}
}

static void near_words_are_suggested(void **state)
{
	assert_true(config_is_near("segmnt", "segment"));
	assert_true(config_is_near("Level", "level"));
	assert_true(config_is_near("transprt", "transport"));
	assert_false(config_is_near("tarnspotr", "transport"));
	assert_false(config_is_near("foo", "log"));
	assert_false(config_is_near("xyzpath", "path"));
	(void)state;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_named_with_file_line_and_path),
		cmocka_unit_test(no_message_shows_a_secret),
		cmocka_unit_test(at_most_twenty_messages_are_kept),
		cmocka_unit_test(too_large_a_file_is_refused),
		cmocka_unit_test(too_many_values_are_refused),
		cmocka_unit_test(every_cut_of_a_file_is_read_or_refused),
		cmocka_unit_test(near_words_are_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
