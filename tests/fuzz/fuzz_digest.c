/* Challenges and credentials; what we write for a challenge is credentials that parse. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_answer(const struct digest_challenge *challenge)
{
	static struct digest_credentials credentials;
	static char text[8192];
	const char *why = NULL;

	/* our own server does not speak "-sess" */
	if (challenge->scheme == DIGEST_NONE || challenge->session ||
		digest_write_credentials(text, sizeof(text), challenge, "anna", "s3\"cret",
			"DESCRIBE", "rtsp://192.0.2.1/x", 1, "c0ffee") < 0)
		return;
	if (digest_parse_credentials(&credentials, text, strlen(text), &why) < 0)
		abort();
	if (strcmp(credentials.user, "anna") || credentials.scheme != challenge->scheme)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct digest_credentials credentials;
	static struct digest_challenge challenge;
	const char *why = NULL;
	size_t at = 0, before = 0;

	if (digest_parse_credentials(&credentials, (const char *)p, n, &why) < 0 && !why)
		abort();
	while (digest_parse_challenge(&challenge, (const char *)p, n, &at, &why) > 0) {
		if (at <= before || at > n)
			abort();
		before = at;
		check_answer(&challenge);
	}
	return 0;
}
