/* Notification messages of ONVIF: by topic and namespace, whatever their prefixes; those that are none cost nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/event_message.h"
#include "server/base/memory.h"

#define ROOT                                                              \
	"<tt:MetadataStream xmlns:tt='http://www.onvif.org/ver10/schema'" \
	" xmlns:wsnt='http://docs.oasis-open.org/wsn/b-2' xmlns:tns1='http://www.onvif.org/ver10/topics'><tt:Event>"
#define END "</tt:Event></tt:MetadataStream>"
#define MESSAGE(topic, operation, source, data)                                              \
	"<wsnt:NotificationMessage><wsnt:Topic Dialect='http://www.onvif.org/ver10/tev/"     \
	"topicExpression/ConcreteSet'>" topic "</wsnt:Topic><wsnt:Message>"                  \
	"<tt:Message UtcTime='2026-11-20T14:30:00.000Z' PropertyOperation='" operation "'>"  \
	"<tt:Source>" source "</tt:Source><tt:Key/><tt:Data>" data "</tt:Data></tt:Message>" \
	"</wsnt:Message></wsnt:NotificationMessage>"
#define ITEM(name, value) "<tt:SimpleItem Name='" name "' Value='" value "'/>"
#define CELL "tns1:RuleEngine/CellMotionDetector/Motion"

struct told {
	char text[1024];
};

static void on_message(void *arg, const struct event_message *message)
{
	static const char *const phases[] = { "moment", "begins", "ends" };
	static const char *const kinds[] = { "motion", "tamper", "line", "input", "person",
		"vehicle", "manual" };
	struct told *told = arg;
	size_t n = strlen(told->text);

	snprintf(told->text + n, sizeof(told->text) - n, "%s %s (%s)\n", kinds[message->kind],
		phases[message->phase], message->source);
}

static int parse(const char *document, struct told *told)
{
	told->text[0] = '\0';
	return event_messages_parse(document, strlen(document), on_message, told);
}

/* clang-format off */
static const struct {
	const char *what, *document, *told;
} rows[] = {
	{ "motion begins",
		ROOT MESSAGE(CELL, "Changed", ITEM("VideoSourceConfigurationToken", "V1") ITEM("Rule", "R1"), ITEM("IsMotion", "true")) END,
		"motion begins (RuleEngine/CellMotionDetector/Motion V1 R1)\n" },
	{ "motion ends",
		ROOT MESSAGE(CELL, "Changed", ITEM("Rule", "R1"), ITEM("IsMotion", "false")) END,
		"motion ends (RuleEngine/CellMotionDetector/Motion R1)\n" },
	{ "what is deleted has ended",
		ROOT MESSAGE(CELL, "Deleted", ITEM("Rule", "R1"), "") END, "motion ends (RuleEngine/CellMotionDetector/Motion R1)\n" },
	{ "numbers are truths, too; white space around the topic",
		ROOT MESSAGE(" tns1:VideoSource/MotionAlarm\n", "Initialized", ITEM("Source", "0"), ITEM("State", "1")) END,
		"motion begins (VideoSource/MotionAlarm 0)\n" },
	{ "a line is crossed in a moment",
		ROOT MESSAGE("tns1:RuleEngine/LineDetector/Crossed", "Changed", ITEM("Rule", "door"), ITEM("ObjectId", "17")) END,
		"line moment (RuleEngine/LineDetector/Crossed door)\n" },
	{ "other prefixes, also within the topic; two messages",
		"<m:MetadataStream xmlns:m='http://www.onvif.org/ver10/schema'><m:Event xmlns='http://docs.oasis-open.org/wsn/b-2'>"
		"<NotificationMessage><Topic>a:Device/b:Trigger/a:DigitalInput</Topic><Message><m:Message><m:Source><m:SimpleItem Name='InputToken' Value='7'/>"
		"</m:Source><m:Data><m:SimpleItem Name='LogicalState' Value='True'/></m:Data></m:Message></Message></NotificationMessage>"
		"<NotificationMessage><Topic>tns1:VideoSource/GlobalSceneChange/ImagingService</Topic><Message><m:Message>"
		"<m:Data><m:SimpleItem Name='State' Value='false'/></m:Data></m:Message></Message></NotificationMessage></m:Event></m:MetadataStream>",
		"input begins (Device/Trigger/DigitalInput 7)\ntamper ends (VideoSource/GlobalSceneChange/ImagingService)\n" },
	{ "the answer to PullMessages",
		"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope' xmlns:wsnt='http://docs.oasis-open.org/wsn/b-2' xmlns:tt='http://www.onvif.org/ver10/schema'>"
		"<s:Body><e:PullMessagesResponse xmlns:e='http://www.onvif.org/ver10/events/wsdl'>"
		MESSAGE("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "Changed", ITEM("Source", "000"), ITEM("State", "true"))
		"</e:PullMessagesResponse></s:Body></s:Envelope>",
		"person begins (RuleEngine/MyRuleDetector/PeopleDetect 000)\n" },
	{ "other topics", ROOT MESSAGE("tns1:Device/HardwareFailure/FanFailure", "Changed", "", ITEM("Failed", "true")) END, "" },
	{ "another namespace", "<N:NotificationMessage xmlns:N='urn:else'><N:Topic>VideoSource/MotionAlarm</N:Topic></N:NotificationMessage>", "" },
	{ "no message in it", ROOT "<wsnt:NotificationMessage><wsnt:Topic>" CELL "</wsnt:Topic></wsnt:NotificationMessage>" END, "" },
	{ "nothing at all in it", ROOT "<wsnt:NotificationMessage/>" END, "" },
};
/* clang-format on */

static void messages_are_told_by_topic(void **state)
{
	struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (parse(rows[i].document, &told) != 0 || strcmp(told.text, rows[i].told) != 0)
			fail_msg("%s: %s", rows[i].what, told.text);
	}
}

