/* Filters of recordings, evaluated on one. */
#include <stdint.h>
#include <string.h>

#include "onvif/recording_filter.h"
#include "onvif/soap_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static volatile size_t sum;

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[RECORDING_FILTER_BYTES];
	struct soap_writer writer;
	xmlNode *information;

	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (!recording_filter_is_valid(text))
		return 0;
	soap_writer_init(&writer);
	information = soap_add(writer.body, SOAP_SCHEMA_SPACE, "RecordingInformation");
	soap_add_text(soap_add(information, SOAP_SCHEMA_SPACE, "Track"), SOAP_SCHEMA_SPACE,
		"TrackType", "Video");
	sum += recording_filter_has(text, information);
	soap_writer_fini(&writer);
	return 0;
}
