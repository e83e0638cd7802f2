/* A camera's clock: when it is looked at, when it is told the time and what, and when it is left alone. */
#include "onvif/camera_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/camera_answer.h"
#include "onvif/camera_caller.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "tests/fake_connection.h"

#define TDS SOAP_DEVICE_SPACE
#define TT SOAP_SCHEMA_SPACE
#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)
#define START_US (INT64_C(1795185000) * SECOND_US) /* 2026-11-20 14:30:00 UTC */

/* --- the camera, in place of camera_caller, and whether anybody has set our clock --- */

static struct {
	int64_t off_us; /* its clock is so much ahead */
	int64_t took_us;
	bool obeys, refuses, is_silent, is_summer;
	/* the question that is under way */
	const char *action;
	camera_reply_fn *done;
	void *arg;
	/* what it was asked for */
	unsigned looks, tellings;
	char told[64]; /* the last time, as text */
	int64_t ahead_us, local_us;
} camera;
static bool clock_is_set;

struct camera_caller {
	int unused;
};

struct camera_caller *__wrap_camera_caller_new(const char *url, const struct config_camera *config,
	const struct log_name *log, const char **why);
void __wrap_camera_caller_free(struct camera_caller *caller);
const char *__wrap_camera_caller_device_path(const struct camera_caller *caller);
void __wrap_camera_caller_set_clock(struct camera_caller *caller, int64_t utc_us, int64_t local_us);
void __wrap_camera_caller_ask(struct camera_caller *caller, const struct camera_question *question,
	struct soap_writer *writer, camera_reply_fn *done, void *arg);
int __wrap_camera_answer_time(
	struct camera_time *ret, const struct soap_message *answer, const char **why);
bool __wrap_wall_clock_is_set(void);

struct camera_caller *__wrap_camera_caller_new(const char *url, const struct config_camera *config,
	const struct log_name *log, const char **why)
{
	(void)url, (void)config, (void)log, (void)why;
	return xcalloc(1, sizeof(struct camera_caller));
}

void __wrap_camera_caller_free(struct camera_caller *caller)
{
	camera.done = NULL;
	free(caller);
}

const char *__wrap_camera_caller_device_path(const struct camera_caller *caller)
{
	(void)caller;
	return "/onvif/device_service";
}

void __wrap_camera_caller_set_clock(struct camera_caller *caller, int64_t utc_us, int64_t local_us)
{
	(void)caller;
	camera.ahead_us = utc_us;
	camera.local_us = local_us;
}

static int part_of(const xmlNode *parent, const char *name)
{
	int64_t value = -1;

	assert_true(soap_integer(soap_child(parent, TT, name), &value));
	return (int)value;
}

static void read_telling(const xmlNode *body)
{
	const xmlNode *request = soap_child(body, TDS, "SetSystemDateAndTime");
	const xmlNode *utc = soap_child(request, TDS, "UTCDateTime");
	const xmlNode *time = soap_child(utc, TT, "Time"), *date = soap_child(utc, TT, "Date");
	char type[16];
	bool is_summer;

	assert_true(soap_text(soap_child(request, TDS, "DateTimeType"), type, sizeof(type)));
	assert_string_equal(type, "Manual");
	assert_true(soap_bool(soap_child(request, TDS, "DaylightSavings"), &is_summer));
	assert_int_equal(is_summer, camera.is_summer);
	(void)snprintf(camera.told, sizeof(camera.told), "%04d-%02d-%02d %02d:%02d:%02d",
		part_of(date, "Year"), part_of(date, "Month"), part_of(date, "Day"),
		part_of(time, "Hour"), part_of(time, "Minute"), part_of(time, "Second"));
	camera.tellings++;
}

void __wrap_camera_caller_ask(struct camera_caller *caller, const struct camera_question *question,
	struct soap_writer *writer, camera_reply_fn *done, void *arg)
{
	assert_non_null(caller);
	assert_null(camera.done);
	camera.action = strrchr(question->action, '/') + 1;
	camera.done = done;
	camera.arg = arg;
	if (!strcmp(camera.action, "SetSystemDateAndTime"))
		read_telling(writer->body);
	else
		camera.looks++;
	soap_writer_fini(writer);
}

int __wrap_camera_answer_time(
	struct camera_time *ret, const struct soap_message *answer, const char **why)
{
	int64_t now_us = fake_clock() + camera.off_us;

	(void)answer, (void)why;
	ret->utc_us = now_us - now_us % SECOND_US;
	ret->local_us = ret->utc_us + HOUR_US;
	ret->is_summer = camera.is_summer;
	return 0;
}

bool __wrap_wall_clock_is_set(void)
{
	return clock_is_set;
}

/* The camera answers what it is asked, until it is asked nothing more. */
static void answer(void)
{
	while (camera.done) {
		bool is_telling = !strcmp(camera.action, "SetSystemDateAndTime");
		struct camera_reply reply = { .end = SOURCE_STOPPED };
		camera_reply_fn *done = camera.done;

		if (camera.is_silent)
			reply.end = SOURCE_TIMEOUT;
		else if (is_telling && camera.refuses)
			reply.end = SOURCE_FAULT;
		else if (is_telling && camera.obeys)
			camera.off_us = 0;
		camera.done = NULL;
		fake_clock_set(fake_clock() + camera.took_us);
		done(camera.arg, &reply);
	}
}

