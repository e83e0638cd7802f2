/*
 * The payload of JPEG (RFC 2435): fragments by their offsets, and the headers that the format leaves
 * out. Some cameras send whole JPEGs instead, behind the payload header or without any.
 */
#include <errno.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "server/base/reader.h"

enum {
	TYPE_RESTART = 64, /* in types of 64 to 127: with a restart marker header */
	TYPE_DYNAMIC = 128,
	Q_IN_BAND = 128, /* from here on the tables are in the packets */
	Q_ALWAYS_NEW = 255,
	TABLE_ENTRIES = 64,
	HEADER_BYTES = 1024 /* of a JPEG before its scan; what is written takes up to 895 */
};

/* The headers of one packet (sections 3.1 and 3.1.7). */
struct rtp_jpeg_fragment {
	uint32_t offset;
	uint8_t type, q, width_8, height_8; /* the sizes in blocks of eight pixels */
	uint16_t restart_interval;          /* 0: none */
};

/* Appends to a block that is large enough by design. */
struct rtp_jpeg_writer {
	uint8_t data[HEADER_BYTES];
	size_t n;
};

/* T.81 tables K.1 and K.2, in zigzag order. */
// clang-format off
static const uint8_t luma_quantisers[TABLE_ENTRIES] = {
	16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
	26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
	56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
	95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
};
static const uint8_t chroma_quantisers[TABLE_ENTRIES] = {
	17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99,
	99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
	99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
	99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
};
/*
 * Sizes that do not fit into a byte of blocks, and that some cameras cut off instead of sending 0.
 * Only those of which the rest looks like no picture.
 */
static const struct { uint16_t width, height; } wrapped_sizes[] = {
	{ 2048, 1536 }, { 2304, 1296 }, { 2560, 1440 }, { 2560, 1920 }, { 2592, 1520 },
	{ 2592, 1944 }, { 2688, 1520 }, { 3072, 2048 }, { 3840, 2160 }, { 4096, 2160 },
};
// clang-format on

/* --- headers of JPEG --- */

static void put_u8(struct rtp_jpeg_writer *w, unsigned value)
{
	w->data[w->n++] = (uint8_t)value;
}

static void put_u16(struct rtp_jpeg_writer *w, unsigned value)
{
	put_u8(w, value >> 8);
	put_u8(w, value & 0xff);
}

static void put_bytes(struct rtp_jpeg_writer *w, const void *p, size_t n)
{
	memcpy(w->data + w->n, p, n);
	w->n += n;
}

/* RFC 2435 appendix A, its clamping of reserved values included: some cameras send them. */
static void rtp_jpeg_make_table(uint8_t ret[TABLE_ENTRIES], const uint8_t *base, unsigned q)
{
	unsigned factor = q < 1 ? 1 : q > 99 ? 99 : q;
	unsigned scale = factor < 50 ? 5000 / factor : 200 - 2 * factor;

	for (size_t i = 0; i < TABLE_ENTRIES; i++) {
		unsigned value = (base[i] * scale + 50) / 100;

		ret[i] = (uint8_t)(value < 1 ? 1 : value > 255 ? 255 : value);
	}
}

static size_t rtp_jpeg_table_bytes(const struct rtp_jpeg_tables *tables, size_t i)
{
	return (size_t)TABLE_ENTRIES << (tables->precision >> i & 1);
}

/* DQT segments, one or two. */
static void put_tables(struct rtp_jpeg_writer *w, const struct rtp_jpeg_tables *tables)
{
	size_t at = 0;

	for (size_t i = 0; i < tables->n; i++) {
		size_t bytes = rtp_jpeg_table_bytes(tables, i);

		put_u16(w, 0xffdb);
		put_u16(w, (unsigned)(3 + bytes));
		put_u8(w, (tables->precision >> i & 1) << 4 | (unsigned)i);
		put_bytes(w, tables->data + at, bytes);
		at += bytes;
	}
}

