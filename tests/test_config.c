/*
 * The configuration: what is accepted, what of it a reload sees, and that the example file and the
 * manual say what the table says. With --manual it prints the manual's list.
 */
#include "server/base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/config_private.h"
#include "server/base/file.h"
#include "server/base/memory.h"
#include "tests/config_text.h"

#define SECOND INT64_C(1000000)

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

static void a_missing_file_is_named(void **state)
{
	char *errors = NULL;

	(void)state;
	assert_null(config_load("/nonexistent/nvrd.yaml", &errors));
	assert_string_equal(
		errors, "/nonexistent/nvrd.yaml: cannot be read: No such file or directory\n");
	free(errors);
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
		cmocka_unit_test(a_listener_left_out_of_listen_is_off),
		cmocka_unit_test(a_missing_file_is_named),
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
