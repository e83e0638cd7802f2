/*
 * The configuration: what is accepted, what is refused and with which words, and that the example
 * file and the manual say what the table says. With --manual it prints the manual's list.
 */
#include "server/base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/config_private.h"
#include "server/base/file.h"
#include "server/base/memory.h"

#define SECOND INT64_C(1000000)

static struct config *parse(const char *text)
{
	char *errors = NULL;
	struct config *config = config_parse("nvrd.yaml", text, strlen(text), &errors);

	if (!config)
		fail_msg("%s", errors);
	return config;
}

static void expect_errors(const char *text, const char *expected)
{
	char *errors = NULL;
	struct config *config = config_parse("nvrd.yaml", text, strlen(text), &errors);

	if (config)
		fail_msg("accepted: %s", text);
	assert_string_equal(errors, expected);
	free(errors);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "users:\ncameras:\n",
		"log: {}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct config *config = parse(texts[i]);

		assert_string_equal(config->listen.http, "0.0.0.0:8080");
		assert_string_equal(config->listen.https, "0.0.0.0:8443");
		assert_string_equal(config->listen.rtsp, "0.0.0.0:8554");
		assert_string_equal(config->listen.rtsps, "0.0.0.0:8322");
		assert_int_equal(config->rtsp.sessions, 1024);
		assert_int_equal(config->rtsp.sessions_per_user, 128);
		assert_int_equal(config->rtsp.sessions_per_address, 32);
		assert_false(config->rtsp.basic);
		assert_string_equal(config->listen.ftp, "0.0.0.0:2121");
		assert_string_equal(config->listen.webrtc, "0.0.0.0:8189");
		assert_int_equal(config->webrtc.sessions, 256);
		assert_null(config->webrtc.addresses);
		assert_int_equal(config->listen.ftp_passive.first, 50000);
		assert_int_equal(config->listen.ftp_passive.last, 50100);
		assert_null(config->tls.certificate);
		assert_null(config->tls.server);
		assert_false(config->tls.hsts);
		assert_null(config->http.trusted_proxies);
		assert_null(config->http.base_path);
		assert_string_equal(config->storage.path, "/var/lib/nvrd");
		assert_int_equal(config->storage.segment_us, 600 * SECOND);
		assert_int_equal(config->storage.sync_us, 2 * SECOND);
		assert_true(config->storage.keep_us == CONFIG_KEEP_FOREVER);
		assert_true(config->storage.max_bytes == 0);
		assert_int_equal(config->storage.reserve.percent, 5);
		assert_true(config->storage.queue_bytes == UINT64_C(64) << 20);
		assert_int_equal(config->log.level, LOG_INFO);
		assert_int_equal(config->log.format, LOG_TEXT);
		assert_true(TAILQ_EMPTY(&config->users));
		assert_true(TAILQ_EMPTY(&config->cameras));
		assert_false(config_has_secrets(config));
		config_free(config);
	}
}

