/* CMAF fragments: collected samples become `moof` and `mdat`, media by reference. */
#include "storage/fragment.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/packet.h>
#include <libavutil/mathematics.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "storage/box_writer.h"

enum {
	TFHD_DEFAULT_BASE_IS_MOOF = 0x20000,
	TRUN_DATA_OFFSET = 0x1,
	TRUN_DURATION = 0x100,
	TRUN_SIZE = 0x200,
	TRUN_FLAGS = 0x400,
	TRUN_COMPOSITION = 0x800,
	SAMPLE_IS_SYNC = 0x2000000, /* depends on no other */
	SAMPLE_IS_NOT_SYNC = 0x1010000,
	SAMPLES_FIRST = 32,
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
	free(builder);
}

void fragment_builder_add(struct fragment_builder *builder, const AVPacket *packet)
{
	struct fragment_samples *samples = &builder->tracks[packet->stream_index];
	AVPacket *copy = av_packet_clone(packet);

	if (!copy)
		abort();
	if (samples->n == samples->size) {
		samples->size = samples->size ? samples->size * 2 : SAMPLES_FIRST;
		samples->packets = xrealloc(samples->packets, samples->size * sizeof(AVPacket *));
	}
	samples->packets[samples->n++] = copy;
	builder->bytes += (size_t)packet->size;
}

size_t fragment_builder_bytes(const struct fragment_builder *builder)
{
	return builder->bytes;
}

bool fragment_builder_is_empty(const struct fragment_builder *builder)
{
	return builder->bytes == 0;
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
	return packet->duration > 0 ? packet->duration : builder->last_duration[track];
}

/* Which per-sample fields a track needs: composition times only where any differs. */
static uint32_t builder_fields(const struct fragment_samples *samples)
{
	uint32_t fields = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS;

	for (size_t i = 0; i < samples->n; i++) {
		if (samples->packets[i]->pts != samples->packets[i]->dts)
			return fields | TRUN_COMPOSITION;
	}
	return fields;
}

/* Writes the run of a track; returns where its data offset stands. */
static size_t builder_write_trun(struct fragment_builder *builder, unsigned track, int64_t next_dts,
	struct box_writer *w, int64_t *total)
{
	const struct fragment_samples *samples = &builder->tracks[track];
	uint32_t fields = builder_fields(samples);
	size_t trun = box_begin_full(w, "trun", 1, fields);
	size_t offset_at;

	box_u32(w, (uint32_t)samples->n);
	offset_at = w->n;
	box_u32(w, 0);
	for (size_t i = 0; i < samples->n; i++) {
		const AVPacket *packet = samples->packets[i];
		int64_t duration = builder_duration(builder, track, i, next_dts);

		box_u32(w, (uint32_t)duration);
		box_u32(w, (uint32_t)packet->size);
		box_u32(w, packet->flags & AV_PKT_FLAG_KEY ? SAMPLE_IS_SYNC : SAMPLE_IS_NOT_SYNC);
		if (fields & TRUN_COMPOSITION)
			box_u32(w, (uint32_t)(int32_t)(packet->pts - packet->dts));
		*total += duration;
		builder->last_duration[track] = duration;
	}
	box_end(w, trun);
	return offset_at;
}

static size_t builder_write_traf(struct fragment_builder *builder, unsigned track, int64_t next_dts,
	struct box_writer *w, struct fragment *fragment, int64_t *total)
{
	size_t traf = box_begin(w, "traf");
	size_t tfhd = box_begin_full(w, "tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF);
	size_t tfdt, offset_at;

	box_u32(w, track + 1);
	box_end(w, tfhd);
	tfdt = box_begin_full(w, "tfdt", 1, 0);
	fragment->tracks[track].tfdt_at = w->n;
	fragment->tracks[track].dts = builder->tracks[track].packets[0]->dts;
	box_u64(w, (uint64_t)fragment->tracks[track].dts);
	box_end(w, tfdt);
	offset_at = builder_write_trun(builder, track, next_dts, w, total);
	box_end(w, traf);
	return offset_at;
}

/* Moves a track's packets into the fragment; returns how many bytes they have. */
static size_t builder_move(struct fragment_samples *samples, struct fragment *fragment)
{
	size_t bytes = 0;

	for (size_t i = 0; i < samples->n; i++) {
		bytes += (size_t)samples->packets[i]->size;
		fragment->packets[fragment->n_packets++] = samples->packets[i];
	}
	samples->n = 0;
	return bytes;
}

static int64_t fragment_us(const struct fragment_init *init, unsigned track, int64_t time)
{
	return av_rescale_q_rnd(time, init->time_base[track], AV_TIME_BASE_Q, AV_ROUND_DOWN);
}

/* The first track that has samples. */
static unsigned builder_lead(const struct fragment_builder *builder)
{
	unsigned track = 0;

	while (track + 1 < builder->init->n_tracks && !builder->tracks[track].n)
		track++;
	return track;
}

static struct fragment *builder_new_fragment(
	const struct fragment_builder *builder, uint32_t sequence)
{
	struct fragment *fragment = xcalloc(1, sizeof(*fragment));
	const struct fragment_samples *first = &builder->tracks[0];
	size_t n = 0;

	for (unsigned t = 0; t < builder->init->n_tracks; t++)
		n += builder->tracks[t].n;
	fragment->refs = 1;
	fragment->init = fragment_init_ref(builder->init);
	fragment->sequence = sequence;
	fragment->keyframe = first->n && (first->packets[0]->flags & AV_PKT_FLAG_KEY);
	fragment->packets = xcalloc(n, sizeof(AVPacket *));
	return fragment;
}

struct fragment *fragment_builder_take(
	struct fragment_builder *builder, const int64_t next_dts[STREAM_TRACKS], uint32_t sequence)
{
	struct fragment *fragment = builder_new_fragment(builder, sequence);
	unsigned lead = builder_lead(builder);
	size_t offsets[STREAM_TRACKS] = { 0 }, moof_bytes, at;
	int64_t totals[STREAM_TRACKS] = { 0 };
	struct box_writer w = { 0 };
	size_t moof = box_begin(&w, "moof");
	size_t mfhd = box_begin_full(&w, "mfhd", 0, 0);

	box_u32(&w, sequence);
	box_end(&w, mfhd);
	for (unsigned t = 0; t < builder->init->n_tracks; t++) {
		if (builder->tracks[t].n)
			offsets[t] = builder_write_traf(
				builder, t, next_dts[t], &w, fragment, &totals[t]);
	}
	box_end(&w, moof);
	moof_bytes = w.n;
	box_u32(&w, (uint32_t)(8 + builder->bytes));
	box_text(&w, "mdat");
	at = moof_bytes + 8;
	for (unsigned t = 0; t < builder->init->n_tracks; t++) {
		if (offsets[t])
			box_set_u32(w.p + offsets[t], (uint32_t)at);
		at += builder_move(&builder->tracks[t], fragment);
	}
	fragment->head = w.p;
	fragment->head_bytes = w.n;
	fragment->bytes = w.n + builder->bytes;
	fragment->start_us = fragment_us(builder->init, lead, fragment->tracks[lead].dts);
	fragment->duration_us = fragment_us(builder->init, lead, totals[lead]);
	builder->bytes = 0;
	return fragment;
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
