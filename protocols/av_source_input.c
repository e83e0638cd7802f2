/* Opening and closing libavformat's side of an av: source: its options, limits, errors and log. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/log.h>

#include "protocols/av_source_private.h"
#include "server/base/reactor.h"

enum {
	OPEN_US = 20 * 1000000,
	LISTEN_US = 60 * 1000000, /* the other side calls us */
	SILENCE_US = 10 * 1000000,
	HLS_SILENCE_US = 30 * 1000000, /* a segment may be that long */
	LOG_LINE_BYTES = 1024
};

static const struct {
	const char *name, *value;
} options[] = {
	{"codec_whitelist",   AV_LIBRARY_DECODERS},
	{ "probesize",        "4194304"          },
	{ "analyzeduration",  "2000000"          },
	{ "fpsprobesize",     "0"                }, /* frame rates are not asked for: no need to wait */
	{ "max_streams",      "64"               },
	{ "rw_timeout",       "40000000"         }, /* after the deadline, which tells why */
	{ "overrun_nonfatal", "1"                }, /* udp */
	{ "buffer_size",      "1048576"          }, /* udp: of the socket */
	{ "rtmp_live",        "live"             },
};

/* --- time limits --- */

void av_input_allow(struct av_reader *reader, int64_t us)
{
	atomic_store(&reader->deadline_us, reactor_monotonic_us() + us);
	reader->told = SOURCE_STOPPED;
	reader->told_detail = "";
}

int64_t av_input_silence_us(const struct av_reader *reader)
{
	bool hls = reader->input && !strcmp(reader->input->iformat->name, "hls");

	return hls ? HLS_SILENCE_US : SILENCE_US;
}

/* Asked by libavformat wherever it waits. */
static int input_on_wait(void *arg)
{
	struct av_reader *reader = arg;

	if (atomic_load(&reader->stop))
		return 1;
	if (reactor_monotonic_us() < atomic_load(&reader->deadline_us))
		return 0;
	reader->expired = true;
	return 1;
}

/* --- errors --- */

/* What is known better than by an error of libavformat's; `detail` is static. */
static void input_tell(struct av_reader *reader, enum source_end end, const char *detail)
{
	reader->told = end;
	reader->told_detail = detail;
}

static const struct {
	int error;
	enum source_end end;
} error_ends[] = {
	{AVERROR(ECONNREFUSED),       SOURCE_REFUSED     },
	{ AVERROR(ETIMEDOUT),         SOURCE_TIMEOUT     },
	{ AVERROR(ENOENT),            SOURCE_NOT_FOUND   },
	{ AVERROR(ENODEV),            SOURCE_NOT_FOUND   },
	{ AVERROR(ENXIO),             SOURCE_NOT_FOUND   },
	{ AVERROR(EBUSY),             SOURCE_BUSY        },
	{ AVERROR_HTTP_UNAUTHORIZED,  SOURCE_UNAUTHORIZED},
	{ AVERROR_HTTP_FORBIDDEN,     SOURCE_UNAUTHORIZED},
	{ AVERROR_HTTP_NOT_FOUND,     SOURCE_NOT_FOUND   },
	{ AVERROR_HTTP_SERVER_ERROR,  SOURCE_BUSY        }, /* 503 too; its Retry-After is not told */
	{ AVERROR_INVALIDDATA,        SOURCE_PROTOCOL    },
	{ AVERROR_DEMUXER_NOT_FOUND,  SOURCE_UNSUPPORTED },
	{ AVERROR_PROTOCOL_NOT_FOUND, SOURCE_UNSUPPORTED },
	{ AVERROR_EOF,                SOURCE_CLOSED      },
	{ AVERROR(ECONNRESET),        SOURCE_CLOSED      },
	{ AVERROR(EPIPE),             SOURCE_CLOSED      },
};

void av_input_fail(struct av_reader *reader, struct av_job *job, int error, enum source_end expired)
{
	job->end = SOURCE_FAILED;
	for (size_t i = 0; i < ARRAY_LENGTH(error_ends); i++) {
		if (error_ends[i].error == error)
			job->end = error_ends[i].end;
	}
	(void)av_strerror(error, job->detail, sizeof(job->detail));
	if (reader->told != SOURCE_STOPPED) {
		job->end = reader->told;
		(void)snprintf(job->detail, sizeof(job->detail), "%s", reader->told_detail);
	}
	if (reader->expired)
		job->end = expired;
	if (reader->expired || job->end == SOURCE_CLOSED)
		job->detail[0] = '\0';
	av_hide_secrets(job->detail, &reader->address);
}

