/* The parts of MP4 (ISO/IEC 14496-12) that recovery and tests need: boxes, a moov's tracks, a moof's times. */
#include "storage/mp4_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/base/attributes.h"
#include "server/base/reader.h"
#include "server/media/codec_string.h"

#define FOURCC(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
	LARGE_SIZE = 1,
	MAC_EPOCH_S = 2082844800, /* 1904 to 1970 */
	SAMPLES_MOST = 65536,
	NOT_SYNC = 0x10000,
	VISUAL_ENTRY_BYTES = 78,
	SOUND_ENTRY_BYTES = 28,
	OBJECT_AAC = 0x40, /* ISO/IEC 14496-1 table 5 */
	OBJECT_JPEG = 0x6c,
};

int mp4_box_parse(struct mp4_box *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = reader_of(p, n);
	struct mp4_box box = { .header_bytes = 8 };

	if (n < 8)
		return 0;
	box.bytes = reader_u32(&r);
	box.type = reader_u32(&r);
	box.to_end = box.bytes == 0;
	if (box.bytes == LARGE_SIZE) {
		if (n < 16)
			return 0;
		box.bytes = reader_u64(&r);
		box.header_bytes = 16;
	}
	if (!box.to_end && box.bytes < box.header_bytes) {
		*why = "a box is shorter than its header";
		return -EBADMSG;
	}
	*ret = box;
	return 1;
}

/* The content of the next child box; false at the end. A box that overruns its parent is a failure of `r`. */
static bool next_box(struct reader *r, uint32_t *type, struct reader *content)
{
	struct mp4_box box;
	const char *why = "too short";
	const uint8_t *p;

	if (reader_left(r) == 0)
		return false;
	if (mp4_box_parse(&box, r->at, reader_left(r), &why) <= 0 || box.to_end ||
		box.bytes > reader_left(r)) {
		reader_fail(r, "a box overruns its parent");
		return false;
	}
	p = reader_bytes(r, (size_t)box.bytes);
	*type = box.type;
	*content = reader_of(p + box.header_bytes, (size_t)box.bytes - box.header_bytes);
	return true;
}

/* Passes a failure inside on to the outer reader. */
static void reader_take(struct reader *outer, const struct reader *inner)
{
	if (inner->why)
		reader_fail(outer, inner->why);
}

/* --- moov --- */

static void parse_avcc(struct mp4_track *track, struct reader *r)
{
	codec_string_of_avcc(
		track->codec_string, sizeof(track->codec_string), r->at, reader_left(r));
}

static void parse_hvcc(struct mp4_track *track, struct reader *r)
{
	codec_string_of_hvcc(
		track->codec_string, sizeof(track->codec_string), r->at, reader_left(r));
}

static void parse_av1c(struct mp4_track *track, struct reader *r)
{
	codec_string_of_av1c(
		track->codec_string, sizeof(track->codec_string), r->at, reader_left(r));
}

/* The content of the next descriptor (ISO/IEC 14496-1 section 8.3.3) if it has that tag. */
static struct reader next_descriptor(struct reader *r, uint8_t tag)
{
	size_t n = 0;
	const uint8_t *p;
	uint8_t byte;

	if (reader_u8(r) != tag)
		reader_fail(r, "another descriptor was expected");
	for (unsigned i = 0; i < 4; i++) {
		byte = reader_u8(r);
		n = n << 7 | (byte & 0x7f);
		if (!(byte & 0x80))
			break;
	}
	p = reader_bytes(r, n);
	return reader_of(p, p ? n : 0);
}

