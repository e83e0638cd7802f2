/* The RTP payload of AAC. */
#include "tests/fuzz/fuzz_depacketiser.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_depacketiser("MPEG4-GENERIC", p, n);
	return 0;
}
