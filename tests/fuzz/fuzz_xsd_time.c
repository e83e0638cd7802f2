/* dateTime and duration: what was parsed is written, and parses to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/xsd_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[XSD_DURATION_BYTES];
	int64_t us, again;

	/* a zone may lead out of the years that can be written */
	if (xsd_time_parse((const char *)p, n, &us) == 0 && us > INT64_C(-62135596800000000) &&
		us < INT64_C(253402300800000000)) {
		(void)xsd_time_write(text, us);
		if (xsd_time_parse(text, strlen(text), &again) < 0 || again != us)
			abort();
	}
	if (xsd_duration_parse((const char *)p, n, &us) == 0 && us >= 0) {
		(void)xsd_duration_write(text, us);
		if (xsd_duration_parse(text, strlen(text), &again) < 0 || again != us)
			abort();
	}
	return 0;
}
