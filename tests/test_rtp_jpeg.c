/*
 * JPEG over RTP: pictures cut into packets by RFC 2435 here, in every way that the RFC has and some
 * that cameras have, must come out as JPEGs of the same pixels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp_depacketiser.h"
#include "protocols/sdp.h"
#include "tests/jpeg_pictures.h"

enum {
	PACKETS = 64,
	PACKET_BYTES = 2048,
	UNITS = 8,
	UNIT_BYTES = 4096
};

/* What a picture is made of, behind its markers. */
struct parts {
	uint8_t tables[2][64];
	size_t n_tables;
	uint8_t luma; /* sampling */
	uint16_t width, height, restart;
	const uint8_t *scan;
	size_t scan_bytes; /* without EOI */
};

/* How a camera sends; all zeros is the RFC's way with the tables in band, Q 255, 50 byte fragments. */
struct style {
	uint8_t q;
	bool no_tables;   /* length 0 */
	bool wide_tables; /* 16-bit entries */
	bool third_table;
	bool no_restart; /* in the payload header, though the scan has markers */
	bool keeps_end;  /* the EOI, and bytes behind it */
	bool whole;      /* a JPEG file behind the payload header */
	bool bare;       /* and without that */
	enum {
		MARKS_LAST,
		MARKS_NONE,
		MARKS_ALL
	} marks;
	size_t fragment;
	bool sized;
	uint8_t width_8, height_8;
};

struct camera {
	struct rtp_depacketiser *depacketiser;
	uint8_t bytes[PACKETS][PACKET_BYTES];
	struct rtp_packet packets[PACKETS];
	size_t n;
	uint32_t timestamp;

	struct {
		uint8_t data[UNIT_BYTES];
		size_t bytes;
		uint32_t timestamp;
		bool sets_changed;
	} units[UNITS];
	size_t n_units, dropped;
	const char *why;
};

static unsigned get_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static struct parts parts_of(const uint8_t *p, size_t n)
{
	struct parts parts = { 0 };
	size_t at = 2;

	for (; !parts.scan; at += 2 + get_u16(p + at + 2)) {
		const uint8_t *body = p + at + 4;

		if (p[at + 1] == 0xdb) {
			memcpy(parts.tables[parts.n_tables++], body + 1, 64);
		} else if (p[at + 1] == 0xdd) {
			parts.restart = (uint16_t)get_u16(body);
		} else if (p[at + 1] == 0xc0) {
			parts.height = (uint16_t)get_u16(body + 1);
			parts.width = (uint16_t)get_u16(body + 3);
			parts.luma = body[7];
		} else if (p[at + 1] == 0xda) {
			parts.scan = body - 2 + get_u16(p + at + 2);
		}
	}
	parts.scan_bytes = (size_t)(p + n - parts.scan) - 2;
	return parts;
}

static void on_unit(void *arg, const struct rtp_unit *unit)
{
	struct camera *camera = arg;

	assert_true(camera->n_units < UNITS);
	assert_true(unit->bytes <= UNIT_BYTES);
	assert_true(unit->keyframe);
	memcpy(camera->units[camera->n_units].data, unit->data, unit->bytes);
	camera->units[camera->n_units].bytes = unit->bytes;
	camera->units[camera->n_units].timestamp = unit->timestamp;
	camera->units[camera->n_units].sets_changed = unit->sets_changed;
	camera->n_units++;
}

static void on_dropped(void *arg, const char *why)
{
	struct camera *camera = arg;

	camera->why = why;
	camera->dropped++;
}

static struct camera *camera_new_sized(uint16_t width, uint16_t height)
{
	static const struct rtp_depacketiser_events events = { on_unit, on_dropped };
	struct rtp_format format = { .encoding = "JPEG", .fmtp = "", .clock_hz = 90000 };
	struct camera *camera = calloc(1, sizeof(*camera));
	const char *why;

	assert_non_null(camera);
	format.width = width;
	format.height = height;
	camera->depacketiser = rtp_depacketiser_new(&format, &events, camera, &why);
	assert_non_null(camera->depacketiser);
	return camera;
}

static struct camera *camera_new(void)
{
	return camera_new_sized(0, 0);
}

static void camera_free(struct camera *camera)
{
	rtp_depacketiser_free(camera->depacketiser);
	free(camera);
}

