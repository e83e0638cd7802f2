/* Datagrams of WS-Discovery: what is told of each device is text that ends, and can stand in a file. */
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

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *why = NULL;

	if (discovery_message_parse((const char *)p, n, on_device, NULL, &why) < 0 && !why)
		abort();
	return 0;
}