/* What an `mp4a` or `mp4v` really is. An odd one stays unknown. */
static void parse_esds(struct mp4_track *track, struct reader *r)
{
	struct reader es, decoder, config;
	uint8_t flags, object;

	reader_skip(r, 4); /* version, flags */
	es = next_descriptor(r, 3);
	reader_skip(&es, 2);
	flags = reader_u8(&es);
	reader_skip(&es, flags & 0x80 ? 2 : 0);
	reader_skip(&es, flags & 0x40 ? reader_u8(&es) : 0);
	reader_skip(&es, flags & 0x20 ? 2 : 0);
	decoder = next_descriptor(&es, 4);
	object = reader_u8(&decoder);
	if (decoder.why)
		return;
	track->name = object == OBJECT_AAC ? "aac" : object == OBJECT_JPEG ? "mjpeg" : "";
	(void)snprintf(track->codec_string, sizeof(track->codec_string), "%s.%02X",
		track->codec == FOURCC('m', 'p', '4', 'a') ? "mp4a" : "mp4v", object);
	reader_skip(&decoder, 12);
	config = next_descriptor(&decoder, 5);
	if (object == OBJECT_AAC && !config.why && reader_left(&config))
		codec_string_of_aac(track->codec_string, sizeof(track->codec_string), config.at,
			reader_left(&config));
}

/* What a sample entry's type says, and the box inside it that says the rest. */
// clang-format off
static const struct known_entry {
	uint32_t type;
	size_t fields_bytes;
	const char *name, *codec_string;
	uint32_t config;
	void (*parse)(struct mp4_track *track, struct reader *r);
} known_entries[] = {
	{ FOURCC('a', 'v', 'c', '1'), VISUAL_ENTRY_BYTES, "h264", "",
		FOURCC('a', 'v', 'c', 'C'), parse_avcc },
	{ FOURCC('h', 'v', 'c', '1'), VISUAL_ENTRY_BYTES, "h265", "",
		FOURCC('h', 'v', 'c', 'C'), parse_hvcc },
	{ FOURCC('a', 'v', '0', '1'), VISUAL_ENTRY_BYTES, "av1", "",
		FOURCC('a', 'v', '1', 'C'), parse_av1c },
	{ FOURCC('m', 'p', '4', 'v'), VISUAL_ENTRY_BYTES, "", "",
		FOURCC('e', 's', 'd', 's'), parse_esds },
	{ FOURCC('m', 'p', '4', 'a'), SOUND_ENTRY_BYTES, "", "",
		FOURCC('e', 's', 'd', 's'), parse_esds },
	{ FOURCC('O', 'p', 'u', 's'), SOUND_ENTRY_BYTES, "opus", "opus", 0, NULL },
	{ FOURCC('u', 'l', 'a', 'w'), SOUND_ENTRY_BYTES, "pcm_mulaw", "ulaw", 0, NULL },
	{ FOURCC('a', 'l', 'a', 'w'), SOUND_ENTRY_BYTES, "pcm_alaw", "alaw", 0, NULL },
	{ FOURCC('t', 'w', 'o', 's'), SOUND_ENTRY_BYTES, "pcm_s16be", "twos", 0, NULL },
};
// clang-format on

static void parse_entry(struct mp4_track *track, const struct known_entry *known, struct reader *r)
{
	struct reader fields = *r, content;
	uint32_t type;

	reader_skip(r, known->fields_bytes);
	if (known->fields_bytes == VISUAL_ENTRY_BYTES) {
		reader_skip(&fields, 24);
		track->width = reader_u16(&fields);
		track->height = reader_u16(&fields);
	}
	track->name = known->name;
	(void)snprintf(track->codec_string, sizeof(track->codec_string), "%s", known->codec_string);
	while (known->parse && next_box(r, &type, &content)) {
		if (type == known->config)
			known->parse(track, &content);
	}
}

/* Only the first sample entry counts: our files have one. */
static void parse_stsd(struct mp4_track *track, struct reader *r)
{
	struct reader entry;

	reader_skip(r, 8); /* version, flags, count */
	if (!next_box(r, &track->codec, &entry))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(known_entries); i++) {
		if (known_entries[i].type == track->codec)
			parse_entry(track, &known_entries[i], &entry);
	}
	reader_take(r, &entry);
}

static void parse_track_header(struct mp4_track *track, struct reader *r)
{
	uint8_t version = reader_u8(r);

	reader_skip(r, 3 + (version ? 16 : 8));
	track->id = reader_u32(r);
}

static void parse_media_header(struct mp4_track *track, struct reader *r)
{
	uint8_t version = reader_u8(r);

	reader_skip(r, 3 + (version ? 16 : 8));
	track->timescale = reader_u32(r);
}

