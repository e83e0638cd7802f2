#include "tests/segment_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <libavformat/avformat.h>

#include "server/base/memory.h"

struct stream_track tracks[2];
static struct stream_track law;

/* --- making --- */

// clang-format off
const struct script scripts[] = {
	{ "two tracks", 4, 12, 22, .video = true, .audio = true },
	{ "one fragment", 1, 12, 22, .video = true, .audio = true },
	{ "one picture", 1, 1, 0, .video = true },
	{ "video only", 5, 12, 0, .video = true },
	{ "audio only", 5, 0, 22, .audio = true },
	{ "an audio track without sound", 3, 12, 0, .video = true, .audio = true },
	{ "all are keyframes of the same size", 3, 12, 22, .video = true, .audio = true, .all_key = true,
		.same_bytes = true },
	{ "pictures in another order", 4, 12, 22, .video = true, .audio = true, .reordered = true },
	{ "the same, shown late", 4, 12, 22, .video = true, .audio = true, .reordered = true, .reorder = 2 },
	{ "the same, shown early", 4, 12, 22, .video = true, .audio = true, .reordered = true, .reorder = -1 },
	{ "the same, not on a tick", 4, 12, 22, .video = true, .audio = true, .reordered = true,
		.reorder = 2, .start_us = 12345 },
	{ "the same, sound earlier", 4, 12, 22, .video = true, .audio = true, .reordered = true,
		.sound_later = -5000 },
	{ "uneven", 4, 12, 22, .video = true, .audio = true, .uneven = true, .reordered = true },
	{ "not on a tick", 4, 12, 22, .video = true, .audio = true, .start_us = 12345 },
	{ "sound later", 4, 12, 22, .video = true, .audio = true, .sound_later = 14567 },
	{ "sound earlier", 4, 12, 22, .video = true, .audio = true, .sound_later = -777, .start_us = 7 },
	{ "a gap", 6, 12, 22, .video = true, .audio = true, .gap_before = 3, .gap_pictures = 50, .gap_sounds = 90 },
	{ "a gap that nobody saw coming", 6, 12, 22, .video = true, .audio = true, .gap_before = 3,
		.gap_pictures = 50, .gap_sounds = 90, .is_cut_blind = true },
	{ "a gap in the sound", 6, 12, 22, .video = true, .audio = true, .gap_before = 2, .gap_sounds = 90 },
	{ "u-law", 4, 12, 25, .video = true, .audio = true, .is_law = true },
	{ "u-law only, uneven", 4, 0, 25, .audio = true, .is_law = true, .uneven = true },
};
// clang-format on
const size_t n_scripts = ARRAY_LENGTH(scripts);

AVPacket *script_packet(const struct script *s, unsigned track, unsigned fragment, unsigned i)
{
	bool is_sound = track == 1, late = s->gap_before && fragment >= s->gap_before;
	unsigned per = is_sound ? s->sounds : s->pictures, at = fragment * per + i;
	unsigned shifted = at + (late ? is_sound ? s->gap_sounds : s->gap_pictures : 0);
	size_t bytes = s->same_bytes ? 40 : 30 + at % 7;
	AVPacket *packet;

	if (!is_sound) {
		packet = synthetic_video(shifted, i == 0 || s->all_key, bytes);
		packet->dts += s->start_us * 9 / 100 + (s->uneven ? at % 5 * 100 : 0);
		packet->pts = packet->dts;
		if (s->reordered)
			packet->pts += ((int64_t)(at * 2 % 3) + s->reorder) * SYNTHETIC_FRAME_90K;
		return packet;
	}
	packet = synthetic_audio(shifted, s->is_law ? 160 + (s->uneven ? at % 5 : 0) : bytes);
	if (s->is_law) {
		packet->dts = SYNTHETIC_START_US / 1000 * 8 + (int64_t)shifted * 170;
		packet->duration = packet->size;
	}
	packet->dts += s->start_us * (s->is_law ? 8 : 48) / 1000 + s->sound_later;
	packet->pts = packet->dts;
	return packet;
}

