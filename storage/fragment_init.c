/* The start of every MP4 that nvrd makes: `ftyp` and the initial `moov` (ISO/IEC 14496-12). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/media/codec.h"
#include "server/media/codec_string.h"
#include "storage/box_writer.h"
#include "storage/fragment.h"
#include "storage/sample_entry.h"

enum {
	MOVIE_TIMESCALE = 1000
};

/*
 * Turns a picture of that size (16.16, as it is shown without turning) clockwise, and moves it back to the origin:
 * section 6.2.2, the matrix { a b u; c d v; x y w }.
 */
static void init_write_matrix(struct box_writer *w, int degrees, uint32_t width, uint32_t height)
{
	static const struct turn {
		int32_t a, b, c, d;
	} turns[] = {
		{1,   0,  0,  1 },
		{ 0,  1,  -1, 0 },
		{ -1, 0,  0,  -1},
		{ 0,  -1, 1,  0 },
	};
	const struct turn *turn = &turns[degrees / 90];
	const uint32_t one = 0x10000;

	box_u32(w, (uint32_t)turn->a * one);
	box_u32(w, (uint32_t)turn->b * one);
	box_u32(w, 0);
	box_u32(w, (uint32_t)turn->c * one);
	box_u32(w, (uint32_t)turn->d * one);
	box_u32(w, 0);
	box_u32(w, turn->a < 0 ? width : turn->c < 0 ? height : 0);
	box_u32(w, turn->d < 0 ? height : turn->b < 0 ? width : 0);
	box_u32(w, 0x40000000);
}

static void init_write_ftyp(struct box_writer *w)
{
	size_t at = box_begin(w, "ftyp");

	box_text(w, "iso6");
	box_u32(w, 0);
	box_text(w, "iso6cmfcmp41");
	box_end(w, at);
}

static void init_write_mvhd(struct box_writer *w)
{
	size_t at = box_begin_full(w, "mvhd", 0, 0);

	box_zeros(w, 8); /* creation, modification */
	box_u32(w, MOVIE_TIMESCALE);
	box_u32(w, 0); /* duration: unknown, the fragments have it */
	box_u32(w, 0x10000);
	box_u16(w, 0x100);
	box_zeros(w, 10);
	init_write_matrix(w, 0, 0, 0);
	box_zeros(w, 24);
	box_u32(w, STREAM_TRACKS + 1); /* the next id */
	box_end(w, at);
}

static bool init_has_aspect(const AVCodecParameters *p)
{
	AVRational sar = p->sample_aspect_ratio;

	return sar.num > 0 && sar.den > 0 && sar.num != sar.den;
}

static void init_write_tkhd(struct box_writer *w, unsigned id, const struct stream_track *track)
{
	const AVCodecParameters *p = track->parameters;
	size_t at = box_begin_full(w, "tkhd", 0, 3); /* enabled, in the movie */
	bool video = p->codec_type == AVMEDIA_TYPE_VIDEO;
	uint32_t width = (uint32_t)p->width, height = (uint32_t)p->height;

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
	width = video ? width << 16 : 0;
	height = video ? height << 16 : 0;
	init_write_matrix(w, video ? track->rotation : 0, width, height);
	box_u32(w, width);
	box_u32(w, height);
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
	sample_entry_write(w, id, p);
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

	init_write_tkhd(w, id, track);
	mdia = box_begin(w, "mdia");
	init_write_mdhd(w, track);
	init_write_hdlr(w, track->parameters->codec_type == AVMEDIA_TYPE_VIDEO);
	init_write_minf(w, id, track->parameters);
	box_end(w, mdia);
	box_end(w, trak);
}

static void init_write_trex(struct box_writer *w, unsigned id)
{
	size_t trex = box_begin_full(w, "trex", 0, 0);

	box_u32(w, id);
	box_u32(w, 1); /* sample description */
	box_zeros(w, 12);
	box_end(w, trex);
}

