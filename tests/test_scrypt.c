/* Passwords hashed by scrypt: the example of RFC 7914 section 12, and texts that are refused. */
#include "server/base/scrypt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* password "pleaseletmein", salt "SodiumChloride", N 16384, r 8, p 1 */
#define EXAMPLE                                      \
	"$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$" \
	"cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
#define SALT "$MDEyMzQ1Njc4OWFiY2RlZg"
#define HASH "$MDEyMzQ1Njc4OWFiY2RlZg"

static void the_example_of_the_standard_matches(void **state)
{
	(void)state;
	assert_null(scrypt_check_text(EXAMPLE));
	assert_true(scrypt_matches(EXAMPLE, "pleaseletmein", 13));
	assert_false(scrypt_matches(EXAMPLE, "pleaseletmeiN", 13));
	assert_false(scrypt_matches(EXAMPLE, "pleaseletmein", 12));
	assert_false(scrypt_matches(EXAMPLE, "", 0));
	assert_false(scrypt_matches("pleaseletmein", "pleaseletmein", 13));
}

static void what_we_write_matches_and_differs_each_time(void **state)
{
	char *one = scrypt_hash("secret"), *two = scrypt_hash("secret");

	(void)state;
	assert_null(scrypt_check_text(one));
	assert_memory_equal(one, "$scrypt$ln=15,r=8,p=1$", 22);
	assert_string_not_equal(one, two);
	assert_true(scrypt_matches(one, "secret", 6));
	assert_true(scrypt_matches(two, "secret", 6));
	assert_false(scrypt_matches(one, "Secret", 6));
	free(one);
	free(two);
}

static void costs_have_limits(void **state)
{
	static const struct {
		const char *text, *why; /* a part of it; NULL: fine */
	} cases[] = {
		{"$scrypt$ln=10,r=8,p=1" SALT HASH,                    NULL      },
		{ "$scrypt$ln=16,r=8,p=4" SALT HASH,                   NULL      },
		{ "$scrypt$ln=17,r=4,p=1" SALT HASH,                   NULL      },
		{ "$scrypt$ln=9,r=8,p=1" SALT HASH,                    "ln=10"   },
		{ "$scrypt$ln=18,r=1,p=1" SALT HASH,                   "ln=17"   },
		{ "$scrypt$ln=63,r=8,p=1" SALT HASH,                   "ln=17"   },
		{ "$scrypt$ln=17,r=8,p=1" SALT HASH,                   "64 MiB"  },
		{ "$scrypt$ln=10,r=9999,p=1" SALT HASH,                "64 MiB"  },
		{ "$scrypt$ln=15,r=8,p=9" SALT HASH,                   "too long"},
		{ "$scrypt$ln=15,r=8,p=0" SALT HASH,                   "whole"   },
		{ "$scrypt$ln=15,r=8,p=11111" SALT HASH,               "whole"   },
		{ "$scrypt$ln=15,p=1,r=8" SALT HASH,                   "whole"   },
		{ "$scrypt$ln=15,r=8,p=1$c2FsdA" HASH,                 "salt"    },
		{ "$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZ*" HASH, "salt"    },
		{ "$scrypt$ln=15,r=8,p=1" SALT "$c2FsdA",              "hash"    },
		{ "$scrypt$ln=15,r=8,p=1" SALT HASH "$",               "hash"    },
		{ "$scrypt$ln=15,r=8,p=1" SALT HASH "==",              "hash"    },
		{ "$scrypt$",					  "whole"   },
		{ "secret",					    "whole"   },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = scrypt_check_text(cases[i].text);

		if (!why != !cases[i].why || (why && !strstr(why, cases[i].why)))
			fail_msg("%s: %s", cases[i].text, why ? why : "taken");
	}
}

static void every_cut_is_refused_or_another_hash(void **state)
{
	(void)state;
	for (size_t n = 0; n < strlen(EXAMPLE); n++) {
		char *cut = strndup(EXAMPLE, n); /* a block of the exact size, for ASan */

		if (!scrypt_check_text(cut))
			assert_true(n > strlen(EXAMPLE) - 68);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_standard_matches),
		cmocka_unit_test(what_we_write_matches_and_differs_each_time),
		cmocka_unit_test(costs_have_limits),
		cmocka_unit_test(every_cut_is_refused_or_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
