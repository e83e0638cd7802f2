/* The jobs of an av: source's worker: open, read a batch of packets, close. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocols/av_source_private.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	BATCH_US = 100000,
	FIRST_BATCH_US = 500000,
	WAITED_US = 1000, /* a read this long waited for the other side: what there is goes on */
	AGAIN_US = 10000,
	PASS_LEAST_90K = 3600, /* of a file that loops */
	PASS_OVER_90K = 9000,  /* sound this much longer than the pictures is cut */
	CLOSE_US = 1000000,
};

/* --- the reader --- */

struct av_reader *av_reader_new(const struct source_order *order, const char **why)
{
	struct av_reader *reader = xcalloc(1, sizeof(*reader));

	if (av_address_parse(&reader->address, order->url, why) < 0) {
		free(reader);
		return NULL;
	}
	reader->with_audio = order->config->audio != AUDIO_OFF;
	reader->with_aac = order->config->audio == AUDIO_AAC;
	reader->loop = order->config->loop && reader->address.scheme->flags & AV_FILE;
	reader->tls_verify = order->config->tls_verify;
	/* it may outlive the camera by a while: names are its own */
	reader->label = xstrdup(order->camera);
	reader->camera = (struct log_name){ .kind = "camera", .name = reader->label };
	reader->log = (struct log_name){ .parent = &reader->camera, .kind = "libav" };
	reader->packet = av_packet_alloc();
	if (!reader->packet)
		abort();
	return reader;
}

void av_reader_free(struct av_reader *reader)
{
	if (!reader)
		return;
	av_input_close(reader);
	for (size_t i = 0; i < AV_TRACKS; i++)
		av_track_fini(&reader->tracks[i]);
	av_packet_free(&reader->packet);
	av_address_fini(&reader->address);
	free(reader->label);
	free(reader);
}

void av_job_free(struct av_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < job->count; i++) {
		av_packet_free(&job->items[i].packet);
		avcodec_parameters_free(&job->items[i].parameters);
	}
	free(job);
}

/* --- tracks --- */

static bool is_picture_of_song(const AVStream *stream)
{
	return stream->disposition & AV_DISPOSITION_ATTACHED_PIC;
}

static void track_choose(struct av_reader *reader, bool video, bool *any)
{
	struct av_track *track = &reader->tracks[video ? 0 : 1];
	enum AVMediaType type = video ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;

	*any = false;
	for (unsigned i = 0; i < reader->input->nb_streams && !track->stream; i++) {
		AVStream *stream = reader->input->streams[i];

		if (stream->codecpar->codec_type != type || is_picture_of_song(stream))
			continue;
		*any = true;
		if (av_track_open(track, stream))
			track->paced = reader->paced;
	}
}

enum source_end av_tracks_choose(struct av_reader *reader)
{
	AVFormatContext *input = reader->input;
	bool any_video, any_audio;

	track_choose(reader, true, &any_video);
	if (reader->with_audio)
		track_choose(reader, false, &any_audio);
	/* what nobody wants is not fetched: the other variants of a playlist */
	for (unsigned i = 0; i < input->nb_streams; i++) {
		bool wanted = input->streams[i] == reader->tracks[0].stream ||
			      input->streams[i] == reader->tracks[1].stream;

		input->streams[i]->discard = wanted ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
	}
	if (reader->tracks[0].stream)
		return SOURCE_STOPPED;
	return any_video ? SOURCE_UNSUPPORTED : SOURCE_NO_VIDEO;
}

static struct av_track *track_find(struct av_reader *reader, int index)
{
	for (size_t i = 0; i < AV_TRACKS; i++) {
		struct av_track *track = &reader->tracks[i];

		if (track->stream && track->stream->index == index)
			return track;
	}
	return NULL;
}

/* --- batches --- */

/* Counts the pass of a file, and moves the packet behind the passes before. */
static void reader_place(struct av_reader *reader, const struct av_track *track, AVPacket *packet)
{
	const AVRational base = { 1, AV_VIDEO_HZ };
	struct av_pass *pass = &reader->passes[packet->stream_index];
	int64_t first = av_rescale_q(packet->dts, track->time_base, base);
	int64_t end = av_rescale_q(packet->dts + packet->duration, track->time_base, base);
	int64_t shift = av_rescale_q(reader->loop_90k, base, track->time_base);

	if (!pass->begun)
		*pass = (struct av_pass){ true, first, end };
	else if (end > pass->end_90k)
		pass->end_90k = end;
	packet->pts += shift;
	packet->dts += shift;
}

static void job_add(struct av_job *job, struct av_track *track, AVPacket *packet, int64_t arrival)
{
	struct av_reader *reader = job->reader;
	struct av_item *item = &job->items[job->count++];

	packet->stream_index = (int)(track - reader->tracks);
	if (reader->loop)
		reader_place(reader, track, packet);
	job->bytes += (size_t)packet->size;
	job->time_bases[packet->stream_index] = track->time_base;
	job->rotation = track->video ? track->rotation : job->rotation;
	*item = (struct av_item){ .packet = packet, .arrival_us = arrival };
	if (!track->parameters_changed)
		return;
	track->parameters_changed = false;
	item->parameters = avcodec_parameters_alloc();
	if (!item->parameters || avcodec_parameters_copy(item->parameters, track->parameters) < 0)
		abort();
}

