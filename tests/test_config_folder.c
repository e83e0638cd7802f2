/* The configuration's files from afar: what is shown of them, what may be put there, and what is left behind. */
#include "server/base/config_folder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/vault.h"

#define AT (INT64_C(1795181400) * 1000000) /* 2026-11-20T13:30:00Z */
#define MAIN "users: {adam: {password: s3cret, role: admin}}\ncameras: {a: {source: 'test:'}}\n"

/* --- sealing --- */

static const unsigned char key[VAULT_KEY_BYTES] = { 7 };

/* The text sealed as the file of that name; the caller frees it. */
static char *seal(const char *name, const char *text)
{
	struct vault *vault = vault_new(key);
	char *errors = NULL;
	size_t n = 0;
	char *sealed = config_seal(vault, name, text, strlen(text), &n, &errors);

	vault_free(vault);
	if (!sealed) {
		fail_msg("%s", errors);
		return xstrdup("");
	}
	assert_int_equal(strlen(sealed), n);
	return sealed;
}

/* The text with what is sealed in it as `<place=secret>`; the caller frees it. */
static char *opened(const char *text)
{
	static const char *const places[] = { "users.*.password",
		"users.*.app_passwords[].password", "cameras.*.source", "cameras.*.substream",
		"cameras.*.onvif", "" };
	struct vault *vault = vault_new(key);
	char *all = xstrdup("");

	for (const char *at = text, *next; *at; at = next) {
		const char *value = strstr(at, "!vault ");
		char *more, *secret = NULL, *one;
		const char *why, *place = "";
		size_t n = 0;

		next = value ? value + 7 + strcspn(value + 7, " \n,}]") : at + strlen(at);
		one = value ? xstrndup(value + 7, (size_t)(next - value - 7)) : xstrdup("");
		for (size_t i = 0; value && !secret && i < ARRAY_LENGTH(places); i++) {
			place = places[i];
			secret = vault_unseal(vault, place, one, &n, &why);
		}
		more = xasprintf("%s%.*s%s%s%s%s%s", all, (int)(value ? value - at : next - at), at,
			value ? "<" : "", value ? place : "", value ? "=" : "", value ? secret : "",
			value ? ">" : "");
		free(secret);
		free(one);
		free(all);
		all = more;
	}
	vault_free(vault);
	return all;
}

