/*
 * AAC in LATM. Captured: what ffmpeg's packetiser (-rtpflags latm) and its LATM muxer make; the
 * configurations are those of RFC 6416 and of cameras, or bits laid out by ISO/IEC 14496-3.
 */
#include "tests/rtp_script.h"

#define OUT_OF_BAND(config) "profile-level-id=40;cpresent=0;config=" config
/* AAC-LC 44100/2, of one frame an element */
#define LC OUT_OF_BAND("400024203fc0")

// clang-format off
static const struct script_case cases[] = {
	{ "out of band, as ffmpeg sends it", "MP4A-LATM", OUT_OF_BAND("400028103fc0"),
		"1000 m 15de02004c61766335392e33372e313030000230400e\n2024 m 0401182007\n",
		"1000 sets 1024 de02004c61766335392e33372e313030000230400e\n2024 1024 01182007\n",
		16000, 1 },
	{ "in band, as ffmpeg muxes it", "MP4A-LATM", "",
		"1000 m 200012101fe0bef01002630bb319a9c97199b9718981800211004608c1c0\n"
		"2024 m 8310880230460e00\n"
		"3048 m 200012101fe0310880230460e0\n",
		"1000 sets 1024 de02004c61766335392e33372e31303000422008c11838\n"
		"2024 1024 211004608c1c\n3048 1024 211004608c1c\n", 44100, 2 },
	{ "in band by a clock of 90 kHz", "MP4A-LATM", "cpresent=1",
		"1000 m 200012101fe0310880230460e0\n3090 m 8310880230460e00\n",
		"1000 sets 2089 211004608c1c\n3090 2089 211004608c1c\n", 90000, 2 },
	{ "in band with a configuration in the description too", "MP4A-LATM",
		"cpresent=1; config=400024203fc0",
		"1000 m 8310880230460e00\n", "1000 sets 1024 211004608c1c\n", 44100, 2 },
	{ "in band before any configuration", "MP4A-LATM", "cpresent=1",
		"1000 m 8310880230460e00\n2024 m 200012101fe0310880230460e0\n",
		"dropped: there was no StreamMuxConfig yet\n2024 sets 1024 211004608c1c\n", 44100, 2 },
	{ "in band it changes", "MP4A-LATM", "cpresent=1",
		"1 m 200012101fe0310880230460e0\n2 m 200011881fe01555d8\n3 m 81666e80\n",
		"1 sets 1024 211004608c1c\n2 sets 940 aabb\n3 940 ccdd\n", 44100, 2 },
	{ "in band it changes to what is no AAC that is known", "MP4A-LATM", "cpresent=1",
		"1 m 200012101fe0310880230460e0\n2 m 2000f8e81fe01666e8\n3 m 81666e80\n",
		"1 sets 1024 211004608c1c\ndropped: not an AAC object type that is known here\n"
		"3 1024 ccdd\n", 44100, 2 },
	{ "in band it changes to two programs", "MP4A-LATM", "cpresent=1",
		"1 m 200012101fe0310880230460e0\n2 m 200811881fe01666e8\n3 m 81666e80\n",
		"1 sets 1024 211004608c1c\n"
		"dropped: LATM of several programs or layers is not supported\n3 1024 ccdd\n", 44100, 2 },
	{ "four frames in an element, one of them empty", "MP4A-LATM", OUT_OF_BAND("430028100000"),
		"1000 m 02aabb 01cc 00 03ddeeff\n",
		"1000 sets 1024 aabb\n2024 1024 cc\n4072 1024 ddeeff\n", 16000, 1 },
	{ "an element that lacks its last frame", "MP4A-LATM", OUT_OF_BAND("430028100000"),
		"1000 m 02aabb 01cc 00 03ddee\n",
		"dropped: the frames do not fit into their element\n", 16000, 1 },
	{ "HE-AAC: the rate is that of the output", "MP4A-LATM",
		OUT_OF_BAND("40005623101fe0") "; sbr-enabled=1",
		"1000 m 02aabb\n", "1000 sets 2048 aabb\n", 48000, 2 },
	{ "version 1", "MP4A-LATM", OUT_OF_BAND("8ff80001012101fe00"),
		"1000 m 02aabb\n", "1000 sets 1024 aabb\n", 44100, 2 },
	{ "frames of a constant size have no length", "MP4A-LATM", OUT_OF_BAND("400024204000"),
		"1000 m 000102030405060708090a0b0c0d0e0f10111213\n",
		"1000 sets 1024 000102030405060708090a0b0c0d0e0f10111213\n", 44100, 2 },
	{ "other data and a checksum", "MP4A-LATM", OUT_OF_BAND("400024203fe10d50"),
		"1 m 02aabb dead\n2 m 02aabb de\n3 mg 02aabb dead\n4 mg 02aabb deadff\n",
		"1 sets 1024 aabb\ndropped: the frames do not fit into their element\n3 1024 aabb\n"
		"dropped: the frames do not fit into their element\n", 44100, 2 },
	{ "over three packets", "MP4A-LATM", LC,
		"1 - 05aabb\n1 - cc\n1 m ddee\n1025 m 01ff\n",
		"1 sets 1024 aabbccddee\n1025 1024 ff\n", 44100, 2 },
	{ "without markers the timestamp ends it", "MP4A-LATM", LC,
		"1 - 05aabb\n1 - ccddee\n1025 - 01ff\n2049 - 01aa\n",
		"1 sets 1024 aabbccddee\n1025 1024 ff\n", 44100, 2 },
	{ "a lost piece", "MP4A-LATM", LC,
		"1 - 05aabb\n1 mg ddee\n1025 m 01ff\n",
		"dropped: a packet was lost\ndropped: the frames do not fit into their element\n"
		"1025 sets 1024 ff\n", 44100, 2 },
	{ "a lost start: the rest is not taken for one", "MP4A-LATM", LC,
		"1 m 01ff\n1025 mg 01aabb\n2049 m 01aabb\n",
		"1 sets 1024 ff\ndropped: the frames do not fit into their element\n2049 1024 aa\n",
		44100, 2 },
	{ "a lost element costs nothing more", "MP4A-LATM", LC,
		"1 m 01ff\n2049 mg 01aa\n", "1 sets 1024 ff\n2049 1024 aa\n", 44100, 2 },
	{ "empty payloads", "MP4A-LATM", LC, "1 m\n1 m 00\n2 m 01ff\n", "2 sets 1024 ff\n", 44100, 2 },
	{ "a length that does not end", "MP4A-LATM", LC, "1 m ffffff\n",
		"dropped: the frames do not fit into their element\n", 44100, 2 },
};

