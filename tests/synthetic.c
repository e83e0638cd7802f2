/* Made-up media, and waiting on the reactor. */
#include "tests/synthetic.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"

static const uint8_t avcc[] = { 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0,
	4, 0x68, 0xce, 0x3c, 0x80 };
static const uint8_t asc[] = { 0x11, 0x90 };

static void set_extradata(AVCodecParameters *p, const uint8_t *data, size_t n)
{
	p->extradata = av_mallocz(n + AV_INPUT_BUFFER_PADDING_SIZE);
	memcpy(p->extradata, data, n);
	p->extradata_size = (int)n;
}

void synthetic_tracks(struct stream_track tracks[2])
{
	AVCodecParameters *video = avcodec_parameters_alloc(), *audio = avcodec_parameters_alloc();

	video->codec_type = AVMEDIA_TYPE_VIDEO;
	video->codec_id = AV_CODEC_ID_H264;
	video->width = 640;
	video->height = 360;
	set_extradata(video, avcc, sizeof(avcc));
	audio->codec_type = AVMEDIA_TYPE_AUDIO;
	audio->codec_id = AV_CODEC_ID_AAC;
	audio->sample_rate = 48000;
	audio->frame_size = SYNTHETIC_AUDIO;
	av_channel_layout_default(&audio->ch_layout, 2);
	set_extradata(audio, asc, sizeof(asc));
	tracks[0] = (struct stream_track){
		video, {1, 90000},
                 0
	};
	tracks[1] = (struct stream_track){
		audio, {1, 48000},
                 0
	};
}

void synthetic_tracks_free(struct stream_track tracks[2])
{
	avcodec_parameters_free(&tracks[0].parameters);
	avcodec_parameters_free(&tracks[1].parameters);
}

static AVPacket *make(int track, int64_t dts, unsigned i, size_t bytes, bool key)
{
	AVPacket *packet = av_packet_alloc();

	assert_int_equal(av_new_packet(packet, (int)bytes), 0);
	for (size_t k = 0; k < bytes; k++)
		packet->data[k] = (uint8_t)(i * 7 + k + (size_t)track);
	packet->stream_index = track;
	packet->dts = packet->pts = dts;
	packet->flags = key ? AV_PKT_FLAG_KEY : 0;
	return packet;
}

AVPacket *synthetic_video(unsigned i, bool key, size_t bytes)
{
	return make(
		0, SYNTHETIC_START_US / 100 * 9 + (int64_t)i * SYNTHETIC_FRAME_90K, i, bytes, key);
}

AVPacket *synthetic_audio(unsigned i, size_t bytes)
{
	AVPacket *packet = make(
		1, SYNTHETIC_START_US / 1000 * 48 + (int64_t)i * SYNTHETIC_AUDIO, i, bytes, true);

	packet->duration = SYNTHETIC_AUDIO;
	return packet;
}

struct fragment *synthetic_fragment(
	struct fragment_init *init, unsigned i, unsigned n, size_t bytes)
{
	static const int64_t none[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	struct fragment_builder *builder = fragment_builder_new(init);
	struct fragment *fragment;

	for (unsigned k = 0; k < n; k++) {
		AVPacket *packet = synthetic_video(i + k, k == 0, bytes);

		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
	fragment = fragment_builder_take(builder, none, i + 1);
	fragment_builder_free(builder);
	return fragment;
}

void reactor_wait(const bool *flag)
{
	int64_t end = reactor_monotonic_us() + 10000000;

	while (!*flag) {
		event_base_loop(reactor_base(), EVLOOP_ONCE); /* the reactor's own beat wakes it */
		if (reactor_monotonic_us() > end)
			fail_msg("waited in vain");
	}
}

char *synthetic_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = xasprintf("%s/nvrd-test-XXXXXX", tmp ? tmp : "/tmp");

	assert_non_null(mkdtemp(folder));
	return folder;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void synthetic_folder_remove(char *folder)
{
	(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(folder);
}
