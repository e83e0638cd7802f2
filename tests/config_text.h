#pragma once

#include "server/base/config.h"

/* Configurations as text, for tests. */

#define PORCH "cameras:\n  porch:\n    source: 'test:'\n"

/* Fails the test unless it is accepted. The caller frees it. */
struct config *parse(const char *text);
/* Fails the test unless it is refused with these messages, of a file that is called nvrd.yaml. */
void expect_errors(const char *text, const char *expected);