static void script_fill(const struct script *s, struct fragment_builder *builder, unsigned fragment)
{
	for (unsigned i = 0; s->video && i < s->pictures; i++) {
		AVPacket *packet = script_packet(s, 0, fragment, i);

		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
	for (unsigned i = 0; s->audio && i < s->sounds; i++) {
		AVPacket *packet = script_packet(s, 1, fragment, i);

		packet->stream_index = s->video;
		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
}

static struct fragment *script_fragment(
	const struct script *s, struct fragment_builder *builder, unsigned fragment)
{
	int64_t next[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };

	script_fill(s, builder, fragment);
	if (s->video && !s->is_cut_blind) {
		AVPacket *packet = script_packet(s, 0, fragment + 1, 0);

		next[0] = packet->dts;
		av_packet_free(&packet);
	}
	return fragment_builder_take(builder, next, fragment + 1);
}

void build_append(struct built *b, const struct fragment *fragment)
{
	struct evbuffer *out = evbuffer_new();

	fragment_append(fragment, b->origin_us, out);
	b->fragments[b->n++] = (struct catalogue_fragment){
		.start_us = fragment->start_us,
		.duration_us = (uint32_t)fragment->duration_us,
		.bytes = (uint32_t)fragment->bytes,
		.offset = b->w.n,
		.keyframe = fragment->keyframe,
	};
	box_bytes(&b->w, evbuffer_pullup(out, -1), evbuffer_get_length(out));
	evbuffer_free(out);
}

struct built build(const struct script *s)
{
	struct stream_track chosen[2];
	struct fragment_builder *builder;
	struct fragment_init *init;
	struct built b = { 0 };
	unsigned n = 0;

	if (s->video)
		chosen[n++] = tracks[0];
	if (s->audio)
		chosen[n++] = s->is_law ? law : tracks[1];
	init = fragment_init_new(chosen, n);
	snprintf(b.codecs, sizeof(b.codecs), "%s", init->codecs);
	builder = fragment_builder_new(init);
	for (unsigned i = 0; i < s->fragments; i++) {
		struct fragment *fragment = script_fragment(s, builder, i);

		if (!i) {
			b.origin_us = fragment_origin_us(fragment);
			segment_head(&b.w, init, "porch", b.origin_us, 0);
			b.head_bytes = b.w.n;
		}
		build_append(&b, fragment);
		fragment_unref(&fragment);
	}
	fragment_builder_free(builder);
	fragment_init_unref(&init);
	return b;
}

int file_of(const void *p, size_t n)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, 0), n);
	return fd;
}

uint64_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

int copy_of(int fd)
{
	size_t n = size_of(fd);
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	int copy;

	assert_true(p != MAP_FAILED);
	copy = file_of(p, n);
	munmap(p, n);
	return copy;
}

void close_file(int fd)
{
	uint64_t bytes = 0;

	assert_int_equal(segment_close(fd, &bytes), 0);
	assert_int_equal(bytes, size_of(fd));
}

/* --- reading --- */

static void see(struct seen *seen, const AVPacket *packet)
{
	size_t i = seen->n++;

	assert_true(i < PACKETS_MOST);
	seen->packets[i].pts = packet->pts;
	seen->packets[i].dts = packet->dts;
	seen->packets[i].position = packet->pos;
	seen->packets[i].bytes = packet->size;
	seen->packets[i].flags = packet->flags & (AV_PKT_FLAG_KEY | AV_PKT_FLAG_DISCARD);
	for (int k = 0; k < packet->size; k++)
		seen->packets[i].sum = seen->packets[i].sum * 31 + packet->data[k];
}

static void take_tag(char *ret, size_t size, AVDictionary *tags, const char *key)
{
	const AVDictionaryEntry *tag = av_dict_get(tags, key, NULL, 0);

	snprintf(ret, size, "%s", tag ? tag->value : "");
}

char complaint[256];

static void on_log(void *context, int level, const char *format, va_list arguments)
{
	(void)context;
	if (level <= AV_LOG_WARNING && !complaint[0])
		(void)vsnprintf(complaint, sizeof(complaint), format, arguments);
}

