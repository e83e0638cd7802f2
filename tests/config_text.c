#include "tests/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct config *parse(const char *text)
{
	char *errors = NULL;
	struct config *config = config_parse("nvrd.yaml", text, strlen(text), &errors);

	if (!config)
		fail_msg("%s", errors);
	return config;
}

void expect_errors(const char *text, const char *expected)
{
	char *errors = NULL;
	struct config *config = config_parse("nvrd.yaml", text, strlen(text), &errors);

	if (config)
		fail_msg("accepted: %s", text);
	assert_string_equal(errors, expected);
	free(errors);
}
