/* The start of every MP4 that nvrd makes: `ftyp` and the initial `moov` (ISO/IEC 14496-12, -14, -15). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/media/codec.h"
#include "storage/box_writer.h"
#include "storage/fragment.h"

enum {
	MOVIE_TIMESCALE = 1000,
	ESDS_LENGTH_BYTES = 4
};

static const uint32_t unity_matrix[9] = { 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000 };

static void init_write_matrix(struct box_writer *w)
{
	for (size_t i = 0; i < ARRAY_LENGTH(unity_matrix); i++)
		box_u32(w, unity_matrix[i]);
}

static void init_write_ftyp(struct box_writer *w)
{
	size_t at = box_begin(w, "ftyp");

	box_text(w, "iso6");
	box_u32(w, 0);
	box_text(w, "iso6cmfcmp41");
	box_end(w, at);
}

static void init_write_mvhd(struct box_writer *w, unsigned n_tracks)
{
	size_t at = box_begin_full(w, "mvhd", 0, 0);

	box_zeros(w, 8); /* creation, modification */
	box_u32(w, MOVIE_TIMESCALE);
	box_u32(w, 0); /* duration: unknown, the fragments have it */
	box_u32(w, 0x10000);
	box_u16(w, 0x100);
	box_zeros(w, 10);
	init_write_matrix(w);
	box_zeros(w, 24);
	box_u32(w, n_tracks + 1);
	box_end(w, at);
}

static bool init_has_aspect(const AVCodecParameters *p)
{
	AVRational sar = p->sample_aspect_ratio;

	return sar.num > 0 && sar.den > 0 && sar.num != sar.den;
}

static void init_write_tkhd(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	size_t at = box_begin_full(w, "tkhd", 0, 3); /* enabled, in the movie */
	bool video = p->codec_type == AVMEDIA_TYPE_VIDEO;
	uint32_t width = (uint32_t)p->width;

	if (video && init_has_aspect(p))
		width = (uint32_t)((int64_t)width * p->sample_aspect_ratio.num /
				   p->sample_aspect_ratio.den);
	box_zeros(w, 8);
	box_u32(w, id);
	box_zeros(w, 16);
	box_u16(w, 0); /* layer */
	box_u16(w, 0);
	box_u16(w, video ? 0 : 0x100);
	box_u16(w, 0);
	init_write_matrix(w);
	box_u32(w, video ? width << 16 : 0);
	box_u32(w, video ? (uint32_t)p->height << 16 : 0);
	box_end(w, at);
}

static void init_write_mdhd(struct box_writer *w, const struct stream_track *track)
{
	size_t at = box_begin_full(w, "mdhd", 0, 0);

	box_zeros(w, 8);
	box_u32(w, (uint32_t)track->time_base.den);
	box_u32(w, 0);
	box_u16(w, 0x55c4); /* "und" */
	box_u16(w, 0);
	box_end(w, at);
}

static void init_write_hdlr(struct box_writer *w, bool video)
{
	size_t at = box_begin_full(w, "hdlr", 0, 0);

	box_u32(w, 0);
	box_text(w, video ? "vide" : "soun");
	box_zeros(w, 12);
	box_text(w, video ? "video" : "audio");
	box_u8(w, 0);
	box_end(w, at);
}

static void init_write_dinf(struct box_writer *w)
{
	size_t dinf = box_begin(w, "dinf");
	size_t dref = box_begin_full(w, "dref", 0, 0);
	size_t url;

	box_u32(w, 1);
	url = box_begin_full(w, "url ", 0, 1); /* in this file */
	box_end(w, url);
	box_end(w, dref);
	box_end(w, dinf);
}

/* The sample entry of H.264 (avc1) or H.265 (hvc1) with its record. */
static void init_write_video_entry(struct box_writer *w, const AVCodecParameters *p)
{
	bool h265 = p->codec_id == AV_CODEC_ID_HEVC;
	size_t entry = box_begin(w, h265 ? "hvc1" : "avc1");
	size_t record;

	box_zeros(w, 6);
	box_u16(w, 1); /* data reference */
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
	record = box_begin(w, h265 ? "hvcC" : "avcC");
	box_bytes(w, p->extradata, (size_t)p->extradata_size);
	box_end(w, record);
	if (init_has_aspect(p)) {
		size_t pasp = box_begin(w, "pasp");

		box_u32(w, (uint32_t)p->sample_aspect_ratio.num);
		box_u32(w, (uint32_t)p->sample_aspect_ratio.den);
		box_end(w, pasp);
	}
	box_end(w, entry);
}

/* A descriptor's tag and length, the latter always in four bytes (ISO/IEC 14496-1 section 8.3.3). */
static void init_write_descriptor(struct box_writer *w, uint8_t tag, size_t length)
{
	box_u8(w, tag);
	for (int shift = 7 * (ESDS_LENGTH_BYTES - 1); shift >= 0; shift -= 7)
		box_u8(w, (uint8_t)((length >> shift & 0x7f) | (shift ? 0x80 : 0)));
}