static const struct {
	const char *fmtp, *why;
} refused[] = {
	{ "cpresent=0", "the LATM configuration is missing" },
	{ OUT_OF_BAND("xx"), "the LATM configuration is missing" },
	{ OUT_OF_BAND("cff0"), "this version of LATM is not supported" },
	{ OUT_OF_BAND("401024203fc0"), "LATM of several programs or layers is not supported" },
	{ OUT_OF_BAND("400224203fc0"), "LATM of several programs or layers is not supported" },
	{ OUT_OF_BAND("000024203fc0"), "LATM streams with framings of their own are not supported" },
	{ OUT_OF_BAND("400024210000"), "the LATM frames are of a kind that is not AAC" },
	{ OUT_OF_BAND("4001f1d087f8"), "not an AAC object type that is known here" },
	{ OUT_OF_BAND("400024003fc0"), "AAC channel layout not supported" },
	{ OUT_OF_BAND("8ff80037fffffff0"), "the AAC configuration is too long" },
	{ OUT_OF_BAND("400024"), "AAC channel layout not supported" },
};
// clang-format on

static void frames_come_out_of_elements(void **state)
{
	(void)state;
	script_check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void what_is_not_spoken_is_refused(void **state)
{
	static const struct rtp_depacketiser_events events = { script_on_unit, script_on_dropped };

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct rtp_format format = { "MP4A-LATM", refused[i].fmtp, .clock_hz = 44100,
			.channels = 2 };
		const char *why = NULL;

		assert_null(rtp_depacketiser_new(&format, &events, NULL, &why));
		assert_string_equal(why, refused[i].why);
	}
}