struct reading *read_file(int fd)
{
	struct reading *r = xcalloc(1, sizeof(*r));
	AVFormatContext *format = avformat_alloc_context();
	AVPacket *packet = av_packet_alloc();
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	format->flags |= AVFMT_FLAG_NOPARSE; /* the media are made up */
	if (avformat_open_input(&format, path, NULL, NULL) < 0)
		fail_msg("libavformat does not open it");
	r->n = format->nb_streams;
	assert_true(r->n <= 2);
	while (av_read_frame(format, packet) >= 0) {
		see(&r->streams[packet->stream_index], packet);
		av_packet_unref(packet);
	}
	for (unsigned i = 0; i < r->n; i++) {
		r->streams[i].start = format->streams[i]->start_time;
		r->streams[i].duration = format->streams[i]->duration;
		r->streams[i].time_base = format->streams[i]->time_base;
	}
	take_tag(r->title, sizeof(r->title), format->metadata, "title");
	take_tag(r->created, sizeof(r->created), format->metadata, "creation_time");
	avformat_close_input(&format);
	av_packet_free(&packet);
	return r;
}

void check_same(const char *name, const struct reading *a, const struct reading *b)
{
	if (a->n != b->n)
		fail_msg("%s: %u and %u streams", name, a->n, b->n);
	for (unsigned s = 0; s < a->n; s++) {
		const struct seen *x = &a->streams[s], *y = &b->streams[s];

		if (x->n != y->n)
			fail_msg("%s: stream %u: %zu and %zu packets", name, s, x->n, y->n);
		assert_int_equal(x->time_base.den, y->time_base.den);
		if (x->start != y->start)
			fail_msg("%s: stream %u: start %lld %lld", name, s, (long long)x->start,
				(long long)y->start);
		for (size_t i = 0; i < x->n; i++) {
			if (x->packets[i].pts != y->packets[i].pts ||
				x->packets[i].dts != y->packets[i].dts ||
				x->packets[i].position != y->packets[i].position ||
				x->packets[i].bytes != y->packets[i].bytes ||
				x->packets[i].flags != y->packets[i].flags ||
				x->packets[i].sum != y->packets[i].sum)
				fail_msg(
					"%s: stream %u: packet %zu: pts %lld %lld, dts %lld %lld, at %lld %lld",
					name, s, i, (long long)x->packets[i].pts,
					(long long)y->packets[i].pts, (long long)x->packets[i].dts,
					(long long)y->packets[i].dts,
					(long long)x->packets[i].position,
					(long long)y->packets[i].position);
		}
	}
}

void check_scan(const char *name, int fd, const struct built *b, size_t n, bool closed)
{
	struct segment_scan scan;
	int error = segment_scan(fd, &scan);

	if (error || scan.n != n)
		fail_msg("%s: %d, %zu of %zu fragments", name, error, scan.n, n);
	for (size_t i = 0; i < n; i++) {
		const struct catalogue_fragment *x = &scan.fragments[i], *y = &b->fragments[i];

		if (x->start_us != y->start_us || x->duration_us != y->duration_us ||
			x->bytes != y->bytes || x->offset != y->offset ||
			x->keyframe != y->keyframe)
			fail_msg("%s: fragment %zu: %lld+%u %lld+%u", name, i,
				(long long)x->start_us, x->duration_us, (long long)y->start_us,
				y->duration_us);
	}
	assert_true(scan.start_us == b->fragments[0].start_us);
	assert_true(scan.end_us == b->fragments[n - 1].start_us + b->fragments[n - 1].duration_us);
	assert_int_equal(scan.bytes, b->fragments[n - 1].offset + b->fragments[n - 1].bytes);
	assert_true(scan.dated);
	assert_true(scan.closed == closed);
	assert_string_equal(scan.codecs, b->codecs);
	assert_int_equal(scan.width, b->codecs[0] == 'a' ? 640 : 0);
	segment_scan_fini(&scan);
}

/* --- life --- */

int set_up(void **state)
{
	AVCodecParameters *p = avcodec_parameters_alloc();

	(void)state;
	av_log_set_callback(on_log);
	synthetic_tracks(tracks);
	p->codec_type = AVMEDIA_TYPE_AUDIO;
	p->codec_id = AV_CODEC_ID_PCM_MULAW;
	p->sample_rate = 8000;
	p->ch_layout.nb_channels = 1;
	law = (struct stream_track){
		p, {1, 8000},
                 0
	};
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	synthetic_tracks_free(tracks);
	avcodec_parameters_free(&law.parameters);
	return 0;
}