static void a_full_file_is_read(void **state)
{
	struct config *config = parse(
		"listen: {http: '[::]:80', https: ':443', rtsp: ':0', ftp: ':21', ftp_passive: 40000-40009}\n"
		"storage: {path: /srv/video, segment: 30m, sync: 500ms, keep: 30d,\n"
		"          max_size: 500GB, reserve: 20GiB, queue: 1GiB}\n"
		"log: {level: debug, format: json}\n"
		"users:\n"
		"  anna: {password: 'a: b', role: admin}\n"
		"  nas: {password: x, cameras: [porch]}\n"
		"cameras:\n"
		"  porch:\n"
		"    source: rtsp://u:p@192.0.2.10:554/s1\n"
		"    transport: tcp\n"
		"    record: off\n"
		"    enabled: No\n"
		"    timelapse: {every: 1m, fps: 30, keep: 365d, max_size: 20GB}\n"
		"    keep: forever\n"
		"    max_size: 1TiB\n"
		"  t-2_x: {source: \"test:\"}\n"
		"tls: {hsts: yes}\n"
		"http: {trusted_proxies: [127.0.0.1, '2001:db8::/32'], base_path: /cameras/nvr}\n");
	const struct auth_user *anna = auth_find(&config->users, "anna", 4);
	const struct auth_user *nas = auth_find(&config->users, "nas", 3);
	const struct config_camera *porch = config_find_camera(config, "porch");
	const struct config_camera *second = config_find_camera(config, "t-2_x");

	(void)state;
	assert_string_equal(config->listen.http, "[::]:80");
	assert_string_equal(config->listen.https, ":443");
	assert_string_equal(config->listen.rtsp, ":0");
	assert_string_equal(config->listen.ftp, ":21");
	assert_int_equal(config->listen.ftp_passive.first, 40000);
	assert_int_equal(config->listen.ftp_passive.last, 40009);
	assert_true(config->tls.hsts);
	assert_string_equal(config->http.trusted_proxies[0], "127.0.0.1");
	assert_string_equal(config->http.trusted_proxies[1], "2001:db8::/32");
	assert_null(config->http.trusted_proxies[2]);
	assert_string_equal(config->http.base_path, "/cameras/nvr");
	assert_string_equal(config->storage.path, "/srv/video");
	assert_int_equal(config->storage.segment_us, 1800 * SECOND);
	assert_int_equal(config->storage.sync_us, SECOND / 2);
	assert_true(config->storage.keep_us == 30 * 86400 * SECOND);
	assert_true(config->storage.max_bytes == UINT64_C(500000000000));
	assert_true(config->storage.reserve.bytes == UINT64_C(20) << 30);
	assert_int_equal(config->storage.reserve.percent, 0);
	assert_true(config->storage.queue_bytes == UINT64_C(1) << 30);
	assert_true(porch->keep_us == CONFIG_KEEP_FOREVER && second->keep_us == 0);
	assert_true(porch->max_bytes == UINT64_C(1) << 40 && second->max_bytes == 0);
	assert_int_equal(config->log.level, LOG_DEBUG);
	assert_int_equal(config->log.format, LOG_JSON);
	assert_string_equal(anna->password, "a: b");
	assert_int_equal(anna->role, ROLE_ADMIN);
	assert_null(anna->cameras);
	assert_int_equal(anna->line, 6);
	assert_int_equal(nas->role, ROLE_VIEWER);
	assert_string_equal(nas->cameras[0], "porch");
	assert_null(nas->cameras[1]);
	assert_string_equal(porch->source, "rtsp://u:p@192.0.2.10:554/s1");
	assert_int_equal(porch->transport, TRANSPORT_TCP);
	assert_int_equal(porch->recording.record, RECORD_OFF);
	assert_false(porch->enabled);
	assert_int_equal(porch->line, 9);
	assert_int_equal(porch->recording.timelapse_every_us, 60 * SECOND);
	assert_int_equal(porch->recording.timelapse_fps, 30);
	assert_true(porch->timelapse_keep_us == 365 * 86400 * SECOND);
	assert_true(porch->timelapse_max_bytes == UINT64_C(20000000000));
	assert_string_equal(second->source, "test:");
	assert_int_equal(second->transport, TRANSPORT_AUTO);
	assert_int_equal(second->recording.record, RECORD_CONTINUOUS);
	assert_true(second->enabled);
	assert_int_equal(second->recording.timelapse_every_us, 0);
	assert_true(second->timelapse_keep_us == CONFIG_KEEP_FOREVER);
	assert_true(second->timelapse_max_bytes == 0);
	assert_null(config_find_camera(config, "yard"));
	assert_true(config_has_secrets(config));
	config_free(config);
}

static void a_camera_may_have_nothing_but_uploads(void **state)
{
	struct config *config = parse("cameras:\n"
				      "  gate: {source: \"upload:\"}\n"
				      "  porch: {source: \"test:\"}\n"
				      "  yard: {source: \"test:\", enabled: no}\n");

	(void)state;
	assert_false(config_camera_is_pulled(config_find_camera(config, "gate")));
	assert_true(config_camera_is_pulled(config_find_camera(config, "porch")));
	assert_false(config_camera_is_pulled(config_find_camera(config, "yard")));
	assert_false(config_has_secrets(config));
	config_free(config);
}

