/* H.264: one input is an SPS, an SEI, and a byte stream whose sets must survive being written. */
#include <stdlib.h>

#include "server/media/h264.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_record(const struct h264_sets *sets)
{
	static uint8_t avcc[16 << 10];
	size_t bytes = h264_sets_write_avcc(sets, avcc, sizeof(avcc));

	if ((bytes != 0) != h264_sets_complete(sets))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct h264_sets sets;
	struct h264_sps sps;
	const char *why = NULL;
	const uint8_t *nal;
	size_t at = 0, bytes;
	int added;

	sets = (struct h264_sets){ 0 };
	if (h264_sps_parse(&sps, p, n, &why) < 0 ? !why : why || !sps.width || !sps.height)
		abort();
	(void)h264_sei_is_recovery_point(p, n);
	(void)h264_is_first_slice(p, n);
	while ((nal = annexb_next(p, n, &at, &bytes))) {
		if (!bytes || nal < p || nal + bytes > p + n)
			abort();
		added = h264_sets_add(&sets, nal, bytes);
		if (added == 1)
			added = h264_sets_add(&sets, nal, bytes);
		if (added > 0) /* known by now */
			abort();
	}
	check_record(&sets);
	return 0;
}
