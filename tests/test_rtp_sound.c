/* Sound in RTP. Captured: what the packetisers of ffmpeg and GStreamer (rtpL16pay) make of a sine. */
#include "tests/rtp_script.h"

#include <libavcodec/avcodec.h>

#include "protocols/sdp.h"
#include "server/media/codec.h"

#define PCMU_SINE "ffc8bab3afafb2b9c6ef4a3b332f2f32394467ccbcb4b0afb2b8c2df4d3c3530"
#define L16_SINE "22af414558236496652359bb43b725b20337e05bc13da98a9c109a68"
#define SWAPPED_SINE "af224541235896642365bb59b743b22537035be03dc18aa9109c689a"
#define G726_32_SINE \
	"f77777775e8baabbdf135554321dcaabbcde235544321dcbaabcde234554321ecbaabccff34554422edcaabbddf23554"
#define G726_24_SINE \
	"dfb66d3b49d67e222dc9edb6ad1f499272bba5ed279294c42e5dfb8f2429b14dd7f623494a6e9776ff67979ed8a66dff"
#define OPUS_60_MS \
	"18e0db60b4073f66b755b1d0db5568fa222a98d2eadbcb97a6e1ac0ead367b8b4c3a6ed025b475d19c307389b1fb02"

// clang-format off
static const struct script_case pcm_cases[] = {
	{ "a packet is a unit, a sample is a byte", "PCMU", "", "1000 - " PCMU_SINE "\n1032 m " PCMU_SINE "\n",
		"1000 sets 32 " PCMU_SINE "\n1032 32 " PCMU_SINE "\n", 8000, 1 },
	{ "A-law", "PCMA", "", "1000 - d5d4d7\n", "1000 sets 3 d5d4d7\n", 8000, 1 },
	{ "without a rate", "PCMA", "", "1000 - d5d4d7\n", "1000 sets 3 d5d4d7\n", 0, 0 },
	{ "a loss harms nothing", "PCMA", "", "1000 - d5d4\n1004 g d7\n", "1000 sets 2 d5d4\n1004 1 d7\n",
		8000, 1 },
	{ "empty packets", "PCMA", "", "1000 -\n1000 - d5\n1001 m\n", "1000 sets 1 d5\n", 8000, 1 },
	{ "two channels", "PCMU", "", "1 - 01020304\n", "1 sets 2 01020304\n", 8000, 2 },
	{ "16 bits", "L16", "", "1 m " L16_SINE "\n", "1 sets 14 " L16_SINE "\n", 8000, 1 },
	{ "16 bits of two channels", "L16", "", "1 - 0102030405060708\n", "1 sets 2 0102030405060708\n",
		44100, 2 },
	{ "half a sample at the end", "L16", "", "1 - 010203040506\n2 - 0102\n", "1 sets 1 01020304\n",
		44100, 2 },
	{ "G.726 at 16 kbit/s: four samples a byte", "G726-16", "", "1 - 0102\n", "1 sets 8 0102\n", 8000, 1 },
	{ "G.726 at 24 kbit/s: eight samples in three", "G726-24", "", "1 - 010203040506\n",
		"1 sets 16 010203040506\n", 8000, 1 },
	{ "G.726 at 32 kbit/s", "AAL2-G726-32", "", "1 - " G726_32_SINE "\n", "1 sets 96 " G726_32_SINE "\n",
		8000, 1 },
	{ "G.726 at 40 kbit/s: eight samples in five", "AAL2-G726-40", "", "1 - 0102030405\n",
		"1 sets 8 0102030405\n", 0, 0 },
};

static const struct script_case q14_cases[] = {
	{ "\"PCM\" is little endian", "PCM", "", "1 m " SWAPPED_SINE "\n", "1 sets 14 " L16_SINE "\n", 8000, 1 },
	{ "half a sample at the end", "PCM", "", "1 m 010203\n2 - 01\n", "1 sets 1 0201\n", 16000, 1 },
};

