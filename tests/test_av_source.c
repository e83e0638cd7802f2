/* av: sources: addresses, what a file gives, what hostile files and playlists do not get. */
#include "protocols/av_source.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include <cmocka.h>

#include "protocols/av_source_private.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/jpeg_pictures.h"

enum {
	PICTURES = 30, /* of the clip, one second */
	WANTED = 75,   /* two passes and a half */
	FPS = 30,
	SIDE = 64,
	PATIENCE_US = 30 * 1000000
};

/* --- addresses --- */

static void addresses_have_schemes_that_bound_them(void **state)
{
	static const struct {
		const char *source, *url, *protocols, *why;
	} rows[] = {
		{"av:/clips/porch.mp4",                         "file:/clips/porch.mp4",            "file", NULL                                            },
		{ "av:file:///clips/a.ts",                      "file:/clips/a.ts",                 "file", NULL                                            },
		{ "AV:file:/clips/a.ts",                        "file:/clips/a.ts",                 "file", NULL                                            },
		{ "av:/dev/video0",                             "/dev/video0",                      "none", NULL                                            },
		{ "av:V4L2:/dev/webcam",                        "/dev/webcam",                      "none", NULL                                            },
		{ "av:v4l2:webcam",                             NULL,                               NULL,   "a file or device wants its absolute path"      },
		{ "av:srt://192.0.2.1:9000?mode=caller",        "srt://192.0.2.1:9000?mode=caller", "srt",
                 NULL																       },
		{ "av:HTTP://192.0.2.1/a.m3u8",                 "HTTP://192.0.2.1/a.m3u8",
                 "http,https,tcp,tls,crypto",							       NULL                                            },
		{ "av:udp://239.0.0.1:5000",                    "udp://239.0.0.1:5000",             "udp",  NULL                                            },
		{ "av:concat:/a.ts|/b.ts",                      NULL,                               NULL,
                 "av: wants a URL or the absolute path of a file"											   },
		{ "av:subfile://,,start,0,end,9,,:/etc/passwd", NULL,                               NULL,
                 "av: has no such scheme"														   },
		{ "av:data://text",                             NULL,                               NULL,   "av: has no such scheme"                        },
		{ "av:clip.mp4",                                NULL,                               NULL,   "av: wants a URL or the absolute path of a file"},
		{ "av:file:clip.mp4",                           NULL,                               NULL,   "a file or device wants its absolute path"      },
		{ "av:",					NULL,			       NULL,   "av: wants a URL or the absolute path of a file"},
		{ "rtsp://192.0.2.1/",                          NULL,                               NULL,   "the address begins with av:"                   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct av_address address;
		const char *why = "unset";
		int error = av_address_parse(&address, rows[i].source, &why);

		if (rows[i].why) {
			assert_int_equal(error, -EINVAL);
			assert_string_equal(why, rows[i].why);
			continue;
		}
		assert_int_equal(error, 0);
		assert_string_equal(address.url, rows[i].url);
		assert_string_equal(address.scheme->protocols, rows[i].protocols);
		av_address_fini(&address);
	}
}

static void secrets_are_hidden(void **state)
{
	static const struct {
		const char *source, *line, *hidden;
	} rows[] = {
		{"av:http://anna:pa55word@192.0.2.1/x?token=abcdef",
                 "Opening 'http://anna:pa55word@192.0.2.1/x?token=abcdef' for reading",					  "Opening 'http://*************@192.0.2.1/x?************' for reading"},
		{ "av:http://anna:pa55word@192.0.2.1/x?token=abcdef",       "sent abcdef and pa55word",
                 "sent ****** and ********"																			   },
		{ "av:rtmp://192.0.2.1/live/key-1234",                      "Proto = rtmp, path = /live/key-1234",
                 "Proto = rtmp, path = /****/********"																		},
		{ "av:srt://192.0.2.1:9?passphrase=0123456789&mode=caller", "bad 0123456789",
                 "bad **********"																				     },
		{ "av:/clips/a.mp4",					"http://u:p@192.0.2.1/ and http://u@192.0.2.2/?q 1",
                 "http://***@192.0.2.1/ and http://*@192.0.2.2/?* 1"																  },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct av_address address;
		const char *why;
		char line[128];

		assert_int_equal(av_address_parse(&address, rows[i].source, &why), 0);
		(void)snprintf(line, sizeof(line), "%s", rows[i].line);
		av_hide_secrets(line, &address);
		assert_string_equal(line, rows[i].hidden);
		av_address_fini(&address);
	}
}

/* --- a clip made by libav --- */

struct clip {
	AVFormatContext *output;
	AVCodecContext *video, *audio;
	AVFrame *picture, *sound;
	AVPacket *packet;
	int64_t ahead[PICTURES]; /* pts - dts in 1/90000, as written */
	int pictures;
};

static AVCodecContext *clip_open(struct clip *clip, const AVCodec *codec, AVCodecContext *context)
{
	AVStream *stream = avformat_new_stream(clip->output, codec);

	if (clip->output->oformat->flags & AVFMT_GLOBALHEADER)
		context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	context->thread_count = 1;
	assert_int_equal(avcodec_open2(context, codec, NULL), 0);
	assert_true(avcodec_parameters_from_context(stream->codecpar, context) >= 0);
	stream->time_base = context->time_base;
	return context;
}

static void clip_open_video(struct clip *clip, const char *name)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(name);
	AVCodecContext *context = avcodec_alloc_context3(codec);

	context->width = context->height = SIDE;
	context->pix_fmt = AV_PIX_FMT_YUV420P;
	context->time_base = (AVRational){ 1, FPS };
	context->framerate = (AVRational){ FPS, 1 };
	context->gop_size = PICTURES / 2;
	context->max_b_frames = 2;
	(void)av_opt_set(context->priv_data, "preset", "veryfast", 0);
	(void)av_opt_set(context->priv_data, "x265-params",
		"log-level=error:bframes=2:pools=none:frame-threads=1", 0);
	clip->video = clip_open(clip, codec, context);
	clip->picture = av_frame_alloc();
	clip->picture->format = AV_PIX_FMT_YUV420P;
	clip->picture->width = clip->picture->height = SIDE;
	assert_int_equal(av_frame_get_buffer(clip->picture, 0), 0);
}

