/* WS-Discovery: cameras are told of, and who asks for one; nothing else is. What we say is read as it was meant. */
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

static void on_question(void *arg, const struct discovery_question *question)
{
	struct told *told = arg;
	size_t n = strlen(told->text);

	snprintf(told->text + n, sizeof(told->text) - n, "%s %s %s%d;",
		question->is_resolve ? "resolve" : "probe", question->id,
		question->is_resolve ? question->endpoint : question->scopes, question->rule);
}

static const struct discovery_events events = { on_device, on_question };

static void assert_told(const char *text, const char *expected)
{
	struct told told = { "" };
	const char *why = NULL;
	char *copy = xstrndup(text, strlen(text));

	if (discovery_message_parse(copy, strlen(text), &events, &told, &why) < 0)
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
			discovery_message_parse(texts[i], strlen(texts[i]), &events, NULL, &why),
			-EBADMSG);
		assert_non_null(why);
	}
}

/* --- questions --- */

#define ASK(inside)                                                                         \
	"<s:Envelope xmlns:s='" SOAP_SPACE "' xmlns:w='" ADDRESSING "' xmlns:d='" DISCOVERY \
	"'><s:Header><w:MessageID>urn:uuid:7</w:MessageID></s:Header><s:Body>" inside CLOSE
#define ADDRESSING "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define DISCOVERY "http://schemas.xmlsoap.org/ws/2005/04/discovery"
#define NETWORK "http://www.onvif.org/ver10/network/wsdl"
#define PROBE(types) ASK("<d:Probe><d:Types xmlns:a='" NETWORK "'>" types "</d:Types></d:Probe>")

static void questions_for_our_types_are_told_of(void **state)
{
	static const char *const texts[] = {
		PROBE("a:NetworkVideoTransmitter"),
		PROBE("\n a:NetworkVideoTransmitter\t"),
		PROBE(""),
		ASK("<d:Probe/>"),
		ASK("<d:Probe><d:Types xmlns='" NETWORK
		    "'>NetworkVideoTransmitter</d:Types></d:Probe>"),
		ASK("<d:Probe><d:Types xmlns:x='" SOAP_DEVICE_SPACE
		    "'>x:Device</d:Types></d:Probe>"),
		ASK("<d:Probe xmlns:x='" SOAP_DEVICE_SPACE "' xmlns:dn='" NETWORK
		    "'><d:Types>dn:NetworkVideoTransmitter x:Device</d:Types></d:Probe>"),
		/* the innermost declaration counts */
		ASK("<d:Probe xmlns:a='urn:x'><d:Types xmlns:a='" NETWORK
		    "'>a:NetworkVideoTransmitter</d:Types></d:Probe>"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		assert_told(texts[i], "probe urn:uuid:7 0;");
}

static void other_questions_are_passed_over(void **state)
{
	static const char *const texts[] = {
		PROBE("a:NetworkVideoDisplay"),
		PROBE("a:NetworkVideoTransmitter a:NetworkVideoDisplay"),
		PROBE("dn:NetworkVideoTransmitter"), /* a prefix that is not declared */
		PROBE("NetworkVideoTransmitter"), PROBE("a:networkvideotransmitter"),
		PROBE("a:NetworkVideoTransmitterX"), PROBE("a:"), PROBE(":"),
		ASK("<d:Probe xmlns:a='" NETWORK
		    "'><d:Types xmlns:a='urn:x'>a:NetworkVideoTransmitter</d:Types></d:Probe>"),
		ASK("<d:Resolve/>"), ASK("<d:Question/>"),
		OPEN "<y:Probe/>" CLOSE, /* there is no MessageID to answer to */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		assert_told(texts[i], "");
}

static void scopes_and_endpoints_are_told_of(void **state)
{
	(void)state;
	assert_told(ASK("<d:Probe><d:Scopes>a:b  c:d</d:Scopes></d:Probe>"),
		"probe urn:uuid:7 a:b  c:d0;");
	assert_told(
		ASK("<d:Probe><d:Scopes MatchBy='" DISCOVERY "/rfc3986'>a:b</d:Scopes></d:Probe>"),
		"probe urn:uuid:7 a:b0;");
	assert_told(
		ASK("<d:Probe><d:Scopes MatchBy='" DISCOVERY "/strcmp0'>a:b</d:Scopes></d:Probe>"),
		"probe urn:uuid:7 a:b1;");
	assert_told(ASK("<d:Probe><d:Scopes MatchBy='urn:own'>a:b</d:Scopes></d:Probe>"),
		"probe urn:uuid:7 a:b2;");
	assert_told(ASK("<d:Resolve><w:EndpointReference><w:Address>urn:uuid:8</w:Address>"
			"</w:EndpointReference></d:Resolve>"),
		"resolve urn:uuid:7 urn:uuid:80;");
}

/* WS-Discovery section 5.1, and the examples there. */
static void scopes_match_by_their_rule(void **state)
{
	static const struct {
		enum discovery_rule rule;
		const char *asked, *ours;
		bool matches;
	} rows[] = {
		{DISCOVERY_RULE_PREFIX,   "http://example.com/abc",       "http://example.com/abc/def",
                 true											},
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/abc",       "http://example.com/abcdef",
                 false										       },
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/abc/def",   "http://example.com/abc",
                 false										       },
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/abc",       "http://example.com/abc",     true },
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/abc/",      "http://example.com/abc",
                 true											},
		{ DISCOVERY_RULE_PREFIX,  "HTTP://Example.COM/abc",       "http://example.com/abc",     true },
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/ABC",       "http://example.com/abc",
                 false										       },
		{ DISCOVERY_RULE_PREFIX,  "http://example.com/abc?x=1#y", "http://example.com/abc?z",
                 true											},
		{ DISCOVERY_RULE_PREFIX,  "http://example.com",           "http://example.com/abc",     true },
		{ DISCOVERY_RULE_PREFIX,  "http://example.co",            "http://example.com/abc",     false},
		{ DISCOVERY_RULE_PREFIX,  "https://example.com/abc",      "http://example.com/abc",
                 false										       },
		{ DISCOVERY_RULE_PREFIX,  "urn:a",                        "urn:a/b",                    true },
		{ DISCOVERY_RULE_PREFIX,  "",                             "http://example.com/abc",     true },
		{ DISCOVERY_RULE_PREFIX,  "",                             "",                           true },
		{ DISCOVERY_RULE_PREFIX,  "urn:a",                        "",                           false},
		{ DISCOVERY_RULE_PREFIX,  SCOPE "type " SCOPE "name/b",
                 SCOPE "name/b " SCOPE "type/c",							true },
		{ DISCOVERY_RULE_PREFIX,  SCOPE "type " SCOPE "name/x",
                 SCOPE "name/b " SCOPE "type/c",							false},
		{ DISCOVERY_RULE_EXACT,   "urn:a",                        "urn:b urn:a",                true },
		{ DISCOVERY_RULE_EXACT,   "urn:a",                        "urn:a/b",                    false},
		{ DISCOVERY_RULE_EXACT,   "URN:a",                        "urn:a",                      false},
		{ DISCOVERY_RULE_UNKNOWN, "urn:a",                        "urn:a",                      false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (discovery_scopes_match(rows[i].rule, rows[i].asked, rows[i].ours) !=
			rows[i].matches)
			fail_msg("%s and %s", rows[i].asked, rows[i].ours);
	}
}

