/* What changed at cameras, from the rows of the catalogue: in the order of time, forward and backward, and no more than is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/event_history.h"
#include "onvif/recording_history.h"

#define SECOND INT64_C(1000000)

static struct history history;
static struct event_history happened;

/* From 100 s to 200 s. */
static void begin(bool newest_first, const char *topics, size_t most)
{
	static const char *const names[] = { "porch", "yard" };
	struct history_order order = {
		100 * SECOND, 200 * SECOND, newest_first, true, {"", ""},
                        most
	};

	snprintf(order.filter.topics, sizeof(order.filter.topics), "%s", topics);
	history_init(&history, &order, names, 2);
	happened = (struct event_history){ 0 };
}

static void take(size_t camera, enum event_kind kind, int64_t start, int64_t end)
{
	const struct catalogue_event row = { start * SECOND, end * SECOND, kind };

	event_history_take(&happened, &history, camera, &row);
}

static void end_camera(size_t camera)
{
	event_history_end(&happened, &history, camera);
	happened = (struct event_history){ 0 };
}

/* "100 porch VideoSource/MotionAlarm State=false ! 110 …": '!' marks how it was where it begins. */
static void assert_told(const char *expected)
{
	char text[4096] = "";

	history_sort(&history);
	for (size_t i = 0; i < history.n; i++) {
		struct event_told told;
		struct event_text event;
		size_t n = strlen(text);

		history_text(&history, &history.events[i], &told, &event);
		assert_int_equal(event.operation == EVENT_OPERATION_INITIALIZED,
			history.events[i].is_start_state);
		snprintf(text + n, sizeof(text) - n, "%s%d %s %s %s=%s%s", i ? ", " : "",
			(int)(event.utc_us / SECOND), history.names[history.events[i].camera],
			strrchr(event.topic, '/') + 1, event.data[0].name, event.data[0].value,
			history.events[i].is_start_state ? "!" : "");
	}
	assert_string_equal(text, expected);
	history_fini(&history);
}

static void what_lasts_begins_and_ends(void **state)
{
	(void)state;
	begin(false, "tns1:Device//.", 100);
	take(0, EVENT_INPUT, 110, 120);
	take(0, EVENT_INPUT, 130, 130);
	end_camera(0);
	assert_told(
		"100 porch DigitalInput LogicalState=false!, 110 porch DigitalInput LogicalState=true, 120 porch DigitalInput LogicalState=false,"
		" 130 porch DigitalInput LogicalState=true, 130 porch DigitalInput LogicalState=false");
	begin(true, "tns1:Device//.", 100);
	take(0, EVENT_INPUT, 110, 120);
	take(0, EVENT_INPUT, 130, 130);
	end_camera(0);
	assert_told(
		"200 porch DigitalInput LogicalState=false!, 130 porch DigitalInput LogicalState=false, 130 porch DigitalInput LogicalState=true,"
		" 120 porch DigitalInput LogicalState=false, 110 porch DigitalInput LogicalState=true");
}

static void motion_is_told_by_rule_and_by_camera(void **state)
{
	(void)state;
	begin(false, "", 100);
	take(1, EVENT_MOTION, 90, 150);
	end_camera(1);
	assert_told(
		"100 yard Motion IsMotion=true!, 100 yard MotionAlarm State=true!, 150 yard Motion IsMotion=false, 150 yard MotionAlarm State=false");
}

static void events_of_a_kind_that_overlap_are_one(void **state)
{
	(void)state;
	begin(false, "tns1:VideoSource//.", 100);
	take(0, EVENT_MOTION, 110, 120);
	take(0, EVENT_TAMPER, 115, 125);
	take(0, EVENT_MOTION, 115, 130);
	take(0, EVENT_MOTION, 116, 117);
	take(0, EVENT_MOTION, 131, 132);
	end_camera(0);
	assert_told(
		"100 porch MotionAlarm State=false!, 100 porch ImagingService State=false!, 110 porch MotionAlarm State=true, 115 porch ImagingService State=true,"
		" 125 porch ImagingService State=false, 130 porch MotionAlarm State=false, 131 porch MotionAlarm State=true, 132 porch MotionAlarm State=false");
}

