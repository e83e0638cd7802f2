/*
 * JPEG: drips give the same as the whole, what is found lies within the input, and what is written
 * with the standard tables parses to the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/media/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int fuzz_drip(struct jpeg *jpeg, const uint8_t *p, size_t n, size_t cut)
{
	const char *why = NULL;
	int result = jpeg_resume(jpeg, p, cut, &why);

	return result == -EAGAIN ? jpeg_resume(jpeg, p, n, &why) : result;
}

static void fuzz_write(const struct jpeg *jpeg, const uint8_t *p)
{
	size_t n = jpeg_write_bytes(jpeg);
	uint8_t *written = malloc(n);
	struct jpeg again;
	const char *why;

	if (!written)
		return;
	if (jpeg_write(jpeg, p, written, n - 1) || jpeg_write(jpeg, p, written, n) != n)
		abort();
	if (jpeg_parse(&again, written, n, &why) < 0 || again.bytes != n || !again.has_huffman ||
		again.width != jpeg->width || again.height != jpeg->height)
		abort();
	free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct jpeg jpeg = { 0 }, drip = { 0 };
	const char *why = NULL;
	int result, dripped;

	for (size_t at = jpeg_find(p, n, 0); at < n; at = jpeg_find(p, n, at + 1)) {
		if (p[at] != 0xff)
			abort();
	}
	result = jpeg_parse(&jpeg, p, n, &why);
	dripped = fuzz_drip(&drip, p, n, n ? p[n - 1] * n / 256 : 0);
	if (dripped != result || drip.at > n || (result && !why))
		abort();
	if (result)
		return 0;
	if (drip.width != jpeg.width || drip.height != jpeg.height ||
		drip.components != jpeg.components || drip.restarts != jpeg.restarts ||
		drip.scan_at != jpeg.scan_at || drip.bytes != jpeg.bytes ||
		drip.has_huffman != jpeg.has_huffman)
		abort();
	if (jpeg.bytes > n || !jpeg.width || !jpeg.height || jpeg.scan_at >= jpeg.bytes)
		abort();
	fuzz_write(&jpeg, p);
	return 0;
}
