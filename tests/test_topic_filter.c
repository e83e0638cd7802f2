/* Topic expressions, by the examples of ONVIF's Core Specification ("Topic Filter"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "onvif/topic_filter.h"

#define MOTION "RuleEngine/CellMotionDetector/Motion"

static const struct {
	const char *expression, *topic;
	bool has;
} rows[] = {
	{"",							       MOTION,                    true },
	{ "tns1:RuleEngine/CellMotionDetector/Motion",                     MOTION,                    true },
	{ " tns1:RuleEngine/tns1:CellMotionDetector/x:Motion\n",           MOTION,                    true },
	{ "tns1:RuleEngine//.",					    MOTION,                    true },
	{ "tns1:RuleEngine/CellMotionDetector//.",                         MOTION,                    true },
	{ "tns1:RuleEngine/CellMotionDetector",                            MOTION,                    false},
	{ "tns1:RuleEngine",					       MOTION,                    false},
	{ "tns1:RuleEngine/CellMotionDetector/Motion/More",                MOTION,                    false},
	{ "tns1:RuleEngine/CellMotionDetector/Moti",                       MOTION,                    false},
	{ "tns1:RuleEngine/*/Motion",				      MOTION,                    true },
	{ "tns1:VideoSource//.",					   MOTION,                    false},
	{ "tns1:VideoSource//. | tns1:RuleEngine//.",                      MOTION,                    true },
	{ "tns1:RuleEngine//.|tns1:VideoSource//.",                        "VideoSource/MotionAlarm", true },
	{ "tns1:VideoSource/MotionAlarm|tns1:Device/Trigger/DigitalInput", "VideoSource/SignalLoss",
         false											     },
	{ "VideoSource",						   "VideoSource",             true },
	{ "VideoSource//.",						"VideoSource",             true },
	{ "Video//.",						      "VideoSource",             false},
};

static void topics_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!topic_filter_is_valid(rows[i].expression) ||
			topic_filter_has(rows[i].expression, rows[i].topic) != rows[i].has)
			fail_msg("%s: %s", rows[i].expression, rows[i].topic);
	}
}

static void what_is_no_expression_is_refused(void **state)
{
	static const char *const texts[] = { "/", "a/", "a//", "a//b", "a||b", "|a", "a|", "a b",
		"a//.b", "a//./b", "a[1]", "boolean(a)", "//." };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (topic_filter_is_valid(texts[i]))
			fail_msg("taken: %s", texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topics_are_found),
		cmocka_unit_test(what_is_no_expression_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
