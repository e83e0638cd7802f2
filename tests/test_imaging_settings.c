/* Settings of pictures: what is read of ONVIF's Imaging Service Specification, and written in the order of onvif.xsd. */
#include "onvif/imaging_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "server/base/memory.h"

/* Compares what becomes of the elements, written without prefixes. */
static void check(enum imaging_content content, const char *from, bool is_good, const char *to)
{
	char *text = xasprintf("<s:Envelope xmlns:s='" SOAP_SPACE "'><s:Body><x:R "
			       "xmlns:x='urn:other'>%s</x:R></s:Body></s:Envelope>",
		from);
	struct soap_message message;
	struct soap_writer writer;
	xmlNode *node;
	const char *why;
	size_t bytes;
	char *begin, *end;

	if (soap_message_parse(&message, text, strlen(text), SOAP_ANSWER_BYTES, &why) < 0)
		fail_msg("%s: %s", why, from);
	free(text);
	soap_writer_init(&writer);
	node = soap_add(writer.body, SOAP_IMAGING_SPACE, "R");
	assert_int_equal(imaging_copy(node, message.body, content), is_good);
	text = soap_writer_text(&writer, &bytes);
	begin = strstr(text, "<timg:R");
	assert_non_null(begin);
	begin = strchr(begin, '>') + 1;
	end = strstr(begin, "</timg:R>");
	if (end)
		*end = '\0';
	else
		*begin = '\0';
	assert_string_equal(begin, to);
	free(text);
	soap_writer_fini(&writer);
	soap_message_fini(&message);
}

#define T(name, text) "<tt:" name ">" text "</tt:" name ">"
#define RANGE(name, least, most) T(name, T("Min", least) T("Max", most))

static void settings_are_written_in_the_order_of_the_schema(void **state)
{
	(void)state;
	check(IMAGING_SETTINGS,
		"<WhiteBalance><CbGain>1</CbGain><CrGain>2</CrGain><Mode>MANUAL</Mode></WhiteBalance>"
		"<WideDynamicRange><Level>0.5</Level><Mode>ON</Mode></WideDynamicRange>"
		"<Sharpness>4</Sharpness><IrCutFilter> AUTO </IrCutFilter>"
		"<Focus><FarLimit>0</FarLimit><NearLimit>-1</NearLimit><DefaultSpeed>.1</DefaultSpeed>"
		"<AutoFocusMode>AUTO</AutoFocusMode></Focus>"
		"<Exposure><Iris>9</Iris><Gain>8</Gain><ExposureTime>33333.3333</ExposureTime><MaxIris>6</MaxIris>"
		"<MinIris>5</MinIris><MaxGain>4</MaxGain><MinGain>3</MinGain><MaxExposureTime>2</MaxExposureTime>"
		"<MinExposureTime>1</MinExposureTime><Priority>FrameRate</Priority><Mode>MANUAL</Mode></Exposure>"
		"<Contrast>3</Contrast><ColorSaturation>2</ColorSaturation><Brightness>1e2</Brightness>"
		"<BacklightCompensation><Mode>OFF</Mode></BacklightCompensation>",
		true,
		T("BacklightCompensation", T("Mode", "OFF")) T("Brightness", "100") T(
			"ColorSaturation", "2") T("Contrast", "3") T("Exposure",
			T("Mode", "MANUAL") T("Priority", "FrameRate") T("MinExposureTime", "1") T(
				"MaxExposureTime", "2") T("MinGain", "3") T("MaxGain", "4")
				T("MinIris", "5") T("MaxIris", "6") T("ExposureTime", "33333.3333")
					T("Gain", "8") T("Iris", "9")) T("Focus",
			T("AutoFocusMode", "AUTO") T("DefaultSpeed", "0.1") T("NearLimit", "-1")
				T("FarLimit", "0")) T("IrCutFilter", "AUTO") T("Sharpness", "4")
			T("WideDynamicRange", T("Mode", "ON") T("Level", "0.5")) T("WhiteBalance",
				T("Mode", "MANUAL") T("CrGain", "2") T("CbGain", "1")));
	check(IMAGING_SETTINGS, "", true, "");
}

