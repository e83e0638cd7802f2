/* H.265: one input is an SPS, and a byte stream whose sets must survive being written. */
#include <stdlib.h>

#include "server/media/h264.h"
#include "server/media/h265.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t hvcc[16 << 10];
	static struct h265_sets sets;
	struct h265_sps sps;
	const char *why = NULL;
	const uint8_t *nal;
	size_t at = 0, bytes;
	int added;

	sets = (struct h265_sets){ 0 };
	if (h265_sps_parse(&sps, p, n, &why) < 0 ? !why : why || !sps.width || !sps.height)
		abort();
	(void)h265_is_first_slice(p, n);
	while ((nal = annexb_next(p, n, &at, &bytes))) {
		added = h265_sets_add(&sets, nal, bytes);
		if (added == 1)
			added = h265_sets_add(&sets, nal, bytes);
		if (added > 0) /* known by now */
			abort();
	}
	if ((h265_sets_write_hvcc(&sets, hvcc, sizeof(hvcc)) != 0) != h265_sets_complete(&sets))
		abort();
	return 0;
}
