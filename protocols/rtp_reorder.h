#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Puts the RTP packets of one track back in order (RFC 3550 appendix A.1 for what is plausible):
 * at most 1024 packets, 4 MiB or 200 ms are waited for (the hundreds of packets of a keyframe come at
 * once: one of them that is 20 ms late comes behind them all); duplicates are dropped, losses
 * counted. A leap of the sequence or another SSRC is believed once a second packet confirms it; none
 * of the two is lost. Over TCP it holds nothing back: pass window 0.
 */
struct rtp_reorder;

enum {
	RTP_REORDER_PACKETS = 1024,
	RTP_REORDER_BYTES = 4 << 20,
	RTP_REORDER_WAIT_US = 200000
};

struct rtp_reorder_stats {
	uint64_t received, lost, duplicates; /* duplicates: late ones as well */
	uint64_t malformed, foreign;         /* foreign: of other payload types or senders */
	uint32_t highest_extended;           /* for receiver reports */
	uint32_t jitter;                     /* RFC 3550 section 6.4.1, in RTP units */
	uint32_t ssrc;
};

/*
 * Gives one whole packet in order; `gap` says that packets before it are lost for good. It must not
 * free the reorder nor push into it.
 */
typedef void rtp_reorder_fn(void *arg, const uint8_t *p, size_t n, bool gap);

/* `window`: how many packets to wait for, at most RTP_REORDER_PACKETS. */
struct rtp_reorder *rtp_reorder_new(
	unsigned window, uint32_t clock_hz, rtp_reorder_fn *on_packet, void *arg);
void rtp_reorder_free(struct rtp_reorder *reorder);

/*
 * Which sender is ours, should packets of others come among its own (live555 before 2017 sends an
 * old session's packets on a new connection): those are dropped for as long as ours come. Cameras
 * name the wrong one too: then nothing is preferred, and of two that come mixed the first is kept.
 */
void rtp_reorder_prefer(struct rtp_reorder *reorder, uint32_t ssrc);

/*
 * Which sequence number comes first, before any packet came: where that is near the first one to
 * come, what lies between is waited for (it is no loss if it never comes: cameras say anything).
 */
void rtp_reorder_expect(struct rtp_reorder *reorder, uint16_t sequence);

/*
 * Only packets of these two payload types count from now on (sdp_media's payload_type and
 * mapped_type; the same one twice is fine); all do before. Others are dropped at once: cameras send
 * packets of their own between, with sequence numbers that repeat.
 */
void rtp_reorder_set_types(struct rtp_reorder *reorder, uint8_t a, uint8_t b);

/*
 * Takes one received packet; calls on_packet for what is due. now_us is monotonic. Malformed ones
 * are counted and dropped.
 */
void rtp_reorder_push(struct rtp_reorder *reorder, const uint8_t *p, size_t n, int64_t now_us);
/* Gives up on what is older than 200 ms; call at least every 100 ms while it is waiting. */
void rtp_reorder_expire(struct rtp_reorder *reorder, int64_t now_us);
bool rtp_reorder_is_waiting(const struct rtp_reorder *reorder);
void rtp_reorder_get_stats(const struct rtp_reorder *reorder, struct rtp_reorder_stats *ret);
