/* The parts of MP4 (ISO/IEC 14496-12) that recovery and tests need: boxes, a moov's tracks, a moof's times. */
#include "storage/mp4_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/base/attributes.h"
#include "server/media/codec_string.h"

enum {
	LARGE_SIZE = 1,
	MAC_EPOCH_S = 2082844800, /* 1904 to 1970 */
	SAMPLES_MOST = 65536,
	NOT_SYNC = 0x10000,
	BASE_OFFSET = 0x1, /* of tfhd's flags */
	BASE_IS_MOOF = 0x20000,
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

bool mp4_box_next(struct reader *r, uint32_t *type, struct reader *content)
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
		track->codec == MP4_TYPE('m', 'p', '4', 'a') ? "mp4a" : "mp4v", object);
	reader_skip(&decoder, 12);
	config = next_descriptor(&decoder, 5);
	track->config = config.why ? NULL : config.at;
	track->config_bytes = config.why ? 0 : reader_left(&config);
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
	{ MP4_TYPE('a', 'v', 'c', '1'), VISUAL_ENTRY_BYTES, "h264", "",
		MP4_TYPE('a', 'v', 'c', 'C'), parse_avcc },
	{ MP4_TYPE('h', 'v', 'c', '1'), VISUAL_ENTRY_BYTES, "h265", "",
		MP4_TYPE('h', 'v', 'c', 'C'), parse_hvcc },
	{ MP4_TYPE('a', 'v', '0', '1'), VISUAL_ENTRY_BYTES, "av1", "",
		MP4_TYPE('a', 'v', '1', 'C'), parse_av1c },
	{ MP4_TYPE('m', 'p', '4', 'v'), VISUAL_ENTRY_BYTES, "", "",
		MP4_TYPE('e', 's', 'd', 's'), parse_esds },
	{ MP4_TYPE('m', 'p', '4', 'a'), SOUND_ENTRY_BYTES, "", "",
		MP4_TYPE('e', 's', 'd', 's'), parse_esds },
	{ MP4_TYPE('O', 'p', 'u', 's'), SOUND_ENTRY_BYTES, "opus", "opus", 0, NULL },
	{ MP4_TYPE('u', 'l', 'a', 'w'), SOUND_ENTRY_BYTES, "pcm_mulaw", "ulaw", 0, NULL },
	{ MP4_TYPE('a', 'l', 'a', 'w'), SOUND_ENTRY_BYTES, "pcm_alaw", "alaw", 0, NULL },
	{ MP4_TYPE('t', 'w', 'o', 's'), SOUND_ENTRY_BYTES, "pcm_s16be", "twos", 0, NULL },
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
	} else {
		reader_skip(&fields, 16);
		track->channels = reader_u16(&fields);
		reader_skip(&fields, 6);
		track->sample_rate = reader_u32(&fields) >> 16;
	}
	track->name = known->name;
	(void)snprintf(track->codec_string, sizeof(track->codec_string), "%s", known->codec_string);
	while (known->parse && mp4_box_next(r, &type, &content)) {
		if (type != known->config)
			continue;
		track->config = content.at;
		track->config_bytes = reader_left(&content);
		known->parse(track, &content);
	}
}

/* Only the first sample entry counts: our files have one. */
static void parse_stsd(struct mp4_track *track, struct reader *r)
{
	struct reader entry;

	reader_skip(r, 8); /* version, flags, count */
	if (!mp4_box_next(r, &track->codec, &entry))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(known_entries); i++) {
		if (known_entries[i].type == track->codec)
			parse_entry(track, &known_entries[i], &entry);
	}
	reader_take(r, &entry);
}

/* Of a matrix (ISO/IEC 14496-12 section 8.3.2) the turn; 0 for whatever else it does. */
static int parse_rotation(struct reader *r)
{
	const uint32_t one = 0x10000;
	uint32_t a = reader_u32(r), b = reader_u32(r);

	if (!a && b == one)
		return 90;
	if (!a && b == -one)
		return 270;
	return a == -one && !b ? 180 : 0;
}