static void secrets_alone_are_sealed(void **state)
{
	static const struct {
		const char *name, *text, *expected;
	} cases[] = {
		{"nvrd.yaml",       "",																   ""										    },
		{ "nvrd.yaml",      "# a\nusers:\n  b: {password: p w, role: admin} # c\n",
                 "# a\nusers:\n  b: {password: <users.*.password=p w>, role: admin} # c\n"																				      },
		{ "nvrd.yaml",      "users:\r\n  b:\r\n    password:   'it''s'   # c\r\n",
                 "users:\r\n  b:\r\n    password:   <users.*.password=it's>   # c\r\n"																					  },
		{ "nvrd.yaml",
                 "\xef\xbb\xbf# \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\nusers: {b: {password: \xc3\xb6}} # \xc3\xbc\n",
                 "\xef\xbb\xbf# \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\nusers: {b: {password: <users.*.password=\xc3\xb6>}} # \xc3\xbc\n"                                                                                                                         },
		{ "nvrd.yaml",      "users:\n  b:\n    password: |-\n      p\n\n    role: admin\n",
                 "users:\n  b:\n    password: <users.*.password=p>\n\n    role: admin\n"																					},
		{ "nvrd.yaml",      "users:\n  b:\n    password:\n    |-\n     p\n    role: admin\n",
                 "users:\n  b:\n    password:\n     <users.*.password=p>\n    role: admin\n"																				    },
		{ "nvrd.yaml",      "users:\n  b:\n    password:\n      p\n      q # c\n    role: admin",
                 "users:\n  b:\n    password:\n      <users.*.password=p q> # c\n    role: admin"																			       },
		{ "nvrd.yaml",      "users: {b: {\"password\":\"p\",role: admin}}",
                 "users: {b: {\"password\":<users.*.password=p>,role: admin}}"																						  },
		{ "nvrd.yaml",      "users: {b: {password: !!str p}}",
                 "users: {b: {password: <users.*.password=p>}}"																								 },
		{ "nvrd.yaml",
                 "users: {b: {password: !env P, app_passwords: [{name: x, password: y, scope: [live]}]}}",
                 "users: {b: {password: !env P, app_passwords: [{name: x, password: <users.*.app_passwords[].password=y>, scope: [live]}]}}"                                                                                                                    },
		{ "nvrd.yaml",
                 "cameras:\n  a: {source: 'rtsp://h/x', substream: rtsp://u:p@h/y}\n  b: {source: http://h/z?token=1}\n  c: {source: 'test:'}\n  d: {source: !file s}\n",
                 "cameras:\n  a: {source: 'rtsp://h/x', substream: <cameras.*.substream=rtsp://u:p@h/y>}\n  b: {source: <cameras.*.source=http://h/z?token=1>}\n  c: {source: 'test:'}\n  d: {source: !file s}\n"                                               },
		{ "nvrd.yaml",
                 "cameras: {a: {source: av:/srv/x.mp4}, b: {source: 'av:rtmp://h/k'}}",										   "cameras: {a: {source: av:/srv/x.mp4}, b: {source: <cameras.*.source=av:rtmp://h/k>}}"},
 /* libyaml takes a comment right behind quotes */
		{ "nvrd.yaml",      "users: {b: {password: \"p\"# c\n}}\n",
                 "users: {b: {password: <users.*.password=p> # c\n}}\n"																							 },
 /* a password that looks like an address */
		{ "nvrd.yaml",      "users: {b: {password: 'rtsp:x'}}",
                 "users: {b: {password: <users.*.password=rtsp:x>}}"																							    },
 /* what is not known may be secret */
		{ "nvrd.yaml",
                 "users: {b: {passwrd: p}}\nmqtt: {password: q, l: [r]}\ncameras: {a: rtsp://u:p@h}\n",
                 "users: {b: {passwrd: <=p>}}\nmqtt: {password: <=q>, l: [<=r>]}\ncameras: {a: <=rtsp://u:p@h>}\n"																	      },
		{ "nvrd.yaml",      "users: {b: {password: {c: p}}}",
                 "users: {b: {password: {c: <=p>}}}"																									    },
		{ "nvrd.yaml",      "users: {b: {password: !vault p}}",
                 "users: {b: {password: <users.*.password=p>}}"																								 },
		{ "nvrd.yaml",      "users: {b: {password: !x p}}",
                 "users: {b: {password: <users.*.password=p>}}"																								 },
		{ "nvrd.yaml",      "log: {level: !x p}\nlisten: {http: off}\n",
                 "log: {level: !x p}\nlisten: {http: off}\n"																								    },
		{ "cameras/a.yaml", "# x\nsource: rtsp://u:p@h\nrecord: off\n",
                 "# x\nsource: <cameras.*.source=rtsp://u:p@h>\nrecord: off\n"																						  },
		{ "cameras/a.yaml", "users: {b: {password: p}}\n",
                 "users: {b: {password: <=p>}}\n"																									       },
		{ "nvrd.yaml",      "source: rtsp://u:p@h\n",													     "source: <=rtsp://u:p@h>\n"                                                           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *sealed = seal(cases[i].name, cases[i].text);
		char *again = seal(cases[i].name, sealed);
		char *shown = opened(sealed);

		assert_string_equal(shown, cases[i].expected);
		assert_string_equal(again, sealed);
		free(shown);
		free(again);
		free(sealed);
	}
}

static void what_cannot_be_understood_is_not_shown(void **state)
{
	static const char *const texts[] = { "users: {b: {password: p}", "a: &x p\nb: *x\n",
		"a: p\n---\nb: q\n", "%TAG ! tag:x,2000:\n---\nusers: {b: {password: p}}\n",
		"\xff\xfe\x61\x00", "- p\n", "p" };
	struct vault *vault = vault_new(key);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		char *errors = NULL;
		size_t n = 0;

		assert_null(
			config_seal(vault, "nvrd.yaml", texts[i], strlen(texts[i]), &n, &errors));
		assert_int_equal(strncmp(errors, "nvrd.yaml:", 10), 0);
		free(errors);
	}
	vault_free(vault);
}

/* --- the folder --- */

struct place {
	char path[64], file[96];
	struct config_folder *folder;
	int64_t now_us;
};