/* --- life --- */

static struct camera_clock *tested;

static int set_up(void **state)
{
	static const struct log_name log = { .kind = "camera", .name = "porch" };

	(void)state;
	reactor_init();
	fake_clock_set(START_US);
	memset(&camera, 0, sizeof(camera));
	camera.obeys = clock_is_set = true;
	tested = camera_clock_new("onvif://192.0.2.1", NULL, &log);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	camera_clock_free(tested);
	reactor_fini();
	return 0;
}

/* As when the camera is there. */
static void look(void)
{
	camera_clock_look(tested);
	answer();
}

/* The next look is in so long, and not before. */
static void expect_look_in(int64_t us)
{
	unsigned looks = camera.looks;

	fake_clock_set(fake_clock() + us - SECOND_US);
	assert_int_equal(camera.looks, looks);
	fake_clock_set(fake_clock() + SECOND_US);
	assert_int_equal(camera.looks, looks + 1);
	answer();
}

/* --- tests --- */

static void test_when_it_is_looked_at(void **state)
{
	(void)state;
	camera_clock_look(NULL);
	expect_look_in(MINUTE_US);
	expect_look_in(DAY_US);
	camera_clock_look(tested);
	camera_clock_look(tested); /* it is being looked at */
	assert_int_equal(camera.looks, 3);
	answer();
	expect_look_in(DAY_US);
	camera.is_silent = true;
	look();
	expect_look_in(DAY_US);
	assert_int_equal(camera.tellings, 0);
	camera_clock_look(tested); /* and is freed meanwhile */
}

/* It tells whole seconds, half a one less on the average; how long it takes is part of what is not known. */
static void test_what_is_right(void **state)
{
	static const struct {
		int64_t off_s, took_s;
		bool is_right;
	} cases[] = {
		{0,      0, true },
		{ 1,     0, true },
		{ 2,     0, false},
		{ -2,    0, true },
		{ -3,    0, false},
		{ 86400, 0, false},
		{ 1,     4, true },
		{ 2,     4, false},
		{ -6,    4, true },
		{ -7,    4, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		unsigned tellings = camera.tellings;

		camera.off_us = cases[i].off_s * SECOND_US;
		camera.took_us = cases[i].took_s * SECOND_US;
		look();
		if ((camera.tellings == tellings) != cases[i].is_right)
			fail_msg("%d s off, and asked for %d s", (int)cases[i].off_s,
				(int)cases[i].took_s);
	}
}

static void test_it_is_told_our_time(void **state)
{
	(void)state;
	camera.off_us = -HOUR_US;
	fake_clock_set(START_US + 58 * SECOND_US + 400000);
	look();
	assert_int_equal(camera.tellings, 1);
	assert_string_equal(camera.told, "2026-11-20 14:30:58");
	assert_int_equal(camera.looks, 2); /* whether it has it now */
	assert_int_equal(camera.ahead_us, -400000);
	assert_int_equal(camera.local_us, HOUR_US - 400000);
	camera.off_us = DAY_US;
	camera.is_summer = true;
	fake_clock_set(START_US + 59 * SECOND_US + 500000);
	look();
	assert_string_equal(camera.told, "2026-11-20 14:31:00");
	expect_look_in(DAY_US);
}

static void test_a_clock_that_nobody_has_set_is_none_to_set_others_by(void **state)
{
	(void)state;
	camera.off_us = HOUR_US;
	clock_is_set = false;
	look();
	expect_look_in(MINUTE_US);
	assert_int_equal(camera.tellings, 0);
	assert_int_equal(camera.ahead_us, HOUR_US);
	clock_is_set = true;
	expect_look_in(MINUTE_US);
	assert_int_equal(camera.tellings, 1);
}

/* Cameras lock users out who ask too often for what they may not do. */
static void test_one_that_cannot_be_set_is_left_alone_for_an_hour(void **state)
{
	static const unsigned tellings[] = { 1,
		3 }; /* one that refuses, and one that takes no notice */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(tellings); i++) {
		camera.off_us = 0;
		look();
		fake_clock_set(fake_clock() + DAY_US / 2);
		camera.refuses = i == 0;
		camera.obeys = false;
		camera.off_us = HOUR_US;
		camera.tellings = 0;
		look();
		assert_int_equal(camera.tellings, tellings[i]);
		fake_clock_set(fake_clock() + HOUR_US - SECOND_US);
		look();
		assert_int_equal(camera.tellings, tellings[i]);
		fake_clock_set(fake_clock() + SECOND_US);
		look();
		assert_int_equal(camera.tellings, 2 * tellings[i]);
		expect_look_in(DAY_US);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_when_it_is_looked_at),
		TEST(test_what_is_right),
		TEST(test_it_is_told_our_time),
		TEST(test_a_clock_that_nobody_has_set_is_none_to_set_others_by),
		TEST(test_one_that_cannot_be_set_is_left_alone_for_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
