/* Sealed values, and the file that has their key. */
#include "server/base/vault.h"

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

#define PLACE "cameras.*.source"

static const unsigned char key[VAULT_KEY_BYTES] = { 1, 2, 3 };

static void expect_refused(const struct vault *vault, const char *place, const char *text)
{
	const char *why = NULL;
	size_t n = 0;
	char *secret = vault_unseal(vault, place, text, &n, &why);

	if (secret || !why)
		fail_msg("taken: %s", text);
}

static void what_was_sealed_comes_back(void **state)
{
	static const struct {
		const char *secret;
		size_t n;
	} cases[] = {
		{"",               0 },
                { "x",             1 },
                { "rtsp://u:p@h/", 13},
                { "a\0b",          3 }
	};
	struct vault *vault = vault_new(key);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text = vault_seal(vault, PLACE, cases[i].secret, cases[i].n);
		char *again = vault_seal(vault, PLACE, cases[i].secret, cases[i].n);
		const char *why = NULL;
		size_t n = 0;
		char *secret = vault_unseal(vault, PLACE, text, &n, &why);

		assert_true(vault_is_sealed(text));
		assert_string_equal(text, again);
		assert_non_null(secret);
		assert_int_equal(n, cases[i].n);
		assert_memory_equal(secret, cases[i].secret, n + 1);
		expect_refused(vault, "cameras.*.substream", text);
		expect_refused(vault, "", text);
		free(secret);
		free(again);
		free(text);
	}
	vault_free(vault);
}

/* As Python's cryptography and hashlib make it: AESGCM, HMAC-SHA-256. */
static void others_make_the_same(void **state)
{
	struct vault *vault = vault_new(key);
	char *text = vault_seal(vault, "users.*.password", "secret", 6);

	(void)state;
	assert_string_equal(text, "ATbSvc8C8RAvCyzYxqIlT/uczk/Qwti8UGlhTTqZ2KoES/4=");
	free(text);
	vault_free(vault);
}

static void another_secret_or_place_has_another_nonce(void **state)
{
	struct vault *vault = vault_new(key);
	char *texts[] = { vault_seal(vault, "ab", "c", 1), vault_seal(vault, "a", "bc", 2),
		vault_seal(vault, "a", "bd", 2) };

	(void)state;
	for (size_t i = 1; i < ARRAY_LENGTH(texts);
		i++) /* 16 characters: the version and 11 bytes */
		assert_int_not_equal(strncmp(texts[i - 1], texts[i], 16), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		free(texts[i]);
	vault_free(vault);
}

static void a_changed_value_is_refused(void **state)
{
	static const unsigned char other_key[VAULT_KEY_BYTES] = { 1, 2, 4 };
	struct vault *vault = vault_new(key), *other = vault_new(other_key);
	char *text = vault_seal(vault, PLACE, "secret", 6);

	(void)state;
	expect_refused(other, PLACE, text);
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];

		text[i] = was == 'B' ? 'C' : 'B';
		/* the last bits before padding mean nothing */
		if (text[i + 1] != '=')
			expect_refused(vault, PLACE, text);
		text[i] = '\0';
		expect_refused(vault, PLACE, text);
		text[i] = was;
	}
	free(text);
	vault_free(vault);
	vault_free(other);
}

static void what_is_no_value_is_refused(void **state)
{
	static const char *const texts[] = { "", "=", "====", "A===", "hunter2", "AAAA",
		"AQ==", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "A QA", "\xff\xff\xff\xff",
		"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
	struct vault *vault = vault_new(key);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		assert_false(vault_is_sealed(texts[i]));
		expect_refused(vault, PLACE, texts[i]);
	}
	vault_free(vault);
}

/* --- the file --- */

struct folder {
	char path[64], file[96];
};

static void folder_init(struct folder *folder)
{
	(void)snprintf(folder->path, sizeof(folder->path), "/tmp/nvrd-test-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	(void)snprintf(folder->file, sizeof(folder->file), "%s/vault.key", folder->path);
}

static void folder_fini(struct folder *folder)
{
	(void)unlink(folder->file);
	assert_int_equal(rmdir(folder->path), 0); /* nothing else was left */
}

static void expect_why(const char *file, bool make, const char *expected)
{
	char *why = NULL;

	assert_null(vault_open(file, make, &why));
	assert_string_equal(why, expected);
	free(why);
}

static void a_key_is_made_once_and_for_its_owner_alone(void **state)
{
	struct folder folder;
	char *why = NULL;
	struct stat st;

	(void)state;
	folder_init(&folder);
	expect_why(folder.file, false, "cannot be read: No such file or directory");
	struct vault *first = vault_open(folder.file, true, &why);
	struct vault *second = vault_open(folder.file, true, &why);
	assert_non_null(first);
	assert_non_null(second);
	char *one = vault_seal(first, PLACE, "x", 1), *two = vault_seal(second, PLACE, "x", 1);
	assert_string_equal(one, two);
	assert_int_equal(stat(folder.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(folder.file, 0640), 0);
	expect_why(folder.file, true, "can be read by others: chmod 600 it");
	free(one);
	free(two);
	vault_free(first);
	vault_free(second);
	folder_fini(&folder);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "nvrd-vault-key-1 ",
		"nvrd-vault-key-1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		"nvrd-vault-key-1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg\n",
		"nvrd-vault-key-2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
	};
	struct folder folder;

	(void)state;
	folder_init(&folder);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		FILE *f = fopen(folder.file, "w");

		assert_non_null(f);
		assert_true(fputs(texts[i], f) >= 0);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(chmod(folder.file, 0600), 0);
		expect_why(folder.file, true, "is no key of a vault");
	}
	assert_int_equal(unlink(folder.file), 0);
	assert_int_equal(symlink("/dev/null", folder.file), 0);
	expect_why(folder.file, true, "cannot be read: Too many levels of symbolic links");
	folder_fini(&folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_comes_back),
		cmocka_unit_test(others_make_the_same),
		cmocka_unit_test(another_secret_or_place_has_another_nonce),
		cmocka_unit_test(a_changed_value_is_refused),
		cmocka_unit_test(what_is_no_value_is_refused),
		cmocka_unit_test(a_key_is_made_once_and_for_its_owner_alone),
		cmocka_unit_test(what_is_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