/* --- opening --- */

/* Segments of a playlist are opened as carefully as the playlist itself. */
static int input_on_open(AVFormatContext *input, AVIOContext **ret, const char *url, int flags,
	AVDictionary **dictionary)
{
	struct av_reader *reader = input->opaque;

	(void)av_dict_set_int(dictionary, "tls_verify", reader->tls_verify, 0);
	return reader->io_open(input, ret, url, flags, dictionary);
}

static AVDictionary *input_options(const struct av_reader *reader)
{
	const struct av_scheme *scheme = reader->address.scheme;
	AVDictionary *dictionary = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
		(void)av_dict_set(&dictionary, options[i].name, options[i].value, 0);
	(void)av_dict_set(&dictionary, "protocol_whitelist", scheme->protocols, 0);
	(void)av_dict_set(&dictionary, "format_whitelist", scheme->formats, 0);
	return dictionary;
}

static int input_open_as(
	struct av_reader *reader, const AVInputFormat *format, const char *input_format)
{
	AVDictionary *dictionary = input_options(reader);
	int error;

	reader->input = reader->library->alloc_context();
	if (!reader->input) {
		av_dict_free(&dictionary);
		return AVERROR(ENOMEM);
	}
	if (input_format) {
		(void)av_dict_set(&dictionary, "input_format", input_format, 0);
		reader->input->flags |= AVFMT_FLAG_NONBLOCK; /* a wait for it knows no limit */
	}
	reader->io_open = reader->input->io_open;
	reader->input->io_open = input_on_open;
	reader->input->opaque = reader;
	reader->input->interrupt_callback = (AVIOInterruptCB){ input_on_wait, reader };
	error = reader->library->open_input(
		&reader->input, reader->address.url, format, &dictionary);
	av_dict_free(&dictionary);
	return error;
}

/* What a device compresses itself; raw pictures are not recorded. */
static int input_open_device(struct av_reader *reader)
{
	static const char *const formats[] = { "h264", "mjpeg" };
	const char *why;
	const AVInputFormat *device = av_library_find_device("v4l2", &why);
	int error = AVERROR(EINVAL);

	if (!device) {
		input_tell(reader, SOURCE_FAILED, why);
		return AVERROR_DEMUXER_NOT_FOUND;
	}
	/* EINVAL: it has no such format */
	for (size_t i = 0; i < ARRAY_LENGTH(formats) && error == AVERROR(EINVAL); i++)
		error = input_open_as(reader, device, formats[i]);
	if (error == AVERROR(EINVAL))
		input_tell(reader, SOURCE_UNSUPPORTED, "it gives neither H.264 nor Motion JPEG");
	return error;
}

/* Whether what is there is of this type: a pipe would hang in open(2), a folder makes no sense. */
static int input_check_path(const char *path, mode_t type)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return AVERROR(errno);
	return (st.st_mode & S_IFMT) == type ? 0 : AVERROR(EINVAL);
}

static int input_open_kind(struct av_reader *reader)
{
	unsigned flags = reader->address.scheme->flags;
	const char *url = reader->address.url;
	int error = 0;

	if (flags & AV_FILE)
		error = input_check_path(url + strlen("file:"), S_IFREG);
	if (flags & AV_DEVICE)
		error = input_check_path(url, S_IFCHR);
	if (error < 0)
		return error;
	if (flags & AV_DEVICE)
		return input_open_device(reader); /* which says what it gives */
	error = input_open_as(reader, NULL, NULL);
	return error < 0 ? error : reader->library->find_stream_info(reader->input, NULL);
}

/* Whether packets come as fast as they are read: files, playlists, what has an end. */
static bool input_is_paced(const struct av_reader *reader)
{
	const AVFormatContext *input = reader->input;

	if (reader->address.scheme->flags & AV_FILE || !strcmp(input->iformat->name, "hls"))
		return true;
	return input->pb && input->pb->seekable & AVIO_SEEKABLE_NORMAL && input->duration > 0;
}

/* Says which codec of a picture it is that cannot be recorded. */
static void input_name_codec(const struct av_reader *reader, struct av_job *job)
{
	for (unsigned i = 0; i < reader->input->nb_streams; i++) {
		const AVCodecParameters *p = reader->input->streams[i]->codecpar;

		if (p->codec_type == AVMEDIA_TYPE_VIDEO)
			(void)snprintf(job->detail, sizeof(job->detail), "%s",
				avcodec_get_name(p->codec_id));
	}
}

