/* Times in the names of uploads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/upload_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const int64_t now_us = INT64_C(1795188600000000), day_us = INT64_C(86400000000);
	char *text = malloc(n + 1);
	int64_t us = -1;

	if (!text)
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (upload_time_find(text, now_us, &us) ? us < 0 || us > now_us + day_us : us != -1)
		abort();
	free(text);
	return 0;
}