static void options_are_ranges_and_words(void **state)
{
	(void)state;
	check(IMAGING_OPTIONS,
		"<Brightness><Max>100</Max><Min>0</Min></Brightness><IrCutFilterModes>AUTO</IrCutFilterModes>"
		"<IrCutFilterModes>ON</IrCutFilterModes><IrCutFilterModes>DUSK</IrCutFilterModes>"
		"<IrCutFilterModes>AUTO</IrCutFilterModes><IrCutFilter>OFF</IrCutFilter>"
		"<Focus><FarLimit><Min>1</Min><Max>2</Max></FarLimit></Focus>"
		"<WhiteBalance><YbGain><Min>1</Min><Max>2</Max></YbGain><Mode>AUTO</Mode></WhiteBalance>",
		true,
		RANGE("Brightness", "0", "100") T("Focus", RANGE("FarLimit", "1", "2"))
			T("IrCutFilterModes", "ON") T("IrCutFilterModes", "AUTO")
				T("WhiteBalance", T("Mode", "AUTO") RANGE("YbGain", "1", "2")));
	check(IMAGING_OPTIONS,
		"<Brightness><Min>0</Min></Brightness><Contrast>1</Contrast><Exposure><Gain><Min>0</Min><Max>1</Max>"
		"</Gain></Exposure><Sharpness><Min>0</Min><Max>1</Max></Sharpness>",
		false, RANGE("Sharpness", "0", "1"));
}

/* What is left out is left out alone; a group that lacks what the schema wants of it, as a whole. */
static void what_is_not_as_it_should_be_is_left_out(void **state)
{
	static const char *const bad[] = { "<Brightness/>", "<Brightness>INF</Brightness>",
		"<Brightness>bright</Brightness>", "<IrCutFilter>on</IrCutFilter>",
		"<IrCutFilter>ON OFF</IrCutFilter>", "<Exposure/>",
		"<Focus><NearLimit>1</NearLimit></Focus>",
		"<Exposure><Mode>SOMETIMES</Mode><Gain>1</Gain></Exposure>",
		"<BacklightCompensation>ON</BacklightCompensation>" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		char *text = xasprintf("<Contrast>1</Contrast>%s", bad[i]);

		check(IMAGING_SETTINGS, text, false, T("Contrast", "1"));
		free(text);
	}
	check(IMAGING_SETTINGS, "<Exposure><Gain>much</Gain><Mode>AUTO</Mode></Exposure>", false,
		T("Exposure", T("Mode", "AUTO")));
	check(IMAGING_SETTINGS,
		"<Hue>1</Hue><Extension><Defogging><Mode>ON</Mode></Defogging></Extension><Contrast a='1'>1</Contrast>"
		"<Contrast>2</Contrast>",
		true, T("Contrast", "1"));
}

static void the_focus_is_moved(void **state)
{
	(void)state;
	check(IMAGING_MOVE,
		"<Continuous><Speed>-1</Speed></Continuous><Absolute><Speed>1</Speed><Position>0.5</Position></Absolute>",
		true,
		T("Absolute", T("Position", "0.5") T("Speed", "1"))
			T("Continuous", T("Speed", "-1")));
	check(IMAGING_MOVE, "<Relative><Speed>1</Speed></Relative>", false, "");
	check(IMAGING_MOVE_OPTIONS,
		"<Relative><Distance><Min>-1</Min><Max>1</Max></Distance></Relative><Continuous><Speed>1</Speed></Continuous>",
		false, T("Relative", RANGE("Distance", "-1", "1")));
	check(IMAGING_STATUS,
		"<FocusStatus20><Error>none</Error><MoveStatus>IDLE</MoveStatus><Position>0.25</Position></FocusStatus20>",
		true, T("FocusStatus20", T("Position", "0.25") T("MoveStatus", "IDLE")));
	check(IMAGING_STATUS, "<FocusStatus20><Position>0.25</Position></FocusStatus20>", false,
		"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_written_in_the_order_of_the_schema),
		cmocka_unit_test(options_are_ranges_and_words),
		cmocka_unit_test(what_is_not_as_it_should_be_is_left_out),
		cmocka_unit_test(the_focus_is_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