static void volumes_are_a_list(void **state)
{
	struct config *config = parse("storage:\n"
				      "  path: /srv/hot/\n"
				      "  volumes:\n"
				      "    - {path: /srv/hot, keep: 2d}\n"
				      "    - {path: /mnt/warm//, max_size: 4TB}\n"
				      "    - path: /mnt/cold\n");
	const struct config_volume *hot = TAILQ_FIRST(&config->storage.volumes);
	const struct config_volume *warm = config_find_volume(config, "/mnt/warm");
	struct config *other;
	char *restart;

	(void)state;
	assert_string_equal(config->storage.path, "/srv/hot");
	assert_ptr_equal(hot, config_find_volume(config, "/srv/hot"));
	assert_true(hot->keep_us == 2 * 86400 * SECOND && hot->max_bytes == 0);
	assert_ptr_equal(TAILQ_NEXT(hot, entry), warm);
	assert_true(warm->keep_us == CONFIG_KEEP_FOREVER);
	assert_true(warm->max_bytes == UINT64_C(4000000000000));
	assert_string_equal(
		TAILQ_LAST(&config->storage.volumes, config_volumes)->path, "/mnt/cold");
	assert_null(config_find_volume(config, "/mnt"));
	config_free(config);
	config = parse("storage: {volumes: []}");
	assert_true(TAILQ_EMPTY(&config->storage.volumes));
	other = parse("storage: {volumes: [{path: /x, keep: 1d}]}");
	restart = config_needs_restart(config, other);
	assert_string_equal(restart, "storage.volumes");
	config_free(config);
	config = parse("storage: {volumes: [{path: /x, max_size: 1TB}]}");
	assert_null(config_needs_restart(config, other));
	config_free(config);
	config_free(other);
	free(restart);
	expect_errors("storage: {volumes: /mnt/warm}",
		"nvrd.yaml:1: storage.volumes: expected a list such as [{path: /mnt/warm, keep: 90d}]\n");
	expect_errors("storage:\n  volumes:\n    - /mnt/warm\n",
		"nvrd.yaml:3: storage.volumes: expected 'key: value' lines below it\n");
	expect_errors("storage:\n  'volumes[]': {path: /x}\n",
		"nvrd.yaml:2: storage.volumes[]: unknown key\n");
	expect_errors("storage:\n  volumes:\n    - {pth: /mnt/warm, keep: 0}\n",
		"nvrd.yaml:3: storage.volumes.pth: unknown key (did you mean path?)\n"
		"nvrd.yaml:3: storage.volumes.keep: expected a duration that is not 0, or forever, not \"0\"\n"
		"nvrd.yaml:3: storage.volumes.path: must be given\n");
	expect_errors(
		"storage:\n  path: /a\n  volumes:\n    - path: /b\n    - path: /a\n    - path: /b/\n",
		"nvrd.yaml:5: storage.volumes: storage.path must be the first volume\n"
		"nvrd.yaml:6: storage.volumes: a path is given twice, first in line 4\n");
	expect_errors(
		"storage: {volumes: [{path: /1}, {path: /2}, {path: /3}, {path: /4}, {path: /5},"
		" {path: /6}, {path: /7}, {path: /8}, {path: /9}]}",
		"nvrd.yaml:1: storage.volumes: has more than 8 volumes\n");
}

static void rtsp_has_limits_and_groups(void **state)
{
	struct config *config = parse("rtsp: {sessions: 20000, sessions_per_user: 1, basic: yes}\n"
				      "cameras:\n"
				      "  a: {source: 'test:', multicast: 239.1.2.3:5004}\n"
				      "  b: {source: 'test:', multicast: 239.1.2.3:5020}\n"
				      "  c: {source: 'test:', multicast: 239.1.2.4}\n");

	(void)state;
	assert_int_equal(config->rtsp.sessions, 20000);
	assert_int_equal(config->rtsp.sessions_per_user, 1);
	assert_true(config->rtsp.basic);
	assert_string_equal(config_find_camera(config, "c")->multicast, "239.1.2.4");
	config_free(config);
	expect_errors("rtsp: {sessions: 0, sessions_per_user: -1, sessions_per_address: 20001}",
		"nvrd.yaml:1: rtsp.sessions: expected a number from 1 to 20000, not \"0\"\n"
		"nvrd.yaml:1: rtsp.sessions_per_user: expected a number from 1 to 20000, not \"-1\"\n"
		"nvrd.yaml:1: rtsp.sessions_per_address: expected a number from 1 to 20000, not \"20001\"\n");
	expect_errors("cameras: {a: {source: 'test:', multicast: 192.0.2.1}}",
		"nvrd.yaml:1: cameras.a.multicast: \"192.0.2.1\" must be an address from 224.0.1.0 to "
		"239.255.255.255, and may have an even port from 1024 to 65520, such as 239.1.2.3:5004\n");
	expect_errors("cameras:\n  a: {source: 'test:', multicast: 239.1.2.3}\n"
		      "  b: {source: 'test:', multicast: 239.1.2.3:5018}\n",
		"nvrd.yaml:3: cameras.b: multicast goes to ports that a takes, too: choose another group, or a "
		"port that is 16 away\n");
}

