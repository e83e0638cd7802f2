/*
 * An av: source on the reactor: posts one job after the other, gives packets their place in UTC and
 * publishes them; what comes faster than it was filmed waits until it is due.
 */
#include "protocols/av_source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "protocols/av_source_private.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "server/media/clock.h"
#include "server/media/sound.h"

enum {
	FINI_US = 2000000,
	FINI_TURN_US = 50000,
	NO_VIDEO_US = 30 * 1000000, /* without a picture, or at first a keyframe, for so long */
	PACE_LOST_US = 10 * 1000000,
	APART_US = 5 * 1000000, /* of sound and picture, at most */
	WELL_US = 10 * 1000000, /* without damage for so long: all is well again */
	JOBS = 2,
};

enum av_state {
	AV_OPENING,
	AV_WAITING, /* for a keyframe and its parameter sets */
	AV_UP,
	AV_ENDED,
	AV_LEAVING /* freed; its thread may still be on its way back */
};

struct av_output {
	AVCodecParameters *parameters; /* the source's; NULL: no such track yet */
	AVRational time_base;
	int rotation;
	int64_t last_dts; /* of the run; AV_NOPTS_VALUE before the first */
	struct metric *frames;
};

struct av_source {
	LIST_ENTRY(av_source) leaving;
	struct log_name log;
	struct stream *stream;
	const struct source_events *events;
	void *arg;
	enum av_state state;
	struct worker *worker;
	struct av_reader *reader; /* the worker's while it is busy */
	bool busy, closed;
	struct av_job *job; /* taken, published up to `next` */
	size_t next;

	struct av_output outputs[AV_TRACKS];
	struct sound *aac;  /* what the run's sound goes through; or NULL */
	struct clock clock; /* of the picture; sound follows it */
	bool stamped;
	int64_t offset_90k;   /* from the source's time to UTC */
	int64_t video_dts_us; /* of the source's time, the last picture's */
	int64_t video_us;     /* monotonic: the last picture, or the start */
	int64_t damaged_us;   /* monotonic: the last damage; 0: the owner knows of none */

	struct event *due_timer;
	bool pacing;
	int64_t pace_us; /* monotonic less media time */

	struct metric *bytes, *dropped;
	struct reactor_dead dead;
};

static LIST_HEAD(, av_source) leaving = LIST_HEAD_INITIALIZER(leaving);

static const AVRational base_90k = { 1, AV_VIDEO_HZ };
static const AVRational base_us = { 1, 1000000 };

static void av_source_enter(struct av_source *source, enum av_state state)
{
	static const char *const names[] = { "opening", "waiting for a keyframe", "up", "ended",
		"leaving" };

	if (source->state == state)
		return;
	log_debug(&source->log, "%s -> %s", names[source->state], names[state]);
	source->state = state;
}

static bool av_source_is_live(const struct av_source *source)
{
	return source->state < AV_ENDED;
}

static void av_source_end(struct av_source *source, enum source_end end, const char *detail)
{
	av_source_enter(source, AV_ENDED);
	reactor_timer_stop(source->due_timer);
	stream_end(source->stream);
	source->events->on_end(source->arg, end, detail && *detail ? detail : NULL);
}

/* --- jobs --- */

static void av_source_on_done(struct worker_job *worker_job);

static void av_source_post(
	struct av_source *source, void (*run)(struct worker_job *job), size_t limit_bytes)
{
	struct av_job *job = xcalloc(1, sizeof(*job));

	job->job.run = run;
	job->job.done = av_source_on_done;
	job->job.bytes = job->limit_bytes = limit_bytes;
	job->source = source;
	job->reader = source->reader;
	job->end = SOURCE_STOPPED;
	source->busy = worker_post(source->worker, &job->job) == 0;
	if (!source->busy)
		abort(); /* it never has more than this one */
}

/* --- a run --- */

static bool same_parameters(const AVCodecParameters *a, const AVCodecParameters *b)
{
	return a && a->codec_id == b->codec_id && a->width == b->width && a->height == b->height &&
	       a->sample_rate == b->sample_rate && a->extradata_size == b->extradata_size &&
	       (a->extradata_size <= 0 ||
		       !memcmp(a->extradata, b->extradata, (size_t)a->extradata_size));
}

