/* JPEGs out of a stream: however it is cut (the first byte says), the same pictures come. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/mjpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct seen {
	size_t pictures, bytes, dropped;
};

static void on_picture(void *arg, const struct jpeg *jpeg, const uint8_t *p)
{
	struct seen *seen = arg;

	if (!jpeg->width || !jpeg->height || p[0] != 0xff || p[jpeg->bytes - 1] != 0xd9)
		abort();
	seen->pictures++;
	seen->bytes += jpeg->bytes;
}

static void on_dropped(void *arg, const char *why)
{
	if (!why || !*why)
		abort();
	((struct seen *)arg)->dropped++;
}

static const struct mjpeg_events events = { .on_picture = on_picture, .on_dropped = on_dropped };

static struct seen run(const uint8_t *p, size_t n, size_t step)
{
	struct seen seen = { 0 };
	struct mjpeg m = { .events = &events, .arg = &seen };

	for (size_t at = 0; at < n; at += step)
		mjpeg_push(&m, p + at, n - at < step ? n - at : step);
	mjpeg_end(&m);
	mjpeg_fini(&m);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct seen whole, cut;

	if (n < 2)
		return 0;
	whole = run(p + 1, n - 1, n);
	cut = run(p + 1, n - 1, (size_t)p[0] + 1);
	if (whole.pictures != cut.pictures || whole.bytes != cut.bytes ||
		whole.dropped != cut.dropped)
		abort();
	return 0;
}