static void parse_track_header(struct mp4_track *track, struct reader *r)
{
	uint8_t version = reader_u8(r);

	reader_skip(r, 3 + (version ? 16 : 8));
	track->id = reader_u32(r);
	/* a reserved word, the duration, two more, layer, group, volume, and what is reserved */
	reader_skip(r, 4 + (version ? 8 : 4) + 16);
	track->rotation = parse_rotation(r);
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
	return type == MP4_TYPE('m', 'd', 'i', 'a') || type == MP4_TYPE('m', 'i', 'n', 'f') ||
	       type == MP4_TYPE('s', 't', 'b', 'l');
}

static void parse_track_box(struct mp4_track *track, uint32_t type, struct reader *r)
{
	switch (type) {
	case MP4_TYPE('t', 'k', 'h', 'd'):
		parse_track_header(track, r);
		break;
	case MP4_TYPE('m', 'd', 'h', 'd'):
		parse_media_header(track, r);
		break;
	case MP4_TYPE('h', 'd', 'l', 'r'):
		reader_skip(r, 8);
		track->handler = reader_u32(r);
		break;
	case MP4_TYPE('s', 't', 's', 'd'):
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

	while (mp4_box_next(r, &type, &content)) {
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

	while (mp4_box_next(r, &type, &trex)) {
		uint32_t id, duration;

		if (type != MP4_TYPE('t', 'r', 'e', 'x'))
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
	case MP4_TYPE('m', 'v', 'h', 'd'):
		parse_movie_header(movie, r);
		break;
	case MP4_TYPE('m', 'v', 'e', 'x'):
		parse_defaults(movie, r);
		break;
	case MP4_TYPE('t', 'r', 'a', 'k'):
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

	if (!mp4_box_next(&r, &type, &content) || type != wanted)
		reader_fail(&content, r.why ? r.why : "another box was expected");
	return content;
}

int mp4_moov_parse(struct mp4_movie *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = whole_box(p, n, MP4_TYPE('m', 'o', 'o', 'v')), content;
	struct mp4_movie movie = { 0 };
	uint32_t type;

	while (mp4_box_next(&r, &type, &content)) {
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

struct moof_parser {
	const struct mp4_movie *movie;
	struct mp4_fragment fragment;
	struct run_defaults defaults; /* of the traf at hand */
	int64_t offset;               /* where its next sample is, unless the run says it */
	mp4_sample_fn *on_sample;     /* or NULL */
	void *arg;
};

static void parse_traf_header(struct moof_parser *m, unsigned traf, struct reader *r)
{
	uint32_t flags = reader_u32(r) & 0xffffff, id = reader_u32(r);

	m->fragment.tracks[traf].id = id;
	m->fragment.is_relative =
		m->fragment.is_relative && (flags & BASE_IS_MOOF) && !(flags & BASE_OFFSET);
	for (unsigned i = 0; i < m->movie->n_tracks; i++) {
		if (m->movie->tracks[i].id == id)
			m->defaults.duration = m->movie->tracks[i].default_duration;
	}
	reader_skip(r, (flags & BASE_OFFSET ? 8 : 0) + (flags & 2 ? 4 : 0));
	if (flags & 8)
		m->defaults.duration = reader_u32(r);
	if (flags & 0x10)
		m->defaults.size = reader_u32(r);
	if (flags & 0x20)
		m->defaults.flags = reader_u32(r);
}

static void take_sample(struct moof_parser *m, unsigned traf, struct mp4_sample *sample)
{
	struct mp4_fragment *fragment = &m->fragment;

	sample->offset = m->offset;
	sample->decode_time = fragment->tracks[traf].decode_time + fragment->tracks[traf].duration;
	m->offset += sample->bytes;
	if (!fragment->samples++ || sample->offset < fragment->data_at)
		fragment->data_at = sample->offset;
	if (m->offset > fragment->data_to)
		fragment->data_to = m->offset;
	if (!fragment->tracks[traf].samples++)
		fragment->tracks[traf].keyframe = sample->sync;
	fragment->tracks[traf].duration += sample->duration;
	fragment->data_bytes += sample->bytes;
	if (m->on_sample)
		m->on_sample(m->arg, traf, sample);
}

static void parse_run(struct moof_parser *m, unsigned traf, struct reader *r)
{
	uint32_t flags = reader_u32(r) & 0xffffff;
	uint32_t n = reader_u32(r), first_flags = m->defaults.flags;

	if (flags & 1)
		m->offset = (int32_t)reader_u32(r);
	if (flags & 4)
		first_flags = reader_u32(r);
	if (n > SAMPLES_MOST || m->fragment.tracks[traf].samples + n > SAMPLES_MOST)
		reader_fail(r, "too many samples");
	for (uint32_t i = 0; i < n && !r->why; i++) {
		struct mp4_sample sample;
		uint32_t sample_flags;

		sample.duration = flags & 0x100 ? reader_u32(r) : m->defaults.duration;
		sample.bytes = flags & 0x200 ? reader_u32(r) : m->defaults.size;
		sample_flags = flags & 0x400 ? reader_u32(r) : i ? m->defaults.flags : first_flags;
		sample.composition = flags & 0x800 ? (int32_t)reader_u32(r) : 0;
		sample.sync = !(sample_flags & NOT_SYNC);
		if (!r->why)
			take_sample(m, traf, &sample);
	}
}

static void parse_traf(struct moof_parser *m, struct reader *r)
{
	unsigned traf = m->fragment.n_tracks;
	struct reader content;
	uint32_t type;

	if (traf == MP4_TRACKS) {
		reader_fail(r, "too many tracks");
		return;
	}
	m->fragment.n_tracks++;
	m->defaults = (struct run_defaults){ 0 };
	m->offset = 0;
	while (mp4_box_next(r, &type, &content)) {
		if (type == MP4_TYPE('t', 'f', 'h', 'd')) {
			parse_traf_header(m, traf, &content);
		} else if (type == MP4_TYPE('t', 'f', 'd', 't')) {
			uint32_t version = reader_u32(&content) >> 24;

			m->fragment.tracks[traf].decode_time =
				version ? reader_u64(&content) : reader_u32(&content);
		} else if (type == MP4_TYPE('t', 'r', 'u', 'n')) {
			parse_run(m, traf, &content);
		}
		reader_take(r, &content);
	}
}

/* Returns 0, or -EBADMSG with a reason. */
static int parse_moof(struct moof_parser *m, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = whole_box(p, n, MP4_TYPE('m', 'o', 'o', 'f')), content;
	uint32_t type;

	m->fragment.is_relative = true;
	while (mp4_box_next(&r, &type, &content)) {
		if (type == MP4_TYPE('m', 'f', 'h', 'd')) {
			reader_skip(&content, 4);
			m->fragment.sequence = reader_u32(&content);
		} else if (type == MP4_TYPE('t', 'r', 'a', 'f')) {
			parse_traf(m, &content);
		}
		reader_take(&r, &content);
	}
	if (!m->fragment.n_tracks)
		reader_fail(&r, "a moof without tracks");
	if (!r.why)
		return 0;
	*why = r.why;
	return -EBADMSG;
}

int mp4_moof_parse(struct mp4_fragment *ret, const uint8_t *p, size_t n,
	const struct mp4_movie *movie, const char **why)
{
	struct moof_parser m = { .movie = movie };
	int error = parse_moof(&m, p, n, why);

	if (!error)
		*ret = m.fragment;
	return error;
}

int mp4_moof_samples(const uint8_t *p, size_t n, const struct mp4_movie *movie,
	mp4_sample_fn *on_sample, void *arg, const char **why)
{
	struct moof_parser m = { .movie = movie, .on_sample = on_sample, .arg = arg };

	return parse_moof(&m, p, n, why);
}