/* --- RFC 2435 section 3.1, the sender's side --- */

static size_t write_tables(uint8_t *p, const struct parts *parts, const struct style *style)
{
	size_t n = 4;

	for (size_t i = 0; !style->no_tables && i < parts->n_tables + style->third_table; i++) {
		for (size_t k = 0; k < 64; k++) {
			if (style->wide_tables)
				p[n++] = 0;
			p[n++] = parts->tables[i % parts->n_tables][k];
		}
	}
	p[0] = 0;
	p[1] = style->wide_tables ? 0xff : 0;
	p[2] = (uint8_t)((n - 4) >> 8);
	p[3] = (uint8_t)(n - 4);
	return n;
}

static size_t write_header(
	uint8_t *p, const struct parts *parts, const struct style *style, size_t offset)
{
	uint8_t q = style->q ? style->q : 255;
	bool restart = parts->restart && !style->no_restart;
	size_t n = 8;

	p[0] = 0;
	p[1] = (uint8_t)(offset >> 16);
	p[2] = (uint8_t)(offset >> 8);
	p[3] = (uint8_t)offset;
	p[4] = (parts->luma == 0x22) | (restart ? 64 : 0);
	p[5] = q;
	p[6] = style->sized ? style->width_8 : (uint8_t)((parts->width + 7) / 8);
	p[7] = style->sized ? style->height_8 : (uint8_t)((parts->height + 7) / 8);
	if (restart) {
		p[n++] = (uint8_t)(parts->restart >> 8);
		p[n++] = (uint8_t)parts->restart;
		p[n++] = 0xff;
		p[n++] = 0xff;
	}
	if (offset == 0 && q >= 128)
		n += write_tables(p + n, parts, style);
	return n;
}

/* Cuts the picture into the camera's packets. */
static void cut(struct camera *camera, const uint8_t *p, size_t n, const struct style *style)
{
	static const uint8_t end[] = { 0xff, 0xd9, 0, 0, 0 };
	struct parts parts = parts_of(p, n);
	bool file = style->whole || style->bare;
	const uint8_t *from = file ? p : parts.scan;
	uint8_t data[UNIT_BYTES];
	size_t bytes = file ? n : parts.scan_bytes, step = style->fragment ? style->fragment : 50;

	memcpy(data, from, bytes);
	if (style->keeps_end) {
		memcpy(data + bytes, end, sizeof(end));
		bytes += sizeof(end);
	}
	camera->n = 0;
	camera->timestamp += 3600;
	for (size_t at = 0; at < bytes; at += step) {
		uint8_t *to = camera->bytes[camera->n];
		size_t left = bytes - at < step ? bytes - at : step;
		size_t head = style->bare ? 0 : write_header(to, &parts, style, at);

		assert_true(camera->n < PACKETS && head + left <= PACKET_BYTES);
		memcpy(to + head, data + at, left);
		camera->packets[camera->n++] = (struct rtp_packet){
			.payload_type = 26,
			.marker = style->marks == MARKS_ALL ||
				  (style->marks == MARKS_LAST && at + left == bytes),
			.timestamp = camera->timestamp,
			.payload = to,
			.payload_bytes = head + left,
		};
	}
}

/* Gives a packet in a block of the exact size. */
static void push(struct camera *camera, size_t i, bool gap)
{
	struct rtp_packet packet = camera->packets[i];
	uint8_t *exact = malloc(packet.payload_bytes ? packet.payload_bytes : 1);

	assert_non_null(exact);
	memcpy(exact, packet.payload, packet.payload_bytes);
	packet.payload = exact;
	rtp_depacketiser_push(camera->depacketiser, &packet, gap);
	free(exact);
}

static void show(struct camera *camera, const uint8_t *p, size_t n, const struct style *style)
{
	cut(camera, p, n, style);
	for (size_t i = 0; i < camera->n; i++)
		push(camera, i, false);
}
#define SHOW(camera, picture, ...) \
	show(camera, picture, sizeof(picture), &(struct style){ __VA_ARGS__ })

/* Ends the picture of cameras of which the markers are not known yet. */
static void new_timestamp(struct camera *camera)
{
	struct rtp_packet packet = { .timestamp = camera->timestamp + 1 };

	rtp_depacketiser_push(camera->depacketiser, &packet, false);
}

