/* Base64: as a stream, whole and cut in two, and as one text; both ways must give the same. */
#include <stdlib.h>
#include <string.h>

#include "protocols/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum {
	LONGEST = 4096
};

/* The first byte says where the text is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct base64_stream whole = { 0 }, cut = { 0 };
	static uint8_t once[LONGEST], twice[LONGEST], parsed[LONGEST];
	const char *text = (const char *)p + 1;
	ssize_t first, second, all, at_once;
	size_t at;

	if (n == 0 || --n > LONGEST)
		return 0;
	at = p[0] < n ? p[0] : n;
	all = base64_stream_parse(&whole, once, text, n);
	first = base64_stream_parse(&cut, twice, text, at);
	second = first < 0 ? -1 : base64_stream_parse(&cut, twice + first, text + at, n - at);
	if ((all < 0) != (second < 0) || (all >= 0 && all != first + second) ||
		(all > 0 && memcmp(once, twice, (size_t)all) != 0))
		abort();
	at_once = base64_parse(parsed, sizeof(parsed), text, n);
	if (all >= 0 && at_once >= 0 && (all != at_once || memcmp(once, parsed, (size_t)all) != 0))
		abort();
	return 0;
}