static void users_have_application_passwords(void **state)
{
	struct config *config =
		parse("users:\n"
		      "  anna:\n"
		      "    password: x\n"
		      "    app_passwords:\n"
		      "      - name: nas\n"
		      "        password: y\n"
		      "        scope: [dav:read, ftp]\n"
		      "        expires: 2027-01-31\n"
		      "      - {name: prometheus, password: z, scope: [metrics]}\n");
	const struct auth_user *anna = auth_find(&config->users, "anna", 4);
	const struct auth_app_password *nas = TAILQ_FIRST(&anna->app_passwords);
	const struct auth_app_password *other = TAILQ_NEXT(nas, entry);

	(void)state;
	assert_string_equal(nas->name, "nas");
	assert_string_equal(nas->password, "y");
	assert_int_equal(nas->scopes, SCOPE_DAV_READ | SCOPE_FTP_READ | SCOPE_FTP);
	assert_true(nas->expires_us == INT64_C(1801353600) * SECOND); /* date -d 2027-01-31Z +%s */
	assert_int_equal(other->scopes, SCOPE_METRICS);
	assert_true(other->expires_us == 0);
	config_free(config);
	expect_errors("users: {a: {password: x, app_passwords: y}}",
		"nvrd.yaml:1: users.a.app_passwords: expected a list such as "
		"[{name: phone, password: \"...\", scope: [live]}]\n");
	expect_errors("users: {a: {password: x, app_passwords: [{nam: y}]}}",
		"nvrd.yaml:1: users.a.app_passwords.nam: unknown key (did you mean name?)\n"
		"nvrd.yaml:1: users.a.app_passwords.name: must be given\n"
		"nvrd.yaml:1: users.a.app_passwords.password: must be given\n"
		"nvrd.yaml:1: users.a.app_passwords.scope: must be given\n");
	expect_errors("users:\n  a:\n    password: x\n    app_passwords:\n"
		      "      - {name: b, password: c, scope: [dav:write, live]}\n"
		      "      - {name: b, password: d, scope: []}\n",
		"nvrd.yaml:5: users.a.app_passwords: there is no scope \"dav:write\": dav, dav:read, "
		"ftp, ftp:read, live, rtsp, rtsp:publish, metrics\n"
		"nvrd.yaml:6: users.a.app_passwords: the scope is empty\n"
		"nvrd.yaml:6: users.a.app_passwords: a name is given twice, first in line 5\n");
	expect_errors(
		"users: {a: {password: x, app_passwords: [{name: b, scope: [live], "
		"password: \"$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg\"}]}}",
		"nvrd.yaml:1: users.a.app_passwords.password: is kept by scrypt, which is for people's: "
		"what a program keeps can be long and random\n");
}

static void days_are_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* date -u -d TEXT +%s; -1: refused */
	} cases[] = {
		{"1970-01-01",            0         },
		{ "2000-02-29",           951782400 },
		{ "2027-01-31",           1801353600},
		{ "2027-02-29",           -1        },
		{ "2027-04-31",           -1        },
		{ "2027-13-01",           -1        },
		{ "2027-1-1",             -1        },
		{ "2027-01-31T00:00:00Z", -1        },
		{ "tomorrow",             -1        },
		{ "",                     -1        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t us = -SECOND;

		assert_int_equal(
			config_parse_day(cases[i].text, &us), cases[i].seconds < 0 ? -EINVAL : 0);
		assert_true(cases[i].seconds < 0 || us == cases[i].seconds * SECOND);
	}
}

static void a_listener_left_out_of_listen_is_off(void **state)
{
	static const struct {
		const char *text, *http, *rtsp;
	} cases[] = {
		{"listen: {http: '127.0.0.1:1'}",        "127.0.0.1:1", NULL         },
		{ "listen: {rtsp: '127.0.0.1:1'}",       NULL,          "127.0.0.1:1"},
		{ "listen: {http: off, rtsp: ':65535'}", NULL,          ":65535"     },
		{ "listen: {http: 'off', rtsp: no}",     NULL,          NULL         },
		{ "listen:\n",                           NULL,          NULL         },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct config *config = parse(cases[i].text);

		assert_string_equal(config->listen.http ? config->listen.http : "off",
			cases[i].http ? cases[i].http : "off");
		assert_string_equal(config->listen.rtsp ? config->listen.rtsp : "off",
			cases[i].rtsp ? cases[i].rtsp : "off");
		config_free(config);
	}
}

#define PORCH "cameras:\n  porch:\n    source: 'test:'\n"

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

