/* What ONVIF cameras answer: found by local names, wherever they say that they are; what is missing is told. */
#include "onvif/camera_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"

#define OPEN "<s:Envelope xmlns:s='" SOAP_SPACE "'><s:Body>"
#define CLOSE "</s:Body></s:Envelope>"

static struct soap_message message;

/* Reads an answer's body. */
static void take(const char *body)
{
	char *text = xasprintf(OPEN "%s" CLOSE, body);
	const char *why;

	soap_message_fini(&message);
	if (soap_message_parse(&message, text, strlen(text), SOAP_ANSWER_BYTES, &why) < 0)
		fail_msg("%s: %s", why, body);
	free(text);
}

static int fini(void **state)
{
	(void)state;
	soap_message_fini(&message);
	return 0;
}

/* --- time --- */

#define TIME(h, m, s) "<Time><Hour>" h "</Hour><Minute>" m "</Minute><Second>" s "</Second></Time>"
#define DATE(y, m, d) "<Date><Year>" y "</Year><Month>" m "</Month><Day>" d "</Day></Date>"
#define CLOCK(inside) "<R xmlns='urn:wrong'><SystemDateAndTime>" inside "</SystemDateAndTime></R>"

static void test_q121_both_clocks_are_read(void **state)
{
	struct camera_time time = { 0 };
	const char *why;

	(void)state;
	take(CLOCK("<UTCDateTime>" TIME("10", "42", "7") DATE("2026", "10",
		"25") "</UTCDateTime><LocalDateTime>" DATE("2026", "10", "25") TIME("12", "42",
		"7") "</LocalDateTime><DaylightSavings>true</DaylightSavings>"));
	assert_int_equal(camera_answer_time(&time, &message, &why), 0);
	/* date -u -d '2026-10-25 10:42:07' +%s */
	assert_int_equal(time.utc_us, INT64_C(1792924927) * 1000000);
	assert_int_equal(time.local_us - time.utc_us, INT64_C(7200) * 1000000);
	assert_true(time.is_summer);

	take(CLOCK("<UTCDateTime>" TIME("0", "0", "0") DATE("1970", "1", "1") "</UTCDateTime>"));
	assert_int_equal(camera_answer_time(&time, &message, &why), 0);
	assert_true(time.utc_us == 0 && time.local_us == 0 && !time.is_summer);
}

static void a_clock_that_makes_no_sense_is_none(void **state)
{
	static const char *const texts[] = {
		"<R/>",
		CLOCK(""),
		CLOCK("<UTCDateTime>" DATE("2026", "10", "25") "</UTCDateTime>"),
		CLOCK("<UTCDateTime>" TIME("25", "0", "0")
				DATE("2026", "10", "25") "</UTCDateTime>"),
		CLOCK("<UTCDateTime>" TIME("1", "0", "0")
				DATE("2026", "13", "25") "</UTCDateTime>"),
		CLOCK("<UTCDateTime>" TIME("1", "", "0") DATE("2026", "1", "25") "</UTCDateTime>"),
		CLOCK("<UTCDateTime>" TIME("1", "0", "0")
				DATE("99999999999999999999", "1", "25") "</UTCDateTime>"),
	};
	struct camera_time time;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		why = NULL;
		take(texts[i]);
		assert_int_equal(camera_answer_time(&time, &message, &why), -EBADMSG);
		assert_non_null(why);
	}
}

/* --- services --- */

#define SERVICE(space, address) \
	"<Service><Namespace>" space "</Namespace><XAddr>" address "</XAddr></Service>"

static void test_q117_of_addresses_the_path_counts(void **state)
{
	struct camera_services services;
	const char *why;

	(void)state;
	take("<x:R xmlns:x='urn:wrong' xmlns='urn:too'>" SERVICE(
		SOAP_DEVICE_SPACE, "http://0.0.0.0/d")
			SERVICE(SOAP_MEDIA_SPACE, "http://0.0.0.0/onvif/media?x=1&amp;y=2") SERVICE(
				SOAP_MEDIA2_SPACE, " /onvif/media2 ") SERVICE(SOAP_EVENTS_SPACE,
				"https://[2001:db8::1]:8443/onvif/events")
				SERVICE("urn:other", "/x") SERVICE(SOAP_PTZ_SPACE, "/onvif/ptz")
					SERVICE(SOAP_IMAGING_SPACE, "/onvif/imaging") "</x:R>");
	assert_int_equal(camera_answer_services(&services, &message, &why), 0);
	assert_string_equal(services.media, "/onvif/media?x=1&y=2");
	assert_string_equal(services.media2, "/onvif/media2");
	assert_string_equal(services.events, "/onvif/events");
	assert_string_equal(services.ptz, "/onvif/ptz");
	assert_string_equal(services.imaging, "/onvif/imaging");

	take("<R><Capabilities><Media><XAddr>http://192.168.1.1:1/m</XAddr></Media>"
	     "<Events><XAddr>http://10.0.0.1</XAddr></Events>"
	     "<PTZ><XAddr>http://10.0.0.1/p</XAddr></PTZ><Imaging><XAddr>/i</XAddr></Imaging></Capabilities></R>");
	assert_int_equal(camera_answer_services(&services, &message, &why), 0);
	assert_string_equal(services.media, "/m");
	assert_string_equal(services.media2, "");
	assert_string_equal(services.events, "/");
	assert_string_equal(services.ptz, "/p");
	assert_string_equal(services.imaging, "/i");

	take("<R><Capabilities><Media/></Capabilities></R>");
	assert_int_equal(camera_answer_services(&services, &message, &why), -EBADMSG);
}