static void clip_open_audio(struct clip *clip, enum AVCodecID id)
{
	const AVCodec *codec = avcodec_find_encoder(id);
	AVCodecContext *context = avcodec_alloc_context3(codec);

	context->sample_rate = 48000;
	context->sample_fmt = codec->sample_fmts[0];
	context->time_base = (AVRational){ 1, 48000 };
	av_channel_layout_default(&context->ch_layout, 1);
	clip->audio = clip_open(clip, codec, context);
	clip->sound = av_frame_alloc();
	clip->sound->format = clip->audio->sample_fmt;
	clip->sound->nb_samples = clip->audio->frame_size;
	clip->sound->sample_rate = 48000;
	av_channel_layout_default(&clip->sound->ch_layout, 1);
	assert_int_equal(av_frame_get_buffer(clip->sound, 0), 0);
	memset(clip->sound->data[0], 0, (size_t)clip->sound->linesize[0]);
}

static void clip_encode(struct clip *clip, AVCodecContext *context, AVFrame *frame)
{
	assert_int_equal(avcodec_send_frame(context, frame), 0);
	while (avcodec_receive_packet(context, clip->packet) == 0) {
		AVStream *stream = clip->output->streams[context == clip->audio];

		clip->packet->stream_index = stream->index;
		if (context == clip->video)
			clip->ahead[clip->pictures++] =
				(clip->packet->pts - clip->packet->dts) * (90000 / FPS);
		av_packet_rescale_ts(clip->packet, context->time_base, stream->time_base);
		assert_int_equal(av_interleaved_write_frame(clip->output, clip->packet), 0);
	}
}

static void clip_draw(struct clip *clip, int i)
{
	AVFrame *picture = clip->picture;

	assert_int_equal(av_frame_make_writable(picture), 0);
	for (int plane = 0; plane < 3; plane++) {
		int height = plane ? SIDE / 2 : SIDE;

		for (int y = 0; y < height; y++)
			memset(picture->data[plane] + y * picture->linesize[plane], i * 7 + y,
				(size_t)height);
	}
	picture->pts = i;
}

