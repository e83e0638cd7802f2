/*
 * Sample entries: ISO/IEC 14496-12 section 12, -14 (esds), -15 (avc1, hvc1), QuickTime (ulaw, alaw,
 * twos), and the ISOBMFF bindings of Opus and AV1.
 */
#include "storage/sample_entry.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "server/base/attributes.h"
#include "server/media/codec.h"
#include "server/media/codec_string.h"

enum {
	DESCRIPTOR_LENGTH_BYTES = 4,
	DESCRIPTOR_HEAD = 1 + DESCRIPTOR_LENGTH_BYTES,
	PICTURE_SIDE_MOST = 65535,
	CHANNELS_MOST = 255,
	OPUS_HZ = 48000, /* whatever went in */
	OPUS_HEAD_BYTES = 19,
};

struct sample_entry;

typedef void entry_write_config(struct box_writer *w, const struct sample_entry *entry, unsigned id,
	const AVCodecParameters *p);

struct sample_entry {
	enum AVCodecID codec;
	const char *type;
	entry_write_config *write_config; /* or NULL: the entry says all */
	const char *config;  /* the box of the record, where that is extradata as it is */
	uint8_t object_type; /* in esds (ISO/IEC 14496-1 table 5) */
	uint8_t first;       /* what extradata begins with; 0: anything */
	int extradata_least;
	bool is_web, is_intra;
	const char *name; /* where codec_string() has none */
};

/* --- what is inside an entry --- */

static void write_record(struct box_writer *w, const struct sample_entry *entry, unsigned id,
	const AVCodecParameters *p)
{
	size_t record = box_begin(w, entry->config);

	(void)id;
	box_bytes(w, p->extradata, (size_t)p->extradata_size);
	box_end(w, record);
}

/* A descriptor's tag and length, the latter always in four bytes (ISO/IEC 14496-1 section 8.3.3). */
static void write_descriptor(struct box_writer *w, uint8_t tag, size_t length)
{
	box_u8(w, tag);
	for (int shift = 7 * (DESCRIPTOR_LENGTH_BYTES - 1); shift >= 0; shift -= 7)
		box_u8(w, (uint8_t)((length >> shift & 0x7f) | (shift ? 0x80 : 0)));
}

static void write_esds(struct box_writer *w, const struct sample_entry *entry, unsigned id,
	const AVCodecParameters *p)
{
	size_t esds = box_begin_full(w, "esds", 0, 0);
	size_t config = entry->extradata_least ? (size_t)p->extradata_size : 0;
	size_t decoder = 13 + (config ? DESCRIPTOR_HEAD + config : 0);
	bool video = p->codec_type == AVMEDIA_TYPE_VIDEO;

	write_descriptor(w, 3, 3 + DESCRIPTOR_HEAD + decoder + DESCRIPTOR_HEAD + 1); /* ES */
	box_u16(w, (uint16_t)id);
	box_u8(w, 0);
	write_descriptor(w, 4, decoder);
	box_u8(w, entry->object_type);
	box_u8(w, video ? 0x11 : 0x15);
	box_zeros(w, 3);
	box_u32(w, (uint32_t)p->bit_rate);
	box_u32(w, (uint32_t)p->bit_rate);
	if (config) {
		write_descriptor(w, 5, config);
		box_bytes(w, p->extradata, config);
	}
	write_descriptor(w, 6, 1); /* SL: as MP4 files have it */
	box_u8(w, 2);
	box_end(w, esds);
}

/* OpusHead (RFC 7845 section 5.1) is little endian, dOps big endian, else they are the same. */
static void write_dops(struct box_writer *w, const struct sample_entry *entry, unsigned id,
	const AVCodecParameters *p)
{
	const uint8_t *head = p->extradata;
	size_t dops = box_begin(w, "dOps");

	(void)entry, (void)id;
	box_u8(w, 0);
	box_u8(w, head[9]);                               /* channels */
	box_u16(w, (uint16_t)(head[10] | head[11] << 8)); /* pre-skip */
	box_u32(w,
		(uint32_t)(head[12] | head[13] << 8 | head[14] << 16) | (uint32_t)head[15] << 24);
	box_u16(w, (uint16_t)(head[16] | head[17] << 8)); /* gain */
	box_u8(w, head[18]);                              /* mapping family */
	if (head[18])
		box_bytes(w, head + OPUS_HEAD_BYTES, 2 + (size_t)head[9]);
	box_end(w, dops);
}

static bool opus_head_is_whole(const AVCodecParameters *p)
{
	const uint8_t *head = p->extradata;

	if (!head[9])
		return false;
	return head[18] ? p->extradata_size >= OPUS_HEAD_BYTES + 2 + head[9] : head[9] <= 2;
}

/* --- the rows --- */