static void long_names_stand_in_their_limits(void **state)
{
	char name[65];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_null(config_check_camera_name(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_non_null(config_check_camera_name(name));
	assert_null(config_check_user_name(name));
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

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} cases[] = {
		{"0",            0                 },
		{ "0s",          0                 },
		{ "1ms",         1000              },
		{ "10s",         10 * SECOND       },
		{ "5m",          300 * SECOND      },
		{ "2h",          7200 * SECOND     },
		{ "1d",          86400 * SECOND    },
		{ "999999999s",  999999999 * SECOND},
		{ "999999999d",  -1                },
		{ "1000000000s", -1                },
		{ "",            -1                },
		{ "s",           -1                },
		{ "10",          -1                },
		{ "-1s",         -1                },
		{ "1 s",         -1                },
		{ "1.5s",        -1                },
		{ "1S",          -1                },
		{ "1sec",        -1                },
		{ " 1s",         -1                },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t us = -1;
		int result = config_parse_duration(cases[i].text, &us);

		assert_int_equal(result == 0, cases[i].us >= 0);
		if (us != cases[i].us)
			fail_msg("%s: %lld", cases[i].text, (long long)us);
	}
}

static void sizes_have_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* 0: refused */
	} cases[] = {
		{"1KB",           1000                             },
		{ "20MB",         20000000                         },
		{ "500GB",        UINT64_C(500000000000)           },
		{ "2TB",          UINT64_C(2000000000000)          },
		{ "1KiB",         1024                             },
		{ "3MiB",         3 << 20                          },
		{ "4GiB",         UINT64_C(4) << 30                },
		{ "8388607TiB",   UINT64_C(8388607) << 40          },
		{ "8388608TiB",   0                                }, /* 2^63 */
		{ "9223372TB",    UINT64_C(9223372) * 1000000000000},
		{ "999999999TB",  0                                },
		{ "1000000000KB", 0                                },
		{ "0GB",          0				},
		{ "0",            0				},
		{ "",             0				},
		{ "GB",           0				},
		{ "500",          0				},
		{ "500G",         0				},
		{ "500gb",        0				},
		{ "1.5TB",        0				},
		{ "-1GB",         0				},
		{ "1 GB",         0				},
		{ "1GBx",         0				},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 0;
		int result = config_parse_size(cases[i].text, &bytes);

		assert_int_equal(result == 0, cases[i].bytes != 0);
		if (bytes != cases[i].bytes)
			fail_msg("%s: %llu", cases[i].text, (unsigned long long)bytes);
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

static const char *password_of(const struct config *config, const char *name)
{
	const struct auth_user *user = auth_find(&config->users, name, strlen(name));

	return user ? user->password : "(no such user)";
}

static void write_file(const char *folder, const char *name, const void *text, size_t n)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *folder, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
}

static void env_and_file_give_values(void **state)
{
	static const char text[] = "storage: {sync: !env NVRD_TEST_SYNC}\n"
				   "users:\n"
				   "  a: {password: !file one}\n"
				   "  b: {password: !file crlf}\n"
				   "  c: {password: !file two}\n"
				   "cameras: {x: {source: !env NVRD_TEST_SOURCE}}\n";
	char folder[] = "/tmp/nvrd-test-XXXXXX";
	char path[256];
	char *errors = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file(folder, "one", "secret\n", 7);
	write_file(folder, "crlf", "secret\r\n", 8);
	write_file(folder, "two", "secret", 6);
	write_file(folder, "nvrd.yaml", text, strlen(text));
	assert_int_equal(setenv("NVRD_TEST_SYNC", "1s", 1), 0);
	assert_int_equal(setenv("NVRD_TEST_SOURCE", "rtsp://u:p@h/", 1), 0);
	(void)snprintf(path, sizeof(path), "%s/nvrd.yaml", folder);

	struct config *config = config_load(path, &errors);
	if (!config) {
		fail_msg("%s", errors);
		return;
	}
	assert_int_equal(config->storage.sync_us, SECOND);
	assert_string_equal(password_of(config, "a"), "secret");
	assert_string_equal(password_of(config, "b"), "secret");
	assert_string_equal(password_of(config, "c"), "secret");
	assert_string_equal(config_find_camera(config, "x")->source, "rtsp://u:p@h/");
	assert_false(config_has_secrets(config)); /* none stands in the file itself */
	config_free(config);
	remove_file(folder, "one");
	remove_file(folder, "crlf");
	remove_file(folder, "two");
	remove_file(folder, "nvrd.yaml");
	assert_int_equal(rmdir(folder), 0);
}

static void missing_env_and_file_are_named(void **state)
{
	char folder[] = "/tmp/nvrd-test-XXXXXX";
	char *big = xcalloc(1, CONFIG_VALUE_BYTES + 1);
	char text[512];
	char expected[1024];
	char *errors = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	memset(big, 'x', CONFIG_VALUE_BYTES + 1);
	write_file(folder, "big", big, CONFIG_VALUE_BYTES + 1);
	write_file(folder, "nul", "a\0b", 3);
	(void)snprintf(text, sizeof(text),
		"users:\n"
		"  a: {password: !env NVRD_TEST_UNSET}\n"
		"  b: {password: !file %s/gone}\n"
		"  c: {password: !file %s/big}\n"
		"  d: {password: !file %s/nul}\n"
		"  e: {password: !file %s}\n",
		folder, folder, folder, folder);
	(void)snprintf(expected, sizeof(expected),
		"f:2: users.a.password: the environment variable NVRD_TEST_UNSET is not set\n"
		"f:3: users.b.password: the file %s/gone cannot be read: No such file or directory\n"
		"f:4: users.c.password: the file %s/big is larger than 65536 bytes\n"
		"f:5: users.d.password: the file %s/nul holds a NUL\n"
		"f:6: users.e.password: the file %s is not a regular file\n",
		folder, folder, folder, folder);
	assert_null(config_parse("f", text, strlen(text), &errors));
	assert_string_equal(errors, expected);
	free(errors);
	free(big);
	remove_file(folder, "big");
	remove_file(folder, "nul");
	assert_int_equal(rmdir(folder), 0);
}