/* --- media --- */

#define PROFILE(token, source, encoding, w, h)                                                    \
	"<Profiles token='" token "'><VideoSourceConfiguration><SourceToken>" source              \
	"</SourceToken></VideoSourceConfiguration><VideoEncoderConfiguration><Encoding>" encoding \
	"</Encoding><Resolution><Width>" w "</Width><Height>" h "</Height></Resolution>"          \
	"</VideoEncoderConfiguration></Profiles>"
#define PROFILE2(token, w, h)                                                                 \
	"<Profiles token='" token "'><Configurations><VideoEncoder><Encoding>H265</Encoding>" \
	"<Resolution><Width>" w "</Width><Height>" h                                          \
	"</Height></Resolution></VideoEncoder></Configurations></Profiles>"

static void main_and_sub_are_picked_by_resolution(void **state)
{
	static const struct {
		const char *profiles, *large, *small;
	} rows[] = {
		{PROFILE("a",				 "1",      "H264",						   "640",													 "360") PROFILE("b",																										     "1","H264", "2560", "1440"),
                 "b", "a" },
		{ PROFILE("a",				    "1",						   "H264",													"2560",																										    "1440") PROFILE("b",																																																					       "1","H264","320", "180")
				PROFILE("c", "1", "H264", "640", "360"),
                 "a", "c" }, /* not the telephone's */
		{ PROFILE("a",                        "1",                             "H264",									       "640","480") PROFILE("b","1","H264","600", "400")
				PROFILE("c", "1", "H264", "480", "360"),
                 "a", "c" },
		{ PROFILE("a",				     "1",						   "H264",													"1920",																										    "1080"),																																																					       "a",NULL},
		{ PROFILE("a",                         "1",                              "H264",										"1920",																										     "1080")
				PROFILE("b",																																																																																				"1",																																																																																			   "H264",																																																																																																																													       "1920", "1080"),
                 "a", NULL },
		{ PROFILE("a",				     "1",						   "H264",													"1920",																										    "1080") PROFILE("b",																																																					       "2","H264","640", "360"),
                 "a", NULL }, /* of another sensor */
		{ PROFILE("a",				    "1",					 "JPEG",											     "3840","2160") PROFILE("b","1","H264","1280", "720")
				PROFILE("c", "1", "JPEG", "320", "240"),
                 "b", NULL },
		{ PROFILE("a", "1",      "JPEG",							"640",																			       "480"),"a",NULL},
		{ "<Profiles token='none'/>" PROFILE("a",                                "1", "H264", "", "-1"), "a",NULL},
		{ PROFILE2("a",				     "640",						   "360") PROFILE2("b",												       "3840",																										   "2160"),																																																					      "b","a"},
	};
	struct camera_profiles profiles;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct camera_profile *sub;
		char *text = xasprintf("<R>%s</R>", rows[i].profiles);

		take(text);
		free(text);
		assert_int_equal(camera_answer_profiles(&profiles, &message, &why), 0);
		assert_string_equal(camera_profiles_main(&profiles)->token, rows[i].large);
		sub = camera_profiles_sub(&profiles);
		if (!sub != !rows[i].small || (sub && strcmp(sub->token, rows[i].small) != 0))
			fail_msg("row %zu: sub %s", i, sub ? sub->token : "none");
	}
	take("<R><Profiles token='a'><Name/></Profiles><Profiles/></R>");
	assert_int_equal(camera_answer_profiles(&profiles, &message, &why), -EBADMSG);
}