/* GStreamer's rtpmp4apay with libavcodec's AAC: an extension behind the config, and nothing behind it. */
static void a_configuration_that_is_cut_off_behind_what_matters(void **state)
{
	static const struct rtp_depacketiser_events events = { script_on_unit, script_on_dropped };
	struct rtp_format format = { "MP4A-LATM", OUT_OF_BAND("40002320adca00"), .clock_hz = 48000,
		.channels = 2 };
	const char *why = NULL;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &events, NULL, &why);

	(void)state;
	assert_non_null(d);
	assert_int_equal(rtp_depacketiser_sound(d)->hz, 48000);
	assert_int_equal(rtp_depacketiser_sound(d)->channels, 2);
	rtp_depacketiser_free(d);
}

static void check_sound(const struct script_case *c, const char *config, size_t config_bytes,
	uint32_t hz, unsigned channels)
{
	struct script s;
	const struct rtp_sound *sound;

	script_begin(&s, c);
	(void)script_play(&s, c->packets, SIZE_MAX, 0);
	sound = rtp_depacketiser_sound(s.depacketiser);
	assert_int_equal(sound->config_bytes, config_bytes);
	assert_memory_equal(sound->config, config, config_bytes);
	assert_int_equal(sound->clock_hz, c->clock_hz);
	assert_int_equal(sound->hz, hz);
	assert_int_equal(sound->channels, channels);
	rtp_depacketiser_free(s.depacketiser);
}

static void the_configuration_is_that_of_the_stream(void **state)
{
	const struct script_case out = { .encoding = "MP4A-LATM",
		.fmtp = OUT_OF_BAND("40005623101fe0"),
		.packets = "",
		.clock_hz = 48000,
		.channels = 2 };
	const struct script_case extended = { .encoding = "MP4A-LATM",
		.fmtp = OUT_OF_BAND("8ff800028121056e5001fe00"),
		.packets = "",
		.clock_hz = 44100 };
	const struct script_case guess = {
		.encoding = "MP4A-LATM", .fmtp = "", .packets = "", .clock_hz = 90000, .channels = 1
	};
	const struct script_case in = { .encoding = "MP4A-LATM",
		.fmtp = "",
		.packets = "1000 m 200012101fe0310880230460e0\n",
		.clock_hz = 90000,
		.channels = 1 };

	(void)state;
	/* the config's bits of object type 5 and GASpecificConfig, moved to the start of a byte */
	check_sound(&out, "\x2b\x11\x88\x00", 4, 48000, 2);
	check_sound(&extended, "\x12\x10\x56\xe5\x00", 5, 44100, 2);
	check_sound(&guess, "\x11\x88", 2, 48000, 1);
	check_sound(&in, "\x12\x10", 2, 44100, 2);
}

static void an_element_without_end_is_dropped(void **state)
{
	const struct script_case c = {
		.rule = "no end", .encoding = "MP4A-LATM", .fmtp = LC, .clock_hz = 44100
	};
	static const uint8_t payload[1400] = { 0xff };
	struct script s;

	(void)state;
	script_begin(&s, &c);
	for (unsigned i = 0; i < 100; i++) {
		struct rtp_packet packet = { .payload = payload, .payload_bytes = sizeof(payload) };
		rtp_depacketiser_push(s.depacketiser, &packet, false);
	}
	(void)script_play(&s, "1 m 01ff\n", SIZE_MAX, 0);
	assert_string_equal(s.text, "dropped: the element is larger than 64 KiB\n1 sets 1024 ff\n");
	rtp_depacketiser_free(s.depacketiser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_of_elements),
		cmocka_unit_test(what_is_not_spoken_is_refused),
		cmocka_unit_test(a_configuration_that_is_cut_off_behind_what_matters),
		cmocka_unit_test(the_configuration_is_that_of_the_stream),
		cmocka_unit_test(an_element_without_end_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