static void init_write_moov(
	struct box_writer *w, const struct fragment_init *init, const struct stream_track *tracks)
{
	size_t moov = box_begin(w, "moov");
	size_t mvex;

	init_write_mvhd(w);
	for (unsigned t = 0; t < init->n_tracks; t++) {
		if (init->ids[t])
			init_write_trak(w, init->ids[t], &tracks[t]);
	}
	mvex = box_begin(w, "mvex");
	for (unsigned t = 0; t < init->n_tracks; t++) {
		if (init->ids[t])
			init_write_trex(w, init->ids[t]);
	}
	box_end(w, mvex);
	box_end(w, moov);
}

static void init_describe(struct fragment_init *init, const AVCodecParameters *p)
{
	size_t n = strlen(init->codecs);
	char codec[CODEC_STRING_BYTES];

	snprintf(init->codecs + n, sizeof(init->codecs) - n, "%s%s", n ? "," : "",
		sample_entry_codec(codec, sizeof(codec), p));
	if (p->codec_type != AVMEDIA_TYPE_VIDEO || init->width)
		return;
	init->width = p->width;
	init->height = p->height;
	snprintf(init->video_codec, sizeof(init->video_codec), "%s", codec_name(p));
}

/* An init of the tracks that `carries` says yes to; each keeps its number in the stream as id. */
static struct fragment_init *init_make(
	const struct stream_track *tracks, size_t n, bool (*carries)(const AVCodecParameters *p))
{
	struct fragment_init *init = xcalloc(1, sizeof(*init));
	struct box_writer w = { 0 };

	init->refs = 1;
	init->n_tracks = (unsigned)n;
	for (size_t t = n; t-- > 0;) {
		init->time_base[t] = tracks[t].time_base;
		if (!carries(tracks[t].parameters))
			continue;
		init->ids[t] = (unsigned)t + 1;
		init->lead = (unsigned)t;
	}
	for (size_t t = 0; t < n; t++) {
		if (init->ids[t])
			init_describe(init, tracks[t].parameters);
	}
	init->has_keyframes =
		init->ids[init->lead] && sample_entry_has_keyframes(tracks[init->lead].parameters);
	init_write_ftyp(&w);
	init->ftyp_bytes = w.n;
	init_write_moov(&w, init, tracks);
	init->data = w.p;
	init->bytes = w.n;
	return init;
}

bool fragment_carries(const AVCodecParameters *parameters)
{
	return sample_entry_fits(parameters);
}

const char *fragment_web_refusal(const struct stream_track *tracks, size_t n)
{
	const AVCodecParameters *first = n ? tracks[0].parameters : NULL;

	if (first && first->codec_id == AV_CODEC_ID_MJPEG)
		return "This camera's pictures are Motion JPEG, which browsers play as live.mjpeg only.";
	if (first && first->codec_type == AVMEDIA_TYPE_VIDEO && !sample_entry_is_web(first))
		return "This camera's pictures are of a kind that browsers do not play.";
	for (size_t t = 0; t < n; t++) {
		if (sample_entry_is_web(tracks[t].parameters))
			return NULL;
	}
	return "This camera's sound is of a kind that browsers do not play.";
}

struct fragment_init *fragment_init_new(const struct stream_track *tracks, size_t n)
{
	struct fragment_init *init = init_make(tracks, n, sample_entry_fits);
	bool same = true;

	if (fragment_web_refusal(tracks, n))
		return init;
	for (size_t t = 0; t < n; t++)
		same = same && (!init->ids[t] || sample_entry_is_web(tracks[t].parameters));
	init->web = same ? init : init_make(tracks, n, sample_entry_is_web);
	init->web->web = init->web;
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
	if (it->web != it)
		fragment_init_unref(&it->web);
	free(it->data);
	free(it);
}

bool fragment_init_equal(const struct fragment_init *a, const struct fragment_init *b)
{
	return a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}