static void clip_write_with(
	struct clip *clip, const char *path, const char *encoder, enum AVCodecID sound)
{
	*clip = (struct clip){ .packet = av_packet_alloc() };
	assert_true(avformat_alloc_output_context2(&clip->output, NULL, NULL, path) >= 0);
	clip_open_video(clip, encoder);
	clip_open_audio(clip, sound);
	assert_true(avio_open(&clip->output->pb, path, AVIO_FLAG_WRITE) >= 0);
	assert_true(avformat_write_header(clip->output, NULL) >= 0);
	for (int i = 0; i < PICTURES; i++) {
		clip_draw(clip, i);
		clip_encode(clip, clip->video, clip->picture);
	}
	for (int i = 0; i * clip->audio->frame_size < 46 * 1024; i++) {
		clip->sound->pts = (int64_t)i * clip->audio->frame_size;
		clip_encode(clip, clip->audio, clip->sound);
	}
	clip_encode(clip, clip->video, NULL);
	clip_encode(clip, clip->audio, NULL);
	assert_int_equal(av_write_trailer(clip->output), 0);
	assert_int_equal(clip->pictures, PICTURES);
	avio_closep(&clip->output->pb);
	avformat_free_context(clip->output);
	avcodec_free_context(&clip->video);
	avcodec_free_context(&clip->audio);
	av_frame_free(&clip->picture);
	av_frame_free(&clip->sound);
	av_packet_free(&clip->packet);
}

static void clip_write(struct clip *clip, const char *path, const char *encoder)
{
	clip_write_with(clip, path, encoder, AV_CODEC_ID_AAC);
}

/* --- watching a source --- */

struct watcher {
	struct stream_reader reader;
	struct stream *stream;
	struct av_source *source;
	struct config_camera config;
	bool free_when_up;
	int wanted, runs, ups, ends, pictures, sounds, keys, degraded;
	enum source_end end;
	char detail[160];
	int64_t last[2], first;
	int64_t dts[WANTED], ahead[WANTED];
};

static void watcher_on_tracks(struct stream_reader *reader)
{
	struct watcher *w = CONTAINER_OF(reader, struct watcher, reader);

	w->runs++;
	w->last[0] = w->last[1] = INT64_MIN;
}

/* Nothing that a stream does not want: no parameter sets, no delimiters, lengths that fit. */
static void check_nal_units(enum AVCodecID codec, const AVPacket *packet)
{
	size_t n = (size_t)packet->size, at = 0;

	while (at < n) {
		const uint8_t *p = packet->data + at;
		size_t bytes = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		unsigned type = codec == AV_CODEC_ID_H264 ? p[4] & 0x1fU : p[4] >> 1 & 0x3fU;

		assert_true(bytes > 0 && bytes <= n - at - 4);
		if (codec == AV_CODEC_ID_H264)
			assert_true(type < H264_SPS || type > H264_AUD);
		else
			assert_true(type < H265_VPS || type > H265_AUD);
		at += 4 + bytes;
	}
	assert_int_equal(at, n);
}

static void watcher_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct watcher *w = CONTAINER_OF(reader, struct watcher, reader);
	const struct stream_track *track = stream_track(w->stream, (size_t)packet->stream_index);
	int kind = packet->stream_index;

	assert_true(packet->dts > w->last[kind]);
	w->last[kind] = packet->dts;
	assert_true(packet->pts >= packet->dts);
	if (kind == 1) {
		assert_true(packet->duration > 0);
		assert_false(packet->size > 1 && packet->data[0] == 0xff &&
			     (packet->data[1] & 0xf6) == 0xf0); /* ADTS */
		w->sounds++;
		return;
	}
	check_nal_units(track->parameters->codec_id, packet);
	assert_true(w->pictures || packet->flags & AV_PKT_FLAG_KEY);
	w->keys += packet->flags & AV_PKT_FLAG_KEY ? 1 : 0;
	if (w->pictures < w->wanted) {
		w->dts[w->pictures] = packet->dts;
		w->ahead[w->pictures++] = packet->pts - packet->dts;
	}
	if (w->pictures == w->wanted)
		reactor_stop();
}