// clang-format off
static const struct sample_entry entries[] = {
	{ AV_CODEC_ID_H264, "avc1", write_record, "avcC", .first = 1, .extradata_least = 7,
		.is_web = true },
	{ AV_CODEC_ID_HEVC, "hvc1", write_record, "hvcC", .first = 1, .extradata_least = 23,
		.is_web = true },
	{ AV_CODEC_ID_AV1, "av01", write_record, "av1C", .first = 0x81, .extradata_least = 4,
		.is_web = true },
	{ AV_CODEC_ID_MJPEG, "mp4v", write_esds, .object_type = 0x6c, .is_intra = true,
		.name = "mp4v.6C" },
	{ AV_CODEC_ID_AAC, "mp4a", write_esds, .object_type = 0x40, .extradata_least = 2,
		.is_web = true },
	{ AV_CODEC_ID_OPUS, "Opus", write_dops, .first = 'O', .extradata_least = OPUS_HEAD_BYTES,
		.is_web = true, .name = "opus" },
	{ AV_CODEC_ID_PCM_MULAW, "ulaw", .name = "ulaw" },
	{ AV_CODEC_ID_PCM_ALAW, "alaw", .name = "alaw" },
	{ AV_CODEC_ID_PCM_S16BE, "twos", .name = "twos" },
};
// clang-format on

static const struct sample_entry *entry_find(const AVCodecParameters *p)
{
	for (size_t i = 0; i < ARRAY_LENGTH(entries); i++) {
		if (entries[i].codec == p->codec_id)
			return &entries[i];
	}
	return NULL;
}

bool sample_entry_fits(const AVCodecParameters *p)
{
	const struct sample_entry *entry = entry_find(p);

	if (!entry || (entry->extradata_least && !p->extradata) ||
		p->extradata_size < entry->extradata_least)
		return false;
	if (entry->first && p->extradata[0] != entry->first)
		return false;
	if (p->codec_type == AVMEDIA_TYPE_VIDEO)
		return p->width > 0 && p->height > 0 && p->width <= PICTURE_SIDE_MOST &&
		       p->height <= PICTURE_SIDE_MOST;
	if (p->codec_id == AV_CODEC_ID_OPUS && !opus_head_is_whole(p))
		return false;
	return p->codec_type == AVMEDIA_TYPE_AUDIO && p->sample_rate > 0 &&
	       p->ch_layout.nb_channels <= CHANNELS_MOST &&
	       (p->ch_layout.nb_channels > 0 || entry->extradata_least);
}

bool sample_entry_is_web(const AVCodecParameters *p)
{
	const struct sample_entry *entry = entry_find(p);

	return entry && entry->is_web && sample_entry_fits(p);
}

bool sample_entry_has_keyframes(const AVCodecParameters *p)
{
	const struct sample_entry *entry = entry_find(p);

	return p->codec_type == AVMEDIA_TYPE_VIDEO && entry && !entry->is_intra;
}

char *sample_entry_codec(char *ret, size_t size, const AVCodecParameters *p)
{
	const struct sample_entry *entry = entry_find(p);

	if (entry && entry->name)
		(void)snprintf(ret, size, "%s", entry->name);
	else if (p->codec_id == AV_CODEC_ID_AV1)
		codec_string_of_av1c(ret, size, p->extradata, (size_t)p->extradata_size);
	else
		codec_string(ret, size, p);
	return ret;
}

/* --- writing --- */

static void write_aspect(struct box_writer *w, AVRational sar)
{
	size_t pasp;

	if (sar.num <= 0 || sar.den <= 0 || sar.num == sar.den)
		return;
	pasp = box_begin(w, "pasp");
	box_u32(w, (uint32_t)sar.num);
	box_u32(w, (uint32_t)sar.den);
	box_end(w, pasp);
}

static void write_visual(struct box_writer *w, const AVCodecParameters *p)
{
	box_zeros(w, 16);
	box_u16(w, (uint16_t)p->width);
	box_u16(w, (uint16_t)p->height);
	box_u32(w, 0x480000); /* 72 dpi */
	box_u32(w, 0x480000);
	box_u32(w, 0);
	box_u16(w, 1); /* frames per sample */
	box_zeros(w, 32);
	box_u16(w, 0x18);
	box_u16(w, 0xffff);
}

static void write_sound(struct box_writer *w, const AVCodecParameters *p)
{
	uint32_t rate = p->codec_id == AV_CODEC_ID_OPUS ? OPUS_HZ : (uint32_t)p->sample_rate;

	box_zeros(w, 8);
	box_u16(w, (uint16_t)p->ch_layout.nb_channels);
	box_u16(w, 16); /* of compressed sound too */
	box_u32(w, 0);
	box_u32(w, rate < 65536 ? rate << 16 : 0);
}

void sample_entry_write(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	const struct sample_entry *entry = entry_find(p);
	bool video = p->codec_type == AVMEDIA_TYPE_VIDEO;
	size_t at;

	assert(entry);
	at = box_begin(w, entry->type);
	box_zeros(w, 6);
	box_u16(w, 1); /* data reference */
	if (video)
		write_visual(w, p);
	else
		write_sound(w, p);
	if (entry->write_config)
		entry->write_config(w, entry, id, p);
	if (video)
		write_aspect(w, p->sample_aspect_ratio);
	box_end(w, at);
}
