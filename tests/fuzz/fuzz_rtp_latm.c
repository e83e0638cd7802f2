/* The RTP payload of AAC in LATM; whether it is in band is in the fmtp that the input begins with. */
#include "tests/fuzz/fuzz_depacketiser.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_depacketiser("MP4A-LATM", p, n);
	return 0;
}
