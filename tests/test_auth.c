/* The hashes of Basic and Digest against the examples of RFC 7616, RFC 2617 and RFC 2069. */
#include "server/base/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* clang-format off */
static const struct example {
	const char *name;
	enum auth_algorithm algorithm;
	const char *realm, *password, *nonce, *nonce_count, *cnonce, *response;
} examples[] = {
	{ "RFC 7616 3.9.1, SHA-256", AUTH_SHA256, "http-auth@example.org", "Circle of Life",
		"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
		"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" },
	{ "RFC 7616 3.9.1, MD5", AUTH_MD5, "http-auth@example.org", "Circle of Life",
		"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
		"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		"8ca523f5e9506fed4657c9700eebdbec" },
	{ "RFC 2617 3.5", AUTH_MD5, "testrealm@host.com", "Circle Of Life",
		"dcd98b7102dd2f0e8b11d0f600bfb0c093", "00000001", "0a4f113b",
		"6629fae49393a05397450978507c4ef1" },
	{ "RFC 2069 2.4, as its errata 749 corrects it", AUTH_MD5, "testrealm@host.com", "CircleOfLife",
		"dcd98b7102dd2f0e8b11d0f600bfb0c093", NULL, NULL,
		"1949323746fe6a43ef61f9606e7febea" },
};
/* clang-format on */

static void digest_responses_are_those_of_the_standards(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(examples); i++) {
		const struct example *e = &examples[i];
		char ha1[AUTH_HASH_HEX_BYTES];
		char response[AUTH_HASH_HEX_BYTES];

		if (!auth_has_algorithm(e->algorithm))
			continue;
		auth_hash(e->algorithm, ha1,
			(const char *const[]){ "Mufasa", e->realm, e->password, NULL });
		auth_digest_response(e->algorithm, ha1, "GET", "/dir/index.html", e->nonce,
			e->nonce_count, e->cnonce, response);
		if (strcmp(response, e->response) != 0)
			fail_msg("%s: %s", e->name, response);
	}
}

static struct auth_user *user_of(const char *name, const char *password)
{
	struct auth_user *user = auth_user_new(name);

	user->password = strdup(password);
	return user;
}

static void passwords_match_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *kept, *given;
		bool expected;
	} cases[] = {
		{"secret",            "secret",           true },
		{ "secret",           "secret ",          false},
		{ "secret",           "Secret",           false},
		{ "secret",           "secre",            false},
		{ "secret",           "",                 false},
		{ "p\xc3\xa4ss:word", "p\xc3\xa4ss:word", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct auth_user *user = user_of("anna", cases[i].kept);

		assert_int_equal(auth_check_password(user, cases[i].given, strlen(cases[i].given)),
			cases[i].expected);
		auth_user_free(user);
	}
}

static void a_password_with_a_nul_is_another_one(void **state)
{
	struct auth_user *user = user_of("anna", "secret");

	(void)state;
	assert_false(auth_check_password(user, "secret\0x", 8));
	assert_true(auth_check_password(user, "secret\0x", 6));
	auth_user_free(user);
}

static void nobody_has_no_password(void **state)
{
	(void)state;
	assert_false(auth_check_password(NULL, "", 0));
	assert_false(auth_check_password(NULL, "x", 1));
}

static void a_hashed_password_works_like_the_plain_one(void **state)
{
	static const enum auth_algorithm algorithms[] = { AUTH_MD5, AUTH_SHA256 };
	char *hash = auth_hash_password("anna", "secret");
	struct auth_user *plain = user_of("anna", "secret");
	struct auth_user *hashed = user_of("anna", hash);
	char one[AUTH_HASH_HEX_BYTES];
	char two[AUTH_HASH_HEX_BYTES];

	(void)state;
	assert_true(auth_is_hash(hash));
	assert_null(strstr(hash, "secret"));
	assert_true(auth_check_password(hashed, "secret", 6));
	assert_false(auth_check_password(hashed, "secreT", 6));
	assert_false(auth_check_password(hashed, hash, strlen(hash)));
	for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
		if (!auth_has_algorithm(algorithms[i]))
			continue;
		auth_user_ha1(plain, algorithms[i], one);
		auth_user_ha1(hashed, algorithms[i], two);
		assert_string_equal(one, two);
	}
	auth_user_free(plain);
	auth_user_free(hashed);
	free(hash);
}

/* Else who reads the configuration could log in by Digest with the text of the hash. */
static void a_hash_of_scrypt_is_no_password(void **state)
{
	static const char hash[] =
		"$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg";
	struct auth_user *user = user_of("anna", hash);
	char one[AUTH_HASH_HEX_BYTES], two[AUTH_HASH_HEX_BYTES];

	(void)state;
	assert_false(auth_check_password(user, hash, strlen(hash)));
	auth_user_ha1(user, AUTH_MD5, one);
	auth_user_ha1(user, AUTH_MD5, two);
	assert_int_equal(strlen(one), 32);
	assert_string_not_equal(one, two);
	auth_user_free(user);
}

