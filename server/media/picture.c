/* Pictures that are being made, and those that were: one list, the one asked for last at its head. */
#include "server/media/picture.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <libavutil/log.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/worker.h"
#include "server/media/decode.h"

struct picture_request {
	TAILQ_ENTRY(picture_request) entry;
	struct picture *picture;
	picture_fn *done;
	void *arg;
};

struct picture {
	TAILQ_ENTRY(picture) entry;
	int refs;
	/* which one it is; `of_bytes` are those of the keyframe */
	char source[PICTURE_SOURCE_BYTES];
	int64_t at_us;
	int of_bytes;
	unsigned width;
	bool live;
	/* while it is made */
	struct picture_job *job; /* NULL: it has been */
	TAILQ_HEAD(, picture_request) requests;
	/* then */
	AVPacket *jpeg; /* NULL with an error */
	int error;
};

struct picture_job {
	struct worker_job job;
	struct picture *picture; /* reactor; NULL: nobody waits for it */
	_Atomic bool stop;       /* the same, for the worker */
	AVPacket *packet;
	AVCodecParameters *parameters;
	int rotation;
	unsigned width;

	AVPacket *jpeg; /* the result */
	const char *why;
	int error;
};

/* reactor */
static TAILQ_HEAD(picture_list, picture) pictures = TAILQ_HEAD_INITIALIZER(pictures);
/* limits PICTURE_KEPT, PICTURE_KEPT_BYTES; when full the last one goes; METRIC_PICTURES_KEPT */
static size_t pictures_count, pictures_bytes;
static struct worker *pictures_worker; /* NULL until the first one is made */
static struct log_repeated pictures_failed;

/* --- life --- */

struct picture *picture_ref(struct picture *picture)
{
	picture->refs++;
	return picture;
}

void picture_unref(struct picture **picture)
{
	struct picture *p = *picture;

	*picture = NULL;
	if (!p || --p->refs > 0)
		return;
	assert(TAILQ_EMPTY(&p->requests));
	av_packet_free(&p->jpeg);
	free(p);
}

static struct picture *picture_new(const struct picture_order *order)
{
	struct picture *picture = xcalloc(1, sizeof(*picture));

	picture->refs = 1;
	memcpy(picture->source, order->source, sizeof(picture->source));
	picture->at_us = order->at_us;
	picture->of_bytes = order->packet->size;
	picture->width = order->width;
	picture->live = order->live;
	TAILQ_INIT(&picture->requests);
	return picture;
}

const char *picture_source(const struct picture *picture)
{
	return picture->source;
}

int64_t picture_at_us(const struct picture *picture)
{
	return picture->at_us;
}

size_t picture_bytes(const struct picture *picture)
{
	return (size_t)picture->jpeg->size;
}

static void picture_on_sent(const void *data, size_t n, void *arg)
{
	AVPacket *jpeg = arg;

	(void)data, (void)n;
	av_packet_free(&jpeg);
}

void picture_append(const struct picture *picture, struct evbuffer *out)
{
	AVPacket *jpeg = av_packet_clone(picture->jpeg);

	if (!jpeg || evbuffer_add_reference(
			     out, jpeg->data, (size_t)jpeg->size, picture_on_sent, jpeg) < 0)
		abort();
}

char *picture_tag(char ret[PICTURE_TAG_BYTES], const struct picture_order *order)
{
	(void)snprintf(ret, PICTURE_TAG_BYTES, "\"p%" PRIx64 "-%x-%x\"", (uint64_t)order->at_us,
		(unsigned)order->packet->size, order->width);
	return ret;
}

/* --- the list --- */

static size_t picture_kept_bytes(const struct picture *picture)
{
	return picture->jpeg ? picture_bytes(picture) : 0;
}

static void pictures_count_bytes(void)
{
	metric_set(metric_get(METRIC_PICTURES_KEPT), (double)pictures_bytes);
}

static void picture_keep(struct picture *picture)
{
	TAILQ_INSERT_HEAD(&pictures, picture, entry);
	pictures_count++;
}

static void picture_forget(struct picture *picture)
{
	TAILQ_REMOVE(&pictures, picture, entry);
	pictures_count--;
	pictures_bytes -= picture_kept_bytes(picture);
	picture_unref(&picture);
}

static struct picture *pictures_find(const struct picture_order *order)
{
	struct picture *picture;

	TAILQ_FOREACH (picture, &pictures, entry) {
		if (picture->at_us == order->at_us && picture->width == order->width &&
			picture->of_bytes == order->packet->size &&
			!strcmp(picture->source, order->source))
			return picture;
	}
	return NULL;
}

/* A picture has been made: those that it replaces go, and the oldest ones that there is no room for. */
static void pictures_trim(const struct picture *made)
{
	struct picture *picture, *before;

	for (picture = TAILQ_LAST(&pictures, picture_list); picture; picture = before) {
		bool replaced,
			many = pictures_count > PICTURE_KEPT || pictures_bytes > PICTURE_KEPT_BYTES;

		before = TAILQ_PREV(picture, picture_list, entry);
		replaced = made->live && picture->live && picture->at_us < made->at_us &&
			   picture->width == made->width && !strcmp(picture->source, made->source);
		if (picture != made && !picture->job && (replaced || many))
			picture_forget(picture);
	}
	pictures_count_bytes();
}