/* Marks a packet that is known to have a hole, or a track of which one was lost. */
static void reader_judge(struct av_reader *reader, struct av_track *track, AVPacket *packet)
{
	size_t kept = 0;

	for (size_t i = 0; i < reader->suspects_count; i++) {
		struct av_suspect suspect = reader->suspects[i];
		bool timed = suspect.dts != AV_NOPTS_VALUE && packet->dts != AV_NOPTS_VALUE;
		int64_t since =
			timed ? av_track_elapsed(track->stream, suspect.dts, packet->dts) : 0;

		if (suspect.stream != packet->stream_index || since < 0)
			reader->suspects[kept++] = suspect;
		else if (since == 0)
			packet->flags |= AV_PKT_FLAG_CORRUPT;
		else
			track->damaged = track->video;
	}
	reader->suspects_count = kept;
}

static void job_take(struct av_job *job, AVPacket *packet, int64_t arrival_us)
{
	struct av_reader *reader = job->reader;
	struct av_track *track = track_find(reader, packet->stream_index);
	AVPacket *made;

	if (!track && !reader->tracks[1].stream && reader->with_audio) {
		(void)av_tracks_choose(reader); /* sound that began later */
		track = track_find(reader, packet->stream_index);
	}
	job->received_bytes += (size_t)packet->size;
	if (track)
		reader_judge(reader, track, packet);
	made = track ? av_track_convert(track, packet, arrival_us, &job->dropped) : NULL;
	if (made)
		job_add(job, track, made, arrival_us);
	av_packet_unref(packet);
}

/* How long a pass took: as long as its pictures, but for sound that goes on without them. */
static int64_t reader_end_pass(struct av_reader *reader)
{
	int64_t lengths[AV_TRACKS], longest = 0;

	for (size_t i = 0; i < AV_TRACKS; i++) {
		lengths[i] = reader->passes[i].end_90k - reader->passes[i].first_90k;
		if (lengths[i] > longest)
			longest = lengths[i];
		reader->passes[i] = (struct av_pass){ 0 };
	}
	if (longest - lengths[0] <= PASS_OVER_90K)
		longest = lengths[0];
	return longest;
}

/* Opens the file again, its times going on. Returns whether. */
static bool job_begin_again(struct av_job *job)
{
	struct av_reader *reader = job->reader;
	int64_t longest = reader_end_pass(reader);

	if (!reader->loop || !longest || atomic_load(&reader->stop))
		return false;
	reader->loop_90k += longest > PASS_LEAST_90K ? longest : PASS_LEAST_90K;
	av_input_close(reader);
	for (size_t i = 0; i < AV_TRACKS; i++)
		av_track_fini(&reader->tracks[i]);
	return av_input_open(reader, job);
}

/* Whether a run may begin with all tracks: a first batch goes on until each has come, for a while. */
static bool job_is_ready(const struct av_job *job)
{
	const struct av_track *tracks = job->reader->tracks;

	if (!job->count)
		return false;
	if (job->limit_bytes != AV_FIRST_BYTES)
		return true;
	for (size_t i = 0; i < AV_TRACKS; i++) {
		if (tracks[i].stream && (!tracks[i].parameters || tracks[i].parameters_changed))
			return false;
	}
	return true;
}

/* Reads one packet. Returns whether to go on. */
static bool job_read_one(struct av_job *job)
{
	struct av_reader *reader = job->reader;
	int64_t before_us = reactor_monotonic_us(), after_us;
	int error;

	av_input_allow(reader, av_input_silence_us(reader));
	error = reader->library->read_frame(reader->input, reader->packet);
	if (error == AVERROR(EAGAIN)) {
		(void)usleep(AGAIN_US);
		return !atomic_load(&reader->stop);
	}
	if (error == AVERROR_EOF && !reader->expired && job_begin_again(job))
		return true;
	if (job->end != SOURCE_STOPPED)
		return false; /* it could not be opened again */
	if (error < 0) {
		av_input_fail(reader, job, error, SOURCE_STALLED);
		return false;
	}
	after_us = reactor_monotonic_us();
	job_take(job, reader->packet, after_us);
	return after_us - before_us < WAITED_US || !job_is_ready(job);
}

void av_job_open(struct worker_job *worker_job)
{
	struct av_job *job = CONTAINER_OF(worker_job, struct av_job, job);

	av_input_name_log(job->reader);
	(void)av_input_open(job->reader, job);
	job->paced = job->reader->paced;
	av_input_name_log(NULL);
}

void av_job_read(struct worker_job *worker_job)
{
	struct av_job *job = CONTAINER_OF(worker_job, struct av_job, job);
	bool first = job->limit_bytes == AV_FIRST_BYTES;
	int64_t until_us = reactor_monotonic_us() + (first ? FIRST_BATCH_US : BATCH_US);

	av_input_name_log(job->reader);
	job->paced = job->reader->paced;
	while (job->count < AV_ITEMS && job->bytes < job->limit_bytes &&
		reactor_monotonic_us() < until_us) {
		if (!job_read_one(job))
			break;
	}
	av_input_name_log(NULL);
}

void av_job_close(struct worker_job *worker_job)
{
	struct av_job *job = CONTAINER_OF(worker_job, struct av_job, job);

	av_input_name_log(job->reader);
	/* there is time to say good-bye */
	av_input_allow(job->reader, CLOSE_US);
	atomic_store(&job->reader->stop, false);
	av_input_close(job->reader);
	av_input_name_log(NULL);
}