/* Boxes that hold others on the way from trak to stsd. */
static bool is_container(uint32_t type)
{
	return type == FOURCC('m', 'd', 'i', 'a') || type == FOURCC('m', 'i', 'n', 'f') ||
	       type == FOURCC('s', 't', 'b', 'l');
}

static void parse_track_box(struct mp4_track *track, uint32_t type, struct reader *r)
{
	switch (type) {
	case FOURCC('t', 'k', 'h', 'd'):
		parse_track_header(track, r);
		break;
	case FOURCC('m', 'd', 'h', 'd'):
		parse_media_header(track, r);
		break;
	case FOURCC('h', 'd', 'l', 'r'):
		reader_skip(r, 8);
		track->handler = reader_u32(r);
		break;
	case FOURCC('s', 't', 's', 'd'):
		parse_stsd(track, r);
		break;
	default:
		break;
	}
}

/* Walks trak and its containers; the nesting is at most the four of is_container(). */
static void parse_track(struct mp4_track *track, struct reader *r, unsigned depth)
{
	struct reader content;
	uint32_t type;

	while (next_box(r, &type, &content)) {
		if (is_container(type) && depth < 4)
			parse_track(track, &content, depth + 1);
		else
			parse_track_box(track, type, &content);
		reader_take(r, &content);
	}
}

static void parse_movie_header(struct mp4_movie *movie, struct reader *r)
{
	uint8_t version = reader_u8(r);
	uint64_t created;

	reader_skip(r, 3);
	created = version ? reader_u64(r) : reader_u32(r);
	if (created > MAC_EPOCH_S && created < (uint64_t)MAC_EPOCH_S * 4)
		movie->created_us = (int64_t)(created - MAC_EPOCH_S) * 1000000;
}

static void parse_defaults(struct mp4_movie *movie, struct reader *r)
{
	struct reader trex;
	uint32_t type;

	while (next_box(r, &type, &trex)) {
		uint32_t id, duration;

		if (type != FOURCC('t', 'r', 'e', 'x'))
			continue;
		reader_skip(&trex, 4);
		id = reader_u32(&trex);
		reader_skip(&trex, 4);
		duration = reader_u32(&trex);
		for (unsigned i = 0; i < movie->n_tracks; i++) {
			if (movie->tracks[i].id == id)
				movie->tracks[i].default_duration = duration;
		}
		reader_take(r, &trex);
	}
}

static struct mp4_track *movie_new_track(struct mp4_movie *movie)
{
	struct mp4_track *track = &movie->tracks[movie->n_tracks++];

	track->name = "";
	return track;
}

static void parse_movie_box(struct mp4_movie *movie, uint32_t type, struct reader *r)
{
	switch (type) {
	case FOURCC('m', 'v', 'h', 'd'):
		parse_movie_header(movie, r);
		break;
	case FOURCC('m', 'v', 'e', 'x'):
		parse_defaults(movie, r);
		break;
	case FOURCC('t', 'r', 'a', 'k'):
		if (movie->n_tracks == MP4_TRACKS)
			reader_fail(r, "too many tracks");
		else
			parse_track(movie_new_track(movie), r, 0);
		break;
	default:
		break;
	}
}

/* The content of one whole box of that type at p. */
static struct reader whole_box(const uint8_t *p, size_t n, uint32_t wanted)
{
	struct reader r = reader_of(p, n), content = reader_of(p, 0);
	uint32_t type = 0;

	if (!next_box(&r, &type, &content) || type != wanted)
		reader_fail(&content, r.why ? r.why : "another box was expected");
	return content;
}

int mp4_moov_parse(struct mp4_movie *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = whole_box(p, n, FOURCC('m', 'o', 'o', 'v')), content;
	struct mp4_movie movie = { 0 };
	uint32_t type;

	while (next_box(&r, &type, &content)) {
		parse_movie_box(&movie, type, &content);
		reader_take(&r, &content);
	}
	for (unsigned i = 0; i < movie.n_tracks; i++) {
		if (!movie.tracks[i].timescale)
			reader_fail(&r, "a track has no timescale");
	}
	if (!movie.n_tracks)
		reader_fail(&r, "no track");
	if (r.why) {
		*why = r.why;
		return -EBADMSG;
	}
	*ret = movie;
	return 0;
}