/* --- what we say --- */

static const struct discovery_words words = {
	.endpoint = "urn:uuid:8",
	.scopes = SCOPE "name/n " SCOPE "hardware/h " SCOPE "Profile/T",
	.addresses =
		"http://192.0.2.1:8080/onvif/device_service https://192.0.2.1/onvif/device_service",
	.version = 5,
	.instance = 6,
	.number = 7,
	.relates_to = "a<b",
};

static void what_we_say_is_read(void **state)
{
	static const char here[] =
		"here urn:uuid:8 http:8080/onvif/device_service name=n hardware=h T;";
	static const struct {
		enum discovery_statement statement;
		const char *told;
	} rows[] = {
		{DISCOVERY_SAY_HELLO,    here                                     },
		{ DISCOVERY_SAY_BYE,     "bye urn:uuid:8 http:0 name= hardware= ;"},
		{ DISCOVERY_SAY_MATCH,   here                                     },
 /* clients that did not ask are not told of it */
		{ DISCOVERY_SAY_RESOLVE, ""                                       },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		size_t n;
		char *text = discovery_write(rows[i].statement, "u", &words, &n);

		assert_int_equal(strlen(text), n);
		assert_told(text, rows[i].told);
		assert_non_null(strstr(text, "InstanceId=\"6\" MessageNumber=\"7\""));
		free(text);
	}
}

static void our_probe_is_for_us(void **state)
{
	size_t n;
	char *text = discovery_write_probe("3", &n);

	(void)state;
	assert_told(text, "probe urn:uuid:3 0;");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cameras_are_told_of),
		cmocka_unit_test(what_is_no_camera_is_passed_over),
		cmocka_unit_test(texts_cannot_leave_their_line),
		cmocka_unit_test(other_messages_are_refused),
		cmocka_unit_test(questions_for_our_types_are_told_of),
		cmocka_unit_test(other_questions_are_passed_over),
		cmocka_unit_test(scopes_and_endpoints_are_told_of),
		cmocka_unit_test(scopes_match_by_their_rule),
		cmocka_unit_test(what_we_say_is_read),
		cmocka_unit_test(our_probe_is_for_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