static void assert_shown(struct camera *camera, size_t i, const uint8_t *p, size_t n)
{
	struct jpeg jpeg;
	const char *why;

	if (camera->n_units <= i)
		fail_msg("unit %zu is missing: %s", i, camera->why ? camera->why : "-");
	assert_int_equal(jpeg_parse(&jpeg, camera->units[i].data, camera->units[i].bytes, &why), 0);
	assert_int_equal(jpeg.bytes, camera->units[i].bytes);
	assert_true(jpeg.has_huffman);
	assert_true(picture_same(camera->units[i].data, camera->units[i].bytes, p, n));
}
#define ASSERT_SHOWN(camera, i, picture) assert_shown(camera, i, picture, sizeof(picture))

/* --- the RFC --- */

// clang-format off
static const struct {
	const char *rule;
	const uint8_t *p;
	size_t n;
	struct style style;
} ways[] = {
	{ "types 1 and 255", picture_q50_420, sizeof(picture_q50_420), { 0 } },
	{ "type 0", picture_q85_422, sizeof(picture_q85_422), { 0 } },
	{ "type 65, one table", picture_restart, sizeof(picture_restart), { 0 } },
	{ "type 1 with restarts", picture_restart, sizeof(picture_restart), { .no_restart = true } },
	{ "Q 50", picture_q50_420, sizeof(picture_q50_420), { .q = 50 } },
	{ "Q 20", picture_q20_420, sizeof(picture_q20_420), { .q = 20 } },
	{ "Q 85", picture_q85_422, sizeof(picture_q85_422), { .q = 85 } },
	{ "Q 128", picture_q20_420, sizeof(picture_q20_420), { .q = 128 } },
	{ "16-bit tables", picture_q20_420, sizeof(picture_q20_420), { .wide_tables = true } },
	{ "one 16-bit table", picture_restart, sizeof(picture_restart), { .wide_tables = true } },
	{ "three tables", picture_q20_420, sizeof(picture_q20_420), { .third_table = true } },
	{ "EOI kept, and zeros", picture_q20_420, sizeof(picture_q20_420), { .keeps_end = true } },
	{ "one packet", picture_q20_420, sizeof(picture_q20_420), { .fragment = 1000 } },
	{ "tiny fragments", picture_q20_420, sizeof(picture_q20_420), { .fragment = 3 } },
	{ "no markers", picture_q20_420, sizeof(picture_q20_420), { .marks = MARKS_NONE } },
	{ "markers on all", picture_q20_420, sizeof(picture_q20_420), { .marks = MARKS_ALL } },
	{ "files", picture_q20_420, sizeof(picture_q20_420), { .whole = true } },
	{ "files, Q 7", picture_q20_420, sizeof(picture_q20_420), { .whole = true, .q = 7 } },
	{ "bare files", picture_q20_420, sizeof(picture_q20_420), { .bare = true } },
	{ "bare files with restarts", picture_restart, sizeof(picture_restart), { .bare = true } },
	{ "bare files, no markers", picture_q20_420, sizeof(picture_q20_420),
		{ .bare = true, .marks = MARKS_NONE } },
	{ "bare files, all marked", picture_q20_420, sizeof(picture_q20_420),
		{ .bare = true, .marks = MARKS_ALL } },
};
// clang-format on

/* Three pictures: the first finds out the markers. */
static void test_p10_every_way_gives_the_same_pixels(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
		struct camera *camera = camera_new();

		for (int k = 0; k < 3; k++)
			show(camera, ways[i].p, ways[i].n, &ways[i].style);
		new_timestamp(camera);
		if (camera->n_units != 3 || camera->dropped)
			fail_msg("%s: %zu units, %zu dropped: %s", ways[i].rule, camera->n_units,
				camera->dropped, camera->why ? camera->why : "-");
		for (size_t k = 0; k < 3; k++) {
			assert_shown(camera, k, ways[i].p, ways[i].n);
			assert_int_equal(camera->units[k].timestamp, 3600 * (k + 1));
			assert_int_equal(camera->units[k].sets_changed, k == 0);
		}
		camera_free(camera);
	}
}

