/* Topic expressions: an expression before the first line feed, a topic behind it. */
#include <stdint.h>
#include <string.h>

#include "onvif/topic_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static volatile size_t sum;

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char expression[TOPIC_FILTER_BYTES] = "", topic[TOPIC_FILTER_BYTES] = "";
	const uint8_t *end = memchr(p, '\n', n);

	if (!end || (size_t)(end - p) >= sizeof(expression) ||
		n - (size_t)(end - p) > sizeof(topic))
		return 0;
	memcpy(expression, p, (size_t)(end - p));
	memcpy(topic, end + 1, n - (size_t)(end - p) - 1);
	if (topic_filter_is_valid(expression))
		sum += topic_filter_has(expression, topic);
	return 0;
}
