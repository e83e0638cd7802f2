/* Vectors and spaces of PTZ: numbers as XML Schema has them (Part 2 section 3.2.4), spaces by ONVIF's names. */
#include "onvif/ptz_space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "server/base/memory.h"

static struct soap_message message;

/* Reads the element in an envelope's body. */
static const xmlNode *take(const char *body)
{
	char *text = xasprintf(
		"<s:Envelope xmlns:s='" SOAP_SPACE "'><s:Body>%s</s:Body></s:Envelope>", body);
	const char *why;

	soap_message_fini(&message);
	if (soap_message_parse(&message, text, strlen(text), SOAP_ANSWER_BYTES, &why) < 0)
		fail_msg("%s: %s", why, body);
	free(text);
	return message.body;
}

static int fini(void **state)
{
	(void)state;
	soap_message_fini(&message);
	return 0;
}

static void numbers_are_read_as_xml_schema_has_them(void **state)
{
	static const struct {
		const char *text;
		bool is_number;
		double value;
	} rows[] = {
		{"0",				   true,  0   },
                { "-0",                                 true,  0   },
                { "-1",                                 true,  -1  },
                { "+.5",                                true,  0.5 },
		{ "1.",				 true,  1   },
                { " 12.5e-1 ",                          true,  1.25},
                { "1E2",                                true,  100 },
		{ "1e400",			      false, 0   },
                { "2000000000",                         false, 0   },
                { "INF",                                false, 0   },
		{ "-INF",			       false, 0   },
                { "NaN",                                false, 0   },
                { "nan",                                false, 0   },
		{ "0x1p3",			      false, 0   },
                { "1,5",                                false, 0   },
                { "1 2",                                false, 0   },
                { "",                                   false, 0   },
		{ ".",				  false, 0   },
                { "--1",                                false, 0   },
		{ "0.00000000000000000000000000000001", false, 0   }, /* too long */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *text = xasprintf("<V><Zoom x='%s'/></V>", rows[i].text);
		struct ptz_vector vector = { .axes = 99 };

		if (ptz_vector_parse(&vector, take(text)) != rows[i].is_number)
			fail_msg("%s", text);
		free(text);
		if (rows[i].is_number)
			assert_true(vector.axes == PTZ_ZOOM && vector.zoom == rows[i].value);
		else
			assert_int_equal(vector.axes, 99);
	}
}

static void vectors_have_what_they_have(void **state)
{
	struct ptz_vector vector;

	(void)state;
	assert_true(ptz_vector_parse(&vector, take("<V/>")));
	assert_int_equal(vector.axes, 0);
	assert_true(ptz_vector_parse(&vector,
		take("<V><w:PanTilt xmlns:w='urn:wrong' x='0.1' y='-0.2' space='urn:s'/></V>")));
	assert_int_equal(vector.axes, PTZ_PAN_TILT);
	assert_true(vector.x == 0.1 && vector.y == -0.2);
	assert_string_equal(vector.pan_tilt_space, "urn:s");
	assert_string_equal(vector.zoom_space, "");
	assert_false(ptz_vector_parse(&vector, take("<V><PanTilt x='0.1'/></V>")));
	assert_false(ptz_vector_parse(&vector, NULL));
}

static void what_is_written_is_read_again(void **state)
{
	struct ptz_vector vector = { .axes = PTZ_PAN_TILT | PTZ_ZOOM,
		.x = -0.333333,
		.y = 1e-6,
		.zoom = 180,
		.zoom_space = "urn:a&b" };
	struct ptz_vector again;
	struct soap_writer writer;
	size_t bytes;
	char *text;
	const char *why;

	(void)state;
	soap_writer_init(&writer);
	ptz_vector_write(writer.body, SOAP_PTZ_SPACE, "Velocity", &vector);
	text = soap_writer_text(&writer, &bytes);
	soap_writer_fini(&writer);
	soap_message_fini(&message);
	assert_int_equal(soap_message_parse(&message, text, bytes, SOAP_ANSWER_BYTES, &why), 0);
	free(text);
	assert_true(ptz_vector_parse(&again, message.body));
	assert_true(again.axes == vector.axes && again.x == vector.x && again.y == vector.y &&
		    again.zoom == vector.zoom);
	assert_string_equal(again.pan_tilt_space, "");
	assert_string_equal(again.zoom_space, "urn:a&b");
}

static void spaces_are_told_as_the_generic_ones(void **state)
{
	struct soap_writer writer;
	size_t bytes;
	unsigned spaces;
	char *text;

	(void)state;
	assert_int_equal(ptz_spaces_parse(NULL), 0);
	spaces = ptz_spaces_parse(take("<S><AbsolutePanTiltPositionSpace/><OtherSpace/>"
				       "<AbsolutePanTiltPositionSpace/><ZoomSpeedSpace/></S>"));
	soap_writer_init(&writer);
	ptz_spaces_write(writer.body, "Spaces", spaces);
	ptz_spaces_write_defaults(writer.body, spaces);
	text = soap_writer_text(&writer, &bytes);
	soap_writer_fini(&writer);
	assert_non_null(strstr(text,
		"<tt:Spaces><tt:AbsolutePanTiltPositionSpace><tt:URI>http://www.onvif.org/ver10/tptz/"
		"PanTiltSpaces/PositionGenericSpace</tt:URI><tt:XRange><tt:Min>-1</tt:Min><tt:Max>1</tt:Max>"
		"</tt:XRange><tt:YRange><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:YRange>"
		"</tt:AbsolutePanTiltPositionSpace><tt:ZoomSpeedSpace><tt:URI>http://www.onvif.org/ver10/tptz/"
		"ZoomSpaces/ZoomGenericSpeedSpace</tt:URI><tt:XRange><tt:Min>0</tt:Min><tt:Max>1</tt:Max>"
		"</tt:XRange></tt:ZoomSpeedSpace></tt:Spaces><tt:DefaultAbsolutePantTiltPositionSpace>"
		"http://www.onvif.org/ver10/tptz/PanTiltSpaces/PositionGenericSpace"
		"</tt:DefaultAbsolutePantTiltPositionSpace></env:Body>"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_as_xml_schema_has_them),
		cmocka_unit_test(vectors_have_what_they_have),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(spaces_are_told_as_the_generic_ones),
	};

	return cmocka_run_group_tests(tests, NULL, fini);
}