static const struct stream_reader_events reader_events = {
	.on_tracks = watcher_on_tracks,
	.on_packet = watcher_on_packet,
};

static void watcher_on_up(void *arg)
{
	struct watcher *w = arg;

	w->ups++;
	if (!w->free_when_up)
		return;
	av_source_free(w->source);
	w->source = NULL;
	reactor_stop();
}

static void watcher_on_end(void *arg, enum source_end end, const char *detail)
{
	struct watcher *w = arg;

	w->ends++;
	w->end = end;
	(void)snprintf(w->detail, sizeof(w->detail), "%s", detail ? detail : "");
	reactor_stop();
}

static void watcher_on_degraded(void *arg, const char *why)
{
	struct watcher *w = arg;

	w->degraded += why != NULL;
}

static const struct source_events source_events = {
	.on_up = watcher_on_up,
	.on_degraded = watcher_on_degraded,
	.on_end = watcher_on_end,
};

static void watcher_start(struct watcher *w, const char *url)
{
	static const struct log_name camera = { .kind = "camera", .name = "porch" };
	const struct source_order order = {
		.url = url,
		.config = &w->config,
		.stream = stream_new("porch"),
		.camera = "porch",
		.log = &camera,
		.events = &source_events,
		.arg = w,
	};
	const char *why = NULL;

	w->stream = order.stream;
	w->config.tls_verify = true;
	stream_subscribe(w->stream, &w->reader, &reader_events, true);
	w->source = av_source_new(&order, &why);
	assert_non_null(w->source);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	fail_msg("it took too long");
}

static void watcher_run(void)
{
	struct event *patience = reactor_timer_new(on_patience, NULL);

	reactor_timer_start(patience, PATIENCE_US);
	reactor_run();
	reactor_timer_free(&patience);
}

static void watcher_stop(struct watcher *w)
{
	av_source_free(w->source);
	stream_free(w->stream);
	assert_true(av_source_fini_all());
}

/* --- what files give --- */

static char folder[64];

static char *path_of(const char *name)
{
	return xasprintf("av:%s/%s", folder, name);
}

static void check_pictures(const struct watcher *w, const struct clip *clip)
{
	int bframes = 0;

	for (int i = 0; i < WANTED; i++) {
		int64_t step = i ? w->dts[i] - w->dts[i - 1] : 90000 / FPS;

		assert_int_equal(step, 90000 / FPS);
		assert_int_equal(w->ahead[i], clip->ahead[i % PICTURES]);
		bframes += w->ahead[i] != w->ahead[0];
	}
	assert_true(bframes > 0);
}

static void a_file_that_loops_goes_on_without_a_hole(void **state)
{
	static const struct {
		const char *name, *encoder;
		enum AVCodecID codec;
	} rows[] = {
		{"h264.mp4",  "libx264", AV_CODEC_ID_H264},
		{ "h264.ts",  "libx264", AV_CODEC_ID_H264},
		{ "h264.flv", "libx264", AV_CODEC_ID_H264},
		{ "h265.ts",  "libx265", AV_CODEC_ID_HEVC},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct watcher w = { .config = { .loop = true }, .wanted = WANTED };
		char *source = path_of(rows[i].name);
		struct clip clip;

		print_message("%s\n", rows[i].name);
		clip_write(&clip, source + 3, rows[i].encoder);
		watcher_start(&w, source);
		watcher_run();
		assert_int_equal(w.ends, 0);
		assert_int_equal(w.ups, 1);
		assert_int_equal(w.runs, 1);
		assert_int_equal(stream_tracks(w.stream), 2);
		assert_int_equal(stream_track(w.stream, 0)->parameters->codec_id, rows[i].codec);
		assert_int_equal(stream_track(w.stream, 0)->parameters->extradata[0], 1);
		assert_int_equal(stream_track(w.stream, 1)->parameters->codec_id, AV_CODEC_ID_AAC);
		assert_int_equal(stream_track(w.stream, 1)->parameters->sample_rate, 48000);
		if (strcmp(rows[i].name, "h264.flv") != 0) /* whose times are milliseconds */
			check_pictures(&w, &clip);
		assert_in_range(w.sounds, 100, 150);
		assert_in_range(w.keys, 5, 6);
		watcher_stop(&w);
		free(source);
	}
}