/* RFC 6716 table 2 and section 3.2; the TOC is config << 3 | stereo << 2 | code. */
static const struct script_case opus_cases[] = {
	{ "60 ms", "OPUS", "sprop-stereo=1", "1 m " OPUS_60_MS "\n", "1 sets 2880 " OPUS_60_MS "\n", 48000, 2 },
	{ "2.5 ms", "OPUS", "", "1 m 8037cec0b25d8611\n", "1 sets 120 8037cec0b25d8611\n", 48000, 2 },
	{ "SILK: 10, 20, 40 and 60 ms", "OPUS", "", "1 - 00\n2 - 08\n3 - 10\n4 - 18\n5 - 58\n",
		"1 sets 480 00\n2 960 08\n3 1920 10\n4 2880 18\n5 2880 58\n", 48000, 2 },
	{ "hybrid: 10 and 20 ms", "OPUS", "", "1 - 60\n2 - 68\n3 - 70\n4 - 78\n",
		"1 sets 480 60\n2 960 68\n3 480 70\n4 960 78\n", 48000, 2 },
	{ "CELT: 2.5, 5, 10 and 20 ms", "OPUS", "", "1 - 80\n2 - 88\n3 - 90\n4 - 98\n5 - f8\n",
		"1 sets 120 80\n2 240 88\n3 480 90\n4 960 98\n5 960 f8\n", 48000, 2 },
	{ "two frames, any number of frames", "OPUS", "", "1 - f9aabb\n2 - fa01aabb\n3 - fb03aabbcc\n4 - fb86aabbcc\n",
		"1 sets 1920 f9aabb\n2 1920 fa01aabb\n3 2880 fb03aabbcc\n4 5760 fb86aabbcc\n", 48000, 2 },
	{ "no number of frames, none, more than 120 ms", "OPUS", "", "1 - fb\n2 - fb00\n3 - fb07aa\n4 - 1bc3aa\n",
		"dropped: the Opus packet makes no sense\ndropped: the Opus packet makes no sense\n"
		"dropped: the Opus packet makes no sense\ndropped: the Opus packet makes no sense\n", 48000, 2 },
	{ "empty packets, losses", "OPUS", "", "1 m\n2 mg f8aa\n", "2 sets 960 f8aa\n", 48000, 2 },
};

static const struct script_case q15_cases[] = {
	{ "whatever its description says", "OPUS", "", "1 m fcaa\n", "1 sets 960 fcaa\n", 44100, 1 },
	{ "even nothing", "OPUS", "", "1 m fcaa\n", "1 sets 960 fcaa\n", 0, 0 },
	{ "one channel, then two; back to one is no change", "OPUS", "", "1 - f8aa\n2 - f8aa\n3 - fcaa\n4 - f8aa\n5 - fcaa\n",
		"1 sets 960 f8aa\n2 960 f8aa\n3 sets 960 fcaa\n4 960 f8aa\n5 960 fcaa\n", 48000, 2 },
};

static const struct script_case p13_cases[] = {
	{ "the headers of a file, whole and cut", "OPUS", "",
		"1 - 4f7075734865616401023801\n1 - 4f70757354616773\n1 - 4f707573546167\n2 - f8aa\n",
		"dropped: the Opus packet makes no sense\n2 sets 960 f8aa\n", 48000, 2 },
};

/* The first AU is 2, the second 1 byte in headers of 13 and 3 bits. */
static const struct script_case q19_cases[] = {
	{ "nothing is said", "MPEG4-GENERIC", "", "1 m 0020 0010 0008 aabb cc\n", "1 sets 1024 aabb\n1025 1024 cc\n",
		44100, 2 },
	{ "no indexlength", "MPEG4-GENERIC", "mode=AAC-hbr;sizelength=13;config=1210",
		"1 m 0020 0010 0008 aabb cc\n", "1 sets 1024 aabb\n1025 1024 cc\n", 44100, 2 },
	{ "a config that is not one", "MPEG4-GENERIC", "config=", "1 m 0010 0010 aabb\n", "1 sets 1024 aabb\n",
		44100, 2 },
	{ "the config's rate is not the clock's", "MPEG4-GENERIC", "config=1408", "1 m 0010 0010 aabb\n",
		"1 sets 512 aabb\n", 8000, 1 },
};