static void put_frame(struct rtp_jpeg_writer *w, const struct rtp_jpeg_tables *tables,
	unsigned type, uint16_t width, uint16_t height)
{
	put_u16(w, tables->precision & 3 ? 0xffc1 : 0xffc0); /* baseline has no 16-bit tables */
	put_u16(w, 17);
	put_u8(w, 8);
	put_u16(w, height);
	put_u16(w, width);
	put_u8(w, 3);
	for (unsigned i = 0; i < 3; i++) {
		put_u8(w, i + 1);
		put_u8(w, i ? 0x11 : type & 1 ? 0x22 : 0x21); /* section 4.1 */
		put_u8(w, i && tables->n > 1);
	}
}

static void put_scan(struct rtp_jpeg_writer *w)
{
	put_u16(w, 0xffda);
	put_u16(w, 12);
	put_u8(w, 3);
	for (unsigned i = 0; i < 3; i++) {
		put_u8(w, i + 1);
		put_u8(w, i ? 0x11 : 0);
	}
	put_u8(w, 0);
	put_u8(w, 63);
	put_u8(w, 0);
}

/* RFC 2435 appendix B, as JFIF. */
static void rtp_jpeg_put_headers(struct rtp_depacketiser *d, const struct rtp_jpeg_fragment *f,
	const struct rtp_jpeg_tables *tables, uint16_t width, uint16_t height)
{
	static const uint8_t jfif[] = { 0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 2,
		0, 0, 1, 0, 1, 0, 0 };
	struct rtp_jpeg_writer w = { .n = 0 };

	put_bytes(&w, jfif, sizeof(jfif));
	put_tables(&w, tables);
	put_frame(&w, tables, f->type, width, height);
	jpeg_write_huffman(w.data + w.n);
	w.n += JPEG_HUFFMAN_BYTES;
	if (f->restart_interval) {
		put_u16(&w, 0xffdd);
		put_u16(&w, 4);
		put_u16(&w, f->restart_interval);
	}
	put_scan(&w);
	rtp_unit_append(d, w.data, w.n);
}

/* --- what the packets say --- */

/* Whether a side in pixels may have been sent as that many blocks: whole, cut to a byte, or as 0. */
static bool rtp_jpeg_side_fits(unsigned pixels, uint8_t blocks)
{
	return (uint8_t)((pixels + 7) / 8) == blocks || (uint8_t)(pixels / 8) == blocks ||
	       (blocks == 0 && pixels > 255 * 8);
}

/* The size in pixels: the SDP's where it fits, else what the packet says. Returns false when unknown. */
static bool rtp_jpeg_size(const struct rtp_jpeg *j, const struct rtp_jpeg_fragment *f,
	uint16_t *width, uint16_t *height)
{
	bool fits = rtp_jpeg_side_fits(j->width, f->width_8) &&
		    rtp_jpeg_side_fits(j->height, f->height_8);

	*width = j->width;
	*height = j->height;
	/* some send 0 for both sides when only one is too long (GStreamer) */
	if (j->width && j->height && (fits || (!f->width_8 && !f->height_8)))
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(wrapped_sizes); i++) {
		*width = wrapped_sizes[i].width;
		*height = wrapped_sizes[i].height;
		if ((uint8_t)(*width / 8) == f->width_8 && (uint8_t)(*height / 8) == f->height_8)
			return true;
	}
	*width = (uint16_t)(f->width_8 * 8);
	*height = (uint16_t)(f->height_8 * 8);
	return *width && *height;
}