/* Sound that MP4 cannot carry is published as it is, where AAC is wanted as that. */
static void sound_is_made_aac_where_that_is_wanted(void **state)
{
	static const struct {
		enum config_audio audio;
		bool aac;
		int frame;
	} rows[] = {
		{AUDIO_COPY, false, 1152},
		{ AUDIO_AAC, true,  1024},
	};
	char *source = path_of("mp2.ts");
	struct clip clip;

	(void)state;
	clip_write_with(&clip, source + 3, "libx264", AV_CODEC_ID_MP2);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct watcher w = {
			.config = {.loop = true, .audio = rows[i].audio},
                          .wanted = WANTED
		};
		const AVCodecParameters *sound;
		int least = 2 * 48000 / rows[i].frame;

		watcher_start(&w, source);
		watcher_run();
		assert_int_equal(w.ends + w.degraded, 0);
		assert_int_equal(w.runs, 1);
		assert_int_equal(stream_tracks(w.stream), 2);
		sound = stream_track(w.stream, 1)->parameters;
		assert_int_equal(sound->codec_id == AV_CODEC_ID_AAC, rows[i].aac);
		assert_int_equal(sound->sample_rate, 48000);
		assert_int_equal(stream_track(w.stream, 1)->time_base.den, 48000);
		assert_in_range(w.sounds, least, least * 3 / 2);
		watcher_stop(&w);
	}
	free(source);
}

static void a_file_without_loop_ends(void **state)
{
	struct watcher w = { .config = { .audio = AUDIO_OFF }, .wanted = WANTED };
	char *source = path_of("once.mp4");
	struct clip clip;

	(void)state;
	clip_write(&clip, source + 3, "libx264");
	watcher_start(&w, source);
	watcher_run();
	assert_int_equal(w.ends, 1);
	assert_int_equal(w.end, SOURCE_CLOSED);
	assert_int_equal(w.pictures, PICTURES);
	assert_int_equal(w.sounds, 0);
	assert_false(stream_is_up(w.stream));
	watcher_stop(&w);
	free(source);
}

static void it_may_be_freed_from_its_callback_and_before_it_opened(void **state)
{
	struct watcher w = { .config = { .loop = true }, .free_when_up = true, .wanted = WANTED };
	struct watcher early = { .wanted = WANTED };
	char *source = path_of("once.mp4");

	(void)state;
	watcher_start(&w, source);
	watcher_run();
	assert_int_equal(w.ups, 1);
	watcher_stop(&w);
	watcher_start(&early, source);
	watcher_stop(&early);
	assert_int_equal(w.ends + early.ends + early.ups, 0);
	av_source_free(NULL);
	free(source);
}

/* A port that is bound and never answers: freeing must not wait for libavformat's timeouts. */
static void it_is_freed_while_libavformat_waits(void **state)
{
	struct watcher w = { .wanted = WANTED };

	(void)state;
	watcher_start(&w, "av:srt://127.0.0.1:9?connect_timeout=60000");
	(void)event_base_loop(reactor_base(), EVLOOP_ONCE);
	watcher_stop(&w);
	assert_int_equal(w.ends, 0);
}

/* --- what hostile ones get --- */