/* Takes an item's new parameters. Returns whether there are any. */
static bool av_source_take_parameters(struct av_source *source, struct av_item *item)
{
	struct av_output *output = &source->outputs[item->packet->stream_index];
	AVCodecParameters *taken = item->parameters;

	item->parameters = NULL;
	if (!taken || same_parameters(output->parameters, taken)) {
		avcodec_parameters_free(&taken);
		return false;
	}
	avcodec_parameters_free(&output->parameters);
	output->parameters = taken;
	output->time_base = source->job->time_bases[item->packet->stream_index];
	output->rotation = item->packet->stream_index == 0 ? source->job->rotation : 0;
	return true;
}

/* The sound of the first batch belongs to the run that its first picture begins. */
static void av_source_find_sound(struct av_source *source)
{
	struct av_job *job = source->job;

	for (size_t i = source->next; i < job->count && !source->outputs[1].parameters; i++) {
		if (job->items[i].packet->stream_index == 1)
			(void)av_source_take_parameters(source, &job->items[i]);
	}
}

static void av_source_on_aac(void *arg, AVPacket *packet);

static void av_source_begin_run(struct av_source *source)
{
	struct stream_track tracks[AV_TRACKS];
	const char *why = NULL;
	size_t n = 0;

	for (size_t i = 0; i < AV_TRACKS; i++) {
		struct av_output *output = &source->outputs[i];

		output->last_dts = AV_NOPTS_VALUE;
		if (!output->parameters)
			continue;
		tracks[n] = (struct stream_track){ output->parameters, output->time_base,
			output->rotation };
		if (i > 0)
			why = sound_fit(&source->aac, &tracks[n], source->reader->with_aac,
				source->dropped, av_source_on_aac, source);
		n++;
	}
	if (why)
		log_warn(&source->log, "its sound cannot be made AAC: %s", why);
	stream_begin(source->stream, tracks, n);
}

static void av_source_drop_aac(struct av_source *source)
{
	sound_free(source->aac);
	source->aac = NULL;
}

/* --- times --- */

/*
 * What was read while libavformat looked around came at once, but was made one after the other: each
 * picture of the first batch counts as having come when the least delayed one says.
 */
static void av_source_date_first(struct av_job *job)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < job->count; i++) {
		const AVPacket *packet = job->items[i].packet;
		int64_t delay =
			job->items[i].arrival_us - av_rescale_q(packet->dts, base_90k, base_us);

		if (packet->stream_index == 0 && delay < least)
			least = delay;
	}
	for (size_t i = 0; i < job->count; i++) {
		const AVPacket *packet = job->items[i].packet;

		if (packet->stream_index == 0)
			job->items[i].arrival_us =
				least + av_rescale_q(packet->dts, base_90k, base_us);
	}
}

/* Places a picture in UTC. Returns whether the source's time leapt. */
static bool av_source_stamp(struct av_source *source, AVPacket *packet, int64_t arrival_us)
{
	int64_t now_us = reactor_monotonic_us();
	int64_t at_us = source->job->paced ? now_us : arrival_us;
	int64_t stamp;
	bool jumped =
		clock_stamp(&source->clock, (uint32_t)packet->dts,
			wall_clock_media_us() - (now_us - at_us), at_us, &stamp) == CLOCK_JUMPED;

	source->offset_90k = stamp - packet->dts;
	source->video_dts_us = av_rescale_q(packet->dts, base_90k, base_us);
	source->video_us = now_us;
	packet->pts += source->offset_90k;
	packet->dts = stamp;
	return jumped;
}

/* Gives a packet a time that rises strictly within the run. Returns whether it has one. */
static bool av_output_order(struct av_output *output, AVPacket *packet)
{
	if (output->last_dts != AV_NOPTS_VALUE && packet->dts <= output->last_dts) {
		if (packet->stream_index > 0)
			return false;
		packet->dts = output->last_dts + 1;
	}
	if (packet->pts < packet->dts)
		packet->pts = packet->dts;
	output->last_dts = packet->dts;
	return true;
}

/* --- publishing --- */

static void av_source_give(struct av_source *source, AVPacket *packet)
{
	struct av_output *output = &source->outputs[packet->stream_index];

	if (av_output_order(output, packet))
		stream_publish(source->stream, packet);
}

static void av_source_on_aac(void *arg, AVPacket *packet)
{
	struct av_source *source = arg;

	packet->stream_index = 1;
	if (source->state == AV_UP)
		av_source_give(source, packet);
}