static void profiles_beyond_the_limit_are_not_seen(void **state)
{
	struct camera_profiles profiles;
	char *text = xstrdup("<R>"), *more;
	const char *why;

	(void)state;
	for (int i = 0; i <= CAMERA_PROFILES; i++) {
		more = xasprintf("%s" PROFILE2("p", "64", "36"), text);
		free(text);
		text = more;
	}
	more = xasprintf("%s</R>", text);
	take(more);
	free(text);
	free(more);
	assert_int_equal(camera_answer_profiles(&profiles, &message, &why), 0);
	assert_int_equal(profiles.n, CAMERA_PROFILES);
}

static void uris_of_both_services_are_read(void **state)
{
	char uri[CAMERA_PATH_BYTES];
	const char *why;

	(void)state;
	take("<R><MediaUri><Uri> rtsp://h/a?b=1&amp;c=2\n</Uri></MediaUri></R>");
	assert_int_equal(camera_answer_uri(uri, &message, &why), 0);
	assert_string_equal(uri, "rtsp://h/a?b=1&c=2");
	take("<R><Uri>rtsp://h/b</Uri></R>");
	assert_int_equal(camera_answer_uri(uri, &message, &why), 0);
	assert_string_equal(uri, "rtsp://h/b");
	take("<R><Uri/></R>");
	assert_int_equal(camera_answer_uri(uri, &message, &why), -EBADMSG);
}

/* --- events --- */

static void a_subscription_is_read(void **state)
{
	struct camera_subscribed subscribed;
	const char *why;

	(void)state;
	take("<R><SubscriptionReference><Address>http://0.0.0.0:1/pull?n=1</Address>"
	     "<ReferenceParameters><Id xmlns='urn:axis'>5</Id></ReferenceParameters></SubscriptionReference>"
	     "<CurrentTime>2001-01-01T00:00:00Z</CurrentTime><TerminationTime>2001-01-01T00:01:00.5Z"
	     "</TerminationTime></R>");
	assert_int_equal(camera_answer_subscribed(&subscribed, &message, &why), 0);
	assert_string_equal(subscribed.address, "http://0.0.0.0:1/pull?n=1");
	assert_string_equal(subscribed.path, "/pull?n=1");
	assert_non_null(subscribed.parameters);
	/* by the camera's own clock, whatever ours says */
	assert_int_equal(camera_answer_lasts_us(&message, INT64_MAX), 60500000);

	take("<R><SubscriptionReference/></R>");
	assert_int_equal(camera_answer_subscribed(&subscribed, &message, &why), -EBADMSG);
	assert_int_equal(camera_answer_lasts_us(&message, 0), 0);

	take("<R><TerminationTime>1970-01-01T00:00:10Z</TerminationTime></R>");
	assert_int_equal(camera_answer_lasts_us(&message, 4000000), 6000000);
	assert_int_equal(camera_answer_lasts_us(&message, 10000000), 0);
}

/* --- PTZ --- */

#define SIZE(w) "<Resolution><Width>" w "</Width><Height>100</Height></Resolution>"
#define ONE(token, source, w, ptz)                                                   \
	"<Profiles token='" token "'><VideoSourceConfiguration><SourceToken>" source \
	"</SourceToken></VideoSourceConfiguration><VideoEncoderConfiguration>" SIZE( \
		w) "</VideoEncoderConfiguration>" ptz "</Profiles>"
#define TWO(token, w, ptz)                                                 \
	"<Profiles token='" token "'><Configurations><VideoEncoder>" SIZE( \
		w) "</VideoEncoder>" ptz "</Configurations></Profiles>"
#define PTZ1(node) "<PTZConfiguration><NodeToken>" node "</NodeToken></PTZConfiguration>"
#define PTZ2(node) "<PTZ><NodeToken>" node "</NodeToken></PTZ>"

