/* An upload as libavformat reads it: hostile bytes, through one descriptor and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/common.h>
#include <libavutil/log.h>

#include "server/base/reactor.h"
#include "storage/sample_entry.h"
#include "storage/upload_private.h"

enum {
	IO_BYTES = 1 << 16,
	OPEN_US = 60 * 1000000,
	READ_US = 30 * 1000000,
	AHEAD_BYTES = 8 << 20
};

/* Containers; no playlist, nothing that names other files, no stills. */
#define FORMATS "mov,mp4,matroska,webm,avi,mpegts,flv,mpeg,asf,ogg,dhav,h264,hevc"

static const struct {
	const char *name, *value;
} options[] = {
	{"codec_whitelist",     AV_LIBRARY_DECODERS},
	{ "format_whitelist",   FORMATS            },
	{ "protocol_whitelist", "none"             },
	{ "probesize",          "4194304"          },
	{ "fpsprobesize",       "0"                },
	{ "max_streams",        "16"               },
};

static const char what_is_none[] = "it is no recording that libavformat can read";

static enum upload_end input_end(struct upload_input *input, enum upload_end end, const char *why)
{
	input->why = why;
	return end;
}

/* --- reading through the descriptor --- */

/* Asked before each read: a loop that reads for ever comes by here. */
static int input_on_wait(void *arg)
{
	struct upload_input *input = arg;

	if (atomic_load(input->stop))
		return 1;
	input->expired = input->expired || reactor_monotonic_us() > input->deadline_us;
	return input->expired;
}

