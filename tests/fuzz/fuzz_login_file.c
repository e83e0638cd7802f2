/* Any bytes as a list of sessions: what was parsed is written as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/login_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct login_file file;
	static char text[LOGIN_FILE_BYTES];
	const char *why = NULL;

	if (login_file_parse(&file, (const char *)p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (login_file_write(text, &file) != n || memcmp(text, p, n) != 0)
		abort();
	for (size_t i = 0; i < file.n; i++) {
		if (!memchr(file.sessions[i].user, '\0', LOGIN_FILE_USER_BYTES))
			abort();
	}
	return 0;
}
