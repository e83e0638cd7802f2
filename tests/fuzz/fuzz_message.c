/* Heads of messages: the first byte says where the input is cut; the result must not depend on it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const char *p, size_t n, size_t cut, bool strict)
{
	struct message whole, parts;
	const char *why = NULL;
	ssize_t used = message_parse(&whole, p, n, 0, strict, &why);
	ssize_t first = message_parse(&parts, p, cut, 0, strict, &why);
	uint64_t length;

	if ((used < 0 && !why) || used > (ssize_t)n)
		abort();
	if (first == 0 && message_parse(&parts, p, n, cut, strict, &why) != used)
		abort();
	if (used <= 0)
		return;
	(void)!message_content_length(&whole, &length);
	(void)message_text_has_token(message_find(&whole, "Connection"), "close");
	for (size_t i = 0; i < whole.n_fields; i++) {
		const struct message_field *f = &whole.fields[i];

		if (f->name.p < p || f->value.p + f->value.n > p + used)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	for (int strict = 0; strict < 2; strict++)
		check((const char *)p + 1, n - 1, p[0] < n ? p[0] : n - 1, strict);
	return 0;
}