static void what_is_no_such_document_is_refused(void **state)
{
	static const char *const documents[] = { "", "<a>", "no XML at all",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
		"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>" };
	struct told told;
	char *large = xmalloc((256 << 10) + 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(documents); i++)
		assert_int_equal(parse(documents[i], &told), -EBADMSG);
	memset(large, ' ', (256 << 10) + 1);
	memcpy(large, "<a/>", 4);
	large[(256 << 10) + 1] = '\0';
	assert_int_equal(parse(large, &told), -EBADMSG);
	large[256 << 10] = '\0';
	assert_int_equal(parse(large, &told), 0);
	free(large);
}

static void sources_are_cut_and_topics_are_not(void **state)
{
	char *long_source = xasprintf("%s%s%0200d%s%s",
		ROOT "<wsnt:NotificationMessage><wsnt:Topic>",
		CELL
		"</wsnt:Topic><wsnt:Message><tt:Message><tt:Source><tt:SimpleItem Name='a' Value='",
		7,
		"'/><tt:SimpleItem Name='b' Value='x'/></tt:Source></tt:Message></wsnt:Message></wsnt:NotificationMessage>",
		END);
	char *long_topic = xasprintf("%s%s%0200d%s", ROOT "<wsnt:NotificationMessage><wsnt:Topic>",
		CELL, 7,
		"</wsnt:Topic><wsnt:Message><tt:Message/></wsnt:Message></wsnt:NotificationMessage>" END);
	struct told told;

	(void)state;
	assert_int_equal(parse(long_source, &told), 0);
	assert_int_equal(
		strncmp(told.text, "motion moment (RuleEngine/CellMotionDetector/Motion 000", 55),
		0);
	assert_int_equal(parse(long_topic, &told), 0);
	assert_string_equal(told.text, "");
	free(long_source);
	free(long_topic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_told_by_topic),
		cmocka_unit_test(what_is_no_such_document_is_refused),
		cmocka_unit_test(sources_are_cut_and_topics_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