/* ADTS of ffmpeg: AAC-LC 44100/2. */
static const struct script_case q20_cases[] = {
	{ "in an AU", "MPEG4-GENERIC", "config=1210", "1 m 0010 0068 fff1508001bffc 211004608c1c\n",
		"1 sets 1024 211004608c1c\n", 44100, 2 },
	{ "in an AU of several packets", "MPEG4-GENERIC", "config=1210",
		"1 - 0010 0068 fff1508001bffc 2110\n1 m 0010 0068 04608c1c\n", "1 sets 1024 211004608c1c\n",
		44100, 2 },
	{ "without headers", "MPEG4-GENERIC", "config=1210",
		"1 m fff1508001bffc 211004608c1c fff1508001bffc 211004608c1c\n",
		"1 sets 1024 211004608c1c\n1025 1024 211004608c1c\n", 44100, 2 },
	{ "it knows better than a guess", "MPEG4-GENERIC", "",
		"1 m 0010 0010 aabb\n2 m 0010 0068 fff1508001bffc 211004608c1c\n",
		"1 sets 1024 aabb\n2 sets 1024 211004608c1c\n", 44100, 1 },
};
// clang-format on

#define CHECK_ALL(cases) script_check_all(cases, sizeof(cases) / sizeof((cases)[0]))

static void pcm(void **state)
{
	(void)state;
	CHECK_ALL(pcm_cases);
}

static void opus(void **state)
{
	(void)state;
	CHECK_ALL(opus_cases);
}

static void test_q14_samples_of_pcm_are_swapped(void **state)
{
	(void)state;
	CHECK_ALL(q14_cases);
}

/* Begins, plays, and compares what is known of the sound then. */
static void check_sound(const struct script_case *c, const struct rtp_sound *expected)
{
	static struct script s;
	const struct rtp_sound *sound;

	script_begin(&s, c);
	(void)script_play(&s, c->packets, SIZE_MAX, 0);
	sound = rtp_depacketiser_sound(s.depacketiser);
	assert_non_null(sound);
	assert_int_equal(sound->clock_hz, expected->clock_hz);
	assert_int_equal(sound->hz, expected->hz);
	assert_int_equal(sound->channels, expected->channels);
	assert_int_equal(sound->sample_bits, expected->sample_bits);
	assert_int_equal(sound->aal2, expected->aal2);
	assert_int_equal(sound->config_bytes, expected->config_bytes);
	if (expected->config_bytes)
		assert_memory_equal(sound->config, expected->config, expected->config_bytes);
	rtp_depacketiser_free(s.depacketiser);
}

static void test_q15_opus_has_48000_and_the_channels_of_its_packets(void **state)
{
	struct rtp_sound expected = { .clock_hz = 48000, .hz = 48000, .channels = 2 };
	struct script_case c = {
		.encoding = "OPUS", .fmtp = "", .packets = "", .clock_hz = 44100, .channels = 1
	};

	(void)state;
	CHECK_ALL(q15_cases);
	check_sound(&c, &expected);
	c.packets = "1 - f8aa\n";
	expected.channels = 1;
	check_sound(&c, &expected);
	c.packets = "1 - f8aa\n2 - fcaa\n3 - f8aa\n";
	expected.channels = 2;
	check_sound(&c, &expected);
}

static void test_p13_headers_of_an_opus_file_are_no_sound(void **state)
{
	(void)state;
	CHECK_ALL(p13_cases);
}

static void sdp_of(struct sdp *ret, const char *text)
{
	const char *why;

	assert_int_equal(sdp_parse(ret, text, strlen(text), &why), 0);
}

static void test_q18_rtpmap_beats_the_static_types(void **state)
{
	static const struct {
		const char *media, *encoding;
		uint32_t clock_hz;
		uint8_t channels;
	} rows[] = {
		{"m=audio 0 RTP/AVP 0\n",                                  "PCMU",          8000,  1},
		{ "m=audio 0 RTP/AVP 8\n",                                 "PCMA",          8000,  1},
		{ "m=audio 0 RTP/AVP 10\n",                                "L16",           44100, 2},
		{ "m=audio 0 RTP/AVP 11\n",                                "L16",           44100, 1},
		{ "m=audio 0 RTP/AVP 14\n",                                "MPA",           90000, 1},
		{ "m=video 0 RTP/AVP 26\n",                                "JPEG",          90000, 1},
		{ "m=audio 0 RTP/AVP 0\na=rtpmap:0 mpeg4-generic/16000\n", "MPEG4-GENERIC", 16000,
                 1										  },
		{ "m=audio 0 RTP/AVP 11\na=rtpmap:11 PCM/8000\n",          "PCM",           8000,  1},
	};
	static struct sdp sdp;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sdp_of(&sdp, rows[i].media);
		assert_string_equal(sdp.media[0].encoding, rows[i].encoding);
		assert_int_equal(sdp.media[0].clock_hz, rows[i].clock_hz);
		assert_int_equal(sdp.media[0].channels, rows[i].channels);
	}
}

