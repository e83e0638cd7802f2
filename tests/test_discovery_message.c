/* WS-Discovery: cameras are told of, and nothing else is. */
#include "onvif/discovery_message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/soap_message.h"
#include "server/base/memory.h"

#define OPEN                                                           \
	"<s:Envelope xmlns:s='" SOAP_SPACE                             \
	"' xmlns:x='http://schemas.xmlsoap.org/ws/2004/08/addressing'" \
	" xmlns:y='http://schemas.xmlsoap.org/ws/2005/04/discovery'><s:Body>"
#define CLOSE "</s:Body></s:Envelope>"
#define ENDPOINT "<x:EndpointReference><x:Address>urn:uuid:1</x:Address></x:EndpointReference>"
#define DEVICE(types, scopes, addresses)                                       \
	ENDPOINT "<y:Types>" types "</y:Types><y:Scopes>" scopes "</y:Scopes>" \
		 "<y:XAddrs>" addresses "</y:XAddrs>"
#define HELLO(inside) OPEN "<y:Hello>" inside "</y:Hello>" CLOSE
#define NVT "dn:NetworkVideoTransmitter"
#define SCOPE "onvif://www.onvif.org/"

struct told {
	char text[2048];
};

static void on_device(void *arg, enum discovery_kind kind, const struct discovery_device *device)
{
	struct told *told = arg;
	size_t n = strlen(told->text);

	snprintf(told->text + n, sizeof(told->text) - n, "%s %s %s:%u%s name=%s hardware=%s %s;",
		kind == DISCOVERY_BYE ? "bye" : "here", device->endpoint,
		device->tls ? "https" : "http", device->port, device->path, device->name,
		device->hardware, device->profiles);
}

static void assert_told(const char *text, const char *expected)
{
	struct told told = { "" };
	const char *why = NULL;
	char *copy = xstrndup(text, strlen(text));

	if (discovery_message_parse(copy, strlen(text), on_device, &told, &why) < 0)
		fail_msg("%s: %s", why, text);
	free(copy);
	assert_string_equal(told.text, expected);
}

static void cameras_are_told_of(void **state)
{
	(void)state;
	assert_told(HELLO(DEVICE(NVT,
			    SCOPE "name/Front%20door " SCOPE "hardware/X1\n" SCOPE
				  "Profile/Streaming " SCOPE "Profile/T " SCOPE "location/hall",
			    "http://0.0.0.0/onvif/device_service https://h/x")),
		"here urn:uuid:1 http:80/onvif/device_service name=Front door hardware=X1 Streaming, T;");
	assert_told(OPEN
		"<y:ProbeMatches><y:ProbeMatch>" DEVICE(
			NVT, "", "https://[fe80::1]/a") "</y:ProbeMatch><y:ProbeMatch>" DEVICE("",
			SCOPE "name/b", "http://h:81/b") "</y:ProbeMatch></y:ProbeMatches>" CLOSE,
		"here urn:uuid:1 https:443/a name= hardware= ;"
		"here urn:uuid:1 http:81/b name=b hardware= ;");
	assert_told(OPEN "<y:Bye>" ENDPOINT "</y:Bye>" CLOSE,
		"bye urn:uuid:1 http:0 name= hardware= ;");
}

static void what_is_no_camera_is_passed_over(void **state)
{
	static const char *const texts[] = {
		HELLO(DEVICE("wprt:PrintDeviceType", "", "http://h/")),
		HELLO(DEVICE(NVT, "", "")),
		HELLO(DEVICE(NVT, "", "ftp://h/ urn:x")),
		HELLO(DEVICE(NVT, "", "http://h/a\"b")),
		HELLO(DEVICE(NVT, "", "http://h/a?b#c")),
		HELLO("<y:Types>" NVT "</y:Types><y:XAddrs>http://h/</y:XAddrs>"),
		OPEN "<y:Probe><y:Types>" NVT "</y:Types></y:Probe>" CLOSE,
		OPEN "<y:ProbeMatches/>" CLOSE,
		OPEN "<y:Bye/>" CLOSE,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		assert_told(texts[i], "");
}

static void texts_cannot_leave_their_line(void **state)
{
	(void)state;
	assert_told(HELLO(DEVICE(NVT,
			    SCOPE "name/a%0asource:%22x" SCOPE " " SCOPE "hardware/\xc3\xbc%zz%4",
			    "http://h/")),
		"here urn:uuid:1 http:80/ name=a?source:\"x" SCOPE " hardware=??%zz%4 ;");
}

static void other_messages_are_refused(void **state)
{
	static const char *const texts[] = { "", "x", OPEN CLOSE,
		OPEN "<Hello xmlns='urn:x'/>" CLOSE, "<!DOCTYPE a>" HELLO(ENDPOINT) };
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		why = NULL;
		assert_int_equal(
			discovery_message_parse(texts[i], strlen(texts[i]), on_device, NULL, &why),
			-EBADMSG);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cameras_are_told_of),
		cmocka_unit_test(what_is_no_camera_is_passed_over),
		cmocka_unit_test(texts_cannot_leave_their_line),
		cmocka_unit_test(other_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