static int rtp_jpeg_read_fragment(struct rtp_jpeg_fragment *ret, struct reader *r, const char **why)
{
	struct rtp_jpeg_fragment f = { 0 };

	f.offset = reader_u32(r) & 0xffffff; /* the upper byte is type-specific: fields */
	f.type = reader_u8(r);
	f.q = reader_u8(r);
	f.width_8 = reader_u8(r);
	f.height_8 = reader_u8(r);
	if (f.type >= TYPE_RESTART && f.type < TYPE_DYNAMIC) {
		f.restart_interval = reader_u16(r);
		reader_skip(r, 2); /* of no use to whom the packets come in order */
	}
	*why = "a payload header is too short";
	if (r->why)
		return -EBADMSG;
	*why = "a type of JPEG payload that is not supported";
	if (f.type >= TYPE_DYNAMIC || f.type % TYPE_RESTART > 1)
		return -EBADMSG;
	*ret = f;
	return 0;
}

/* The tables of a Q that came before, else the slot for new ones. */
static struct rtp_jpeg_tables *rtp_jpeg_find_tables(struct rtp_jpeg *j, uint8_t q)
{
	for (size_t i = 0; i < RTP_JPEG_TABLES; i++) {
		if (j->tables[i].q == q)
			return &j->tables[i];
	}
	j->next_tables = (j->next_tables + 1) % RTP_JPEG_TABLES;
	return &j->tables[j->next_tables];
}

/* Splits table data of n bytes: two tables, or one for all; what more there is has no use. */
static bool rtp_jpeg_set_tables(
	struct rtp_jpeg_tables *ret, uint8_t q, uint8_t precision, const uint8_t *p, size_t n)
{
	struct rtp_jpeg_tables tables = { .q = q, .precision = precision & 3 };
	size_t used = 0;

	while (tables.n < 2 && n - used >= rtp_jpeg_table_bytes(&tables, tables.n)) {
		used += rtp_jpeg_table_bytes(&tables, tables.n);
		tables.n++;
	}
	if (tables.n == 0)
		return false;
	if (tables.n == 1)
		tables.precision &= 1;
	memcpy(tables.data, p, used);
	*ret = tables;
	return true;
}

/* The quantisation table header (section 3.1.8). Returns NULL with *why when there are none. */
static const struct rtp_jpeg_tables *rtp_jpeg_read_tables(
	struct rtp_jpeg *j, uint8_t q, struct reader *r, const char **why)
{
	struct rtp_jpeg_tables *tables;
	uint8_t precision;
	uint16_t bytes;
	const uint8_t *p;

	reader_skip(r, 1);
	precision = reader_u8(r);
	bytes = reader_u16(r);
	p = reader_bytes(r, bytes);
	*why = "the quantisation tables are cut off";
	if (!p)
		return NULL;
	tables = rtp_jpeg_find_tables(j, q);
	if (bytes == 0) {
		*why = "the quantisation tables are missing";
		return tables->q == q && q != Q_ALWAYS_NEW ? tables : NULL;
	}
	*why = "the quantisation tables are too short";
	return rtp_jpeg_set_tables(tables, q, precision, p, bytes) ? tables : NULL;
}

/* --- pictures --- */

static bool is_whole(const uint8_t *p, size_t n)
{
	return n >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff;
}

/* Inserts a segment of n bytes before the scan. */
static void rtp_jpeg_insert(struct rtp_depacketiser *d, size_t at, const uint8_t *p, size_t n)
{
	size_t behind = d->bytes - at;

	rtp_unit_append(d, p, n); /* for the room */
	if (d->damage)
		return;
	memmove(d->unit + at + n, d->unit + at, behind);
	memcpy(d->unit + at, p, n);
}

/*
 * Restart markers of which the payload header knows nothing: one behind each row, as ffmpeg has them
 * with several threads, can be told to the decoder.
 */
static void rtp_jpeg_insert_interval(struct rtp_depacketiser *d, const struct jpeg *jpeg)
{
	unsigned columns = (jpeg->width + 15U) / 16;
	unsigned row_pixels = 8U * (jpeg->sampling[0] & 15);
	const uint8_t interval[] = { 0xff, 0xdd, 0, 4, (uint8_t)(columns >> 8), (uint8_t)columns };

	if (jpeg->restarts + 1 == (jpeg->height + row_pixels - 1) / row_pixels)
		rtp_jpeg_insert(d, jpeg->scan_at, interval, sizeof(interval));
	else
		rtp_unit_damage(d, "restart markers of an unknown interval");
}

