#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"
#include "server/base/attributes.h"

struct evbuffer;

/*
 * What a PLAY of recordings asks for (RFC 2326 sections 3.6, 3.7, 12.29, 12.34, 12.35; ONVIF Streaming Specification, "Replay
 * control"), and what is answered. Pure.
 */

enum {
	RTSP_TIME_BYTES = 32,
	RTSP_SCALE_ONE = 1000, /* scales are counted in thousandths */
	RTSP_SCALE_MOST = 256 * RTSP_SCALE_ONE,
};

/* clock: instants, us since 1970. npt: us since the beginning. */
struct rtsp_range {
	bool is_clock;
	bool has_from, has_to; /* "now" is as nothing said */
	int64_t from_us, to_us;
};
/* Returns 0; -ENOTSUP: in another unit (smpte); -EBADMSG. Instants in RFC 3339's extended form are taken, too. */
int rtsp_range_parse(struct rtsp_range *ret, const char *p, size_t n) MUST_CHECK;
/* "clock=20061108T143720.250Z-" or "npt=1.500-10". At most twice RTSP_TIME_BYTES; from has to be there. Returns ret. */
char *rtsp_range_write(char ret[2 * RTSP_TIME_BYTES], const struct rtsp_range *range);

enum rtsp_frames {
	RTSP_FRAMES_UNSAID,
	RTSP_FRAMES_ALL,
	RTSP_FRAMES_PREDICTED, /* none that nothing refers to */
	RTSP_FRAMES_INTRA      /* keyframes */
};

struct rtsp_play {
	struct rtsp_range range; /* neither from nor to: it goes on where it is */
	bool has_range;
	bool has_scale;
	int scale; /* thousandths; negative: backward; 1000 unless said */
	int speed; /* thousandths */
	enum rtsp_frames frames;
	int64_t interval_us; /* between keyframes, at least */
	bool rate_control;   /* false: as fast as they are taken */
	bool onvif;          /* by Require: with the extension */
	uint8_t cseq;        /* its low byte */
};
/* Returns 0; the status to answer with, and *why: 400, 457 (the range). */
int rtsp_play_parse(
	struct rtsp_play *ret, const struct message *message, const char **why) MUST_CHECK;
