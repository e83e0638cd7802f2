/* The RTP payloads of sound without frames, and Opus: the first byte chooses the encoding. */
#include "server/base/attributes.h"
#include "tests/fuzz/fuzz_depacketiser.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const encodings[] = { "PCMU", "PCMA", "L16", "PCM", "G726-16", "G726-24",
		"G726-32", "G726-40", "AAL2-G726-16", "AAL2-G726-24", "AAL2-G726-32",
		"AAL2-G726-40", "OPUS" };

	if (n > 0)
		fuzz_depacketiser(encodings[p[0] % ARRAY_LENGTH(encodings)], p + 1, n - 1);
	return 0;
}
