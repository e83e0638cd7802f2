/* The RTP payload of ONVIF metadata. */
#include "tests/fuzz/fuzz_depacketiser.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_depacketiser("VND.ONVIF.METADATA", p, n);
	return 0;
}