static void av_source_publish_video(struct av_source *source, struct av_item *item)
{
	bool begin = av_source_take_parameters(source, item);

	if (!source->outputs[0].parameters ||
		(source->state == AV_WAITING && !(item->packet->flags & AV_PKT_FLAG_KEY)))
		return;
	if (av_source_stamp(source, item->packet, item->arrival_us) && source->state == AV_UP) {
		log_warn(&source->log, "its time jumped: a new recording begins");
		av_source_drop_aac(source); /* what is on its way has times of before */
		begin = true;
	}
	if (source->state == AV_WAITING)
		av_source_find_sound(source);
	if (begin || source->state == AV_WAITING)
		av_source_begin_run(source);
	metric_add(source->outputs[0].frames, 1);
	av_source_give(source, item->packet);
	if (source->state == AV_WAITING) {
		av_source_enter(source, AV_UP);
		source->events->on_up(source->arg);
	}
}

static void av_source_publish_audio(struct av_source *source, struct av_item *item)
{
	struct av_output *output = &source->outputs[1];
	AVPacket *packet = item->packet;
	bool begin = av_source_take_parameters(source, item);
	int64_t apart_us;

	if (source->state != AV_UP || !output->parameters)
		return;
	apart_us = av_rescale_q(packet->dts, output->time_base, base_us) - source->video_dts_us;
	if (apart_us > APART_US || apart_us < -APART_US)
		return;
	if (begin)
		av_source_begin_run(source);
	packet->dts += av_rescale_q(source->offset_90k, base_90k, output->time_base);
	packet->pts = packet->dts;
	metric_add(output->frames, 1);
	if (source->aac)
		sound_push(source->aac, packet);
	else
		av_source_give(source, packet);
}

/* How long the item still has to wait: 0 where it is due. */
static int64_t av_source_wait_us(struct av_source *source, const struct av_item *item)
{
	AVRational base = source->job->time_bases[item->packet->stream_index];
	int64_t media_us = av_rescale_q(item->packet->dts, base, base_us);
	int64_t now_us = reactor_monotonic_us();
	int64_t wait_us = source->pace_us + media_us - now_us;

	if (!source->job->paced)
		return 0;
	if (!source->pacing || wait_us > PACE_LOST_US || wait_us < -PACE_LOST_US) {
		source->pacing = true;
		source->pace_us = now_us - media_us;
		return 0;
	}
	return wait_us > 0 ? wait_us : 0;
}

static void av_source_check_video(struct av_source *source)
{
	bool up = source->state == AV_UP;

	if (reactor_monotonic_us() - source->video_us > NO_VIDEO_US)
		av_source_end(source, up ? SOURCE_STALLED : SOURCE_NO_KEYFRAME, NULL);
}

/* Tells the owner when the batch is the first with damage, and when there was none for a while. */
static void av_source_look(struct av_source *source)
{
	int64_t now_us = reactor_monotonic_us();
	bool damaged = source->job->dropped, was_degraded = source->damaged_us;

	if (source->state != AV_UP)
		return;
	if (damaged)
		source->damaged_us = now_us;
	if (damaged && !was_degraded) {
		source->events->on_degraded(source->arg, "packets arrive damaged");
	} else if (was_degraded && now_us - source->damaged_us > WELL_US) {
		source->damaged_us = 0;
		source->events->on_degraded(source->arg, NULL);
	}
}

/* Publishes what is due of the batch; then the next one may be read. */
static void av_source_drain(struct av_source *source)
{
	struct av_job *job = source->job;
	enum source_end end = job->end;

	while (source->next < job->count) {
		struct av_item *item = &job->items[source->next];
		int64_t wait_us = av_source_wait_us(source, item);

		if (wait_us > 0) {
			reactor_timer_start(source->due_timer, wait_us);
			return;
		}
		source->next++;
		if (item->packet->stream_index == 0)
			av_source_publish_video(source, item);
		else
			av_source_publish_audio(source, item);
		if (!av_source_is_live(source))
			return;
	}
	if (end != SOURCE_STOPPED) {
		av_source_end(source, end, job->detail);
		return;
	}
	av_source_look(source);
	if (!av_source_is_live(source))
		return;
	av_job_free(job);
	source->job = NULL;
	av_source_check_video(source);
	if (av_source_is_live(source))
		av_source_post(source, av_job_read, AV_BATCH_BYTES);
}