static void rtp_jpeg_insert_huffman(struct rtp_depacketiser *d, const struct jpeg *jpeg)
{
	uint8_t tables[JPEG_HUFFMAN_BYTES];

	jpeg_write_huffman(tables);
	rtp_jpeg_insert(d, jpeg->scan_at, tables, sizeof(tables));
}

/* Makes a JPEG of the collected bytes, or damages the unit. */
static void rtp_jpeg_complete(struct rtp_depacketiser *d, struct jpeg *ret)
{
	static const uint8_t end[] = { 0xff, 0xd9 };
	const char *why;

	if (d->bytes == d->jpeg.head_bytes)
		rtp_unit_damage(d, "a picture without data");
	if (d->jpeg.head_bytes)
		rtp_unit_append(d, end, sizeof(end)); /* may be left out; a second one is cut */
	if (d->damage)
		return;
	if (jpeg_parse(ret, d->unit, d->bytes, &why) < 0) {
		rtp_unit_damage(d, why);
		return;
	}
	d->bytes = ret->bytes;
	if (d->jpeg.head_bytes && ret->restarts && !ret->restart_interval)
		rtp_jpeg_insert_interval(d, ret);
	else if (!ret->has_huffman)
		rtp_jpeg_insert_huffman(d, ret);
	if (d->bytes != ret->bytes && jpeg_parse(ret, d->unit, d->bytes, &why) < 0)
		rtp_unit_damage(d, why);
}

static void rtp_jpeg_give(struct rtp_depacketiser *d, const struct jpeg *jpeg)
{
	const struct jpeg *last = &d->jpeg.given;

	if (jpeg->width != last->width || jpeg->height != last->height ||
		jpeg->components != last->components ||
		memcmp(jpeg->sampling, last->sampling, sizeof(jpeg->sampling)) != 0)
		d->sets_changed = true;
	d->jpeg.given = *jpeg;
	rtp_unit_give(d, d->timestamp, true);
}

static void rtp_jpeg_finish(struct rtp_depacketiser *d)
{
	struct jpeg jpeg = { 0 };

	if (d->marked && !d->damage)
		d->marker = RTP_MARKER_TRUE;
	rtp_jpeg_complete(d, &jpeg);
	if (d->damage) {
		d->jpeg.bare = false; /* in case that was wrong */
		d->events.on_dropped(d->arg, d->damage);
	} else {
		rtp_jpeg_give(d, &jpeg);
	}
	d->given_timestamp = d->timestamp;
	d->has_given = true;
	rtp_unit_reset(d);
}

/* A picture begins; one that has neither marker nor timestamp of its own ends. */
static void rtp_jpeg_begin(struct rtp_depacketiser *d)
{
	if (d->picture)
		rtp_jpeg_finish(d);
	d->picture = true;
	d->jpeg.head_bytes = 0;
}

/* A packet that does not begin a picture: finds out markers that lie. */
static void rtp_jpeg_continue(struct rtp_depacketiser *d)
{
	if (d->marked || (!d->picture && d->has_given && d->given_timestamp == d->timestamp)) {
		d->marked = false;
		d->marker = RTP_MARKER_FALSE;
	}
	if (d->picture)
		return;
	rtp_jpeg_begin(d);
	rtp_unit_damage(d, "the start of the picture is missing");
}

/* The first fragment, behind its header. */
static void rtp_jpeg_on_first(
	struct rtp_depacketiser *d, const struct rtp_jpeg_fragment *f, struct reader *r)
{
	struct rtp_jpeg_tables made = { .n = 2 };
	const struct rtp_jpeg_tables *tables = &made;
	uint16_t width, height;
	const char *why;

