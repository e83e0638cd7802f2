/* CMAF fragments: collected samples become `moof` and `mdat`, media by reference. */
#include "storage/fragment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/packet.h>
#include <libavutil/mathematics.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "storage/box_writer.h"

enum {
	TFHD_DURATION = 0x8,
	TFHD_SIZE = 0x10,
	TFHD_FLAGS = 0x20,
	TFHD_DEFAULT_BASE_IS_MOOF = 0x20000,
	TRUN_DATA_OFFSET = 0x1,
	TRUN_FIRST_FLAGS = 0x4,
	TRUN_DURATION = 0x100,
	TRUN_SIZE = 0x200,
	TRUN_FLAGS = 0x400,
	TRUN_COMPOSITION = 0x800,
	SAMPLE_IS_SYNC = 0x2000000, /* depends on no other */
	SAMPLE_IS_NOT_SYNC = 0x1010000,
	SAMPLES_FIRST = 32,
	BOX_HEADER = 8,
	MFHD_BYTES = 16,
};

struct fragment_samples {
	AVPacket **packets;
	size_t n, size;
};

struct fragment_builder {
	struct fragment_init *init;
	struct fragment_samples tracks[STREAM_TRACKS];
	int64_t last_duration[STREAM_TRACKS]; /* the guess where nothing else is known */
	size_t bytes;                         /* of media */
	uint8_t *box;                         /* further ones for moof */
	size_t box_bytes;
};

struct fragment *fragment_ref(struct fragment *fragment)
{
	fragment->refs++;
	return fragment;
}

void fragment_unref(struct fragment **fragment)
{
	struct fragment *it = *fragment;

	*fragment = NULL;
	if (!it || --it->refs)
		return;
	for (size_t i = 0; i < it->n_packets; i++)
		av_packet_free(&it->packets[i]);
	fragment_unref(&it->web);
	fragment_init_unref(&it->init);
	free(it->packets);
	free(it->head);
	free(it);
}

/* --- building --- */

struct fragment_builder *fragment_builder_new(struct fragment_init *init)
{
	struct fragment_builder *builder = xcalloc(1, sizeof(*builder));

	builder->init = fragment_init_ref(init);
	for (unsigned i = 0; i < init->n_tracks; i++)
		builder->last_duration[i] = init->time_base[i].den / 25;
	return builder;
}

void fragment_builder_free(struct fragment_builder *builder)
{
	if (!builder)
		return;
	for (size_t t = 0; t < STREAM_TRACKS; t++) {
		for (size_t i = 0; i < builder->tracks[t].n; i++)
			av_packet_free(&builder->tracks[t].packets[i]);
		free(builder->tracks[t].packets);
	}
	fragment_init_unref(&builder->init);
	free(builder->box);
	free(builder);
}

void fragment_builder_add(struct fragment_builder *builder, const AVPacket *packet)
{
	struct fragment_samples *samples = &builder->tracks[packet->stream_index];
	AVPacket *copy = av_packet_clone(packet);

	assert(builder->init->ids[packet->stream_index]);
	if (!copy)
		abort();
	if (samples->n == samples->size) {
		samples->size = samples->size ? samples->size * 2 : SAMPLES_FIRST;
		samples->packets = xrealloc(samples->packets, samples->size * sizeof(AVPacket *));
	}
	samples->packets[samples->n++] = copy;
	builder->bytes += (size_t)packet->size;
}

void fragment_builder_add_box(struct fragment_builder *builder, const void *box, size_t n)
{
	builder->box = xrealloc(builder->box, builder->box_bytes + n);
	memcpy(builder->box + builder->box_bytes, box, n);
	builder->box_bytes += n;
}

size_t fragment_builder_bytes(const struct fragment_builder *builder)
{
	return builder->bytes;
}

bool fragment_builder_is_empty(const struct fragment_builder *builder)
{
	return builder->bytes == 0;
}

bool fragment_builder_ends_before(const struct fragment_builder *builder, const AVPacket *packet)
{
	const struct fragment_init *init = builder->init;
	const struct fragment_samples *lead = &builder->tracks[init->lead];
	int64_t length;

	if (builder->bytes + (size_t)packet->size > FRAGMENT_BYTES ||
		builder->tracks[packet->stream_index].n >= FRAGMENT_SAMPLES)
		return true;
	if ((unsigned)packet->stream_index != init->lead)
		return false;
	if (init->has_keyframes && (packet->flags & AV_PKT_FLAG_KEY))
		return true;
	if (!lead->n)
		return false;
	length = packet->dts - lead->packets[0]->dts;
	length += length / (int64_t)lead->n; /* with this one, which will last as long as others */
	return av_rescale_q(length, init->time_base[init->lead], AV_TIME_BASE_Q) > FRAGMENT_US;
}

