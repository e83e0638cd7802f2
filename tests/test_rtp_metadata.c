/* ONVIF metadata in RTP: documents as in the example of the Streaming Specification, in pieces. */
#include "tests/rtp_script.h"

/* <?xml?><a/> in two pieces, <tt:MetadataStream>, a piece that begins with an element, </a> */
#define XML_1 "3c3f786d6c3f3e"
#define XML_2 "3c612f3e"
#define STREAM "3c74743a4d6574616461746153747265616d3e"
#define PIECE "3c74743a4576656e743e"
#define END "3c2f613e"

// clang-format off
static const struct script_case cases[] = {
	{ "test_q115: in pieces up to the marker", "VND.ONVIF.METADATA", "",
		"100 -" " " XML_1 "\n100 m " XML_2 "\n200 m " XML_2 "\n",
		"100 sets " XML_1 XML_2 "\n200 " XML_2 "\n", 90000, 0 },
	{ "test_q115: without markers, a new timestamp ends it", "VND.ONVIF.METADATA", "",
		"100 - " XML_1 "\n100 - " XML_2 "\n200 - " XML_2 "\n300 - aa\n",
		"100 sets " XML_1 XML_2 "\n200 " XML_2 "\n", 90000, 0 },
	{ "two of the same timestamp", "VND.ONVIF.METADATA", "",
		"100 m " XML_2 "\n100 m " XML_2 "\n", "100 sets " XML_2 "\n100 " XML_2 "\n", 90000, 0 },
	{ "a lost piece in it", "VND.ONVIF.METADATA", "",
		"100 - " XML_1 "\n100 - " PIECE "\n100 mg " END "\n200 m " XML_2 "\n300 m " STREAM "\n",
		"dropped: a packet was lost\n300 sets " STREAM "\n", 90000, 0 },
	{ "a lost end", "VND.ONVIF.METADATA", "",
		"100 - " XML_1 "\n200 mg " XML_1 XML_2 "\n",
		"dropped: a packet was lost\n200 sets " XML_1 XML_2 "\n", 90000, 0 },
	{ "a lost start", "VND.ONVIF.METADATA", "",
		"100 m " XML_2 "\n200 -g " PIECE "\n200 m " END "\n300 m " XML_1 "\n",
		"100 sets " XML_2 "\n300 " XML_1 "\n", 90000, 0 },
	{ "a lost document costs nothing more", "VND.ONVIF.METADATA", "",
		"100 m " XML_2 "\n300 mg " STREAM "\n400 mg efbbbf0d0a20 " XML_1 "\n",
		"100 sets " XML_2 "\n300 " STREAM "\n400 efbbbf0d0a20 " XML_1 "\n", 90000, 0 },
	{ "empty packets", "VND.ONVIF.METADATA", "",
		"100 m\n200 -\n200 m " XML_2 "\n", "200 sets " XML_2 "\n", 90000, 0 },
};
// clang-format on

static void test_q115_documents_are_collected(void **state)
{
	(void)state;
	script_check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

/* Pushes a document of n bytes in pieces, a marker on the last. */
static void push_document(struct script *s, uint32_t timestamp, size_t n)
{
	static const uint8_t bytes[1024] = { '<' };

	while (n > 0) {
		size_t piece = n < sizeof(bytes) ? n : sizeof(bytes);
		struct rtp_packet packet = {
			.timestamp = timestamp,
			.payload = bytes,
			.payload_bytes = piece,
		};

		n -= piece;
		packet.marker = n == 0;
		rtp_depacketiser_push(s->depacketiser, &packet, false);
	}
}

struct count {
	size_t units, bytes, dropped;
};

static void on_unit(void *arg, const struct rtp_unit *unit)
{
	struct count *count = arg;

	count->units++;
	count->bytes = unit->bytes;
}

static void on_dropped(void *arg, const char *why)
{
	struct count *count = arg;

	assert_string_equal(why, "the document is larger than 256 KiB");
	count->dropped++;
}

static void a_document_has_256_kib_at_most(void **state)
{
	static const struct rtp_depacketiser_events events = { on_unit, on_dropped };
	const struct rtp_format format = { .encoding = "VND.ONVIF.METADATA", .fmtp = "" };
	struct count count = { 0 };
	struct script s = { 0 };
	const char *why;

	(void)state;
	s.depacketiser = rtp_depacketiser_new(&format, &events, &count, &why);
	assert_non_null(s.depacketiser);
	assert_null(rtp_depacketiser_sound(s.depacketiser));
	push_document(&s, 1, 256 << 10);
	assert_int_equal(count.units, 1);
	assert_int_equal(count.bytes, 256 << 10);
	push_document(&s, 2, (256 << 10) + 1);
	push_document(&s, 3, 1 << 20);
	assert_int_equal(count.units, 1);
	assert_int_equal(count.dropped, 2);
	push_document(&s, 4, 2000);
	assert_int_equal(count.units, 2);
	assert_int_equal(count.bytes, 2000);
	rtp_depacketiser_free(s.depacketiser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q115_documents_are_collected),
		cmocka_unit_test(a_document_has_256_kib_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