static void test_q19_aac_without_description_is_hbr_of_the_rtpmap(void **state)
{
	const struct rtp_sound expected = { (const uint8_t *)"\x14\x08", 2, 16000, 16000, 1, 0,
		false, 0 };
	const struct script_case c = { .encoding = "MPEG4-GENERIC",
		.fmtp = "",
		.packets = "",
		.clock_hz = 16000,
		.channels = 1 };
	const struct script_case pictures = { .encoding = "MPEG4-GENERIC",
		.fmtp = "",
		.packets = "",
		.clock_hz = 90000,
		.channels = 2 };
	const struct rtp_sound usual = { (const uint8_t *)"\x11\x90", 2, 90000, 48000, 2, 0, false,
		0 };

	(void)state;
	CHECK_ALL(q19_cases);
	check_sound(&c, &expected);
	check_sound(&pictures, &usual);
}

static void test_q20_adts_is_stripped(void **state)
{
	const struct rtp_sound expected = { (const uint8_t *)"\x12\x10", 2, 44100, 44100, 2, 0,
		false, 0 };

	(void)state;
	CHECK_ALL(q20_cases);
	check_sound(&q20_cases[3], &expected);
}

/* Decodes one packet of an encoding; returns the greatest sample. */
static int decode(const struct script_case *c, enum AVCodecID id, const char *name)
{
	static struct script s;
	const char *why;
	int most = 0;

	script_begin(&s, c);
	const struct rtp_sound *sound = rtp_depacketiser_sound(s.depacketiser);
	AVCodecParameters *p = codec_of_sound(id, sound->hz, sound->channels, &why);
	assert_non_null(p);
	p->bits_per_coded_sample = sound->sample_bits;
	assert_string_equal(codec_name(p), name);
	rtp_depacketiser_free(s.depacketiser);

	const AVCodec *codec = avcodec_find_decoder(id);
	AVCodecContext *context = avcodec_alloc_context3(codec);
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	assert_int_equal(avcodec_parameters_to_context(context, p), 0);
	assert_int_equal(avcodec_open2(context, codec, NULL), 0);
	assert_int_equal(av_new_packet(packet, (int)strlen(c->packets) / 2), 0);
	for (int i = 0; i < packet->size; i++)
		packet->data[i] = script_byte(c->packets + 2 * (size_t)i);
	assert_int_equal(avcodec_send_packet(context, packet), 0);
	assert_int_equal(avcodec_receive_frame(context, frame), 0);
	for (int i = 0; i < frame->nb_samples; i++) {
		int sample = ((const int16_t *)(const void *)frame->data[0])[i];
		most = sample > most ? sample : most;
	}
	av_frame_free(&frame);
	av_packet_free(&packet);
	avcodec_free_context(&context);
	avcodec_parameters_free(&p);
	return most;
}

/* The sine reaches 4096; read in the wrong order it does not. */
static void test_q114_g726_is_packed_in_two_orders(void **state)
{
	const struct rtp_sound rfc3551 = {
		.clock_hz = 8000, .hz = 8000, .channels = 1, .sample_bits = 3
	};
	const struct rtp_sound aal2 = {
		.clock_hz = 8000, .hz = 8000, .channels = 1, .sample_bits = 4, .aal2 = true
	};
	struct script_case c = {
		.encoding = "G726-24", .fmtp = "", .packets = "", .clock_hz = 8000
	};

	(void)state;
	check_sound(&c, &rfc3551);
	c.packets = G726_24_SINE;
	assert_in_range(decode(&c, AV_CODEC_ID_ADPCM_G726LE, "g726"), 3500, 4800);
	c.encoding = "AAL2-G726-32";
	c.packets = "";
	check_sound(&c, &aal2);
	c.packets = G726_32_SINE;
	assert_in_range(decode(&c, AV_CODEC_ID_ADPCM_G726, "g726"), 3500, 4800);
	c.encoding = "L16";
	c.packets = L16_SINE;
	assert_in_range(decode(&c, AV_CODEC_ID_PCM_S16BE, "pcm_s16be"), 0x6000, 0x6800);
	c.encoding = "PCMU";
	c.packets = PCMU_SINE;
	assert_in_range(decode(&c, AV_CODEC_ID_PCM_MULAW, "pcm_mulaw"), 3500, 4800);
}

