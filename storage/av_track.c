/*
 * One track that libavformat reads: from what demuxers give to what a stream wants, bytes and times.
 * NAL units as in ISO/IEC 14496-15 with 4-byte lengths, AAC without ADTS.
 */
#include "storage/av_track.h"

#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/display.h>

#include "server/base/reader.h"
#include "server/media/codec.h"
#include "storage/sample_entry.h"

enum {
	LENGTH_BYTES = 4,
	NAL_MOST_SETS = 64, /* of a record */
	AVCC_SPS_MASK = 0x1f,
	PCM_BYTES_16 = 2,
	OPUS_HZ = 48000,
	OPUS_SAMPLES = 960, /* where nobody says how long a packet is */
	BARE_FPS = 25,
	UNWRAP_BITS = 48, /* wider ones never wrap */
	SOUND_TICKS = 2,  /* a source's rounding, which is smoothed away */
	SOUND_JITTER_MS = 2,
};

/* --- NAL units --- */

enum nal_kind {
	NAL_PLAIN,
	NAL_KEY, /* decoding may start with its picture */
	NAL_SET,
	NAL_DROPPED
};

static enum nal_kind h264_kind(const uint8_t *nal, size_t n)
{
	switch (h264_nal_type(nal)) {
	case H264_IDR:
		return NAL_KEY;
	case H264_SEI:
		return h264_sei_is_recovery_point(nal, n) ? NAL_KEY : NAL_PLAIN;
	case H264_SPS:
	case H264_PPS:
		return NAL_SET;
	case H264_AUD:
	case H264_FILLER:
	case H264_END_OF_SEQUENCE:
	case H264_END_OF_STREAM:
		return NAL_DROPPED;
	default:
		return NAL_PLAIN;
	}
}

static enum nal_kind h265_kind(const uint8_t *nal, size_t n)
{
	unsigned type = h265_nal_type(nal);

	if (n < 2)
		return NAL_DROPPED;
	if (type >= H265_IRAP_FIRST && type <= H265_IRAP_LAST)
		return NAL_KEY;
	switch (type) {
	case H265_VPS:
	case H265_SPS:
	case H265_PPS:
		return NAL_SET;
	case H265_AUD:
	case H265_FILLER:
	case H265_END_OF_SEQUENCE:
	case H265_END_OF_BITSTREAM:
		return NAL_DROPPED;
	default:
		return NAL_PLAIN;
	}
}

static int h264_take(struct av_track *track, const uint8_t *nal, size_t n)
{
	return h264_sets_add(&track->h264, nal, n);
}

static int h265_take(struct av_track *track, const uint8_t *nal, size_t n)
{
	return h265_sets_add(&track->h265, nal, n);
}

static AVCodecParameters *h264_parameters(const struct av_track *track, const char **why)
{
	return h264_sets_complete(&track->h264) ? codec_of_h264(&track->h264, why) : NULL;
}

static AVCodecParameters *h265_parameters(const struct av_track *track, const char **why)
{
	return h265_sets_complete(&track->h265) ? codec_of_h265(&track->h265, why) : NULL;
}

/* avcC has its PPS counted apart from its SPS; hvcC has arrays by type. */
static const struct nal_codec {
	enum AVCodecID id;
	size_t length_at, sets_at; /* in the record */
	bool arrays;
	enum nal_kind (*kind)(const uint8_t *nal, size_t n);
	int (*take)(struct av_track *track, const uint8_t *nal, size_t n);
	AVCodecParameters *(*parameters)(const struct av_track *track, const char **why);
} nal_codecs[] = {
	{AV_CODEC_ID_H264,  4,  5,  false, h264_kind, h264_take, h264_parameters},
	{ AV_CODEC_ID_HEVC, 21, 22, true,  h265_kind, h265_take, h265_parameters},
};

static const struct nal_codec *nal_codec_find(enum AVCodecID id)
{
	for (size_t i = 0; i < ARRAY_LENGTH(nal_codecs); i++) {
		if (nal_codecs[i].id == id)
			return &nal_codecs[i];
	}
	return NULL;
}