/* --- making --- */

static void picture_job_free(struct picture_job *job)
{
	av_packet_free(&job->packet);
	av_packet_free(&job->jpeg);
	avcodec_parameters_free(&job->parameters);
	free(job);
}

static void picture_job_run(struct worker_job *worker_job)
{
	struct picture_job *job = CONTAINER_OF(worker_job, struct picture_job, job);
	const struct decode_order order = { job->parameters, job->packet, job->rotation,
		job->width };

	if (!job->stop)
		job->error = decode_to_jpeg(&order, &job->jpeg, &job->why);
}

static void picture_tell(struct picture *picture)
{
	struct picture_request *request;

	while ((request = TAILQ_FIRST(&picture->requests))) {
		picture_fn *done = request->done;
		void *arg = request->arg;

		TAILQ_REMOVE(&picture->requests, request, entry);
		free(request);
		done(arg, picture->error, picture->error ? NULL : picture);
	}
}

static void picture_take(struct picture *picture, struct picture_job *job)
{
	picture->job = NULL;
	picture->error = job->error;
	picture->jpeg = job->jpeg;
	job->jpeg = NULL;
	pictures_bytes += picture_kept_bytes(picture);
	if (picture->error)
		log_write_repeated(&pictures_failed, LOG_WARN, NULL, "a picture of %s: %s",
			picture->source, job->why);
	pictures_trim(picture);
	picture_ref(picture);
	picture_tell(picture);
	picture_unref(&picture);
}

static void picture_job_done(struct worker_job *worker_job)
{
	struct picture_job *job = CONTAINER_OF(worker_job, struct picture_job, job);

	if (job->jpeg || job->error)
		metric_add(metric_get(METRIC_PICTURES_DECODED, job->error ? "failed" : "made"), 1);
	if (job->picture)
		picture_take(job->picture, job);
	picture_job_free(job);
}

static struct picture_job *picture_job_new(const struct picture_order *order)
{
	struct picture_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct worker_job){ .run = picture_job_run,
		.done = picture_job_done,
		.bytes = sizeof(*job) + (size_t)order->packet->size };
	job->packet = av_packet_clone(order->packet);
	job->parameters = avcodec_parameters_alloc();
	if (!job->packet || !job->parameters ||
		avcodec_parameters_copy(job->parameters, order->parameters) < 0)
		abort();
	job->rotation = order->rotation;
	job->width = order->width;
	return job;
}

/* NULL: too many are waiting. */
static struct picture *picture_start(const struct picture_order *order)
{
	struct picture_job *job = picture_job_new(order);
	struct picture *picture;

	if (!pictures_worker) {
		av_log_set_level(
			AV_LOG_QUIET); /* of libav's own log; what fails is told by picture_take() */
		pictures_worker = worker_new("picture", PICTURE_JOBS, PICTURE_JOB_BYTES);
	}
	if (worker_post(pictures_worker, &job->job) < 0) {
		picture_job_free(job);
		return NULL;
	}
	picture = picture_new(order);
	picture->job = job;
	job->picture = picture;
	picture_keep(picture);
	return picture;
}

/* --- asking --- */

/* Whether the keyframe is what is asked for. */
static bool order_is_jpeg(const struct picture_order *order)
{
	return order->parameters->codec_id == AV_CODEC_ID_MJPEG && order->rotation == 0 &&
	       (!order->width || order->width >= decode_width(order->parameters, order->rotation));
}

int picture_find(const struct picture_order *order, struct picture **ret)
{
	struct picture *picture;

	if (order_is_jpeg(order)) {
		picture = picture_new(order);
		picture->jpeg = av_packet_clone(order->packet);
		if (!picture->jpeg)
			abort();
		*ret = picture;
		return 0;
	}
	picture = pictures_find(order);
	if (!picture || picture->job)
		return -EINPROGRESS;
	TAILQ_REMOVE(&pictures, picture, entry);
	TAILQ_INSERT_HEAD(&pictures, picture, entry);
	if (!picture->error)
		*ret = picture_ref(picture);
	return picture->error;
}

struct picture_request *picture_get(const struct picture_order *order, picture_fn *done, void *arg)
{
	struct picture *picture = pictures_find(order);
	struct picture_request *request;

	if (!picture)
		picture = picture_start(order);
	if (!picture)
		return NULL;
	assert(picture->job); /* else picture_find() had found it */
	request = xcalloc(1, sizeof(*request));
	request->picture = picture;
	request->done = done;
	request->arg = arg;
	TAILQ_INSERT_TAIL(&picture->requests, request, entry);
	return request;
}

void picture_cancel(struct picture_request *request)
{
	struct picture *picture;

	if (!request)
		return;
	picture = request->picture;
	TAILQ_REMOVE(&picture->requests, request, entry);
	free(request);
	if (!picture->job || !TAILQ_EMPTY(&picture->requests))
		return;
	picture->job->stop = true;
	picture->job->picture = NULL;
	picture->job = NULL;
	picture_forget(picture);
}

void picture_fini(void)
{
	worker_free(pictures_worker);
	pictures_worker = NULL;
	while (!TAILQ_EMPTY(&pictures))
		picture_forget(TAILQ_FIRST(&pictures));
	pictures_failed = (struct log_repeated){ 0 };
}