bool av_input_open(struct av_reader *reader, struct av_job *job)
{
	bool listens = strstr(reader->address.url, "listen") != NULL;
	int error = AVERROR_DEMUXER_NOT_FOUND;
	const char *why;

	reader->expired = false;
	reader->suspects_count = 0;
	av_input_allow(reader, listens ? LISTEN_US : OPEN_US);
	reader->library = av_library_load(&why);
	if (reader->library)
		error = input_open_kind(reader);
	else
		input_tell(reader, SOURCE_FAILED, why);
	if (error < 0) {
		av_input_fail(reader, job, error, SOURCE_TIMEOUT);
		return false;
	}
	reader->paced = input_is_paced(reader);
	job->end = av_tracks_choose(reader);
	if (job->end == SOURCE_UNSUPPORTED)
		input_name_codec(reader, job);
	return job->end == SOURCE_STOPPED;
}

void av_input_close(struct av_reader *reader)
{
	for (size_t i = 0; i < AV_TRACKS; i++)
		reader->tracks[i].stream = NULL;
	if (reader->input)
		reader->library->close_input(&reader->input);
}

/* --- the log --- */

static _Thread_local struct av_reader *input_log_reader;

void av_input_name_log(struct av_reader *reader)
{
	input_log_reader = reader;
}

/* What libavformat tells by its words alone, where its error says but little. */
// clang-format off
static const struct {
	const char *words;
	enum source_end end;
	const char *detail;
} told_ends[] = {
	{ "Failed to resolve hostname", SOURCE_HOST_UNKNOWN, "" },
	{ "Unable to verify peer certificate", SOURCE_UNTRUSTED, "" },
	{ "owner does not match hostname", SOURCE_UNTRUSTED, "it is for another host" },
	{ "Peer certificate failed", SOURCE_UNTRUSTED, "" },
	{ "not on whitelist", SOURCE_PROTOCOL, "it names what such a source may not open" },
};
// clang-format on

#define SUSPECT "Packet corrupt"
#define SUSPECT_STREAM "stream = "
#define SUSPECT_DTS "dts = "

/* Its parsers forget the mark of a packet with a hole; that it had one is in the log alone. */
static void input_hear_damage(struct av_reader *reader, const char *format, va_list args)
{
	struct av_suspect *suspect = &reader->suspects[reader->suspects_count];
	char line[LOG_LINE_BYTES];
	const char *stream, *dts;
	va_list copy;
	char *end;

	if (reader->suspects_count == AV_SUSPECTS)
		return;
	va_copy(copy, args);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_copy here */
	(void)vsnprintf(line, sizeof(line), format, copy);
	va_end(copy);
	stream = strstr(line, SUSPECT_STREAM);
	dts = strstr(line, SUSPECT_DTS);
	if (!stream || !dts)
		return;
	suspect->stream = (int)strtol(stream + strlen(SUSPECT_STREAM), NULL, 10);
	suspect->dts = strtoll(dts + strlen(SUSPECT_DTS), &end, 10);
	if (end == dts + strlen(SUSPECT_DTS))
		suspect->dts = AV_NOPTS_VALUE;
	reader->suspects_count++;
}

static void input_listen(struct av_reader *reader, const char *format, va_list args)
{
	if (!strncmp(format, SUSPECT, strlen(SUSPECT)))
		input_hear_damage(reader, format, args);
	for (size_t i = 0; i < ARRAY_LENGTH(told_ends); i++) {
		if (strstr(format, told_ends[i].words))
			input_tell(reader, told_ends[i].end, told_ends[i].detail);
	}
}

/* Of any thread. libav's words go to the log for those who look for something, URLs cut. */
static void input_on_log(void *object, int level, const char *format, va_list args)
{
	static _Thread_local int prefix = 1;
	static const struct log_name other = { .kind = "libav" };
	struct av_reader *reader = input_log_reader;
	char line[LOG_LINE_BYTES];
	size_t n;

	if (reader)
		input_listen(reader, format, args);
	if (level > AV_LOG_INFO || !log_enabled(LOG_DEBUG))
		return;
	av_log_format_line(object, level, format, args, line, sizeof(line), &prefix);
	n = strcspn(line, "\n");
	line[n] = '\0';
	av_hide_secrets(line, reader ? &reader->address : NULL);
	if (n)
		log_write(LOG_DEBUG, reader ? &reader->log : &other, "%s", line);
}

void av_input_take_log(void)
{
	av_log_set_callback(input_on_log);
}