/* The i-th sample's duration; the last one's by what follows, by itself, or as the one before. */
static int64_t builder_duration(
	const struct fragment_builder *builder, unsigned track, size_t i, int64_t next_dts)
{
	const struct fragment_samples *samples = &builder->tracks[track];
	const AVPacket *packet = samples->packets[i];

	if (i + 1 < samples->n)
		return samples->packets[i + 1]->dts - packet->dts;
	if (next_dts != AV_NOPTS_VALUE && next_dts > packet->dts)
		return next_dts - packet->dts;
	if (packet->duration > 0)
		return packet->duration;
	return i ? packet->dts - samples->packets[i - 1]->dts : builder->last_duration[track];
}

static uint32_t sample_flags(const AVPacket *packet)
{
	return packet->flags & AV_PKT_FLAG_KEY ? SAMPLE_IS_SYNC : SAMPLE_IS_NOT_SYNC;
}

/* Which fields a run needs per sample; what is the same in all is said once, in tfhd. */
static uint32_t builder_fields(
	const struct fragment_builder *builder, unsigned track, int64_t next_dts)
{
	const struct fragment_samples *samples = &builder->tracks[track];
	const AVPacket *first = samples->packets[0], *last = samples->packets[samples->n - 1];
	int64_t duration = builder_duration(builder, track, 0, next_dts);
	uint32_t fields = TRUN_DATA_OFFSET;

	for (size_t i = 0; i < samples->n; i++) {
		const AVPacket *packet = samples->packets[i];

		if (builder_duration(builder, track, i, next_dts) != duration)
			fields |= TRUN_DURATION;
		if (packet->size != first->size)
			fields |= TRUN_SIZE;
		if (i && sample_flags(packet) != sample_flags(last))
			fields |= TRUN_FLAGS;
		if (packet->pts != packet->dts)
			fields |= TRUN_COMPOSITION;
	}
	if (!(fields & TRUN_FLAGS) && sample_flags(first) != sample_flags(last))
		fields |= TRUN_FIRST_FLAGS;
	return fields;
}

static void builder_write_tfhd(const struct fragment_builder *builder, unsigned track,
	int64_t next_dts, uint32_t fields, struct box_writer *w)
{
	const struct fragment_samples *samples = &builder->tracks[track];
	uint32_t flags = TFHD_DEFAULT_BASE_IS_MOOF | (fields & TRUN_DURATION ? 0 : TFHD_DURATION) |
			 (fields & TRUN_SIZE ? 0 : TFHD_SIZE) |
			 (fields & TRUN_FLAGS ? 0 : TFHD_FLAGS);
	size_t tfhd = box_begin_full(w, "tfhd", 0, flags);

	box_u32(w, builder->init->ids[track]);
	if (flags & TFHD_DURATION)
		box_u32(w, (uint32_t)builder_duration(builder, track, 0, next_dts));
	if (flags & TFHD_SIZE)
		box_u32(w, (uint32_t)samples->packets[0]->size);
	if (flags & TFHD_FLAGS)
		box_u32(w, sample_flags(samples->packets[samples->n - 1]));
	box_end(w, tfhd);
}

/* Writes the run of a track; its data offset is filled in later. */
static void builder_write_trun(struct fragment_builder *builder, unsigned track, int64_t next_dts,
	uint32_t fields, struct box_writer *w, struct fragment_track *ret)
{
	const struct fragment_samples *samples = &builder->tracks[track];
	size_t trun = box_begin_full(w, "trun", 1, fields);
	int64_t duration = 0;

	box_u32(w, (uint32_t)samples->n);
	ret->offset_at = w->n;
	box_u32(w, 0);
	if (fields & TRUN_FIRST_FLAGS)
		box_u32(w, sample_flags(samples->packets[0]));
	for (size_t i = 0; i < samples->n; i++) {
		const AVPacket *packet = samples->packets[i];

		duration = builder_duration(builder, track, i, next_dts);
		ret->duration += duration;
		if (fields & TRUN_DURATION)
			box_u32(w, (uint32_t)duration);
		if (fields & TRUN_SIZE)
			box_u32(w, (uint32_t)packet->size);
		if (fields & TRUN_FLAGS)
			box_u32(w, sample_flags(packet));
		if (fields & TRUN_COMPOSITION)
			box_u32(w, (uint32_t)(int32_t)(packet->pts - packet->dts));
	}
	builder->last_duration[track] = duration;
	box_end(w, trun);
}

