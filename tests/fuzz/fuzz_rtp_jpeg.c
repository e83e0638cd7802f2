/* The RTP payload of JPEG: each unit is one whole JPEG; sizes come from an SDP half of the time. */
#include "tests/fuzz/fuzz_depacketiser.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void on_picture(void *arg, const struct rtp_unit *unit)
{
	struct jpeg jpeg;
	const char *why;

	fuzz_on_unit(arg, unit);
	if (jpeg_parse(&jpeg, unit->data, unit->bytes, &why) < 0 || jpeg.bytes != unit->bytes ||
		!jpeg.has_huffman || !unit->keyframe)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct rtp_depacketiser_events events = { on_picture, fuzz_on_dropped };
	struct rtp_format format = { .encoding = "JPEG", .fmtp = "", .clock_hz = 90000 };
	struct rtp_depacketiser *d;
	const char *why;

	if (n == 0)
		return 0;
	format.width = p[0] & 1 ? 2592 : 0;
	format.height = p[0] & 1 ? 1944 : 0;
	d = rtp_depacketiser_new(&format, &events, NULL, &why);
	if (!d)
		abort();
	fuzz_push(d, p + 1, n - 1);
	rtp_depacketiser_free(d);
	return 0;
}