static void what_is_under_way_has_no_end(void **state)
{
	(void)state;
	begin(true, "tns1:RuleEngine/MyRuleDetector//.", 100);
	happened.lasting = 1 << EVENT_PERSON;
	happened.fresh_us = 180 * SECOND;
	take(0, EVENT_PERSON, 110, 120);
	take(0, EVENT_PERSON, 150, 185);
	take(0, EVENT_VEHICLE, 150, 185);
	take(0, EVENT_PERSON, 190, 191);
	end_camera(0);
	assert_told(
		"200 porch PeopleDetect State=true!, 200 porch VehicleDetect State=false!, 185 porch VehicleDetect State=false, 150 porch PeopleDetect State=true,"
		" 150 porch VehicleDetect State=true, 120 porch PeopleDetect State=false, 110 porch PeopleDetect State=true");
}

static void what_has_no_state_is_told_once(void **state)
{
	(void)state;
	begin(false, "", 100);
	take(0, EVENT_LINE, 110, 110);
	take(0, EVENT_LINE, 99, 99);
	take(0, EVENT_MANUAL, 120, 130);
	end_camera(0);
	assert_told("110 porch Crossed ObjectId=0");
}

static void the_first_are_kept(void **state)
{
	(void)state;
	begin(true, "tns1:Device//.", 3);
	for (int i = 0; i < 20; i++)
		take(0, EVENT_INPUT, 110 + 4 * i, 112 + 4 * i);
	end_camera(0);
	take(1, EVENT_INPUT, 120, 187);
	end_camera(1);
	assert_told(
		"200 porch DigitalInput LogicalState=false!, 200 yard DigitalInput LogicalState=false!, 188 porch DigitalInput LogicalState=false");
	begin(false, "tns1:Device//.", 4);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(history_is_over(&history, (110 + 4 * i) * SECOND), i > 5);
		take(0, EVENT_INPUT, 110 + 4 * i, 112 + 4 * i);
	}
	end_camera(0);
	take(1, EVENT_INPUT, 109, 187);
	end_camera(1);
	assert_told(
		"100 porch DigitalInput LogicalState=false!, 100 yard DigitalInput LogicalState=false!, 109 yard DigitalInput LogicalState=true,"
		" 110 porch DigitalInput LogicalState=true");
}

static void recordings_and_events_are_in_one_order(void **state)
{
	static const struct {
		int64_t start, end;
		enum catalogue_state state;
	} rows[] = {
		{90,   110, SEGMENT_CLOSED},
		{ 111, 140, SEGMENT_CLOSED},
		{ 150, 160, SEGMENT_OPEN  },
	};
	struct recording_history recording = { 0 };
	char codecs[] = "avc1.640028";

	(void)state;
	begin(false, "tns1:RecordingHistory/Recording/State|tns1:Device//.", 100);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct catalogue_segment row = { .start_us = rows[i].start * SECOND,
			.end_us = rows[i].end * SECOND,
			.state = rows[i].state,
			.codecs = codecs };

		recording_history_take(&recording, &history, 0, &row);
	}
	recording_history_end(&recording, &history, 0);
	take(0, EVENT_INPUT, 145, 155);
	end_camera(0);
	assert_told(
		"100 porch State IsRecording=true!, 100 porch DigitalInput LogicalState=false!, 140 porch State IsRecording=false,"
		" 145 porch DigitalInput LogicalState=true, 150 porch State IsRecording=true, 155 porch DigitalInput LogicalState=false");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lasts_begins_and_ends),
		cmocka_unit_test(motion_is_told_by_rule_and_by_camera),
		cmocka_unit_test(events_of_a_kind_that_overlap_are_one),
		cmocka_unit_test(what_is_under_way_has_no_end),
		cmocka_unit_test(what_has_no_state_is_told_once),
		cmocka_unit_test(the_first_are_kept),
		cmocka_unit_test(recordings_and_events_are_in_one_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