/* The next NAL unit, whichever way they are packed; NULL at the end. */
static const uint8_t *nal_next(
	const struct av_track *track, const uint8_t *p, size_t n, size_t *at, size_t *bytes)
{
	size_t length = 0;

	if (!track->length_bytes)
		return annexb_next(p, n, at, bytes);
	do {
		if (n - *at < track->length_bytes)
			return NULL;
		length = 0;
		for (unsigned i = 0; i < track->length_bytes; i++)
			length = length << 8 | p[(*at)++];
		if (length > n - *at)
			return NULL; /* cut short: what came before it is kept */
		*bytes = length;
		*at += length;
	} while (!length);
	return p + *at - length;
}

static void track_take_set(
	struct av_track *track, const struct nal_codec *codec, const uint8_t *nal, size_t n)
{
	if (nal && n && codec->kind(nal, n) == NAL_SET && codec->take(track, nal, n) > 0)
		track->parameters_changed = true;
}

static void track_take_sets(
	struct av_track *track, const struct nal_codec *codec, struct reader *r, unsigned count)
{
	while (count-- > 0 && !r->why) {
		size_t n = reader_u16(r);

		track_take_set(track, codec, reader_bytes(r, n), n);
	}
}

static void track_take_record(
	struct av_track *track, const struct nal_codec *codec, const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);
	unsigned lists;

	track->length_bytes = (p[codec->length_at] & 3u) + 1;
	reader_skip(&r, codec->sets_at);
	lists = codec->arrays ? reader_u8(&r) : 2;
	for (unsigned i = 0; i < lists && i < NAL_MOST_SETS && !r.why; i++) {
		unsigned count;

		if (codec->arrays) {
			reader_skip(&r, 1);
			count = reader_u16(&r);
		} else {
			count = reader_u8(&r) & (i ? UINT8_MAX : AVCC_SPS_MASK);
		}
		track_take_sets(track, codec, &r, count < NAL_MOST_SETS ? count : NAL_MOST_SETS);
	}
}

/* Parameter sets as a record or with start codes; a record says how packets are made, too. */
static void track_take_extradata(
	struct av_track *track, const struct nal_codec *codec, const uint8_t *p, size_t n)
{
	const uint8_t *nal;
	size_t bytes;

	if (n > codec->sets_at && p[0] == 1) {
		track_take_record(track, codec, p, n);
		return;
	}
	for (size_t at = 0; n && (nal = annexb_next(p, n, &at, &bytes));)
		track_take_set(track, codec, nal, bytes);
}

static void nal_write(uint8_t **to, const uint8_t *nal, size_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*(*to)++ = (uint8_t)(n >> shift);
	memcpy(*to, nal, n);
	*to += n;
}

/* The picture of a packet with 4-byte lengths, its parameter sets taken; NULL when there is none. */
static AVPacket *nal_picture(
	struct av_track *track, const struct nal_codec *codec, const AVPacket *packet)
{
	size_t n = (size_t)packet->size, kept = 0, bytes;
	const uint8_t *nal;
	bool key = false;
	AVPacket *made;
	uint8_t *to;

	for (size_t at = 0; (nal = nal_next(track, packet->data, n, &at, &bytes));) {
		enum nal_kind kind = bytes ? codec->kind(nal, bytes) : NAL_DROPPED;

		track_take_set(track, codec, nal, bytes);
		key = key || kind == NAL_KEY;
		kept += kind < NAL_SET ? LENGTH_BYTES + bytes : 0;
	}
	made = kept ? av_packet_alloc() : NULL;
	if (!made || av_new_packet(made, (int)kept) < 0) {
		av_packet_free(&made);
		return NULL;
	}
	to = made->data;
	for (size_t at = 0; (nal = nal_next(track, packet->data, n, &at, &bytes));) {
		if (bytes && codec->kind(nal, bytes) < NAL_SET)
			nal_write(&to, nal, bytes);
	}
	made->flags = key ? AV_PKT_FLAG_KEY : 0;
	return made;
}

/* --- parameters --- */

static void track_set_parameters(struct av_track *track, AVCodecParameters *parameters)
{
	avcodec_parameters_free(&track->parameters);
	track->parameters = parameters;
	track->parameters_changed = true;
	track->time_base = (AVRational){ 1, track->video ? AV_VIDEO_HZ : parameters->sample_rate };
}

static bool track_set_aac(struct av_track *track, const uint8_t *config, size_t n)
{
	const char *why;
	AVCodecParameters *parameters = codec_of_aac(config, n, &why);

	if (!parameters)
		return false;
	if (!sample_entry_fits(parameters)) {
		avcodec_parameters_free(&parameters);
		return false;
	}
	track_set_parameters(track, parameters);
	return true;
}

