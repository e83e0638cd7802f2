/* Message content filters, by the grammar of ONVIF's Core Specification; what they mean is compared with libxml2's XPath. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#include "onvif/item_filter.h"

static const struct event_text message = {
	.topic = "RuleEngine/CellMotionDetector/Motion",
	.source = {{ "VideoSourceConfigurationToken", "1" }, { "Rule", "it's \"R1\"" } },
	.data = { { "State", "true" }				      },
};

#define ITEM(test) "boolean(//tt:SimpleItem[" test "])"
#define YES ITEM("@Name=\"State\"")
#define NO ITEM("@Name=\"Nothing\"")

static const struct {
	const char *expression;
	bool has;
} rows[] = {
  /* the specification's examples */
	{"boolean(//tt:SimpleItem[@Name=\"VideoSourceConfigurationToken\" and @Value=\"1\"])",
         true												       },
	{ "boolean(//tt:SimpleItem[@Name=\"VideoSourceConfigurationToken\" and @Value=\"2\"])",
         false												      },
	{ "not(boolean(//tt:SimpleItem[@Name=\"VideoAnalyticsConfigurationToken\"]))",                         true },
	{ "boolean(//tt:ElementItem[@Name=\"Transformation\"]) and boolean(//tt:SimpleItem[@Name=\"State\"])",
         false												      },
 /* an item, not two */
	{ ITEM("@Name=\"State\" and @Value=\"1\""),							    false},
	{ ITEM("@Name=\"State\"") " and " ITEM("@Value=\"1\""),                                                true },
	{ ITEM("@Name=\"State\" or @Value=\"1\""),							     true },
	{ ITEM("not(@Name=\"State\")"),									true },
	{ ITEM("@Value=\"tru\""),									      false},
	{ ITEM("@Value=\"true1\""),									    false},
	{ ITEM("@Value=\"\""),										 false},
 /* and comes before or, not before both */
	{ YES " or " NO " and " NO,									    true },
	{ "(" YES " or " NO ") and " NO,								       false},
	{ NO " and " NO " or " YES,									    true },
	{ NO " and (" NO " or " YES ")",								       false},
	{ "not(" NO ") and " YES,									      true },
	{ "not(" NO " and " YES ")",									   true },
	{ "not(not(" NO "))",										  false},
	{ ITEM("@Name=\"State\" or @Name=\"x\" and @Value=\"x\""),                                             true },
	{ ITEM("(@Name=\"State\" or @Name=\"x\") and @Value=\"x\""),                                           false},
	{ ITEM("not(@Name=\"State\" or @Value=\"1\") and @Name=\"Rule\""),                                     true },
 /* strings and blanks */
	{ ITEM("@Name='State'"),									       true },
	{ ITEM("@Value=\"it's \"") " or " YES,								 true },
	{ " not ( boolean\n( // tt:SimpleItem [ @Name = \"x\" and\t@Value = \"true\" ] ) ) ",
         true												       },
	{ YES "and(" YES ")",										  true },
};

/* What libxml2 says of the message as it is sent. */
static bool xpath_has(const char *expression)
{
	struct soap_writer writer;
	xmlXPathContext *context;
	xmlXPathObject *result;
	bool has;

	soap_writer_init(&writer);
	event_write(soap_add(writer.body, SOAP_WSNT_SPACE, "NotificationMessage"), &message);
	context = xmlXPathNewContext(writer.document);
	xmlXPathRegisterNs(context, (const xmlChar *)"tt", (const xmlChar *)SOAP_SCHEMA_SPACE);
	result = xmlXPathEvalExpression((const xmlChar *)expression, context);
	assert_non_null(result);
	has = xmlXPathCastToBoolean(result);
	xmlXPathFreeObject(result);
	xmlXPathFreeContext(context);
	soap_writer_fini(&writer);
	return has;
}

static void messages_meet_what_xpath_means(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!item_filter_is_valid(rows[i].expression))
			fail_msg("refused: %s", rows[i].expression);
		assert_int_equal(xpath_has(rows[i].expression), rows[i].has);
		if (item_filter_has(rows[i].expression, &message) != rows[i].has)
			fail_msg("%s", rows[i].expression);
	}
}

static void prefixes_do_not_count(void **state)
{
	(void)state;
	assert_true(item_filter_has("boolean(//SimpleItem[@Name=\"State\"])", &message));
	assert_true(item_filter_has("boolean(//onvif:SimpleItem[@Name=\"State\"])", &message));
	assert_false(item_filter_is_valid("boolean(//a:b:SimpleItem[@Name=\"State\"])"));
}

static void what_is_no_expression_is_refused(void **state)
{
	static const char *const texts[] = { "", " ", "true()", "boolean(", "boolean()",
		"//tt:SimpleItem[@Name=\"State\"]", "boolean(//tt:SimpleItem)",
		"boolean(//tt:SimpleItem[])", "boolean(//tt:SimpleItem[@Name])",
		"boolean(//tt:SimpleItem[@Name=State])", "boolean(//tt:SimpleItem[@Name=\"State])",
		"boolean(//tt:SimpleItem[@Names=\"State\"])",
		"boolean(//tt:SimpleItems[@Name=\"State\"])",
		"boolean(//tt:Message[@Name=\"State\"])",
		"boolean(/tt:SimpleItem[@Name=\"State\"])",
		"booleans(//tt:SimpleItem[@Name=\"State\"])", YES " or", YES " xor " YES, YES YES,
		"or " YES, "not " YES, "(" YES, YES ")", "()", "boolean(//tt:SimpleItem[" YES "])",
		"boolean(" YES ")" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (item_filter_is_valid(texts[i]))
			fail_msg("taken: %s", texts[i]);
		assert_false(item_filter_has(texts[i], &message));
	}
}

static void parentheses_end_somewhere(void **state)
{
	char text[ITEM_FILTER_BYTES] = "";

	(void)state;
	for (int n = 1; n < 40; n++) {
		memset(text, '(', (size_t)n);
		strcpy(text + n, YES);
		memset(text + n + strlen(YES), ')', (size_t)n);
		text[2 * (size_t)n + strlen(YES)] = '\0';
		assert_int_equal(item_filter_is_valid(text), n <= 32);
	}
}

/* A valid expression that is cut is none. */
static void every_cut_is_refused(void **state)
{
	static const char whole[] = "not(" YES ") or (" ITEM("@Name='a' and not(@Value='b')") ")";
	char text[sizeof(whole)];

	(void)state;
	assert_true(item_filter_is_valid(whole));
	for (size_t n = 0; n < strlen(whole); n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		assert_int_equal(item_filter_is_valid(text),
			n == strlen("not(" YES ")") || n == strlen("not(" YES ") "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_meet_what_xpath_means),
		cmocka_unit_test(prefixes_do_not_count),
		cmocka_unit_test(what_is_no_expression_is_refused),
		cmocka_unit_test(parentheses_end_somewhere),
		cmocka_unit_test(every_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
