/* MP4: the walk over boxes, a moov, a moof with the tracks of a fixed movie. */
#include <stdint.h>
#include <stdlib.h>

#include "storage/mp4_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void walk(const uint8_t *p, size_t n)
{
	const char *why = NULL;
	struct mp4_box box;
	size_t at = 0;

	for (;;) {
		int result = mp4_box_parse(&box, p + at, n - at, &why);

		if (result < 0 && !why)
			abort();
		if (result <= 0 || box.to_end || box.bytes > n - at)
			return;
		if (box.bytes < box.header_bytes)
			abort();
		at += (size_t)box.bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct mp4_movie fixed = {
		.n_tracks = 1, .tracks[0] = {.id = 1, .timescale = 90000}
	};
	struct mp4_movie movie;
	struct mp4_fragment fragment;
	const char *why = NULL;

	walk(p, n);
	if (mp4_moov_parse(&movie, p, n, &why) < 0 && !why)
		abort();
	why = NULL;
	if (mp4_moof_parse(&fragment, p, n, &fixed, &why) < 0 && !why)
		abort();
	return 0;
}