static void write_file(const char *path, const void *bytes, size_t n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void files_that_are_no_clips_end_with_a_reason(void **state)
{
	static const struct {
		const char *name, *text;
		enum source_end end;
	} rows[] = {
		{"garbage.ts",     NULL,								 SOURCE_PROTOCOL},
		{ "empty.mp4",     "",								   SOURCE_PROTOCOL},
		{ "list.m3u8",     "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
                 SOURCE_PROTOCOL											},
		{ "list.ffconcat", "ffconcat version 1.0\nfile once.mp4\n",                              SOURCE_PROTOCOL},
		{ "session.sdp",   "v=0\nm=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
                 SOURCE_PROTOCOL											},
	};
	uint8_t garbage[65536];
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(garbage); i++) {
		random = random * 1664525 + 1013904223;
		garbage[i] = (uint8_t)(random >> 24);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct watcher w = { .wanted = WANTED };
		char *source = path_of(rows[i].name);

		if (rows[i].text)
			write_file(source + 3, rows[i].text, strlen(rows[i].text));
		else
			write_file(source + 3, garbage, sizeof(garbage));
		watcher_start(&w, source);
		watcher_run();
		print_message("%s: %s: %s\n", rows[i].name, source_end_words(w.end), w.detail);
		assert_int_equal(w.ups, 0);
		assert_int_equal(w.ends, 1);
		assert_int_equal(w.end, rows[i].end);
		watcher_stop(&w);
		free(source);
	}
}

static void what_is_no_file_is_not_opened(void **state)
{
	static const struct {
		const char *name;
		enum source_end end;
	} rows[] = {
		{"missing.mp4", SOURCE_NOT_FOUND},
		{ "pipe.mp4",   SOURCE_FAILED   },
		{ ".",          SOURCE_FAILED   },
	};
	char *pipe = path_of("pipe.mp4");

	(void)state;
	assert_int_equal(mkfifo(pipe + 3, 0600), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct watcher w = { .wanted = WANTED };
		char *source = path_of(rows[i].name);

		watcher_start(&w, source);
		watcher_run();
		assert_int_equal(w.end, rows[i].end);
		watcher_stop(&w);
		free(source);
	}
	free(pipe);
}

static void devices_say_what_is_wrong(void **state)
{
	static const struct {
		const char *source;
		enum source_end end;
		const char *detail;
	} rows[] = {
		{"av:/dev/video-none", SOURCE_NOT_FOUND, "No such file or directory"     },
		{ "av:v4l2:/dev",      SOURCE_FAILED,    "Invalid argument"              },
		{ "av:v4l2:/dev/null", SOURCE_FAILED,    "Inappropriate ioctl for device"},
	};
	const char *why;

	(void)state;
	assert_non_null(av_library_load(&why));
	if (!av_library_find_device("v4l2", &why)) {
		print_message("%s\n", why);
		skip();
	}
	assert_null(av_library_find_device("no-such-device", &why));
	assert_non_null(why);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct watcher w = { .wanted = WANTED };

		watcher_start(&w, rows[i].source);
		watcher_run();
		assert_int_equal(w.end, rows[i].end);
		assert_string_equal(w.detail, rows[i].detail);
		watcher_stop(&w);
	}
}

/* As webcams give them: without Huffman tables, in a buffer that is longer, or cut short. */
static void a_webcams_pictures_are_made_whole(void **state)
{
	AVFormatContext *input = avformat_alloc_context();
	AVStream *stream = avformat_new_stream(input, NULL);
	AVPacket *packet = av_packet_alloc(), *made;
	struct av_track track;
	size_t n, dropped = 0;
	uint8_t bare[2048] = { 0 };

	(void)state;
	n = picture_without_huffman(bare, picture_q50_420, sizeof(picture_q50_420));
	stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
	stream->codecpar->codec_id = AV_CODEC_ID_MJPEG;
	stream->time_base = (AVRational){ 1, 1000000 };
	assert_true(av_track_open(&track, stream));
	for (int i = 0; i < 3; i++) {
		static const int more[] = { 100, -10, 0 };

		assert_int_equal(av_new_packet(packet, (int)n + more[i]), 0);
		memcpy(packet->data, bare, (size_t)packet->size);
		packet->pts = packet->dts = 40000 * i;
		made = av_track_convert(&track, packet, 0, &dropped);
		assert_int_equal(made == NULL, more[i] < 0);
		assert_int_equal(dropped, i > 0);
		if (!made)
			continue;
		assert_int_equal(track.parameters->width, 32);
		assert_int_equal(made->size, n + JPEG_HUFFMAN_BYTES);
		assert_int_equal(made->flags, AV_PKT_FLAG_KEY);
		assert_true(picture_same(
			made->data, (size_t)made->size, picture_q50_420, sizeof(picture_q50_420)));
		av_packet_free(&made);
	}
	av_track_fini(&track);
	av_packet_free(&packet);
	avformat_free_context(input);
}