static void a_trusted_marker_gives_the_picture_at_once(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, 0);
	assert_int_equal(camera->n_units, 0);
	SHOW(camera, picture_q50_420, 0);
	assert_int_equal(camera->n_units, 2);
	camera_free(camera);
	camera = camera_new();
	SHOW(camera, picture_q50_420, .bare = true); /* its EOI speaks for the marker */
	assert_int_equal(camera->n_units, 1);
	camera_free(camera);
}

static void test_p10_tables_are_kept_for_each_q(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, .q = 200);
	SHOW(camera, picture_q20_420, .q = 201);
	SHOW(camera, picture_q50_420, .q = 200, .no_tables = true);
	SHOW(camera, picture_q20_420, .q = 201, .no_tables = true);
	SHOW(camera, picture_q85_422, .q = 200);
	SHOW(camera, picture_q85_422, .q = 200, .no_tables = true);
	assert_int_equal(camera->dropped, 0);
	ASSERT_SHOWN(camera, 2, picture_q50_420);
	ASSERT_SHOWN(camera, 3, picture_q20_420);
	ASSERT_SHOWN(camera, 5, picture_q85_422);
	camera_free(camera);
}

static void test_p10_absent_tables_drop_the_picture(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, .q = 200, .no_tables = true);
	new_timestamp(camera);
	assert_int_equal(camera->dropped, 1);
	assert_string_equal(camera->why, "the quantisation tables are missing");
	SHOW(camera, picture_q50_420, .q = 255);
	SHOW(camera, picture_q50_420, .q = 255, .no_tables = true);
	new_timestamp(camera);
	assert_int_equal(camera->dropped, 2); /* Q 255 is never kept */
	assert_int_equal(camera->n_units, 1);
	camera_free(camera);
}

/* RFC 2435 appendix A clamps them, and so do players. */
static void test_q113_odd_q_is_clamped(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, .q = 99);
	SHOW(camera, picture_q50_420, .q = 100);
	SHOW(camera, picture_q50_420, .q = 127);
	SHOW(camera, picture_q50_420, .q = 1);
	cut(camera, picture_q50_420, sizeof(picture_q50_420), &(struct style){ .q = 1 });
	for (size_t i = 0; i < camera->n; i++) {
		camera->bytes[i][5] = 0;
		push(camera, i, false);
	}
	assert_int_equal(camera->n_units, 5);
	assert_memory_equal(camera->units[0].data, camera->units[1].data, camera->units[0].bytes);
	assert_memory_equal(camera->units[0].data, camera->units[2].data, camera->units[0].bytes);
	assert_memory_equal(camera->units[3].data, camera->units[4].data, camera->units[3].bytes);
	camera_free(camera);
}

/* --- sizes --- */

// clang-format off
static const struct {
	const char *rule;
	uint8_t width_8, height_8;
	uint16_t sdp_width, sdp_height, width, height; /* 0: dropped */
} size_cases[] = {
	{ "said by the packet", 80, 60, 0, 0, 640, 480 },
	{ "the SDP's is exact", 240, 135, 1916, 1078, 1916, 1078 },
	{ "rounded down by the camera", 239, 134, 1916, 1078, 1916, 1078 },
	{ "the SDP tells of another stream", 80, 60, 1920, 1080, 640, 480 },
	{ "both 0", 0, 0, 4000, 3000, 4000, 3000 },
	{ "width 0", 0, 135, 2592, 1080, 2592, 1080 },
	{ "width 0, but the SDP's height does not fit", 0, 135, 2592, 1944, 0, 0 },
	{ "0 and nothing known", 0, 0, 0, 0, 0, 0 },
	{ "width 0 and nothing known", 0, 135, 0, 0, 0, 0 },
	{ "both 0, as GStreamer when one is too long", 0, 0, 2592, 1944, 2592, 1944 },
	{ "one 0 is not for small sizes", 0, 60, 640, 480, 0, 0 },
	{ "cut to a byte, by SDP", 2592 / 8 - 256, 1944 / 8, 2592, 1944, 2592, 1944 },
	{ "cut to a byte, odd size, by SDP", 2400 / 8 - 256, 1000 / 8, 2400, 1000, 2400, 1000 },
	{ "cut to a byte, 3840x2160", 224, 14, 0, 0, 3840, 2160 },
	{ "cut to a byte, 2560x1440", 64, 180, 0, 0, 2560, 1440 },
	{ "cut to a byte, 2304x1296", 32, 162, 0, 0, 2304, 1296 },
	{ "cut to a byte, 2048x1536", 0, 192, 0, 0, 2048, 1536 },
};
// clang-format on