static int input_on_read(void *arg, uint8_t *p, int n)
{
	struct upload_input *input = arg;
	ssize_t got;

	if (input_on_wait(input))
		return AVERROR_EXIT;
	do {
		got = pread(input->fd, p, (size_t)n, input->at);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		input->error = -errno;
	if (got <= 0)
		return got < 0 ? AVERROR(errno) : AVERROR_EOF;
	input->at += got;
	return (int)got;
}

static int64_t input_on_seek(void *arg, int64_t offset, int whence)
{
	struct upload_input *input = arg;
	int64_t base = whence == SEEK_CUR ? input->at : 0;
	struct stat st;

	whence &= ~AVSEEK_FORCE;
	if (input_on_wait(input))
		return AVERROR_EXIT;
	if (whence == SEEK_END || whence == AVSEEK_SIZE) {
		if (fstat(input->fd, &st) < 0)
			return AVERROR(errno);
		base = st.st_size;
	}
	if (whence == AVSEEK_SIZE)
		return base;
	if (offset < -base || offset > INT64_MAX - base)
		return AVERROR(EINVAL);
	input->at = base + offset;
	return input->at;
}

/* Whatever a container names beside itself does not exist. */
static int input_on_open(AVFormatContext *format, AVIOContext **ret, const char *url, int flags,
	AVDictionary **dictionary)
{
	(void)format, (void)ret, (void)url, (void)flags, (void)dictionary;
	return AVERROR(EPERM);
}

/* --- opening --- */

static int input_open_format(struct upload_input *input)
{
	AVDictionary *dictionary = NULL;
	uint8_t *buffer = av_malloc(IO_BYTES);
	int error;

	input->io = buffer ? input->library->io_alloc(
				     buffer, IO_BYTES, 0, input, input_on_read, NULL, input_on_seek)
			   : NULL;
	input->format = input->library->alloc_context();
	if (!input->io || !input->format) {
		if (!input->io)
			av_free(buffer);
		return AVERROR(ENOMEM);
	}
	input->format->pb = input->io;
	input->format->io_open = input_on_open;
	input->format->interrupt_callback = (AVIOInterruptCB){ input_on_wait, input };
	for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
		(void)av_dict_set(&dictionary, options[i].name, options[i].value, 0);
	error = input->library->open_input(&input->format, "", NULL, &dictionary);
	av_dict_free(&dictionary);
	return error < 0 ? error : input->library->find_stream_info(input->format, NULL);
}

/* What an error of libavformat means for the upload. */
static enum upload_end input_fail(struct upload_input *input)
{
	if (atomic_load(input->stop))
		return input_end(input, UPLOAD_NOT_NOW, "");
	if (input->error)
		return input_end(input, UPLOAD_KEPT, "the disk cannot read it");
	if (input->expired)
		return input_end(input, UPLOAD_KEPT, "reading it takes too long");
	return input_end(input, UPLOAD_KEPT, what_is_none);
}

/* Whether a track of a recording can be made of the stream, as far as is known by now. */
static bool input_add_track(struct upload_input *input, AVStream *stream)
{
	bool video = stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
	struct av_track *track = &input->tracks[video ? 0 : input->n_tracks];

	if (stream->disposition & AV_DISPOSITION_ATTACHED_PIC || !av_track_open(track, stream))
		return false;
	track->paced = true;
	input->n_tracks += !video;
	return !track->parameters || sample_entry_fits(track->parameters);
}

/*
 * Takes all streams or says why not: the upload is removed in the end, and with it all that is not in the
 * recording.
 */
static enum upload_end input_choose(struct upload_input *input)
{
	unsigned videos = 0;

	input->n_tracks = 1;
	for (unsigned i = 0; i < input->format->nb_streams; i++) {
		AVStream *stream = input->format->streams[i];
		enum AVMediaType type = stream->codecpar->codec_type;

		videos += type == AVMEDIA_TYPE_VIDEO;
		if (videos > 1 || input->n_tracks == STREAM_TRACKS)
			return input_end(input, UPLOAD_KEPT, "it has more tracks than a recording");
		if ((type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO) ||
			!input_add_track(input, stream))
			return input_end(input, UPLOAD_KEPT,
				"it has a track of a kind that recordings do not have");
	}
	return videos ? UPLOAD_MADE : input_end(input, UPLOAD_KEPT, "it has no picture");
}

enum upload_end upload_input_open(struct upload_input *input, int fd, const _Atomic bool *stop)
{
	*input = (struct upload_input){ .fd = fd, .stop = stop };
	input->deadline_us = reactor_monotonic_us() + OPEN_US;
	input->library = av_library_load(&input->why);
	if (!input->library)
		return UPLOAD_FAILED;
	av_log_set_level(AV_LOG_QUIET); /* of libav's own log; av: sources have theirs */
	if (input_open_format(input) < 0)
		return input_fail(input);
	return input_choose(input);
}

void upload_input_close(struct upload_input *input)
{
	for (unsigned i = 0; i < input->n_ahead; i++)
		av_packet_free(&input->ahead[i]);
	for (unsigned i = 0; i < STREAM_TRACKS; i++)
		av_track_fini(&input->tracks[i]);
	if (input->format)
		input->library->close_input(&input->format);
	if (input->io) {
		av_freep(&input->io->buffer); /* not always the one that it was given */
		input->library->io_free(&input->io);
	}
}

const char *upload_input_created(const struct upload_input *input)
{
	const AVDictionaryEntry *entry =
		av_dict_get(input->format->metadata, "creation_time", NULL, 0);

	return entry ? entry->value : NULL;
}

/* --- packets --- */

static int input_find_track(const struct upload_input *input, int stream)
{
	for (unsigned i = 0; i < input->n_tracks; i++) {
		if (input->tracks[i].stream && input->tracks[i].stream->index == stream)
			return (int)i;
	}
	return -1;
}

static bool is_untimed(const AVPacket *packet)
{
	return packet->dts == AV_NOPTS_VALUE && packet->pts != AV_NOPTS_VALUE;
}

/*
 * Matroska says no decoding times, and libavformat knows them only once as many pictures have come as
 * may change places: those before get them from the first that is known.
 */
static void input_date_ahead(struct upload_input *input)
{
	const AVStream *stream = input->tracks[0].stream;
	AVRational frame = av_inv_q(stream->avg_frame_rate);
	int64_t next = AV_NOPTS_VALUE, step = 0;

	if (stream->avg_frame_rate.num > 0 && stream->avg_frame_rate.den > 0)
		step = av_rescale_q(1, frame, stream->time_base);
	for (unsigned i = input->n_ahead; i-- > 0;) {
		AVPacket *packet = input->ahead[i];

		if (packet->stream_index != stream->index)
			continue;
		if (is_untimed(packet) && next != AV_NOPTS_VALUE) {
			int64_t length = packet->duration > 0 ? packet->duration : step;

			packet->dts = av_sat_sub64(next, length > 0 ? length : 1);
			if (packet->dts > packet->pts)
				packet->dts = packet->pts;
		}
		next = packet->dts;
	}
}

static AVPacket *input_next(struct upload_input *input)
{
	AVPacket *packet = av_packet_alloc();

	if (!packet)
		return NULL;
	input->deadline_us = reactor_monotonic_us() + READ_US;
	input->ended = input->library->read_frame(input->format, packet);
	if (input->ended < 0)
		av_packet_free(&packet);
	return packet;
}

/* Reads up to where the first picture's decoding time is known. */
static void input_look_ahead(struct upload_input *input)
{
	bool known = false;
	size_t bytes = 0;

	while (!known && input->n_ahead < UPLOAD_AHEAD && bytes < AHEAD_BYTES) {
		AVPacket *packet = input_next(input);

		if (!packet)
			break;
		bytes += (size_t)packet->size;
		input->ahead[input->n_ahead++] = packet;
		known = packet->stream_index == input->tracks[0].stream->index &&
			!is_untimed(packet);
	}
	input_date_ahead(input);
}

/* The next packet of libavformat's; NULL at the end and after an error. */
static AVPacket *input_take(struct upload_input *input)
{
	AVPacket *packet;

	if (!input->n_ahead)
		input_look_ahead(input);
	if (input->next_ahead == input->n_ahead)
		return input_next(input);
	packet = input->ahead[input->next_ahead];
	input->ahead[input->next_ahead++] = NULL;
	return packet;
}

/* Why a packet cannot be in the recording; NULL: it can. */
static const char *input_judge(const struct upload_input *input, int track, const AVPacket *packet)
{
	const AVStream *stream;

	if (track < 0)
		return "a track begins in its middle";
	stream = input->tracks[track].stream;
	if (av_packet_get_side_data(packet, AV_PKT_DATA_ENCRYPTION_INFO, NULL))
		return "it is encrypted";
	if (track == 0 && packet->pts == AV_NOPTS_VALUE && stream->codecpar->video_delay > 0)
		return "it does not say in which order its pictures are shown";
	return NULL;
}

/* Whether a unit is the first of its track, and a start can be made with it. */
static bool input_begins(struct upload_input *input, int i, const AVPacket *made)
{
	struct av_track *track = &input->tracks[i];

	if (i == 0 && !(made->flags & AV_PKT_FLAG_KEY))
		return false;
	input->begun[i] = true;
	input->holes[i] = track->parameters_changed = false;
	return true;
}

enum upload_end upload_input_read(struct upload_input *input, AVPacket **ret)
{
	*ret = NULL;
	for (;;) {
		AVPacket *packet = input_take(input), *made;
		const char *why;
		size_t dropped = 0;
		int i;

		if (!packet)
			return input->ended == AVERROR_EOF ? UPLOAD_MADE : input_fail(input);
		i = input_find_track(input, packet->stream_index);
		why = input_judge(input, i, packet);
		if (why) {
			av_packet_free(&packet);
			return input_end(input, UPLOAD_KEPT, why);
		}
		made = av_track_convert(&input->tracks[i], packet, 0, &dropped);
		av_packet_free(&packet);
		input->holes[i] = input->holes[i] || dropped;
		if (!made)
			continue;
		made->stream_index = i;
		if (!input->begun[i] && !input_begins(input, i, made)) {
			av_packet_free(&made);
			continue;
		}
		if (input->holes[i] || input->tracks[i].parameters_changed) {
			av_packet_free(&made);
			return input_end(input, UPLOAD_KEPT,
				input->holes[i] ? "it is damaged in its middle"
						: "a track changes its form in its middle");
		}
		*ret = made;
		return UPLOAD_MADE;
	}
}
