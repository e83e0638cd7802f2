/* The text of live playlists (RFC 8216bis section 4). */
#include <inttypes.h>
#include <time.h>

#include <event2/buffer.h>

#include "protocols/hls_private.h"

enum {
	DATE_BYTES = 40
};

static const char *playlist_date(char ret[DATE_BYTES], int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	char text[DATE_BYTES];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	evutil_snprintf(ret, DATE_BYTES, "%s.%03dZ", text, (int)(us / 1000 % 1000));
	return ret;
}

static double seconds_of(int64_t us)
{
	return (double)us / 1e6;
}

static void playlist_write_parts(const struct hls_segment *segment, struct evbuffer *out)
{
	for (size_t i = 0; i < segment->n; i++) {
		const struct fragment *fragment = segment->parts[i].fragment;

		evbuffer_add_printf(out,
			"#EXT-X-PART:DURATION=%.6f,URI=\"part-%" PRIu64 ".m4s\"%s\n",
			seconds_of(fragment->duration_us), segment->first_part + i,
			fragment->keyframe ? ",INDEPENDENT=YES" : "");
	}
}

/* `left_us`: from its end to the end of the playlist. */
static void playlist_write_segment(
	const struct hls_segment *segment, bool with_map, int64_t left_us, struct evbuffer *out)
{
	char date[DATE_BYTES];

	if (segment->discontinuity)
		evbuffer_add_printf(out, "#EXT-X-DISCONTINUITY\n");
	if (with_map)
		evbuffer_add_printf(
			out, "#EXT-X-MAP:URI=\"init-%" PRIu64 ".mp4\"\n", segment->init_number);
	evbuffer_add_printf(
		out, "#EXT-X-PROGRAM-DATE-TIME:%s\n", playlist_date(date, segment->start_us));
	if (!segment->is_partless && left_us < HLS_PARTS_S * INT64_C(1000000))
		playlist_write_parts(segment, out);
	if (!segment->is_open)
		evbuffer_add_printf(out, "#EXTINF:%.6f,\nseg-%" PRIu64 ".m4s\n",
			seconds_of(segment->duration_us), segment->number);
}

static int64_t playlist_duration(const struct hls_segment *first)
{
	int64_t us = 0;

	for (; first; first = TAILQ_NEXT(first, entry))
		us += first->duration_us;
	return us;
}

/* How many segments from `first` on end further from the end than the skip boundary. */
static unsigned playlist_skippable(const struct hls_segment *first, int64_t left_us)
{
	unsigned n = 0;

	for (; first; first = TAILQ_NEXT(first, entry), n++) {
		left_us -= first->duration_us;
		if (left_us <= HLS_SKIP_S * INT64_C(1000000))
			break;
	}
	return n;
}

static void playlist_write_head(const struct hls_window *window, const struct hls_segment *first,
	unsigned version, struct evbuffer *out)
{
	uint64_t discontinuities = window->discontinuities;
	const struct hls_segment *segment;

	for (segment = TAILQ_FIRST(&window->segments); segment != first;
		segment = TAILQ_NEXT(segment, entry))
		discontinuities += segment->discontinuity;
	evbuffer_add_printf(out,
		"#EXTM3U\n#EXT-X-VERSION:%u\n#EXT-X-TARGETDURATION:%d\n"
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.2f,CAN-SKIP-UNTIL=%d\n"
		"#EXT-X-PART-INF:PART-TARGET=%.2f\n#EXT-X-MEDIA-SEQUENCE:%" PRIu64
		"\n#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n",
		version, HLS_TARGET_S, seconds_of(HLS_HOLD_BACK_US), HLS_SKIP_S,
		seconds_of(HLS_PART_US), first->number, discontinuities);
}

static void playlist_write_report(const struct hls_report *report, struct evbuffer *out)
{
	evbuffer_add_printf(out, "#EXT-X-RENDITION-REPORT:URI=\"%s\",LAST-MSN=%" PRIu64,
		report->uri, report->segment);
	if (report->part != HLS_NO_PART)
		evbuffer_add_printf(out, ",LAST-PART=%" PRIu64, report->part);
	evbuffer_add_printf(out, "\n");
}

void hls_playlist_write(const struct hls_window *window, bool delta,
	const struct hls_report *report, struct evbuffer *out)
{
	const struct hls_segment *first = hls_window_first(window), *segment;
	int64_t left_us = playlist_duration(first);
	unsigned skip = delta ? playlist_skippable(first, left_us) : 0;
	uint64_t init_number = 0;

	playlist_write_head(window, first, skip ? 9 : 6, out);
	if (skip)
		evbuffer_add_printf(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%u\n", skip);
	for (segment = first; segment; segment = TAILQ_NEXT(segment, entry)) {
		bool with_map = segment->discontinuity || segment->init_number != init_number;

		init_number = segment->init_number;
		left_us -= segment->duration_us;
		if (skip)
			skip--;
		else
			playlist_write_segment(segment, with_map, left_us, out);
	}
	evbuffer_add_printf(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-%" PRIu64 ".m4s\"\n",
		window->next_part);
	if (report)
		playlist_write_report(report, out);
}

void hls_playlist_write_variant(
	const struct hls_window *window, int rotation, const char *uri, struct evbuffer *out)
{
	const struct fragment_init *init = hls_window_last(window)->init;
	struct hls_rates rates = hls_window_measure(window);
	bool turned = rotation % 180;

	evbuffer_add_printf(out,
		"#EXT-X-STREAM-INF:BANDWIDTH=%" PRIu64 ",AVERAGE-BANDWIDTH=%" PRIu64
		",CODECS=\"%s\"",
		rates.peak, rates.average, init->codecs);
	if (init->width)
		evbuffer_add_printf(out, ",RESOLUTION=%dx%d,FRAME-RATE=%u.%03u",
			turned ? init->height : init->width, turned ? init->width : init->height,
			rates.frames_1000 / 1000, rates.frames_1000 % 1000);
	evbuffer_add_printf(out, "\n%s\n", uri);
}