static void what_comes_from_elsewhere_is_not_shown(void **state)
{
	static const char text[] =
		"listen: {ftp_passive: !env NVRD_TEST_SECRET}\n"
		"storage: {segment: !env NVRD_TEST_SECRET, reserve: !env NVRD_TEST_SECRET}\n"
		"log: {level: !env NVRD_TEST_SECRET}\n"
		"tls: {certificate: !env NVRD_TEST_SECRET, key: k}\n"
		"http: {base_path: !env NVRD_TEST_SECRET}\n"
		"users: {a: {password: x, role: !env NVRD_TEST_SECRET}}\n"
		"cameras: {b: {source: !env NVRD_TEST_SECRET, schedule: !env NVRD_TEST_SECRET}}\n";
	char *errors = NULL;

	(void)state;
	assert_int_equal(setenv("NVRD_TEST_SECRET", "hunter2", 1), 0);
	assert_null(config_parse("f", text, strlen(text), &errors));
	assert_null(strstr(errors, "hunter2"));
	assert_non_null(strstr(errors, "f:3: log.level: expected error, warn, info or debug\n"));
	assert_non_null(strstr(errors, "f:4: tls: the certificate or its key cannot be used\n"));
	assert_non_null(strstr(errors, "f:5: http.base_path: must begin with /"));
	free(errors);
}

static void without_resolving_env_and_file_are_errors(void **state)
{
	static const char text[] = "users: {a: {password: !env HOME}}";
	char *errors = NULL;

	(void)state;
	assert_null(config_parse_text("f", text, strlen(text), false, &errors));
	assert_string_equal(errors, "f:1: users.a.password: !env is not allowed here\n");
	free(errors);
}

static void a_missing_file_is_named(void **state)
{
	char *errors = NULL;

	(void)state;
	assert_null(config_load("/nonexistent/nvrd.yaml", &errors));
	assert_string_equal(
		errors, "/nonexistent/nvrd.yaml: cannot be read: No such file or directory\n");
	free(errors);
}

static void secrets_in_the_file_are_noticed(void **state)
{
	static const struct {
		const char *text;
		bool expected;
	} cases[] = {
		{"cameras: {a: {source: 'test:'}}",                       false},
		{ "cameras: {a: {source: 'rtsp://h/x'}}",                 false},
		{ "cameras: {a: {source: 'rtsp://u:p@h/x'}}",             true },
		{ "cameras: {a: {source: 'RTSP://u:p@h/x'}}",             true },
		{ "cameras: {a: {source: 'rtsp://h/user=a&Password=b'}}", true },
		{ "users: {a: {password: x}}",                            true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct config *config = parse(cases[i].text);

		assert_int_equal(config_has_secrets(config), cases[i].expected);
		config_free(config);
	}
}

static void a_reload_sees_what_changed(void **state)
{
	static const struct {
		const char *after;
		bool camera_equal, shared_equal;
		const char *restart;
	} cases[] = {
		{PORCH,						      true,  true,  NULL          },
		{ "log: {level: debug}\n" PORCH,                             true,  true,  NULL          },
		{ "users: {a: {password: x}}\n" PORCH,                       true,  true,  NULL          },
		{ "tls: {hsts: yes}\nhttp: {base_path: /x}\n" PORCH,         true,  true,  NULL          },
		{ PORCH "    record: off\n",                                 true,  true,  NULL          },
		{ PORCH "    timelapse: {every: 10s, keep: 1d}\n",           true,  true,  NULL          },
		{ PORCH "    keep: 1d\n    max_size: 1GB\n",                 true,  true,  NULL          },
		{ "storage: {keep: 1d, max_size: 1GB, reserve: 9%}\n" PORCH, true,  true,  NULL          },
		{ PORCH "    enabled: off\n",                                false, true,  NULL          },
		{ PORCH "    transport: udp\n",                              false, true,  NULL          },
		{ "cameras: {porch: {source: 'rtsp://h'}}",                  false, true,  NULL          },
		{ "storage: {sync: 1s}\n" PORCH,                             true,  false, NULL          },
		{ "storage: {segment: 1m}\n" PORCH,                          true,  false, NULL          },
		{ "storage: {path: /x}\n" PORCH,                             true,  true,  "storage.path"},
		{ "listen: {http: ':1'}\nstorage: {path: /x}\n" PORCH,       true,  true,
                 "listen.http, listen.https, listen.rtsp, listen.rtsps, listen.ftp, "
			"listen.webrtc, storage.path"                                                    },
	};
	struct config *before = parse(PORCH);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct config *after = parse(cases[i].after);
		char *restart = config_needs_restart(before, after);

		assert_int_equal(config_camera_equal(config_find_camera(before, "porch"),
					 config_find_camera(after, "porch")),
			cases[i].camera_equal);
		assert_int_equal(config_shared_equal(before, after), cases[i].shared_equal);
		assert_string_equal(
			restart ? restart : "-", cases[i].restart ? cases[i].restart : "-");
		free(restart);
		config_free(after);
	}
	config_free(before);
}

