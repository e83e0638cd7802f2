/* Datagrams of WS-Discovery: what is told of each device is text that ends, and can stand in a file; what is asked can be answered. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/discovery_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_text(const char *text, size_t size)
{
	const char *end = memchr(text, 0, size);

	if (!end)
		abort();
	for (; text < end; text++) {
		if (*text < ' ' || *text > '~')
			abort();
	}
}

static void on_device(void *arg, enum discovery_kind kind, const struct discovery_device *device)
{
	(void)arg;
	if (!device->endpoint[0] || (kind == DISCOVERY_HERE && (!device->port || !device->path[0])))
		abort();
	check_text(device->name, sizeof(device->name));
	check_text(device->hardware, sizeof(device->hardware));
	check_text(device->profiles, sizeof(device->profiles));
	check_text(device->path, sizeof(device->path));
	if (strpbrk(device->path, "\"\\ "))
		abort();
}

/* An answer names the question as it was asked, and reads as an answer. */
static void on_question(void *arg, const struct discovery_question *question)
{
	static const struct discovery_events events = { on_device, on_question };
	const struct discovery_words words = { "urn:uuid:1", question->scopes, "http://h/", 1, 1, 1,
		question->id };
	const char *why;
	size_t bytes;
	char *text;

	(void)arg;
	if (!question->id[0] || strlen(question->id) >= DISCOVERY_ID_BYTES)
		abort();
	if (!discovery_scopes_match(DISCOVERY_RULE_EXACT, question->scopes, question->scopes) ||
		!discovery_scopes_match(DISCOVERY_RULE_PREFIX, question->scopes, question->scopes))
		abort();
	text = discovery_write(DISCOVERY_SAY_MATCH, "2", &words, &bytes);
	if (discovery_message_parse(text, bytes, &events, NULL, &why) < 0)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct discovery_events events = { on_device, on_question };
	const char *why = NULL;

	if (discovery_message_parse((const char *)p, n, &events, NULL, &why) < 0 && !why)
		abort();
	return 0;
}