	rtp_jpeg_begin(d);
	d->jpeg.type = f->type;
	if (is_whole(r->at, reader_left(r)))
		return;
	if (f->q >= Q_IN_BAND) {
		tables = rtp_jpeg_read_tables(&d->jpeg, f->q, r, &why);
	} else {
		rtp_jpeg_make_table(made.data, luma_quantisers, f->q);
		rtp_jpeg_make_table(made.data + TABLE_ENTRIES, chroma_quantisers, f->q);
	}
	if (!tables) {
		rtp_unit_damage(d, why);
		return;
	}
	if (is_whole(r->at, reader_left(r)))
		return;
	if (!rtp_jpeg_size(&d->jpeg, f, &width, &height)) {
		rtp_unit_damage(d, "the size of the picture is not said");
		return;
	}
	rtp_jpeg_put_headers(d, f, tables, width, height);
	d->jpeg.head_bytes = d->bytes;
}

/* A packet with the payload header. */
static void rtp_jpeg_take(struct rtp_depacketiser *d, struct reader *r)
{
	struct rtp_jpeg_fragment f;
	const char *why;

	if (rtp_jpeg_read_fragment(&f, r, &why) < 0) {
		d->picture = true;
		rtp_unit_damage(d, why);
		return;
	}
	if (f.offset == 0) {
		rtp_jpeg_on_first(d, &f, r);
	} else {
		rtp_jpeg_continue(d);
		if (f.offset != d->bytes - d->jpeg.head_bytes)
			rtp_unit_damage(d, "a fragment is missing or out of order");
		if (f.type != d->jpeg.type)
			rtp_unit_damage(d, "the type changes within the picture");
	}
	if (!d->damage)
		rtp_unit_append(d, r->at, reader_left(r));
}

/* A packet of a camera that sends the bytes of JPEG files without payload headers. */
static void rtp_jpeg_take_bare(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	if (is_whole(p, n))
		rtp_jpeg_begin(d);
	else
		rtp_jpeg_continue(d);
	d->jpeg.bare = true;
	if (!d->damage)
		rtp_unit_append(d, p, n);
}

static void rtp_jpeg_on_marker(struct rtp_depacketiser *d)
{
	size_t n = d->bytes;
	bool ended = n >= 2 && d->unit[n - 2] == 0xff && d->unit[n - 1] == 0xd9;

	if (d->marker == RTP_MARKER_TRUE || (d->marker == RTP_MARKER_UNKNOWN && ended)) {
		d->marker = RTP_MARKER_TRUE;
		rtp_jpeg_finish(d);
	} else if (d->marker == RTP_MARKER_UNKNOWN) {
		d->marked = true;
	}
}

static void rtp_jpeg_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	struct reader r = reader_of(packet->payload, packet->payload_bytes);
	bool same = d->started && packet->timestamp == d->timestamp;

	if (gap) {
		d->has_given = false;
		if (d->picture)
			rtp_unit_damage(d, "a packet was lost");
	}
	if (!same && d->picture)
		rtp_jpeg_finish(d);
	d->timestamp = packet->timestamp;
	d->started = true;
	/* an RFC 2435 fragment that looks so would lie 14 MB into its picture */
	if (reader_left(&r) && (d->jpeg.bare || is_whole(r.at, reader_left(&r))))
		rtp_jpeg_take_bare(d, r.at, reader_left(&r));
	else if (reader_left(&r))
		rtp_jpeg_take(d, &r);
	if (packet->marker && d->picture)
		rtp_jpeg_on_marker(d);
}

static int rtp_jpeg_start(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	(void)why;
	d->jpeg.width = format->width;
	d->jpeg.height = format->height;
	return 0;
}

const struct rtp_payload rtp_payload_jpeg = {
	.encoding = "JPEG",
	.start = rtp_jpeg_start,
	.push = rtp_jpeg_push,
};