static void cameras_can_be_devices(void **state)
{
	static const char cameras[] =
		"cameras: {porch: {source: 'test:'}, yard: {source: 'test:'}}\n";
	char *text = xasprintf(
		"onvif: {devices: {porch: '192.0.2.50:80', yard: off}}\nlisten: {http: ':80'}\n%s",
		cameras);
	struct config *config = parse(text), *other;
	const struct config_device *device = TAILQ_FIRST(&config->onvif.devices);
	char *restart;

	(void)state;
	assert_string_equal(device->camera, "porch");
	assert_string_equal(device->address, "192.0.2.50:80");
	assert_null(TAILQ_NEXT(device, entry)->address);
	assert_false(config->onvif.discoverable);
	assert_string_equal(config->onvif.name, "nvrd");
	other = parse(text);
	assert_null(config_needs_restart(config, other));
	free(TAILQ_FIRST(&other->onvif.devices)->address);
	TAILQ_FIRST(&other->onvif.devices)->address = xstrdup("192.0.2.51:80");
	restart = config_needs_restart(config, other);
	assert_string_equal(restart, "onvif.devices");
	free(restart);
	config_free(other);
	config_free(config);
	free(text);
	expect_errors("onvif: {devices: {prch: ':81', yard: ':0', porch: ':82'}}\n"
		      "cameras: {porch: {source: 'test:'}, yard: {source: 'test:'}}\n",
		"nvrd.yaml:1: onvif.devices.prch: there is no camera \"prch\" (did you mean porch?)\n");
	expect_errors("onvif:\n  devices:\n    porch: 192.0.2.50\n"
		      "cameras: {porch: {source: 'test:'}}\n",
		"nvrd.yaml:3: onvif.devices.porch: expected an address such as 0.0.0.0:8080 or "
		"[::]:8080, or off, not \"192.0.2.50\"\n");
	expect_errors("onvif:\n  devices:\n    porch: ':81'\n    yard: ':81'\n    porch: ':0'\n"
		      "cameras: {porch: {source: 'test:'}, yard: {source: 'test:'}}\n",
		"nvrd.yaml:5: onvif.devices.porch: is given twice, first in line 3\n"
		"nvrd.yaml:4: onvif.devices.yard: the address is given twice, first in line 3\n");
	expect_errors(
		"onvif: {devices: {porch: '0.0.0.0:8080'}}\ncameras: {porch: {source: 'test:'}}\n",
		"nvrd.yaml:1: onvif.devices.porch: nvrd itself listens at this address\n");
	expect_errors("onvif: {devices: porch}\n",
		"nvrd.yaml:1: onvif.devices: expected 'key: value' lines below it\n");
	expect_errors("onvif: {discoverable: yes}\n",
		"nvrd.yaml:1: onvif.discoverable: needs onvif.discover, which says on which interfaces\n");
	expect_errors(
		"onvif: {name: ''}\n", "nvrd.yaml:1: onvif.name: \"\" must have 1 to 63 bytes\n");
}

static void the_demo_has_one_test_camera_on_loopback(void **state)
{
	struct config *config = config_demo("/tmp/x");
	const struct config_camera *camera = config_find_camera(config, "demo");

	(void)state;
	assert_string_equal(camera->source, "test:");
	assert_true(camera->enabled);
	assert_int_equal(camera->recording.record, RECORD_CONTINUOUS);
	assert_string_equal(config->storage.path, "/tmp/x");
	assert_string_equal(config->listen.http, "127.0.0.1:8080");
	assert_string_equal(config->listen.rtsp, "127.0.0.1:8554");
	assert_string_equal(config->listen.ftp, "127.0.0.1:2121");
	assert_string_equal(config->listen.webrtc, "127.0.0.1:8189");
	assert_null(config->listen.https);
	assert_true(TAILQ_EMPTY(&config->users));
	config_free(config);
}