static void test_q113_sizes_beyond_2040(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(size_cases); i++) {
		struct camera *camera =
			camera_new_sized(size_cases[i].sdp_width, size_cases[i].sdp_height);
		const struct jpeg *jpeg = rtp_depacketiser_jpeg(camera->depacketiser);

		SHOW(camera, picture_q50_420, .sized = true, .width_8 = size_cases[i].width_8,
			.height_8 = size_cases[i].height_8);
		new_timestamp(camera);
		if (jpeg->width != size_cases[i].width || jpeg->height != size_cases[i].height)
			fail_msg("%s: %ux%u", size_cases[i].rule, jpeg->width, jpeg->height);
		assert_int_equal(camera->dropped, size_cases[i].width == 0);
		camera_free(camera);
	}
}

static void test_q113_a_whole_jpeg_knows_its_size(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, .whole = true, .sized = true);
	SHOW(camera, picture_q50_420, .whole = true, .sized = true);
	assert_int_equal(camera->n_units, 2);
	assert_int_equal(rtp_depacketiser_jpeg(camera->depacketiser)->width, 32);
	camera_free(camera);
}

static void test_q113_the_size_in_the_sdp(void **state)
{
	static const struct {
		const char *line;
		uint16_t width, height;
	} cases[] = {
		{"a=x-dimensions:2592,1944",    2592, 1944},
		{ "a=x-dimensions: 2592, 1944", 2592, 1944},
		{ "a=framesize:26 3840-2160",   3840, 2160},
		{ "a=framesize:96 3840-2160",   0,    0   },
		{ "a=x-dimensions:2592",        0,    0   },
		{ "a=x-dimensions:0,1944",      0,    0   },
		{ "a=x-dimensions:70000,1944",  0,    0   },
		{ "a=x-dimensions:",            0,    0   },
		{ "a=framerate:25",             0,    0   },
	};
	static struct sdp sdp;
	char text[256];
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		snprintf(
			text, sizeof(text), "v=0\r\nm=video 0 RTP/AVP 26\r\n%s\r\n", cases[i].line);
		assert_int_equal(sdp_parse(&sdp, text, strlen(text), &why), 0);
		assert_string_equal(sdp.media[0].encoding, "JPEG");
		assert_int_equal(sdp.media[0].clock_hz, 90000);
		if (sdp.media[0].width != cases[i].width || sdp.media[0].height != cases[i].height)
			fail_msg("%s: %ux%u", cases[i].line, sdp.media[0].width,
				sdp.media[0].height);
	}
}