static void a_camera_is_moved_by_a_profile_of_what_it_shows(void **state)
{
	static const struct {
		const char *profiles, *token, *node;
	} rows[] = {
		{ONE("a",     "1",           "640",              PTZ1("m")) ONE("b",                                   "1","1280", PTZ1("n")), "b", "n" },
		{ ONE("a", "1",           "640",                          PTZ1("m")) ONE("b",									     "1","1280", ""), "a", "m" },
		{ ONE("a",      "2","640",PTZ1("m")) ONE("b","1","1280", ""), NULL, NULL },
		{ ONE("a",        "1",                    "640",                               "<PTZConfiguration/>"),									   "a","" },
		{ TWO("a",        "640",               PTZ2("m")) TWO("b",                              "1280",																PTZ2("n")),															   "b", "n" },
		{ TWO("a",    "640",       ""), NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *text = xasprintf("<R>%s</R>", rows[i].profiles);
		struct camera_profiles profiles;
		const struct camera_profile *found;
		const char *why;

		take(text);
		free(text);
		assert_int_equal(camera_answer_profiles(&profiles, &message, &why), 0);
		found = camera_profiles_ptz(&profiles);
		assert_int_equal(found != NULL, rows[i].token != NULL);
		if (!found)
			continue;
		assert_string_equal(found->token, rows[i].token);
		assert_string_equal(found->node, rows[i].node);
	}
}

static void a_node_is_the_named_one_or_the_first(void **state)
{
	struct camera_node node;
	const char *why;

	(void)state;
	take("<R><PTZNode token='a'><MaximumNumberOfPresets>-5</MaximumNumberOfPresets></PTZNode>"
	     "<PTZNode token='b' FixedHomePosition=' 1 '><SupportedPTZSpaces><ContinuousZoomVelocitySpace/>"
	     "</SupportedPTZSpaces><MaximumNumberOfPresets>300</MaximumNumberOfPresets>"
	     "<HomeSupported>true</HomeSupported></PTZNode></R>");
	assert_int_equal(camera_answer_node(&node, &message, "b", &why), 0);
	assert_true(node.spaces && node.presets == 300 && node.has_home && node.has_fixed_home);
	assert_int_equal(camera_answer_node(&node, &message, "c", &why), 0);
	assert_true(!node.spaces && !node.presets && !node.has_home && !node.has_fixed_home);
	take("<R/>");
	assert_int_equal(camera_answer_node(&node, &message, "", &why), -EBADMSG);
}

#define LETTERS_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void presets_that_cannot_be_named_are_not_told(void **state)
{
	struct camera_preset preset = { 0 };
	char token[CAMERA_PRESET_BYTES];
	const char *why;

	(void)state;
	take("<R><Preset><Name>x</Name></Preset><Preset token=''/>"
	     "<Preset token='" LETTERS_64 "'><Name>" LETTERS_64 "</Name>"
	     "<PTZPosition><PanTilt x='1' y='2'/></PTZPosition></Preset><Preset token='" LETTERS_64
	     "1'/><Preset token='2'><Name>" LETTERS_64 "1</Name><PTZPosition><Zoom/></PTZPosition>"
	     "</Preset></R>");
	assert_true(camera_preset_next(&message, &preset));
	assert_string_equal(preset.token, LETTERS_64);
	assert_string_equal(preset.name, LETTERS_64);
	assert_true(preset.has_position && preset.position.y == 2);
	assert_true(camera_preset_next(&message, &preset));
	assert_string_equal(preset.token, "2");
	assert_string_equal(preset.name, "");
	assert_false(preset.has_position);
	assert_false(camera_preset_next(&message, &preset));

	take("<R><PresetToken> 7 </PresetToken></R>");
	assert_int_equal(camera_answer_preset(token, &message, &why), 0);
	assert_string_equal(token, "7");
	take("<R><PresetToken/></R>");
	assert_int_equal(camera_answer_preset(token, &message, &why), -EBADMSG);
}

static void a_status_is_read(void **state)
{
	struct camera_status status;
	const char *why;

	(void)state;
	take("<R><PTZStatus><Position><Zoom x='0.5'/></Position><MoveStatus><PanTilt>MOVING</PanTilt>"
	     "<Zoom>moving</Zoom></MoveStatus><Error>stuck</Error></PTZStatus></R>");
	assert_int_equal(camera_answer_status(&status, &message, &why), 0);
	assert_true(status.has_position && status.position.axes == PTZ_ZOOM);
	assert_string_equal(status.pan_tilt, "MOVING");
	assert_null(status.zoom); /* no word of tt:MoveStatus */
	assert_string_equal(status.error, "stuck");
	take("<R><PTZStatus/></R>");
	assert_int_equal(camera_answer_status(&status, &message, &why), 0);
	assert_false(status.has_position || status.pan_tilt || status.error[0]);
	take("<R/>");
	assert_int_equal(camera_answer_status(&status, &message, &why), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q121_both_clocks_are_read),
		cmocka_unit_test(a_clock_that_makes_no_sense_is_none),
		cmocka_unit_test(test_q117_of_addresses_the_path_counts),
		cmocka_unit_test(main_and_sub_are_picked_by_resolution),
		cmocka_unit_test(profiles_beyond_the_limit_are_not_seen),
		cmocka_unit_test(uris_of_both_services_are_read),
		cmocka_unit_test(a_subscription_is_read),
		cmocka_unit_test(a_camera_is_moved_by_a_profile_of_what_it_shows),
		cmocka_unit_test(a_node_is_the_named_one_or_the_first),
		cmocka_unit_test(presets_that_cannot_be_named_are_not_told),
		cmocka_unit_test(a_status_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, fini);
}