static size_t read_file(const char *path, void *bytes, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(bytes, 1, size, file);
	(void)fclose(file);
	return n;
}

/* A packet of the transport stream is lost: nothing is given from there to the next keyframe. */
static void damaged_pictures_are_left_out(void **state)
{
	enum {
		TS_BYTES = 188,
		VIDEO_PID = 0x100
	};
	struct watcher w = { .wanted = WANTED };
	char *whole = path_of("h264.ts"), *cut = path_of("cut.ts");
	static uint8_t bytes[1 << 20];
	size_t n = read_file(whole + 3, bytes, sizeof(bytes)), at = 0;
	struct metric *dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, "porch");
	double before = metric_value(dropped);

	(void)state;
	for (int seen = 0; seen < 10 && at < n; at += TS_BYTES)
		seen += ((bytes[at + 1] << 8 | bytes[at + 2]) & 0x1fff) == VIDEO_PID;
	assert_true(at < n);
	memmove(bytes + at - TS_BYTES, bytes + at, n - at);
	write_file(cut + 3, bytes, n - TS_BYTES);
	watcher_start(&w, cut);
	watcher_run();
	assert_int_equal(w.end, SOURCE_CLOSED);
	assert_in_range(w.pictures, PICTURES / 2 + 1, PICTURES - 6);
	assert_int_equal(w.pictures + (int)(metric_value(dropped) - before), PICTURES - 1);
	assert_int_equal(w.keys, 2);
	watcher_stop(&w);
	free(whole);
	free(cut);
}

/* A clip cut anywhere gives pictures or a reason, and never more than that. */
static void a_clip_may_be_cut_anywhere(void **state)
{
	char *whole = path_of("h264.ts"), *cut = path_of("cut.ts");
	static char bytes[1 << 20];
	size_t n = read_file(whole + 3, bytes, sizeof(bytes));

	(void)state;
	for (size_t at = 100; at < n; at += n / 12) {
		struct watcher w = { .wanted = 4 };

		write_file(cut + 3, bytes, at);
		watcher_start(&w, cut);
		watcher_run();
		assert_true(w.pictures == 4 || w.ends == 1);
		watcher_stop(&w);
	}
	free(whole);
	free(cut);
}

static int setup(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/nvrd-test-XXXXXX", base ? base : "/tmp");
	reactor_init();
	av_log_set_level(AV_LOG_QUIET); /* the encoders */
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "h264.mp4", "h264.ts", "h264.flv", "h265.ts", "mp2.ts",
		"once.mp4", "garbage.ts", "empty.mp4", "list.m3u8", "list.ffconcat", "session.sdp",
		"pipe.mp4", "cut.ts" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		char *path = path_of(names[i]);

		(void)unlink(path + 3);
		free(path);
	}
	reactor_fini();
	return rmdir(folder);
}

/* libx265 itself leaks its parameters. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libx265";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_have_schemes_that_bound_them),
		cmocka_unit_test(secrets_are_hidden),
		cmocka_unit_test(a_file_that_loops_goes_on_without_a_hole),
		cmocka_unit_test(sound_is_made_aac_where_that_is_wanted),
		cmocka_unit_test(a_file_without_loop_ends),
		cmocka_unit_test(it_may_be_freed_from_its_callback_and_before_it_opened),
		cmocka_unit_test(it_is_freed_while_libavformat_waits),
		cmocka_unit_test(files_that_are_no_clips_end_with_a_reason),
		cmocka_unit_test(what_is_no_file_is_not_opened),
		cmocka_unit_test(devices_say_what_is_wrong),
		cmocka_unit_test(a_webcams_pictures_are_made_whole),
		cmocka_unit_test(damaged_pictures_are_left_out),
		cmocka_unit_test(a_clip_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