static void place_write(const struct place *place, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", place->path, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static char *place_read(const struct place *place, const char *name)
{
	char *path = xasprintf("%s/%s", place->path, name);
	FILE *f = fopen(path, "r");
	char *text = xcalloc(1, 65536);

	if (!f)
		fail_msg("%s: %m", path);
	assert_true(fread(text, 1, 65535, f) < 65535);
	assert_int_equal(fclose(f), 0);
	free(path);
	return text;
}

static void place_init(struct place *place, const char *text)
{
	*place = (struct place){ .path = "/tmp/nvrd-test-XXXXXX", .now_us = AT };
	assert_non_null(mkdtemp(place->path));
	(void)snprintf(place->file, sizeof(place->file), "%s/nvrd.yaml", place->path);
	place_write(place, "nvrd.yaml", text);
	place->folder = config_folder_new(place->file, true);
}

static void place_fini(struct place *place)
{
	char *command = xasprintf("rm -r %s", place->path);

	config_folder_free(place->folder);
	// NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else runs
	assert_int_equal(system(command), 0);
	free(command);
}

/* Changes a file. Returns the error; *why is the caller's. */
static int change(struct place *place, const char *name, const char *text, const char *etag,
	bool *created, char **why)
{
	struct config_folder_change wish = { .name = name,
		.text = text,
		.bytes = text ? strlen(text) : 0,
		.etag = etag,
		.now_us = place->now_us };
	struct config_folder_entry entry;
	struct config *config = NULL;
	int error = config_folder_change(place->folder, &wish, &config, created, &entry, why);

	assert_true(!error == (config != NULL));
	config_free(config);
	return error;
}

static void expect_change(
	struct place *place, const char *name, const char *text, const char *etag, int expected)
{
	char *why = NULL;
	bool created;
	int error = change(place, name, text, etag, &created, &why);

	if (error != expected)
		fail_msg("%s: %d and not %d: %s", name, error, expected, why ? why : "");
	free(why);
}

static void expect_wrong(
	struct place *place, const char *name, const char *text, const char *expected)
{
	char *why = NULL;
	bool created;

	assert_int_equal(change(place, name, text, NULL, &created, &why), -EBADMSG);
	assert_string_equal(why, expected);
	free(why);
}

/* The names in a collection, joined. */
static void expect_names(struct place *place, const char *name, const char *expected)
{
	struct config_folder_entry *entries = NULL;
	char *all = xstrdup("");
	size_t n = 0;

	assert_int_equal(config_folder_list(place->folder, name, &entries, &n), 0);
	for (size_t i = 0; i < n; i++) {
		char *more = xasprintf("%s%s%s", all, i ? " " : "", entries[i].name);

		free(all);
		all = more;
	}
	assert_string_equal(all, expected);
	free(all);
	free(entries);
}

static void nothing_but_the_configuration_is_there(void **state)
{
	static const char *const names[] = { "vault.key", "nvrd.yaml.new", "other.yaml", "cameras/",
		"cameras/x", "cameras/../nvrd.yaml", "cameras/Porch.yaml", "cameras/.yaml", "/",
		".", "..", "previous/vault.key", "previous/nvrd.yaml",
		"previous/nvrd.yaml.2026-11-20T13-30-00.000",
		"previous/../vault.key.2026-11-20T13-30-00.000Z",
		"previous/x/cameras.a.yaml.2026-11-20T13-30-00.000Z", "cameras/link.yaml",
		"cameras/gone.yaml" };
	struct config_folder_entry entry;
	struct place place;
	char *link, *text = NULL, *why = NULL;

	(void)state;
	place_init(&place, MAIN);
	expect_change(&place, "cameras/b.yaml", "source: 'test:'\n", NULL, 0);
	place_write(&place, "cameras/b.yaml~", "source: 'test:'\n");
	place_write(&place, "other.yaml", "secret");
	link = xasprintf("%s/cameras/link.yaml", place.path);
	assert_int_equal(symlink("../other.yaml", link), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		assert_int_equal(
			config_folder_find(place.folder, names[i], &entry, &text, &why), -ENOENT);
	expect_names(&place, "", "cameras nvrd.yaml previous");
	expect_names(&place, "cameras", "cameras/b.yaml");
	expect_names(&place, "previous", "");
	free(link);
	place_fini(&place);
}

static void a_change_keeps_what_was_and_seals_what_is_new(void **state)
{
	static const char text[] = "# mine\nusers: {adam: {password: other, role: admin}} # you\n";
	struct config_folder_entry entry;
	struct place place;
	struct stat st;
	char *why = NULL, *shown = NULL;

	(void)state;
	place_init(&place, MAIN);
	assert_int_equal(chmod(place.file, 0640), 0);
	expect_change(&place, "nvrd.yaml", text, NULL, 0);
	char *now = place_read(&place, "nvrd.yaml");
	char *was = place_read(&place, "previous/nvrd.yaml.2026-11-20T13-30-00.000Z");
	assert_null(strstr(now, "other"));
	assert_int_equal(strncmp(now, "# mine\nusers: {adam: {password: !vault A", 40), 0);
	assert_non_null(strstr(now, ", role: admin}} # you\n"));
	assert_null(strstr(was, "s3cret"));
	assert_int_equal(config_folder_find(place.folder, "nvrd.yaml", &entry, &shown, &why), 0);
	assert_string_equal(shown, now);
	assert_int_equal(stat(place.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);

	char *errors = NULL;
	struct config *config = config_load(place.file, &errors);
	assert_non_null(config);
	assert_string_equal(TAILQ_FIRST(&config->users)->password, "other");
	assert_false(config_has_secrets(config));
	config_free(config);

	expect_change(&place, "nvrd.yaml", shown, NULL, 0); /* is no change */
	expect_names(&place, "previous", "previous/nvrd.yaml.2026-11-20T13-30-00.000Z");
	expect_change(&place, "nvrd.yaml", MAIN, NULL, 0); /* in the same millisecond */
	expect_names(&place, "previous",
		"previous/nvrd.yaml.2026-11-20T13-30-00.000Z previous/nvrd.yaml.2026-11-20T13-30-00.001Z");
	free(shown);
	free(now);
	free(was);
	place_fini(&place);
}

static void what_is_not_valid_changes_nothing(void **state)
{
	struct place place;

	(void)state;
	place_init(&place, MAIN);
	expect_wrong(&place, "nvrd.yaml", "users:\n  adam: {password: x}\nlog: {level: loud}\n",
		"nvrd.yaml:3: log.level: expected error, warn, info or debug, not \"loud\"\n");
	expect_wrong(&place, "nvrd.yaml", "cameras: {}\n",
		"nvrd.yaml: users: removing all of them needs a restart\n");
	expect_wrong(&place, "cameras/b.yaml", "# x\nsorce: rtsp://u:hidden@h\n",
		"cameras/b.yaml:2: cameras.b.sorce: unknown key (did you mean source?)\n"
		"cameras/b.yaml:2: cameras.b.source: must be given\n");
	expect_wrong(&place, "cameras/a.yaml", "source: 'test:'\n",
		"cameras/a.yaml:1: cameras.a: is given twice, first in line 2 of nvrd.yaml\n");
	char *now = place_read(&place, "nvrd.yaml");
	assert_string_equal(now, MAIN);
	expect_names(&place, "cameras", "");
	expect_names(&place, "previous", "");
	free(now);
	place_fini(&place);
}

static void the_files_are_checked_together(void **state)
{
	static const char text[] =
		"users:\n  adam: {password: x, role: admin}\n  eve: {password: x, cameras: [b]}\n";
	struct place place;

	(void)state;
	place_init(&place, MAIN);
	expect_wrong(&place, "nvrd.yaml", text,
		"nvrd.yaml:3: users.eve.cameras: there is no camera \"b\"\n");
	expect_change(&place, "cameras/b.yaml", "source: 'test:'\n", NULL, 0);
	expect_change(&place, "nvrd.yaml", text, NULL, 0);
	expect_wrong(&place, "cameras/b.yaml", NULL,
		"nvrd.yaml:3: users.eve.cameras: there is no camera \"b\"\n");
	expect_change(&place, "nvrd.yaml", MAIN, NULL, 0);
	expect_change(&place, "cameras/b.yaml", NULL, NULL, 0);
	expect_names(&place, "cameras", "");
	expect_change(&place, "cameras/b.yaml", NULL, NULL, -ENOENT);
	place_fini(&place);
}

static void all_files_together_have_a_limit(void **state)
{
	size_t n = 1 << 20;
	char *text = xmalloc(n), *errors = NULL;
	struct config_files *files;
	struct place place;

	(void)state;
	memset(text, '#', n);
	place_init(&place, MAIN);
	files = config_files_read(place.file, &errors);
	assert_non_null(files);
	for (size_t i = 0; i < CONFIG_FILES_BYTES / n; i++) {
		char *name = xasprintf("cameras/x%zu.yaml", i);

		config_files_set(files, name, text, n);
		config_files_set(files, name, text, n); /* counts once */
		free(name);
	}
	assert_null(config_files_parse(files, "", &errors));
	assert_string_equal(
		errors, "nvrd.yaml: with the files of cameras larger than 16777216 bytes\n");
	config_files_free(files);
	free(errors);
	free(text);
	place_fini(&place);
}

static void who_may_be_changed_to_what(void **state)
{
	static const char camera[] = "source: 'test:'\n";
	struct config_folder_entry entry;
	struct place place;
	char *link;

	(void)state;
	place_init(&place, MAIN);
	expect_change(&place, "nvrd.yaml", NULL, NULL, -ENOTSUP);
	expect_change(&place, "other.yaml", camera, NULL, -EINVAL);
	expect_change(&place, "vault.key", camera, NULL, -EINVAL);
	expect_change(&place, "cameras", camera, NULL, -ENOTSUP);
	expect_change(&place, "cameras/../x.yaml", camera, NULL, -EINVAL);
	expect_change(
		&place, "previous/nvrd.yaml.2026-11-20T13-30-00.000Z", camera, NULL, -ENOTSUP);
	expect_change(&place, "nvrd.yaml", MAIN, "", -EEXIST);
	expect_change(&place, "nvrd.yaml", MAIN, "\"x\"", -ESTALE);
	assert_int_equal(config_folder_find(place.folder, "nvrd.yaml", &entry, NULL, NULL), 0);
	expect_change(&place, "nvrd.yaml", MAIN "# more\n", entry.etag, 0);
	expect_change(&place, "nvrd.yaml", MAIN, entry.etag, -ESTALE);
	expect_change(&place, "cameras/b.yaml", camera, "\"x\"", -ESTALE);
	expect_change(&place, "cameras/b.yaml", "", "", 0); /* no camera yet */
	expect_change(&place, "cameras/b.yaml", camera, NULL, 0);
	expect_wrong(&place, "cameras/b.yaml", "",
		"cameras/b.yaml: would be empty: delete it instead\n");
	place_write(&place, "other.yaml", MAIN);
	link = xasprintf("%s/other.yaml", place.path);
	assert_int_equal(unlink(place.file), 0);
	assert_int_equal(symlink(link, place.file), 0);
	expect_wrong(&place, "nvrd.yaml", MAIN,
		"nvrd.yaml: is not a regular file: change what it leads to\n");
	free(link);
	place_fini(&place);
}

static void so_many_versions_are_kept(void **state)
{
	struct config_folder_entry *entries = NULL;
	struct place place;
	size_t n = 0;

	(void)state;
	place_init(&place, MAIN);
	expect_change(&place, "cameras/b.yaml", "source: 'test:'\n", NULL, 0);
	for (int i = 0; i < CONFIG_PREVIOUS + 3; i++) {
		char *text = xasprintf("source: 'test:' # %d\n", i);

		place.now_us = AT + i * INT64_C(1000);
		expect_change(&place, "cameras/b.yaml", text, NULL, 0);
		free(text);
	}
	assert_int_equal(config_folder_list(place.folder, "previous", &entries, &n), 0);
	assert_int_equal(n, CONFIG_PREVIOUS);
	assert_string_equal(entries[0].name, "previous/cameras.b.yaml.2026-11-20T13-30-00.003Z");
	free(entries);
	place.now_us = 0; /* a clock that was set back */
	expect_change(&place, "nvrd.yaml", MAIN "# more\n", NULL, 0);
	assert_int_equal(config_folder_list(place.folder, "previous", &entries, &n), 0);
	assert_int_equal(n, CONFIG_PREVIOUS);
	assert_string_equal(entries[n - 1].name, "previous/nvrd.yaml.1970-01-01T00-00-00.000Z");
	free(entries);
	place_fini(&place);
}

static void without_its_key_nothing_is_made_new(void **state)
{
	char *expected, *errors = NULL, *shown = NULL, *why = NULL;
	struct config_folder_entry entry;
	struct place place;
	char *path;

	(void)state;
	place_init(&place, MAIN);
	expect_change(&place, "nvrd.yaml", MAIN "# more\n", NULL, 0);
	path = xasprintf("%s/vault.key", place.path);
	assert_int_equal(unlink(path), 0);
	assert_null(config_load(place.file, &errors));
	expected = xasprintf(
		"%s:1: users.adam.password: the key %s cannot be read: No such file or directory\n",
		place.file, path);
	assert_string_equal(errors, expected);
	assert_int_equal(
		config_folder_find(place.folder, "nvrd.yaml", &entry, &shown, &why), -EBADMSG);
	assert_string_equal(why, "the key vault.key cannot be read: No such file or directory");
	assert_int_equal(access(path, F_OK), -1);
	free(why);
	free(expected);
	free(errors);
	free(path);
	place_fini(&place);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_alone_are_sealed),
		cmocka_unit_test(what_cannot_be_understood_is_not_shown),
		cmocka_unit_test(nothing_but_the_configuration_is_there),
		cmocka_unit_test(a_change_keeps_what_was_and_seals_what_is_new),
		cmocka_unit_test(what_is_not_valid_changes_nothing),
		cmocka_unit_test(the_files_are_checked_together),
		cmocka_unit_test(all_files_together_have_a_limit),
		cmocka_unit_test(who_may_be_changed_to_what),
		cmocka_unit_test(so_many_versions_are_kept),
		cmocka_unit_test(without_its_key_nothing_is_made_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