static void ha1_is_of_name_realm_and_password(void **state)
{
	struct auth_user *user = user_of("anna", "secret");
	char ha1[AUTH_HASH_HEX_BYTES];

	(void)state;
	/* printf anna:nvrd:secret | sha256sum */
	auth_user_ha1(user, AUTH_SHA256, ha1);
	assert_string_equal(
		ha1, "29589d84139d3d7f1ee89a67b30b735c5f10aa5a4517eaba81cae2a79a069f7e");
	auth_user_free(user);
}

static void every_cut_of_a_hash_is_no_hash(void **state)
{
	char *hash = auth_hash_password("anna", "secret");
	size_t n = strlen(hash);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char *cut = strndup(hash, i); /* a block of the exact size, for ASan */

		assert_false(auth_is_hash(cut));
		free(cut);
	}
	free(hash);
}

static void users_are_found_by_their_whole_name(void **state)
{
	struct auth_users users = TAILQ_HEAD_INITIALIZER(users);
	struct auth_user *anna = user_of("anna", "a");
	struct auth_user *ann = user_of("ann", "b");

	(void)state;
	TAILQ_INSERT_TAIL(&users, anna, entry);
	TAILQ_INSERT_TAIL(&users, ann, entry);
	assert_ptr_equal(auth_find(&users, "anna", 4), anna);
	assert_ptr_equal(auth_find(&users, "anna", 3), ann);
	assert_null(auth_find(&users, "annab", 5));
	assert_null(auth_find(&users, "", 0));
	auth_user_free(anna);
	auth_user_free(ann);
}

static void a_list_of_cameras_limits_what_a_user_sees(void **state)
{
	struct auth_user *user = user_of("nas", "a");

	(void)state;
	assert_true(auth_may_see(NULL, "yard"));
	assert_true(auth_may_see(user, "yard"));
	user->cameras = calloc(2, sizeof(char *));
	assert_false(auth_may_see(user, "porch"));
	user->cameras[0] = strdup("porch");
	assert_true(auth_may_see(user, "porch"));
	assert_false(auth_may_see(user, "porc"));
	assert_false(auth_may_see(user, "yard"));
	auth_user_free(user);
}

static void a_copy_for_one_camera_sees_that_or_none(void **state)
{
	struct auth_user *user = user_of("nas", "a"), *copy;

	(void)state;
	copy = auth_user_copy_for(user, "porch");
	assert_string_equal(copy->name, "nas");
	assert_int_equal(copy->role, user->role);
	assert_true(auth_may_see(copy, "porch"));
	assert_false(auth_may_see(copy, "yard"));
	auth_user_free(copy);
	user->cameras = calloc(2, sizeof(char *));
	user->cameras[0] = strdup("yard");
	copy = auth_user_copy_for(user, "porch");
	assert_false(auth_may_see(copy, "porch"));
	assert_false(auth_may_see(copy, "yard"));
	auth_user_free(copy);
	copy = auth_user_copy_for(NULL, "porch");
	assert_true(auth_may_see(copy, "porch"));
	assert_false(auth_may_see(copy, "yard"));
	assert_true(auth_may_operate(copy));
	auth_user_free(copy);
	auth_user_free(user);
}

static void random_hex_has_its_length_and_differs(void **state)
{
	static const size_t sizes[] = { 0, 1, 16, 32, 33, 100 };
	char one[201];
	char two[201];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		auth_random_hex(one, sizes[i]);
		auth_random_hex(two, sizes[i]);
		assert_int_equal(strlen(one), 2 * sizes[i]);
		assert_int_equal(strspn(one, "0123456789abcdef"), 2 * sizes[i]);
		if (sizes[i] >= 16)
			assert_string_not_equal(one, two);
	}
}

static void equal_compares_whole_strings(void **state)
{
	(void)state;
	assert_true(auth_equal("", ""));
	assert_true(auth_equal("abc", "abc"));
	assert_false(auth_equal("abc", "abcd"));
	assert_false(auth_equal("abc", "abd"));
	assert_false(auth_equal("", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_responses_are_those_of_the_standards),
		cmocka_unit_test(passwords_match_whole_or_not_at_all),
		cmocka_unit_test(a_password_with_a_nul_is_another_one),
		cmocka_unit_test(nobody_has_no_password),
		cmocka_unit_test(a_hashed_password_works_like_the_plain_one),
		cmocka_unit_test(a_hash_of_scrypt_is_no_password),
		cmocka_unit_test(ha1_is_of_name_realm_and_password),
		cmocka_unit_test(every_cut_of_a_hash_is_no_hash),
		cmocka_unit_test(users_are_found_by_their_whole_name),
		cmocka_unit_test(a_list_of_cameras_limits_what_a_user_sees),
		cmocka_unit_test(a_copy_for_one_camera_sees_that_or_none),
		cmocka_unit_test(random_hex_has_its_length_and_differs),
		cmocka_unit_test(equal_compares_whole_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