static void builder_write_traf(struct fragment_builder *builder, unsigned track, int64_t next_dts,
	struct box_writer *w, struct fragment_track *ret)
{
	uint32_t fields = builder_fields(builder, track, next_dts);
	size_t tfdt;

	ret->traf_at = box_begin(w, "traf");
	builder_write_tfhd(builder, track, next_dts, fields, w);
	tfdt = box_begin_full(w, "tfdt", 1, 0);
	ret->tfdt_at = w->n;
	ret->dts = builder->tracks[track].packets[0]->dts;
	box_u64(w, (uint64_t)ret->dts);
	box_end(w, tfdt);
	builder_write_trun(builder, track, next_dts, fields, w, ret);
	box_end(w, ret->traf_at);
	ret->traf_bytes = w->n - ret->traf_at;
}

/* Moves a track's packets into the fragment. */
static void builder_move(
	struct fragment_samples *samples, struct fragment *fragment, unsigned track)
{
	fragment->tracks[track].first = fragment->n_packets;
	fragment->tracks[track].n = samples->n;
	for (size_t i = 0; i < samples->n; i++)
		fragment->packets[fragment->n_packets++] = samples->packets[i];
	samples->n = 0;
}

static int64_t fragment_us(const struct fragment_init *init, unsigned track, int64_t time)
{
	return av_rescale_q_rnd(time, init->time_base[track], AV_TIME_BASE_Q, AV_ROUND_DOWN);
}

static struct fragment *fragment_new(
	struct fragment_init *init, uint32_t sequence, size_t n_packets)
{
	struct fragment *fragment = xcalloc(1, sizeof(*fragment));

	fragment->refs = 1;
	fragment->init = fragment_init_ref(init);
	fragment->sequence = sequence;
	fragment->packets = xcalloc(n_packets, sizeof(AVPacket *));
	return fragment;
}

/* The lead, or the first track that has samples. */
static unsigned fragment_lead(const struct fragment *fragment)
{
	unsigned track = fragment->init->lead;

	while (track + 1 < fragment->init->n_tracks && !fragment->tracks[track].n)
		track++;
	return track;
}

/* When all packets are there and w holds the moof: says where the media are, and of what time. */
static void fragment_finish(struct fragment *fragment, struct box_writer *w)
{
	const struct fragment_track *lead = &fragment->tracks[fragment->init->lead];
	unsigned track = fragment_lead(fragment);
	size_t mdat = box_begin(w, "mdat"), at = w->n;

	for (unsigned t = 0; t < fragment->init->n_tracks; t++) {
		const struct fragment_track *it = &fragment->tracks[t];

		if (it->n)
			box_set_u32(w->p + it->offset_at, (uint32_t)at);
		for (size_t i = 0; i < it->n; i++)
			at += (size_t)fragment->packets[it->first + i]->size;
	}
	box_set_u32(w->p + mdat, (uint32_t)(at - mdat));
	fragment->head = w->p;
	fragment->head_bytes = w->n;
	fragment->bytes = at;
	fragment->keyframe = lead->n && (fragment->packets[lead->first]->flags & AV_PKT_FLAG_KEY);
	fragment->start_us = fragment_us(fragment->init, track, fragment->tracks[track].dts);
	fragment->duration_us =
		fragment_us(fragment->init, track, fragment->tracks[track].duration);
}

struct fragment *fragment_builder_take(
	struct fragment_builder *builder, const int64_t next_dts[STREAM_TRACKS], uint32_t sequence)
{
	struct box_writer w = { 0 };
	size_t moof = box_begin(&w, "moof"), n = 0;
	size_t mfhd = box_begin_full(&w, "mfhd", 0, 0);
	struct fragment *fragment;

	box_u32(&w, sequence);
	box_end(&w, mfhd);
	if (builder->box_bytes)
		box_bytes(&w, builder->box, builder->box_bytes);
	builder->box_bytes = 0;
	for (unsigned t = 0; t < builder->init->n_tracks; t++)
		n += builder->tracks[t].n;
	fragment = fragment_new(builder->init, sequence, n);
	for (unsigned t = 0; t < builder->init->n_tracks; t++) {
		if (!builder->tracks[t].n)
			continue;
		builder_write_traf(builder, t, next_dts[t], &w, &fragment->tracks[t]);
		builder_move(&builder->tracks[t], fragment, t);
	}
	box_end(&w, moof);
	fragment_finish(fragment, &w);
	builder->bytes = 0;
	return fragment;
}