static bool track_open_aac(struct av_track *track)
{
	const AVCodecParameters *from = track->stream->codecpar;

	if (from->extradata_size > 0)
		return track_set_aac(track, from->extradata, (size_t)from->extradata_size);
	if (av_bsf_alloc(av_bsf_get_by_name("aac_adtstoasc"), &track->adts) < 0)
		return false;
	track->adts->time_base_in = track->stream->time_base;
	return avcodec_parameters_copy(track->adts->par_in, from) >= 0 &&
	       av_bsf_init(track->adts) >= 0;
}

/* Sound that MP4 cannot carry is published all the same: AAC may be made of it. */
static bool track_open_plain(struct av_track *track)
{
	AVCodecParameters *copy = avcodec_parameters_alloc();

	if (!copy || avcodec_parameters_copy(copy, track->stream->codecpar) < 0) {
		avcodec_parameters_free(&copy);
		return false;
	}
	copy->codec_tag = 0; /* the container's own */
	if (copy->codec_id == AV_CODEC_ID_OPUS)
		copy->sample_rate = OPUS_HZ;
	if (track->video ? !sample_entry_fits(copy)
			 : copy->sample_rate < 1 || copy->ch_layout.nb_channels < 1) {
		avcodec_parameters_free(&copy);
		return false;
	}
	track_set_parameters(track, copy);
	return true;
}

/* As phones' and some cameras' files say it, to the next right angle. */
static int track_rotation(const AVStream *stream)
{
	for (int i = 0; i < stream->nb_side_data; i++) {
		const AVPacketSideData *side = &stream->side_data[i];
		double left;

		if (side->type != AV_PKT_DATA_DISPLAYMATRIX || side->size < 9 * sizeof(int32_t))
			continue;
		left = av_display_rotation_get((const int32_t *)(const void *)side->data);
		if (left > 135 || left < -135)
			return 180;
		return left > 45 ? 270 : left < -45 ? 90 : 0; /* NaN: no rotation */
	}
	return 0;
}

bool av_track_open(struct av_track *track, AVStream *stream)
{
	const AVCodecParameters *from = stream->codecpar;
	const struct nal_codec *codec = nal_codec_find(from->codec_id);
	bool video = from->codec_type == AVMEDIA_TYPE_VIDEO;
	bool fine = true;

	if (stream->time_base.num <= 0 || stream->time_base.den <= 0)
		return false;
	*track = (struct av_track){ .stream = stream, .video = video, .next_dts = AV_NOPTS_VALUE };
	track->rotation = video ? track_rotation(stream) : 0;
	track->time_base = (AVRational){ 1, AV_VIDEO_HZ };
	if (codec && from->extradata_size > 0)
		track_take_extradata(track, codec, from->extradata, (size_t)from->extradata_size);
	else if (from->codec_id == AV_CODEC_ID_AAC)
		fine = track_open_aac(track);
	else if (!codec && from->codec_id != AV_CODEC_ID_MJPEG)
		fine = track_open_plain(track);
	if (!fine)
		av_track_fini(track);
	return fine;
}

void av_track_fini(struct av_track *track)
{
	av_bsf_free(&track->adts);
	avcodec_parameters_free(&track->parameters);
	*track = (struct av_track){ 0 };
}

/* --- packets --- */

static void track_take_new_extradata(struct av_track *track, const AVPacket *packet)
{
	const struct nal_codec *codec = nal_codec_find(track->stream->codecpar->codec_id);
	size_t n = 0;
	const uint8_t *p = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, &n);

	if (!p || !n)
		return;
	if (codec)
		track_take_extradata(track, codec, p, n);
	else if (track->stream->codecpar->codec_id == AV_CODEC_ID_AAC)
		(void)track_set_aac(track, p, n);
}

static AVPacket *track_convert_nal(
	struct av_track *track, const struct nal_codec *codec, const AVPacket *packet)
{
	AVPacket *made = nal_picture(track, codec, packet);
	const char *why;

	if (track->parameters_changed) {
		AVCodecParameters *parameters = codec->parameters(track, &why);

		track->parameters_changed = false;
		if (parameters)
			track_set_parameters(track, parameters);
	}
	return made;
}