static void test_h2_a_change_of_size_is_said(void **state)
{
	struct camera *camera = camera_new();
	static const bool changed[] = { true, false, true, true, false };

	(void)state;
	SHOW(camera, picture_q50_420, 0);
	SHOW(camera, picture_q20_420, 0);
	SHOW(camera, picture_q85_422, 0); /* sampling */
	SHOW(camera, picture_restart, 0); /* size */
	SHOW(camera, picture_restart, 0);
	assert_int_equal(camera->n_units, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(camera->units[i].sets_changed, changed[i]);
	camera_free(camera);
}

/* --- damage --- */

/* A camera of which the markers are trusted. */
static struct camera *camera_trusted(const struct style *style)
{
	struct camera *camera = camera_new();

	show(camera, picture_q50_420, sizeof(picture_q50_420), style);
	show(camera, picture_q50_420, sizeof(picture_q50_420), style);
	assert_int_equal(camera->n_units, 2);
	camera->n_units = 0;
	return camera;
}

static void test_p10_a_lost_fragment_drops_the_picture(void **state)
{
	static const struct style styles[] = { { 0 }, { .whole = true }, { .bare = true },
		{ .marks = MARKS_NONE }, { .marks = MARKS_ALL } };

	(void)state;
	for (size_t s = 0; s < ARRAY_LENGTH(styles); s++) {
		bool marks = styles[s].marks == MARKS_LAST;
		size_t n = 1;

		for (size_t lost = 0; lost < n; lost++) {
			struct camera *camera = marks ? camera_trusted(&styles[s]) : camera_new();

			cut(camera, picture_q20_420, sizeof(picture_q20_420), &styles[s]);
			n = camera->n;
			for (size_t i = 0; i < n; i++) {
				if (i != lost)
					push(camera, i, i == lost + 1);
			}
			cut(camera, picture_q50_420, sizeof(picture_q50_420), &styles[s]);
			for (size_t i = 0; i < camera->n; i++)
				push(camera, i, i == 0 && lost == n - 1);
			new_timestamp(camera);
			assert_int_equal(camera->dropped, 1);
			assert_int_equal(camera->n_units, 1);
			ASSERT_SHOWN(camera, 0, picture_q50_420);
			camera_free(camera);
		}
	}
}

/* As if the loss had not been noticed: the offsets tell. */
static void a_hole_or_a_swap_of_fragments_drops_the_picture(void **state)
{
	(void)state;
	for (size_t swap = 0; swap < 2; swap++) {
		size_t n = 3;

		for (size_t at = 0; at + 2 < n; at++) {
			struct camera *camera = camera_trusted(&(struct style){ 0 });

			cut(camera, picture_q20_420, sizeof(picture_q20_420),
				&(struct style){ .fragment = 20 });
			n = camera->n;
			for (size_t i = 0; i < n; i++) {
				size_t k = i == at ? at + 1 : i == at + 1 ? at : i;

				if (swap || i != at)
					push(camera, swap ? k : i, false);
			}
			assert_int_equal(camera->n_units, 0);
			SHOW(camera, picture_q50_420, 0);
			assert_int_equal(camera->n_units, 1);
			ASSERT_SHOWN(camera, 0, picture_q50_420);
			camera_free(camera);
		}
	}
}

static void test_h2_truncated_files_are_dropped(void **state)
{
	struct camera *camera = camera_trusted(&(struct style){ .bare = true });

	(void)state;
	show(camera, picture_q20_420, sizeof(picture_q20_420) - 40,
		&(struct style){ .bare = true });
	assert_int_equal(camera->n_units, 0);
	assert_int_equal(camera->dropped, 1);
	SHOW(camera, picture_q20_420, .bare = true);
	ASSERT_SHOWN(camera, 0, picture_q20_420);
	camera_free(camera);
}

static void test_h2_files_without_huffman_tables_get_them(void **state)
{
	struct camera *camera = camera_new();
	uint8_t bare[UNIT_BYTES];
	size_t n = 0;

	(void)state;
	for (size_t at = 0; at < sizeof(picture_restart); at++) {
		if (picture_restart[at] == 0xff && picture_restart[at + 1] == 0xc4)
			at += 2 + get_u16(picture_restart + at + 2);
		bare[n++] = picture_restart[at];
	}
	assert_int_equal(n, sizeof(picture_restart) - JPEG_HUFFMAN_BYTES);
	show(camera, bare, n, &(struct style){ .bare = true });
	show(camera, bare, n, &(struct style){ .bare = true });
	assert_int_equal(camera->n_units, 2);
	ASSERT_SHOWN(camera, 0, picture_restart);
	ASSERT_SHOWN(camera, 1, picture_restart);
	camera_free(camera);
}

/* The first packet, cut at every byte of its headers, gives no picture. */
static void headers_that_are_cut_drop_the_picture(void **state)
{
	static const struct style styles[] = {
		{.fragment = 1000 },
                { .q = 50, .fragment = 1000 }
	};

	(void)state;
	for (size_t s = 0; s < ARRAY_LENGTH(styles); s++) {
		size_t headers = 8 + 4 + (s ? 0 : 4 + 64);

		for (size_t n = 1; n <= headers; n++) {
			struct camera *camera = camera_trusted(&(struct style){ 0 });

			cut(camera, picture_restart, sizeof(picture_restart), &styles[s]);
			camera->packets[0].payload_bytes = n;
			push(camera, 0, false);
			assert_int_equal(camera->n_units, 0);
			assert_int_equal(camera->dropped, 1);
			camera_free(camera);
		}
	}
}

static void types_of_other_profiles_are_refused(void **state)
{
	static const uint8_t types[] = { 2, 5, 63, 66, 127, 128, 255 };
	struct camera *camera = camera_trusted(&(struct style){ 0 });

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
		cut(camera, picture_q50_420, sizeof(picture_q50_420),
			&(struct style){ .fragment = 1000 });
		camera->bytes[0][4] = types[i];
		push(camera, 0, false);
		assert_int_equal(camera->dropped, i + 1);
	}
	assert_string_equal(camera->why, "a type of JPEG payload that is not supported");
	assert_int_equal(camera->n_units, 0);
	camera_free(camera);
}

