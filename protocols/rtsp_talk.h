#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/sdp.h"
#include "server/base/attributes.h"
#include "server/base/audit.h"

struct evbuffer;

/*
 * The back channel of a camera (ONVIF Streaming Specification, "Back Channel Connection"): the RTSP client opens one for a
 * camera that listens, sessions of the RTSP server send it the RTP of who talks. Nothing is converted: a talker
 * sends what the camera's description says. One talks at a time: whoever speaks first, until he has been silent for
 * RTSP_TALK_SILENCE_US or leaves.
 */
#define RTSP_BACKCHANNEL "www.onvif.org/ver20/backchannel" /* in Require */
#define RTSP_TALK_SILENCE_US (INT64_C(5) * 1000000)

enum {
	RTSP_TALK_CAMERA_BYTES = 64
};

/* --- the camera's side --- */

struct rtsp_talk;

/* Sends an RTP packet to the camera. False: it is behind, and the packet is dropped. */
typedef bool rtsp_talk_send_fn(void *arg, uint8_t *p, size_t n);

/*
 * The camera of that name listens now to what the media of its description says. NULL when that cannot be told to others: no
 * encoding or clock, or something else than printable ASCII.
 */
struct rtsp_talk *rtsp_talk_new(const char *camera, const struct sdp_media *media,
	rtsp_talk_send_fn *send, void *arg) MUST_CHECK;
void rtsp_talk_free(struct rtsp_talk *talk); /* NULL is fine */

/* --- the talkers' side --- */

/* Embedded by whoever may talk. */
struct rtsp_talker {
	char camera[RTSP_TALK_CAMERA_BYTES];
	unsigned description;     /* of the back channel that was described to him; 0: none */
	struct audit_actor actor; /* what it points to outlives the talker */
};

/* For the camera of a stream of that name ("porch", "porch/sub"). */
void rtsp_talker_init(struct rtsp_talker *talker, const char *stream);
/* Which the camera's back channel is: the same number as long as it is described alike; 0: it does not listen. */
unsigned rtsp_talk_description(const struct rtsp_talker *talker);
/* Whether somebody talks there; not the talker himself. */
bool rtsp_talk_is_busy(const struct rtsp_talker *talker);
/* Appends the media of the camera's description, which listens, as the track of that number. */
void rtsp_talk_write_sdp(const struct rtsp_talker *talker, unsigned track, struct evbuffer *out);

/*
 * Takes what the talker sends, RTP or RTCP: what is right goes to the camera at once, with the SSRC and the numbers of one sender, the
 * rest is dropped and counted (METRIC_TALK_PACKETS). Returns 0; -ENOTCONN: the camera is there, but listens no more, or to
 * something else.
 */
int rtsp_talk_take(struct rtsp_talker *talker, const uint8_t *p, size_t n) MUST_CHECK;
/* He talks no more: before he is freed. */
void rtsp_talk_leave(struct rtsp_talker *talker);