static void init_write_esds(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	size_t esds = box_begin_full(w, "esds", 0, 0);
	size_t config = (size_t)p->extradata_size;
	size_t head = 1 + ESDS_LENGTH_BYTES;
	size_t decoder = 13 + head + config;

	init_write_descriptor(w, 3, 3 + head + decoder + head + 1); /* ES */
	box_u16(w, (uint16_t)id);
	box_u8(w, 0);
	init_write_descriptor(w, 4, decoder);
	box_u8(w, 0x40); /* AAC */
	box_u8(w, 0x15); /* audio */
	box_zeros(w, 3);
	box_u32(w, (uint32_t)p->bit_rate);
	box_u32(w, (uint32_t)p->bit_rate);
	init_write_descriptor(w, 5, config);
	box_bytes(w, p->extradata, config);
	init_write_descriptor(w, 6, 1); /* SL: as MP4 files have it */
	box_u8(w, 2);
	box_end(w, esds);
}

static void init_write_audio_entry(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	size_t entry = box_begin(w, "mp4a");

	box_zeros(w, 6);
	box_u16(w, 1);
	box_zeros(w, 8);
	box_u16(w, (uint16_t)p->ch_layout.nb_channels);
	box_u16(w, 16);
	box_u32(w, 0);
	box_u32(w, p->sample_rate < 65536 ? (uint32_t)p->sample_rate << 16 : 0);
	init_write_esds(w, id, p);
	box_end(w, entry);
}

static void init_write_stbl(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	static const struct {
		const char *type;
		size_t zeros; /* an empty table */
	} tables[] = {
		{"stts",  4},
                { "stsc", 4},
                { "stsz", 8},
                { "stco", 4}
	};
	size_t stbl = box_begin(w, "stbl");
	size_t stsd = box_begin_full(w, "stsd", 0, 0);

	box_u32(w, 1);
	if (p->codec_type == AVMEDIA_TYPE_VIDEO)
		init_write_video_entry(w, p);
	else
		init_write_audio_entry(w, id, p);
	box_end(w, stsd);
	for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
		size_t at = box_begin_full(w, tables[i].type, 0, 0);

		box_zeros(w, tables[i].zeros);
		box_end(w, at);
	}
	box_end(w, stbl);
}

static void init_write_minf(struct box_writer *w, unsigned id, const AVCodecParameters *p)
{
	bool video = p->codec_type == AVMEDIA_TYPE_VIDEO;
	size_t minf = box_begin(w, "minf");
	size_t head = video ? box_begin_full(w, "vmhd", 0, 1) : box_begin_full(w, "smhd", 0, 0);

	box_zeros(w, video ? 8 : 4);
	box_end(w, head);
	init_write_dinf(w);
	init_write_stbl(w, id, p);
	box_end(w, minf);
}

static void init_write_trak(struct box_writer *w, unsigned id, const struct stream_track *track)
{
	size_t trak = box_begin(w, "trak");
	size_t mdia;

	init_write_tkhd(w, id, track->parameters);
	mdia = box_begin(w, "mdia");
	init_write_mdhd(w, track);
	init_write_hdlr(w, track->parameters->codec_type == AVMEDIA_TYPE_VIDEO);
	init_write_minf(w, id, track->parameters);
	box_end(w, mdia);
	box_end(w, trak);
}

static void init_write_mvex(struct box_writer *w, unsigned n_tracks)
{
	size_t mvex = box_begin(w, "mvex");

	for (unsigned id = 1; id <= n_tracks; id++) {
		size_t trex = box_begin_full(w, "trex", 0, 0);

		box_u32(w, id);
		box_u32(w, 1); /* sample description */
		box_zeros(w, 12);
		box_end(w, trex);
	}
	box_end(w, mvex);
}

static void init_write_moov(struct box_writer *w, const struct stream_track *tracks, unsigned n)
{
	size_t moov = box_begin(w, "moov");

	init_write_mvhd(w, n);
	for (unsigned i = 0; i < n; i++)
		init_write_trak(w, i + 1, &tracks[i]);
	init_write_mvex(w, n);
	box_end(w, moov);
}

static void init_describe(struct fragment_init *init, const struct stream_track *track)
{
	const AVCodecParameters *p = track->parameters;
	size_t n = strlen(init->codecs);
	char codec[40];

	snprintf(init->codecs + n, sizeof(init->codecs) - n, "%s%s", n ? "," : "",
		codec_string(codec, sizeof(codec), p));
	if (p->codec_type != AVMEDIA_TYPE_VIDEO || init->width)
		return;
	init->width = p->width;
	init->height = p->height;
	snprintf(init->video_codec, sizeof(init->video_codec), "%s", codec_name(p));
}

struct fragment_init *fragment_init_new(const struct stream_track *tracks, size_t n)
{
	struct fragment_init *init = xcalloc(1, sizeof(*init));
	struct box_writer w = { 0 };

	init->refs = 1;
	init->n_tracks = (unsigned)n;
	for (size_t i = 0; i < n; i++) {
		init->time_base[i] = tracks[i].time_base;
		init_describe(init, &tracks[i]);
	}
	init_write_ftyp(&w);
	init->ftyp_bytes = w.n;
	init_write_moov(&w, tracks, (unsigned)n);
	init->data = w.p;
	init->bytes = w.n;
	return init;
}

struct fragment_init *fragment_init_ref(struct fragment_init *init)
{
	init->refs++;
	return init;
}

void fragment_init_unref(struct fragment_init **init)
{
	struct fragment_init *it = *init;

	*init = NULL;
	if (!it || --it->refs)
		return;
	free(it->data);
	free(it);
}

bool fragment_init_equal(const struct fragment_init *a, const struct fragment_init *b)
{
	return a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}