/* --- for browsers --- */

/* Takes a track over: its traf, now elsewhere, and its packets. */
static void fragment_take_track(struct fragment *fragment, struct box_writer *w,
	const struct fragment *full, unsigned track)
{
	const struct fragment_track *from = &full->tracks[track];
	struct fragment_track *it = &fragment->tracks[track];
	size_t at = w->n;

	*it = *from;
	it->traf_at = at;
	it->tfdt_at = at + (from->tfdt_at - from->traf_at);
	it->offset_at = at + (from->offset_at - from->traf_at);
	it->first = fragment->n_packets;
	box_bytes(w, full->head + from->traf_at, from->traf_bytes);
	for (size_t i = 0; i < from->n; i++) {
		AVPacket *copy = av_packet_clone(full->packets[from->first + i]);

		if (!copy)
			abort();
		fragment->packets[fragment->n_packets++] = copy;
	}
}

static struct fragment *fragment_select(const struct fragment *full, struct fragment_init *init)
{
	struct box_writer w = { 0 };
	struct fragment *fragment;
	size_t moof, n = 0;

	for (unsigned t = 0; t < init->n_tracks; t++)
		n += init->ids[t] ? full->tracks[t].n : 0;
	if (!n)
		return NULL;
	fragment = fragment_new(init, full->sequence, n);
	moof = box_begin(&w, "moof");
	box_bytes(&w, full->head + BOX_HEADER, MFHD_BYTES);
	for (unsigned t = 0; t < init->n_tracks; t++) {
		if (init->ids[t] && full->tracks[t].n)
			fragment_take_track(fragment, &w, full, t);
	}
	box_end(&w, moof);
	fragment_finish(fragment, &w);
	return fragment;
}

struct fragment *fragment_web(struct fragment *fragment)
{
	struct fragment_init *web = fragment->init->web;

	if (web == fragment->init)
		return fragment;
	if (web && !fragment->web)
		fragment->web = fragment_select(fragment, web);
	return fragment->web;
}

/* --- reading --- */

int64_t fragment_origin_us(const struct fragment *fragment)
{
	int64_t origin = INT64_MAX;

	for (unsigned t = 0; t < fragment->init->n_tracks; t++) {
		int64_t us;

		if (!fragment->tracks[t].tfdt_at)
			continue;
		us = fragment_us(fragment->init, t, fragment->tracks[t].dts);
		if (us < origin)
			origin = us;
	}
	return origin;
}

void fragment_write_head(const struct fragment *fragment, int64_t origin_us, uint8_t *ret)
{
	memcpy(ret, fragment->head, fragment->head_bytes);
	for (unsigned t = 0; t < fragment->init->n_tracks; t++) {
		int64_t origin, dts;

		if (!fragment->tracks[t].tfdt_at)
			continue;
		origin = av_rescale_q_rnd(
			origin_us, AV_TIME_BASE_Q, fragment->init->time_base[t], AV_ROUND_DOWN);
		dts = fragment->tracks[t].dts - origin;
		box_set_u64(ret + fragment->tracks[t].tfdt_at, dts > 0 ? (uint64_t)dts : 0);
	}
}

static void fragment_on_sent(const void *data, size_t n, void *arg)
{
	AVBufferRef *buffer = arg;

	(void)data, (void)n;
	av_buffer_unref(&buffer);
}

void fragment_append(const struct fragment *fragment, int64_t origin_us, struct evbuffer *out)
{
	struct evbuffer_iovec head;

	if (evbuffer_reserve_space(out, (ev_ssize_t)fragment->head_bytes, &head, 1) != 1)
		abort();
	fragment_write_head(fragment, origin_us, head.iov_base);
	head.iov_len = fragment->head_bytes;
	evbuffer_commit_space(out, &head, 1);
	for (size_t i = 0; i < fragment->n_packets; i++) {
		const AVPacket *packet = fragment->packets[i];

		evbuffer_add_reference(out, packet->data, (size_t)packet->size, fragment_on_sent,
			av_buffer_ref(packet->buf));
	}
}

void fragment_iovecs(const struct fragment *fragment, uint8_t *head, struct iovec *ret)
{
	ret[0].iov_base = head;
	ret[0].iov_len = fragment->head_bytes;
	for (size_t i = 0; i < fragment->n_packets; i++) {
		ret[i + 1].iov_base = fragment->packets[i]->data;
		ret[i + 1].iov_len = (size_t)fragment->packets[i]->size;
	}
}
