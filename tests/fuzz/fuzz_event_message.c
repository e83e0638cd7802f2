/* Documents with events: what is told of each is text that ends, and a kind that there is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/event_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void on_message(void *arg, const struct event_message *message)
{
	(void)arg;
	if (message->kind >= EVENT_KINDS || !memchr(message->source, 0, sizeof(message->source)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	(void)!event_messages_parse((const char *)p, n, on_message, NULL);
	return 0;
}