static void a_change_of_type_drops_the_picture(void **state)
{
	struct camera *camera = camera_trusted(&(struct style){ 0 });

	(void)state;
	cut(camera, picture_q50_420, sizeof(picture_q50_420), &(struct style){ 0 });
	camera->bytes[1][4] = 0;
	for (size_t i = 0; i < camera->n; i++)
		push(camera, i, false);
	assert_int_equal(camera->n_units, 0);
	assert_string_equal(camera->why, "the type changes within the picture");
	camera_free(camera);
}

static void test_p10_restart_markers_of_unknown_interval_drop_the_picture(void **state)
{
	struct camera *camera = camera_trusted(&(struct style){ 0 });

	(void)state;
	SHOW(camera, picture_restart, .no_restart = true, .sized = true, .width_8 = 4,
		.height_8 = 8); /* four rows, one marker */
	assert_int_equal(camera->n_units, 0);
	assert_string_equal(camera->why, "restart markers of an unknown interval");
	camera_free(camera);
}

/* One packet that happens to begin like a JPEG file must not change how the next are read. */
static void garbage_that_looks_like_a_file_costs_one_picture(void **state)
{
	struct camera *camera = camera_trusted(&(struct style){ 0 });

	(void)state;
	cut(camera, picture_q50_420, sizeof(picture_q50_420), &(struct style){ .fragment = 1000 });
	memcpy(camera->bytes[0], "\xff\xd8\xff", 3);
	push(camera, 0, false);
	assert_int_equal(camera->dropped, 1);
	SHOW(camera, picture_q50_420, 0);
	ASSERT_SHOWN(camera, 0, picture_q50_420);
	camera_free(camera);
}

/* The fields of one frame, or a camera of which the clock stands still. */
static void two_pictures_of_one_timestamp(void **state)
{
	struct camera *camera = camera_new();

	(void)state;
	SHOW(camera, picture_q50_420, .marks = MARKS_NONE);
	camera->timestamp -= 3600;
	SHOW(camera, picture_q20_420, .marks = MARKS_NONE);
	new_timestamp(camera);
	assert_int_equal(camera->n_units, 2);
	ASSERT_SHOWN(camera, 0, picture_q50_420);
	ASSERT_SHOWN(camera, 1, picture_q20_420);
	camera_free(camera);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_p10_every_way_gives_the_same_pixels),
		cmocka_unit_test(a_trusted_marker_gives_the_picture_at_once),
		cmocka_unit_test(test_p10_tables_are_kept_for_each_q),
		cmocka_unit_test(test_p10_absent_tables_drop_the_picture),
		cmocka_unit_test(test_q113_odd_q_is_clamped),
		cmocka_unit_test(test_q113_sizes_beyond_2040),
		cmocka_unit_test(test_q113_a_whole_jpeg_knows_its_size),
		cmocka_unit_test(test_q113_the_size_in_the_sdp),
		cmocka_unit_test(test_h2_a_change_of_size_is_said),
		cmocka_unit_test(test_p10_a_lost_fragment_drops_the_picture),
		cmocka_unit_test(a_hole_or_a_swap_of_fragments_drops_the_picture),
		cmocka_unit_test(test_h2_truncated_files_are_dropped),
		cmocka_unit_test(test_h2_files_without_huffman_tables_get_them),
		cmocka_unit_test(headers_that_are_cut_drop_the_picture),
		cmocka_unit_test(types_of_other_profiles_are_refused),
		cmocka_unit_test(a_change_of_type_drops_the_picture),
		cmocka_unit_test(test_p10_restart_markers_of_unknown_interval_drop_the_picture),
		cmocka_unit_test(garbage_that_looks_like_a_file_costs_one_picture),
		cmocka_unit_test(two_pictures_of_one_timestamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
