/* Filters of recordings, by the examples of ONVIF's Recording Search Specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/recording_filter.h"
#include "onvif/soap_writer.h"
#include "server/base/memory.h"

#define TT SOAP_SCHEMA_SPACE

static bool has(const char *filter)
{
	struct soap_writer writer;
	xmlNode *information, *track;
	bool is_meant;

	soap_writer_init(&writer);
	information = soap_add(writer.body, TT, "RecordingInformation");
	soap_add_text(information, TT, "RecordingToken", "porch");
	track = soap_add(information, TT, "Track");
	soap_add_text(track, TT, "TrackToken", "video");
	soap_add_text(track, TT, "TrackType", "Video");
	is_meant = recording_filter_has(filter, information);
	soap_writer_fini(&writer);
	return is_meant;
}

static void recordings_are_meant_by_what_they_have(void **state)
{
	(void)state;
	assert_true(has("boolean(//Track[TrackType = \"Video\"])"));
	assert_true(has("boolean(//tt:Track[tt:TrackType = \"Video\"])"));
	assert_false(has("boolean(//Track[TrackType = \"Audio\"])"));
	assert_true(has(
		"boolean(//Track[TrackType = \"Video\"]) and not(boolean(//Track[TrackType = \"Audio\"]))"));
	assert_true(has("RecordingToken = \"porch\""));
	assert_false(has("/RecordingInformation"));
}

static void what_is_no_expression_is_refused(void **state)
{
	char large[RECORDING_FILTER_BYTES + 1];

	(void)state;
	memset(large, '1', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_false(recording_filter_is_valid(large));
	large[sizeof(large) - 2] = '\0';
	assert_true(recording_filter_is_valid(large));
	assert_false(recording_filter_is_valid(""));
	assert_false(recording_filter_is_valid("(("));
	assert_false(recording_filter_is_valid("//Track["));
	assert_true(recording_filter_is_valid("boolean(//Track)"));
	assert_false(has("nothing()"));
	assert_false(has("unknown:name"));
}

static void what_takes_long_is_false(void **state)
{
	(void)state;
	assert_true(has("count(//*) > 0"));
	assert_false(has(
		"count(//*[count(//*[count(//*[count(//*[count(//*[count(//*[count(//*[count(//*) > 0]) > 0]) > 0]) > 0]) > 0]) > 0]) > 0]) > 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recordings_are_meant_by_what_they_have),
		cmocka_unit_test(what_is_no_expression_is_refused),
		cmocka_unit_test(what_takes_long_is_false),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