/* A file of the source tree. */
static char *read_source(const char *name, size_t *n)
{
	const char *folder = getenv("srcdir");
	char *path = xasprintf("%s/%s", folder ? folder : ".", name);
	char *why = NULL;
	char *text = file_read(path, CONFIG_FILE_BYTES, 0, NULL, n, &why);

	if (!text)
		fail_msg("%s %s", path, why);
	free(path);
	return text;
}

static void the_example_file_has_the_defaults(void **state)
{
	size_t n = 0;
	char *text = read_source("etc/nvrd.yaml", &n);
	struct config *example = parse(text);
	struct config *standard = parse("");

	(void)state;
	for (const struct config_option *o = config_options; o->key; o++) {
		if (!strpbrk(o->key, "*[") && !config_option_equal(o, example, standard))
			fail_msg("%s differs", o->key);
	}
	assert_true(TAILQ_EMPTY(&example->cameras));
	assert_true(TAILQ_EMPTY(&example->storage.volumes));
	config_free(example);
	config_free(standard);
	free(text);
}

static void the_commented_examples_are_right_too(void **state)
{
	size_t n = 0;
	char *text = read_source("etc/nvrd.yaml", &n);

	(void)state;
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		/* these name files that are not there */
		bool is_file = strncmp(line, "#  certificate:", 15) == 0 ||
			       strncmp(line, "#  key:", 7) == 0;
		if (strncmp(line, "#  ", 3) == 0 && !is_file)
			*line = ' ';
	}
	/* The '#' became a blank, so all of a section moves by one column. */
	assert_int_equal(setenv("NAS_PASSWORD", "x", 1), 0);
	struct config *config = parse(text);
	assert_non_null(config_find_camera(config, "porch"));
	assert_non_null(config_find_camera(config, "picture"));
	assert_non_null(config_find_volume(config, "/mnt/warm"));
	assert_non_null(auth_find(&config->users, "anna", 4));
	assert_non_null(auth_find(&config->users, "nas", 3));
	config_free(config);
	free(text);
}

static char *manual_list(void)
{
	struct evbuffer *out = evbuffer_new();

	config_write_manual(out);
	size_t n = evbuffer_get_length(out);
	char *list = xstrndup((const char *)evbuffer_pullup(out, -1), n);
	evbuffer_free(out);
	return list;
}

static void the_manual_has_the_list_of_the_table(void **state)
{
	size_t n = 0;
	char *page = read_source("docs/nvrd.yaml.5", &n);
	char *list = manual_list();

	(void)state;
	if (!strstr(page, list))
		fail_msg("docs/nvrd.yaml.5 is old: put in what tests/test_config --manual prints");
	free(list);
	free(page);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(a_full_file_is_read),
		cmocka_unit_test(a_camera_may_have_nothing_but_uploads),
		cmocka_unit_test(volumes_are_a_list),
		cmocka_unit_test(rtsp_has_limits_and_groups),
		cmocka_unit_test(users_have_application_passwords),
		cmocka_unit_test(days_are_dates),
		cmocka_unit_test(a_listener_left_out_of_listen_is_off),
		cmocka_unit_test(mistakes_are_named_with_file_line_and_path),
		cmocka_unit_test(no_message_shows_a_secret),
		cmocka_unit_test(at_most_twenty_messages_are_kept),
		cmocka_unit_test(long_names_stand_in_their_limits),
		cmocka_unit_test(too_large_a_file_is_refused),
		cmocka_unit_test(too_many_values_are_refused),
		cmocka_unit_test(every_cut_of_a_file_is_read_or_refused),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(near_words_are_suggested),
		cmocka_unit_test(env_and_file_give_values),
		cmocka_unit_test(missing_env_and_file_are_named),
		cmocka_unit_test(what_comes_from_elsewhere_is_not_shown),
		cmocka_unit_test(without_resolving_env_and_file_are_errors),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(secrets_in_the_file_are_noticed),
		cmocka_unit_test(a_reload_sees_what_changed),
		cmocka_unit_test(cameras_can_be_devices),
		cmocka_unit_test(the_demo_has_one_test_camera_on_loopback),
		cmocka_unit_test(the_example_file_has_the_defaults),
		cmocka_unit_test(the_commented_examples_are_right_too),
		cmocka_unit_test(the_manual_has_the_list_of_the_table),
	};

	if (argc == 2 && strcmp(argv[1], "--manual") == 0) {
		char *list = manual_list();

		(void)fputs(list, stdout);
		free(list);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
