#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavformat/avformat.h>

#include "server/base/config.h"
#include "server/base/log.h"
#include "server/base/worker.h"
#include "server/media/av_library.h"
#include "server/media/source.h"
#include "storage/av_track.h"

/* --- av_source_address.c: what libavformat may do for a source --- */

enum {
	AV_FILE = 1,        /* a regular file: paced, may loop */
	AV_DEVICE = 2,      /* V4L2 */
	AV_SECRET_PATH = 4, /* the path holds a key: RTMP */
};

struct av_scheme {
	const char *names;     /* separated by commas */
	const char *protocols; /* that may be opened, by the address or by what is read from it */
	const char *formats;   /* demuxers */
	unsigned flags;        /* AV_FILE ... */
};

enum {
	AV_SECRETS = 16,
	AV_SECRET_LEAST = 3, /* shorter ones would hide half of a message */
	AV_URL_BYTES = 4096
};

struct av_address {
	const struct av_scheme *scheme;
	char *url; /* as libavformat takes it; secret */
	char *secrets[AV_SECRETS];
	size_t secrets_count;
};

/* Parses a source with its "av:". Returns 0, or -EINVAL and a static reason in *why. */
int av_address_parse(struct av_address *ret, const char *source, const char **why) MUST_CHECK;
void av_address_fini(struct av_address *address);

/* Overwrites what must not be logged: users and queries of any URL, the address's own secrets. */
void av_hide_secrets(char *text, const struct av_address *address);

/* --- the reader: owned by the worker while a job runs, by the reactor between jobs --- */

enum {
	AV_TRACKS = 2, /* 0: video, 1: audio */
	AV_ITEMS = 256,
	AV_BATCH_BYTES = 1 << 20,
	AV_FIRST_BYTES = 8 << 20, /* the first batch: all that was read while probing */
	AV_SUSPECTS = 16,
};

struct av_reader {
	char *label;
	struct log_name camera, log;
	struct av_address address;
	bool with_audio, with_aac, loop, tls_verify;

	/* both threads */
	_Atomic bool stop;           /* set by the reactor: nobody wants more */
	_Atomic int64_t deadline_us; /* monotonic */

	const struct av_library *library; /* NULL until it is loaded */
	AVFormatContext *input;
	int (*io_open)(AVFormatContext *, AVIOContext **, const char *, int, AVDictionary **);
	bool paced;           /* comes faster than it was filmed */
	bool expired;         /* the deadline ended a call */
	enum source_end told; /* by libavformat's log; SOURCE_STOPPED: nothing */
	const char *told_detail;
	struct av_suspect {
		int stream;
		int64_t dts;     /* or AV_NOPTS_VALUE */
	} suspects[AV_SUSPECTS]; /* packets with a hole that are still to come */
	size_t suspects_count;
	AVPacket *packet;
	struct av_track tracks[AV_TRACKS];
	struct av_pass {
		bool begun;
		int64_t first_90k, end_90k;
	} passes[AV_TRACKS]; /* each track's, of this pass of a file that loops */
	int64_t loop_90k;    /* all passes before */
};

struct av_item {
	AVPacket *packet;              /* its times count from the source's own origin */
	AVCodecParameters *parameters; /* new from here on, or NULL */
	int64_t arrival_us;            /* monotonic */
};

struct av_job {
	struct worker_job job;
	struct av_source *source; /* reactor */
	struct av_reader *reader;

	struct av_item items[AV_ITEMS]; /* the result */
	size_t count, bytes, received_bytes, dropped;
	size_t limit_bytes;
	bool paced;
	AVRational time_bases[AV_TRACKS];
	int rotation;        /* of the picture: struct stream_track */
	enum source_end end; /* SOURCE_STOPPED: none */
	char detail[160];
};

struct av_reader *av_reader_new(const struct source_order *order, const char **why) MUST_CHECK;
void av_reader_free(struct av_reader *reader); /* on any thread; its input is closed */

/* --- av_source_input.c: worker --- */

/* Opens the address. Returns whether; else the job has its end. */
bool av_input_open(struct av_reader *reader, struct av_job *job);
void av_input_close(struct av_reader *reader);
/* Gives a call of libavformat so much time. */
void av_input_allow(struct av_reader *reader, int64_t us);
int64_t av_input_silence_us(const struct av_reader *reader);
void av_input_fail(
	struct av_reader *reader, struct av_job *job, int error, enum source_end expired);
/* Messages of this thread are this reader's, until NULL. */
void av_input_name_log(struct av_reader *reader);
void av_input_take_log(void);

/* --- av_source_packets.c: worker --- */

void av_job_open(struct worker_job *job);
void av_job_read(struct worker_job *job);
void av_job_close(struct worker_job *job);
void av_job_free(struct av_job *job);

/* Chooses tracks among the streams that are known. Returns SOURCE_STOPPED, or why there is none. */
enum source_end av_tracks_choose(struct av_reader *reader);