/* One whole picture, with the Huffman tables that webcams and AVI leave out. */
static AVPacket *track_convert_jpeg(struct av_track *track, const AVPacket *packet)
{
	AVPacket *made = NULL;
	struct jpeg jpeg;
	const char *why;

	if (jpeg_parse(&jpeg, packet->data, (size_t)packet->size, &why) < 0)
		return NULL;
	if (!track->parameters || !jpeg_is_like(&track->jpeg, &jpeg)) {
		AVCodecParameters *parameters = codec_of_jpeg(&jpeg, &why);

		if (!parameters)
			return NULL;
		track_set_parameters(track, parameters);
	}
	track->jpeg = jpeg;
	made = av_packet_alloc();
	if (!made || av_new_packet(made, (int)jpeg_write_bytes(&jpeg)) < 0) {
		av_packet_free(&made);
		return NULL;
	}
	(void)jpeg_write(&jpeg, packet->data, made->data, (size_t)made->size);
	made->flags = AV_PKT_FLAG_KEY;
	return made;
}

static AVPacket *track_convert_plain(struct av_track *track, AVPacket *packet)
{
	AVPacket *made = av_packet_alloc();

	if (!made)
		return NULL;
	if (!track->adts) {
		av_packet_move_ref(made, packet);
	} else if (av_bsf_send_packet(track->adts, packet) < 0 ||
		   av_bsf_receive_packet(track->adts, made) < 0) {
		av_packet_free(&made);
		return NULL;
	}
	if (track->adts)
		track_take_new_extradata(track, made);
	made->flags &= AV_PKT_FLAG_KEY;
	av_packet_free_side_data(made);
	return made;
}

/* --- times --- */

/* What the demuxer said, in the stream's base. */
struct packet_times {
	int64_t pts, dts, duration;
};

int64_t av_track_elapsed(const AVStream *stream, int64_t from, int64_t to)
{
	int bits = stream->pts_wrap_bits;
	uint64_t step = (uint64_t)to - (uint64_t)from, mask;

	if (bits <= 0 || bits > UNWRAP_BITS)
		return (int64_t)step;
	mask = (UINT64_C(1) << bits) - 1;
	step &= mask;
	return (int64_t)step - (step > mask / 2 ? (int64_t)mask + 1 : 0);
}

/* Follows times that wrap, as MPEG-TS's do each 26 hours. */
static int64_t track_unwrap(struct av_track *track, int64_t time)
{
	bool wraps = track->stream->pts_wrap_bits <= UNWRAP_BITS;

	if (track->has_time && wraps)
		track->unwrapped += av_track_elapsed(track->stream, track->last, time);
	else
		track->unwrapped = time;
	if (track->has_time && time > track->last && time / 2 - track->last / 2 < INT32_MAX)
		track->step = time - track->last;
	track->last = time;
	track->has_time = true;
	return track->unwrapped;
}

/* How long a picture of a bare elementary stream lasts. */
static int64_t track_frame(const struct av_track *track, const struct packet_times *times)
{
	const AVRational second = { 1, 1 };
	const int64_t most = av_rescale_q(1, second, track->stream->time_base);

	if (times->duration > 0 && times->duration <= most)
		return times->duration;
	return most > BARE_FPS ? most / BARE_FPS : 1;
}

/* The decoding time of a packet, where it says none too. */
static int64_t track_time(
	struct av_track *track, const struct packet_times *times, int64_t arrival_us)
{
	const AVRational us = { 1, 1000000 };
	int64_t time = times->dts != AV_NOPTS_VALUE ? times->dts : times->pts;

	if (!track->has_time && time == AV_NOPTS_VALUE)
		track->timeless = true;
	if (track->timeless && track->paced)
		time = track->has_time ? track->last + track_frame(track, times) : 0;
	else if (track->timeless)
		time = av_rescale_q(arrival_us, us, track->stream->time_base);
	else if (time == AV_NOPTS_VALUE)
		time = (int64_t)((uint64_t)track->last + (uint64_t)(track->step ? track->step : 1));
	return track_unwrap(track, time);
}

/* How long sound lasts that only its decoder understands: as long as its demuxer or its codec says. */
static int64_t sound_guess(const struct av_track *track, const AVPacket *packet, int64_t said)
{
	int64_t step = av_rescale_q(track->step, track->stream->time_base, track->time_base);

	if (said <= 0)
		said = av_get_audio_frame_duration2(track->parameters, packet->size);
	if (said <= 0)
		said = step;
	return said > 0 ? said : 1;
}