static void av_source_on_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	av_source_drain(arg);
}

/* --- jobs that come back --- */

static void av_source_take(struct av_source *source, struct av_job *job)
{
	metric_add(source->bytes, (double)job->received_bytes);
	metric_add(source->dropped, (double)job->dropped);
	if (source->state == AV_OPENING && job->end == SOURCE_STOPPED) {
		av_job_free(job);
		av_source_enter(source, AV_WAITING);
		source->video_us = reactor_monotonic_us();
		av_source_post(source, av_job_read, AV_FIRST_BYTES);
		return;
	}
	if (!source->stamped && !job->paced && job->count)
		av_source_date_first(job);
	source->stamped = source->stamped || job->count;
	source->job = job;
	source->next = 0;
	av_source_drain(source);
}

static void av_source_fini(void *object)
{
	struct av_source *source = object;

	LIST_REMOVE(source, leaving);
	worker_free(source->worker); /* which has nothing to do any more */
	av_job_free(source->job);
	av_reader_free(source->reader);
	for (size_t i = 0; i < AV_TRACKS; i++)
		avcodec_parameters_free(&source->outputs[i].parameters);
	free(source);
}

/* Closing may block as well: the worker does it, then the rest goes. */
static void av_source_leave(struct av_source *source)
{
	if (source->busy)
		return;
	if (source->closed) {
		reactor_free_later(&source->dead, av_source_fini, source);
		return;
	}
	source->closed = true;
	av_source_post(source, av_job_close, 0);
}

static void av_source_on_done(struct worker_job *worker_job)
{
	struct av_job *job = CONTAINER_OF(worker_job, struct av_job, job);
	struct av_source *source = job->source;

	source->busy = false;
	if (source->state == AV_LEAVING) {
		av_job_free(job);
		av_source_leave(source);
		return;
	}
	av_source_take(source, job);
}

/* --- life --- */

struct av_source *av_source_new(const struct source_order *order, const char **why)
{
	struct av_reader *reader = av_reader_new(order, why);
	struct av_source *source;

	if (!reader)
		return NULL;
	if (order->config->tls_fingerprint) {
		*why = "av: cannot check tls_fingerprint";
		av_reader_free(reader);
		return NULL;
	}
	av_input_take_log();
	source = xcalloc(1, sizeof(*source));
	source->log = (struct log_name){ .parent = order->log, .kind = "av" };
	source->stream = order->stream;
	source->events = order->events;
	source->arg = order->arg;
	source->reader = reader;
	clock_init(&source->clock, AV_VIDEO_HZ);
	source->bytes = metric_get(METRIC_CAMERA_BYTES, order->camera);
	source->dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, order->camera);
	source->outputs[0].frames = metric_get(METRIC_CAMERA_FRAMES, order->camera, "video");
	source->outputs[1].frames = metric_get(METRIC_CAMERA_FRAMES, order->camera, "audio");
	source->due_timer = reactor_timer_new(av_source_on_due, source);
	source->worker = worker_new("av", JOBS, AV_FIRST_BYTES);
	av_source_post(source, av_job_open, 0);
	return source;
}

void av_source_free(struct av_source *source)
{
	if (!source)
		return;
	if (source->state == AV_UP)
		stream_end(source->stream);
	av_source_enter(source, AV_LEAVING);
	source->log.parent = NULL;
	av_source_drop_aac(source);
	atomic_store(&source->reader->stop, true);
	reactor_timer_free(&source->due_timer);
	LIST_INSERT_HEAD(&leaving, source, leaving);
	av_source_leave(source);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

bool av_source_fini_all(void)
{
	struct event *turn = reactor_timer_new(on_turn, NULL);
	int64_t until_us = reactor_monotonic_us() + FINI_US;

	while (!LIST_EMPTY(&leaving) && reactor_monotonic_us() < until_us) {
		reactor_timer_start(turn, FINI_TURN_US);
		(void)event_base_loop(reactor_base(), EVLOOP_ONCE);
	}
	reactor_timer_free(&turn);
	if (!LIST_EMPTY(&leaving))
		log_warn(NULL, "av: libavformat did not come back in time: left behind");
	return LIST_EMPTY(&leaving);
}
