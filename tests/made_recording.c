#include "tests/made_recording.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "storage/segment.h"
#include "tests/store.h"
#include "tests/synthetic.h"

static AVPacket *picture(const struct made *m, unsigned i, bool key)
{
	AVPacket *packet = synthetic_video(i, key, 30 + i % 7);

	if (m->reordered)
		packet->pts += (int64_t)(key ? 2 : i % 2 ? 3 : 1) * SYNTHETIC_FRAME_90K;
	return packet;
}

static void add_packet(struct fragment_builder *builder, AVPacket *packet)
{
	fragment_builder_add(builder, packet);
	av_packet_free(&packet);
}

static struct fragment *make_fragment(
	const struct made *m, struct fragment_builder *builder, unsigned number)
{
	unsigned n = m->pictures ? m->pictures : PER_FRAGMENT, from = m->first + number * n;
	int64_t next[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	AVPacket *after = synthetic_video(from + n, false, 1);

	next[0] = after->dts;
	av_packet_free(&after);
	for (unsigned i = from; i < from + n; i++)
		add_packet(builder, picture(m, i, i == from && number % GROUP == 0));
	for (unsigned i = SOUND_OF(from); !m->silent && i < SOUND_OF(from + n); i++)
		add_packet(builder, synthetic_audio(i, 10 + i % 3));
	return fragment_builder_take(builder, next, number + 100);
}

static void write_all(int fd, const void *p, size_t n)
{
	assert_int_equal(write(fd, p, n), n);
}

void make_recording(const struct made *m)
{
	struct fragment_init *init = fragment_init_new(m->tracks, m->silent ? 1 : 2);
	struct fragment_builder *builder = fragment_builder_new(init);
	char *path = xasprintf("recordings/%s/2026-11-20/%s", m->camera, m->name);
	char *whole = xasprintf("%s/%s", folder, path);
	int fd = open(whole, O_CREAT | O_RDWR | O_TRUNC, 0600);
	struct catalogue_segment row = { .path = path, .state = SEGMENT_CLOSED };
	struct segment_scan scan;
	int64_t origin_us = 0;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < m->fragments; i++) {
		struct fragment *fragment = make_fragment(m, builder, i);
		struct evbuffer *bytes = evbuffer_new();
		struct box_writer w = { 0 };

		if (i == 0) {
			origin_us = fragment_origin_us(fragment);
			segment_head(&w, init, m->camera, origin_us, 0);
			write_all(fd, w.p, w.n);
			free(w.p);
		}
		fragment_append(fragment, origin_us, bytes);
		write_all(fd, evbuffer_pullup(bytes, -1), evbuffer_get_length(bytes));
		evbuffer_free(bytes);
		fragment_unref(&fragment);
	}
	assert_int_equal(segment_close(fd, &row.bytes), 0);
	assert_int_equal(segment_scan(fd, &scan), 0);
	row.camera = xstrdup(m->camera);
	row.stream = xstrdup("main");
	row.codecs = xstrdup(scan.codecs);
	row.start_us = scan.start_us;
	row.end_us = scan.end_us;
	catalogue_adopt(catalogue, &row, NULL, scan.fragments, scan.n);
	free(row.camera);
	free(row.stream);
	free(row.codecs);
	segment_scan_fini(&scan);
	close(fd);
	fragment_builder_free(builder);
	fragment_init_unref(&init);
	free(whole);
	free(path);
}