static void what_is_not_spoken_is_refused(void **state)
{
	static const struct rtp_depacketiser_events events = { script_on_unit, script_on_dropped };
	static const struct {
		struct rtp_format format;
		const char *why;
	} rows[] = {
		{{ .encoding = "G722", .fmtp = "", .clock_hz = 8000, .channels = 1 },
                 "the encoding is not supported"               },
		{ { .encoding = "L16", .fmtp = "", .channels = 1 },
                 "the sample rate makes no sense"              },
		{ { .encoding = "L16", .fmtp = "", .clock_hz = 10000000, .channels = 1 },
                 "the sample rate makes no sense"              },
		{ { .encoding = "L16", .fmtp = "", .clock_hz = 8000, .channels = 200 },
                 "there are too many channels"                 },
		{ { .encoding = "MPEG4-GENERIC", .fmtp = "config=f8e85000", .clock_hz = 48000 },
                 "this kind of AAC is not supported"           },
		{ { .encoding = "MPEG4-GENERIC", .fmtp = "config=1210", .clock_hz = 10 },
                 "the AAC configuration does not fit the clock"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = NULL;

		assert_null(rtp_depacketiser_new(&rows[i].format, &events, NULL, &why));
		assert_string_equal(why, rows[i].why);
	}
}

static void codec_parameters_are_complete(void **state)
{
	static const uint8_t head[] = { 'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, 2, 0, 0, 0x80,
		0xbb, 0, 0, 0, 0, 0 };
	char text[32];
	const char *why;
	AVCodecParameters *p = codec_of_sound(AV_CODEC_ID_OPUS, 8000, 2, &why);

	(void)state;
	assert_non_null(p);
	assert_null(why);
	assert_int_equal(p->codec_type, AVMEDIA_TYPE_AUDIO);
	assert_int_equal(p->sample_rate, 48000);
	assert_int_equal(p->ch_layout.nb_channels, 2);
	assert_int_equal(p->frame_size, 0);
	assert_int_equal(p->extradata_size, sizeof(head));
	assert_memory_equal(p->extradata, head, sizeof(head));
	assert_string_equal(codec_name(p), "opus");
	assert_string_equal(codec_string(text, sizeof(text), p), "opus");
	avcodec_parameters_free(&p);

	p = codec_of_sound(AV_CODEC_ID_PCM_ALAW, 8000, 1, &why);
	assert_non_null(p);
	assert_int_equal(p->sample_rate, 8000);
	assert_int_equal(p->ch_layout.nb_channels, 1);
	assert_int_equal(p->bits_per_coded_sample, 8);
	assert_int_equal(p->block_align, 1);
	assert_null(p->extradata);
	assert_string_equal(codec_name(p), "pcm_alaw");
	assert_string_equal(codec_string(text, sizeof(text), p), "");
	avcodec_parameters_free(&p);

	assert_null(codec_of_sound(AV_CODEC_ID_PCM_ALAW, 0, 1, &why));
	assert_non_null(why);
	assert_null(codec_of_sound(AV_CODEC_ID_PCM_S16BE, 4000000000, 1, &why));
	assert_null(codec_of_sound(AV_CODEC_ID_OPUS, 48000, 3, &why));
	assert_null(codec_of_sound(AV_CODEC_ID_PCM_S16BE, 48000, 0, &why));
	assert_null(codec_of_sound(AV_CODEC_ID_MP3, 48000, 2, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pcm),
		cmocka_unit_test(opus),
		cmocka_unit_test(test_q14_samples_of_pcm_are_swapped),
		cmocka_unit_test(test_q15_opus_has_48000_and_the_channels_of_its_packets),
		cmocka_unit_test(test_p13_headers_of_an_opus_file_are_no_sound),
		cmocka_unit_test(test_q18_rtpmap_beats_the_static_types),
		cmocka_unit_test(test_q19_aac_without_description_is_hbr_of_the_rtpmap),
		cmocka_unit_test(test_q20_adts_is_stripped),
		cmocka_unit_test(test_q114_g726_is_packed_in_two_orders),
		cmocka_unit_test(what_is_not_spoken_is_refused),
		cmocka_unit_test(codec_parameters_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
