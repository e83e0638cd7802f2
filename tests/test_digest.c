/* Basic and Digest headers: the examples of RFC 7616, 2617 and 7617, and what cameras send. */
#include "protocols/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct digest_challenge first_challenge(const char *text)
{
	struct digest_challenge c;
	const char *why = NULL;
	size_t at = 0;

	assert_int_equal(digest_parse_challenge(&c, text, strlen(text), &at, &why), 1);
	return c;
}

static void test_challenges(void **state)
{
	static const struct {
		const char *text;
		enum digest_scheme scheme;
		enum auth_algorithm algorithm;
		const char *realm, *nonce;
		bool qop, stale;
	} cases[] = {
		{"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, "
		  "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQ\"", DIGEST_DIGEST, AUTH_SHA256, "http-auth@example.org",
                 "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",													 true,  false},
		{ "Digest realm=\"IPCAM\", nonce=\"a\"",                                                    DIGEST_DIGEST, AUTH_MD5,    "IPCAM",                 "a",
                 false,																			 false},
		{ "digest REALM=\"\", NONCE=\"a\", algorithm=md5, stale=TRUE",                              DIGEST_DIGEST,
                 AUTH_MD5,													      "",                      "a",    false, true },
		{ "Digest realm=\"a \\\"b\\\" c\", nonce=bare, qop=auth",                                   DIGEST_DIGEST, AUTH_MD5,
                 "a \"b\" c",																    "bare", true,  false},
		{ "Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\"",                                      DIGEST_DIGEST, AUTH_MD5,    "x",
                 "y",																		    false, false},
		{ "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256",                                 DIGEST_NONE,   AUTH_MD5,
                 "x",																	    "y",    false, false},
		{ "Digest realm=\"x\"",								     DIGEST_NONE,   AUTH_MD5,    "x",                     "",     false, false},
		{ "Basic realm=\"WallyWorld\"",							     DIGEST_BASIC,  AUTH_MD5,    "WallyWorld",            "",     false,
                 false																			       },
		{ "Negotiate",									      DIGEST_NONE,   AUTH_MD5,    "",                      "",     false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct digest_challenge c = first_challenge(cases[i].text);

		assert_int_equal(c.scheme, cases[i].scheme);
		assert_int_equal(c.algorithm, cases[i].algorithm);
		assert_string_equal(c.realm, cases[i].realm);
		assert_string_equal(c.nonce, cases[i].nonce);
		assert_int_equal(c.qop_auth, cases[i].qop);
		assert_int_equal(c.stale, cases[i].stale);
	}
}

static void test_several_challenges_in_one_field(void **state)
{
	static const char text[] =
		"Basic realm=\"a\", Digest realm=\"b\", nonce=\"c\", Newauth x=\"y\"";
	static const enum digest_scheme expected[] = { DIGEST_BASIC, DIGEST_DIGEST, DIGEST_NONE };
	struct digest_challenge c;
	const char *why;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
		assert_int_equal(digest_parse_challenge(&c, text, strlen(text), &at, &why), 1);
		assert_int_equal(c.scheme, expected[i]);
	}
	assert_int_equal(digest_parse_challenge(&c, text, strlen(text), &at, &why), 0);
}

/* RFC 2617 section 3.5. */
static void test_the_example_of_rfc_2617(void **state)
{
	struct digest_challenge c = first_challenge(
		"Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", "
		"nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"");
	struct digest_credentials credentials;
	const char *why = NULL;
	char text[1024];

	(void)state;
	assert_int_equal(digest_write_credentials(text, sizeof(text), &c, "Mufasa",
				 "Circle Of Life", "GET", "/dir/index.html", 1, "0a4f113b"),
		0);
	assert_int_equal(digest_parse_credentials(&credentials, text, strlen(text), &why), 0);
	assert_string_equal(credentials.response, "6629fae49393a05397450978507c4ef1");
	assert_string_equal(credentials.user, "Mufasa");
	assert_string_equal(credentials.uri, "/dir/index.html");
	assert_string_equal(credentials.nonce_count, "00000001");
	assert_string_equal(credentials.cnonce, "0a4f113b");
	assert_true(credentials.has_qop);
	assert_non_null(strstr(text, "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""));
}

/* RFC 7617 section 2. */
static void test_the_example_of_rfc_7617(void **state)
{
	struct digest_challenge c = first_challenge("Basic realm=\"WallyWorld\"");
	struct digest_credentials credentials;
	const char *why = NULL;
	char text[256];

	(void)state;
	assert_int_equal(digest_write_credentials(text, sizeof(text), &c, "Aladdin", "open sesame",
				 "GET", "/", 1, ""),
		0);
	assert_string_equal(text, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	assert_int_equal(digest_parse_credentials(&credentials, text, strlen(text), &why), 0);
	assert_string_equal(credentials.user, "Aladdin");
	assert_string_equal(credentials.password, "open sesame");
}

static void test_broken_credentials_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"Basic",
		"Basic ====",
		"Basic QWxhZGRpbg==",
		/* no colon */ "Bearer abc",
		"Digest",
		"Digest username=\"a\"",
		"Digest username=\"a, nonce=\"b\"",
		"Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"/\", response=\"d\", qop=auth-int",
		"Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"/\", response=\"d\", qop=auth", /* no cnonce */
		"Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"/\", response=\"d\", algorithm=MD5-sess",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct digest_credentials credentials;
		const char *why = NULL;

		if (digest_parse_credentials(&credentials, cases[i], strlen(cases[i]), &why) == 0)
			fail_msg("accepted: %s", cases[i]);
		assert_non_null(why);
	}
}

static void test_every_cut_is_survived(void **state)
{
	static const char text[] =
		"Digest username=\"anna\", realm=\"nvrd\", nonce=\"n\\\"n\", uri=\"/x\", response=\"abc\", qop=auth, nc=1, cnonce=\"c\"";

	(void)state;
	for (size_t n = 0; n < strlen(text); n++) {
		struct digest_credentials credentials;
		struct digest_challenge challenge;
		const char *why = NULL;
		char *exact = malloc(n ? n : 1);
		size_t at = 0;

		memcpy(exact, text, n);
		assert_true(digest_parse_credentials(&credentials, exact, n, &why) <= 0);
		while (digest_parse_challenge(&challenge, exact, n, &at, &why) > 0)
			;
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_several_challenges_in_one_field),
		cmocka_unit_test(test_the_example_of_rfc_2617),
		cmocka_unit_test(test_the_example_of_rfc_7617),
		cmocka_unit_test(test_broken_credentials_are_refused),
		cmocka_unit_test(test_every_cut_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