static int64_t sound_duration(const struct av_track *track, const AVPacket *packet, int64_t said)
{
	const AVCodecParameters *parameters = track->parameters;

	switch (parameters->codec_id) {
	case AV_CODEC_ID_AAC:
		return parameters->frame_size;
	case AV_CODEC_ID_OPUS:
		return said > 0 ? said : OPUS_SAMPLES;
	case AV_CODEC_ID_PCM_S16BE:
		return packet->size / PCM_BYTES_16 / parameters->ch_layout.nb_channels;
	case AV_CODEC_ID_PCM_MULAW:
	case AV_CODEC_ID_PCM_ALAW:
		return packet->size / parameters->ch_layout.nb_channels;
	default:
		return sound_guess(track, packet, said);
	}
}

/* Containers round the times of sound: where a frame begins about where the last ended, it does. */
static int64_t sound_smooth(struct av_track *track, int64_t dts)
{
	int64_t tick = av_rescale_q(SOUND_TICKS, track->stream->time_base, track->time_base);
	int64_t jitter = track->time_base.den * (int64_t)SOUND_JITTER_MS / 1000;
	int64_t off;

	if (track->next_dts == AV_NOPTS_VALUE)
		return dts;
	if (jitter < tick)
		jitter = tick;
	off = dts - track->next_dts;
	return off > jitter || off < -jitter ? dts : track->next_dts;
}

/* Gives `made` its times; the packet's are the demuxer's. Returns whether they make sense. */
static bool track_set_times(struct av_track *track, AVPacket *made,
	const struct packet_times *times, int64_t arrival_us)
{
	const AVRational from = track->stream->time_base;
	const int64_t most = INT64_C(1) << 50; /* centuries, and 2^12 more before it overflows */
	int64_t dts = track_time(track, times, arrival_us);
	int64_t ahead = 0;

	if (times->dts != AV_NOPTS_VALUE && times->pts != AV_NOPTS_VALUE && !track->timeless)
		ahead = (int64_t)((uint64_t)times->pts - (uint64_t)times->dts);
	if (ahead < 0 || av_compare_ts(ahead, from, 10, (AVRational){ 1, 1 }) > 0)
		ahead = 0;
	made->dts = av_rescale_q(dts, from, track->time_base);
	if (made->dts > most || made->dts < -most || dts > INT64_MAX - ahead)
		return false;
	made->pts = av_rescale_q(dts + ahead, from, track->time_base);
	made->duration = av_rescale_q(times->duration, from, track->time_base);
	if (track->video) {
		if (made->duration <= 0 || made->duration > AV_VIDEO_HZ * INT64_C(10))
			made->duration = av_rescale_q(track->step, from, track->time_base);
		return true;
	}
	made->duration = sound_duration(track, made, made->duration);
	if (made->duration <= 0 || made->duration > track->time_base.den * INT64_C(10))
		return false;
	made->pts = made->dts = sound_smooth(track, made->dts);
	track->next_dts = made->dts + made->duration;
	return true;
}

static AVPacket *track_make(struct av_track *track, AVPacket *packet, bool *damaged)
{
	const struct nal_codec *codec = nal_codec_find(track->stream->codecpar->codec_id);
	AVPacket *made;

	if (codec)
		return track_convert_nal(track, codec, packet);
	if (track->stream->codecpar->codec_id != AV_CODEC_ID_MJPEG)
		return track_convert_plain(track, packet);
	made = track_convert_jpeg(track, packet);
	*damaged = !made;
	return made;
}

AVPacket *av_track_convert(
	struct av_track *track, AVPacket *packet, int64_t arrival_us, size_t *dropped)
{
	struct packet_times times = { packet->pts, packet->dts, packet->duration };
	bool damaged = packet->flags & AV_PKT_FLAG_CORRUPT || packet->size > AV_PACKET_BYTES;
	AVPacket *made = NULL;

	track_take_new_extradata(track, packet);
	if (!damaged && packet->size > 0)
		made = track_make(track, packet, &damaged);
	av_packet_unref(packet);
	if (track->video && (damaged || (made && made->flags & AV_PKT_FLAG_KEY)))
		track->damaged = damaged;
	if (made && !track->parameters)
		av_packet_free(&made); /* it came before the first parameter sets */
	damaged = damaged || (made && track->damaged);
	if (made && !damaged && track_set_times(track, made, &times, arrival_us))
		return made;
	*dropped += damaged || made;
	av_packet_free(&made);
	return NULL;
}
