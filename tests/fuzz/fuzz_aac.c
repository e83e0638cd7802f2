/* AAC: what is parsed and can be written parses to the same; ADTS headers lie within the input. */
#include <stdlib.h>

#include "server/media/aac.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct aac_config config, again;
	const char *why = NULL;
	uint8_t bytes[5];
	size_t written;

	if (aac_adts_header(p, n) >= (n ? n : 1))
		abort();
	if (aac_config_parse(&config, p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	written = aac_config_write(&config, bytes, sizeof(bytes));
	if (!written)
		return 0;
	if (aac_config_parse(&again, bytes, written, &why) < 0 ||
		again.object_type != config.object_type ||
		again.sample_rate != config.sample_rate || again.channels != config.channels ||
		again.frame_samples != config.frame_samples)
		abort();
	return 0;
}