/* --- moof --- */

/* What a traf says by default, by tfhd or else by the movie. */
struct run_defaults {
	uint32_t duration, size, flags;
};

static void parse_traf_header(struct reader *r, const struct mp4_movie *movie, uint32_t *id,
	struct run_defaults *defaults)
{
	uint32_t flags = reader_u32(r) & 0xffffff;

	*id = reader_u32(r);
	for (unsigned i = 0; i < movie->n_tracks; i++) {
		if (movie->tracks[i].id == *id)
			defaults->duration = movie->tracks[i].default_duration;
	}
	reader_skip(r, (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0));
	if (flags & 8)
		defaults->duration = reader_u32(r);
	if (flags & 0x10)
		defaults->size = reader_u32(r);
	if (flags & 0x20)
		defaults->flags = reader_u32(r);
}

static void parse_run(struct reader *r, const struct run_defaults *defaults,
	struct mp4_fragment *fragment, unsigned track)
{
	uint32_t flags = reader_u32(r) & 0xffffff;
	uint32_t n = reader_u32(r), first_flags = defaults->flags;

	reader_skip(r, flags & 1 ? 4 : 0);
	if (flags & 4)
		first_flags = reader_u32(r);
	if (n > SAMPLES_MOST || fragment->tracks[track].samples + n > SAMPLES_MOST)
		reader_fail(r, "too many samples");
	for (uint32_t i = 0; i < n && !r->why; i++) {
		uint32_t duration = flags & 0x100 ? reader_u32(r) : defaults->duration;
		uint32_t size = flags & 0x200 ? reader_u32(r) : defaults->size;
		uint32_t sample_flags = flags & 0x400 ? reader_u32(r)
					: i           ? defaults->flags
						      : first_flags;

		reader_skip(r, flags & 0x800 ? 4 : 0);
		if (!fragment->tracks[track].samples++)
			fragment->tracks[track].keyframe = !(sample_flags & NOT_SYNC);
		fragment->tracks[track].duration += duration;
		fragment->data_bytes += size;
	}
}

static void parse_traf(
	struct reader *r, const struct mp4_movie *movie, struct mp4_fragment *fragment)
{
	unsigned track = fragment->n_tracks;
	struct run_defaults defaults = { 0 };
	struct reader content;
	uint32_t type;

	if (track == MP4_TRACKS) {
		reader_fail(r, "too many tracks");
		return;
	}
	fragment->n_tracks++;
	while (next_box(r, &type, &content)) {
		if (type == FOURCC('t', 'f', 'h', 'd')) {
			parse_traf_header(&content, movie, &fragment->tracks[track].id, &defaults);
		} else if (type == FOURCC('t', 'f', 'd', 't')) {
			uint32_t version = reader_u32(&content) >> 24;

			fragment->tracks[track].decode_time =
				version ? reader_u64(&content) : reader_u32(&content);
		} else if (type == FOURCC('t', 'r', 'u', 'n')) {
			parse_run(&content, &defaults, fragment, track);
		}
		reader_take(r, &content);
	}
}

int mp4_moof_parse(struct mp4_fragment *ret, const uint8_t *p, size_t n,
	const struct mp4_movie *movie, const char **why)
{
	struct reader r = whole_box(p, n, FOURCC('m', 'o', 'o', 'f')), content;
	struct mp4_fragment fragment = { 0 };
	uint32_t type;

	while (next_box(&r, &type, &content)) {
		if (type == FOURCC('m', 'f', 'h', 'd')) {
			reader_skip(&content, 4);
			fragment.sequence = reader_u32(&content);
		} else if (type == FOURCC('t', 'r', 'a', 'f')) {
			parse_traf(&content, movie, &fragment);
		}
		reader_take(&r, &content);
	}
	if (!fragment.n_tracks)
		reader_fail(&r, "a moof without tracks");
	if (r.why) {
		*why = r.why;
		return -EBADMSG;
	}
	*ret = fragment;
	return 0;
}
