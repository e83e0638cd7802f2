/* The first byte says how long the pieces are; whole and in pieces must give the same. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct outcome {
	int result;
	uint64_t hash, bytes; /* of the body */
	size_t used;
};

static struct outcome run(const char *p, size_t n, size_t step)
{
	struct http_chunked c = { .state = HTTP_CHUNKED_SIZE };
	struct outcome o = { .result = 0 };
	const char *why = NULL;

	while (o.used < n && c.state != HTTP_CHUNKED_DONE) {
		struct message_text data;
		size_t left = n - o.used;
		ssize_t used =
			http_chunked_parse(&c, p + o.used, step < left ? step : left, &data, &why);
		if (used < 0) {
			if (!why)
				abort();
			o.result = -1;
			o.used = 0;
			return o;
		}
		if (used == 0 || (size_t)used > left)
			abort();
		for (size_t i = 0; i < data.n; i++)
			o.hash = o.hash * 31 + (unsigned char)data.p[i];
		o.bytes += data.n;
		o.used += (size_t)used;
	}
	o.result = c.state == HTTP_CHUNKED_DONE;
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1)
		return 0;
	struct outcome whole = run((const char *)p + 1, n - 1, n);
	struct outcome pieces = run((const char *)p + 1, n - 1, p[0] ? p[0] : 1);
	if (whole.result != pieces.result || whole.hash != pieces.hash ||
		whole.bytes != pieces.bytes || whole.used != pieces.used)
		abort();
	return 0;
}
