/* Feedback of receivers: every packet that it asks for is read. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/rtcp_feedback.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rtcp_feedback feedback;
	const char *why = NULL;
	uint16_t behind;

	if (rtcp_feedback_parse(&feedback, p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if ((feedback.nacks != NULL) != (feedback.n_nacks > 0))
		abort();
	for (size_t i = 0; i < feedback.n_nacks; i++)
		(void)rtcp_feedback_nack(&feedback, i, &behind);
	return 0;
}
