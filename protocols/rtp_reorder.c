/*
 * A window of packets that came too early, and the sequence counting of RFC 3550 appendix A.1 and
 * the jitter of A.8.
 */
#include "protocols/rtp_reorder.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/rtp.h"
#include "server/base/memory.h"

/* RFC 3550 appendix A.1: beyond these a packet is not of the sequence that we follow. */
enum {
	MAX_DROPOUT = 3000,
	MAX_MISORDER = 100
};

/* A sender that comes back so soon was never gone: two send at once. One that is silent is gone. */
enum {
	MIXED_US = 5000000,
	SILENT_US = 200000
};

struct held {
	uint8_t *data;
	size_t n;
	uint16_t sequence;
	uint32_t ssrc;
	int64_t arrived_us;
	bool used;
};

struct rtp_reorder {
	unsigned window;
	uint32_t clock_hz;
	rtp_reorder_fn *on_packet;
	void *arg;
	bool has_types;
	uint8_t types[2];

	bool started, begun; /* begun: a packet was given */
	bool expects;
	uint16_t expected;
	bool gap;      /* packets before the next one are lost */
	uint16_t next; /* the sequence number that is due */
	struct held *held;
	unsigned slots, n_held; /* slots divide 65536, and are more than the window */
	size_t held_bytes;
	int64_t oldest_us;   /* nothing that is held arrived before */
	struct held suspect; /* of another sequence; waits for its successor */

	/* senders */
	bool prefers, mixed;
	uint32_t preferred, left_ssrc;
	int64_t left_us, received_us;

	uint32_t cycles; /* wraps of the highest sequence number, << 16 */
	uint16_t highest;
	uint32_t transit, jitter; /* jitter in 1/16 */
	bool has_transit;
	struct rtp_reorder_stats stats;
};

struct rtp_reorder *rtp_reorder_new(
	unsigned window, uint32_t clock_hz, rtp_reorder_fn *on_packet, void *arg)
{
	struct rtp_reorder *r = xcalloc(1, sizeof(*r));

	r->window = window < RTP_REORDER_PACKETS ? window : RTP_REORDER_PACKETS - 1;
	r->slots = window ? RTP_REORDER_PACKETS : 1;
	r->held = xcalloc(r->slots, sizeof(*r->held));
	r->clock_hz = clock_hz;
	r->on_packet = on_packet;
	r->arg = arg;
	return r;
}

void rtp_reorder_set_types(struct rtp_reorder *r, uint8_t a, uint8_t b)
{
	r->has_types = true;
	r->types[0] = a;
	r->types[1] = b;
}

void rtp_reorder_prefer(struct rtp_reorder *r, uint32_t ssrc)
{
	r->prefers = true;
	r->preferred = ssrc;
}

void rtp_reorder_expect(struct rtp_reorder *r, uint16_t sequence)
{
	r->expects = !r->started;
	r->expected = sequence;
}

void rtp_reorder_free(struct rtp_reorder *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->slots; i++)
		free(r->held[i].data);
	free(r->held);
	free(r->suspect.data);
	free(r);
}

/* Keeps a copy. False when there is no memory for it: the packet counts as never received. */
static bool held_fill(
	struct held *h, const struct rtp_packet *packet, const uint8_t *p, size_t n, int64_t now_us)
{
	uint8_t *data = realloc(h->data, n);

	if (!data)
		return false;
	h->data = data;
	memcpy(h->data, p, n);
	h->n = n;
	h->sequence = packet->sequence;
	h->ssrc = packet->ssrc;
	h->arrived_us = now_us;
	h->used = true;
	return true;
}

static struct held *reorder_slot(struct rtp_reorder *r, uint16_t sequence)
{
	return &r->held[sequence % r->slots];
}

static void reorder_give(struct rtp_reorder *r, const uint8_t *p, size_t n)
{
	bool gap = r->gap;

	r->gap = false;
	r->begun = true;
	r->next++;
	r->on_packet(r->arg, p, n, gap);
}

static void reorder_give_held(struct rtp_reorder *r, struct held *h)
{
	uint8_t *data = h->data;

	h->data = NULL;
	h->used = false;
	r->n_held--;
	r->held_bytes -= h->n;
	reorder_give(r, data, h->n);
	free(data);
}

/* Gives what is held and due. */
static void reorder_drain(struct rtp_reorder *r)
{
	while (r->n_held > 0) {
		struct held *h = reorder_slot(r, r->next);
		if (!h->used || h->sequence != r->next)
			return;
		reorder_give_held(r, h);
	}
}

/* Gives up waiting for the next so many; nothing is lost before the first that comes. */
static void reorder_skip(struct rtp_reorder *r, uint16_t n)
{
	r->next = (uint16_t)(r->next + n);
	if (!r->begun)
		return;
	r->stats.lost += n;
	r->gap = true;
}

/* Gives up waiting for everything before `sequence`; gives what is held of it. */
static void reorder_advance(struct rtp_reorder *r, uint16_t sequence)
{
	while (r->next != sequence) {
		if (r->n_held == 0) {
			reorder_skip(r, (uint16_t)(sequence - r->next));
			return;
		}
		struct held *h = reorder_slot(r, r->next);
		if (h->used && h->sequence == r->next)
			reorder_give_held(r, h);
		else
			reorder_skip(r, 1);
	}
}

/* The lowest sequence number held. */
static uint16_t reorder_first_held(const struct rtp_reorder *r)
{
	for (unsigned i = 0; i < r->slots; i++) {
		uint16_t sequence = (uint16_t)(r->next + i);
		const struct held *h = &r->held[sequence % r->slots];
		if (h->used && h->sequence == sequence)
			return sequence;
	}
	return r->next;
}

/* Looks at them all only when the oldest of before would be late. */
static bool reorder_is_late(struct rtp_reorder *r, int64_t now_us)
{
	if (r->n_held == 0 || now_us - r->oldest_us < RTP_REORDER_WAIT_US)
		return false;
	r->oldest_us = now_us;
	for (unsigned i = 0; i < r->slots; i++)
		if (r->held[i].used && r->held[i].arrived_us < r->oldest_us)
			r->oldest_us = r->held[i].arrived_us;
	return now_us - r->oldest_us >= RTP_REORDER_WAIT_US;
}

void rtp_reorder_expire(struct rtp_reorder *r, int64_t now_us)
{
	while (reorder_is_late(r, now_us)) {
		reorder_advance(r, reorder_first_held(r));
		reorder_drain(r);
	}
}

static void reorder_count(struct rtp_reorder *r, const struct rtp_packet *packet, int64_t now_us)
{
	uint64_t arrival = (uint64_t)(now_us / 1000000) * r->clock_hz +
			   (uint64_t)(now_us % 1000000) * r->clock_hz / 1000000;
	uint32_t transit = (uint32_t)arrival - packet->timestamp;
	int32_t d = (int32_t)(transit - r->transit);

	r->stats.received++;
	if (r->has_transit) {
		uint32_t difference = d < 0 ? 0 - (uint32_t)d : (uint32_t)d;
		r->jitter += difference - ((r->jitter + 8) >> 4);
	}
	r->transit = transit;
	r->has_transit = true;
	if ((int16_t)(packet->sequence - r->highest) > 0) {
		if (packet->sequence < r->highest)
			r->cycles += 1 << 16;
		r->highest = packet->sequence;
	}
}

/* Follows another sequence from this packet on. */
static void reorder_restart(struct rtp_reorder *r, uint16_t sequence, uint32_t ssrc)
{
	while (r->n_held > 0)
		reorder_advance(r, (uint16_t)(reorder_first_held(r) + 1));
	r->gap = r->started;
	r->started = true;
	r->next = r->highest = sequence;
	r->cycles = 0;
	r->has_transit = false;
	r->jitter = 0;
	r->stats.ssrc = ssrc;
}

static bool reorder_prefers(const struct rtp_reorder *r, uint32_t ssrc)
{
	return r->prefers && ssrc == r->preferred;
}

/* Where a sequence begins of which this packet is the first to come. */
static uint16_t reorder_begin_of(struct rtp_reorder *r, const struct rtp_packet *packet)
{
	int ahead = (int16_t)(packet->sequence - r->expected);
	bool near = r->expects && ahead > 0 && ahead <= (int)r->window;

	r->expects = false;
	return near ? r->expected : packet->sequence;
}

/* Whether the packet is of another sender while ours goes on. */
static bool reorder_is_foreign(
	const struct rtp_reorder *r, const struct rtp_packet *packet, int64_t now_us)
{
	bool sure = r->mixed || reorder_prefers(r, r->stats.ssrc);

	return sure && packet->ssrc != r->stats.ssrc && !reorder_prefers(r, packet->ssrc) &&
	       now_us - r->received_us < SILENT_US;
}

/* Another sender takes over. */
static void reorder_change_sender(struct rtp_reorder *r, uint32_t ssrc, int64_t now_us)
{
	r->mixed = ssrc == r->left_ssrc && now_us - r->left_us < MIXED_US;
	r->left_ssrc = r->stats.ssrc;
	r->left_us = now_us;
}

/* A packet that does not fit the sequence: believed when its successor comes. */
static bool reorder_confirm(struct rtp_reorder *r, const struct rtp_packet *packet,
	const uint8_t *p, size_t n, int64_t now_us)
{
	struct held *s = &r->suspect;

	if (!s->used || s->ssrc != packet->ssrc ||
		(uint16_t)(s->sequence + 1) != packet->sequence) {
		s->used = held_fill(s, packet, p, n, now_us);
		return false;
	}
	s->used = false;
	if (s->ssrc != r->stats.ssrc)
		reorder_change_sender(r, s->ssrc, now_us);
	reorder_restart(r, s->sequence, s->ssrc);
	r->stats.received++;
	reorder_give(r, s->data, s->n);
	return true;
}

/* Holds a packet that came before its turn. */
static void reorder_hold(struct rtp_reorder *r, const struct rtp_packet *packet, const uint8_t *p,
	size_t n, int64_t now_us)
{
	struct held *h = reorder_slot(r, packet->sequence);

	if (h->used) {
		r->stats.duplicates++;
		return;
	}
	if (r->held_bytes + n > RTP_REORDER_BYTES || !held_fill(h, packet, p, n, now_us))
		return;
	if (r->n_held++ == 0)
		r->oldest_us = now_us;
	r->held_bytes += n;
}

void rtp_reorder_push(struct rtp_reorder *r, const uint8_t *p, size_t n, int64_t now_us)
{
	struct rtp_packet packet;
	const char *why;

	if (rtp_parse(&packet, p, n, &why) < 0) {
		r->stats.malformed++;
		return;
	}
	if (r->has_types && packet.payload_type != r->types[0] &&
		packet.payload_type != r->types[1]) {
		r->stats.foreign++;
		return;
	}
	rtp_reorder_expire(r, now_us);
	if (!r->started || (packet.ssrc != r->stats.ssrc && reorder_prefers(r, packet.ssrc)))
		reorder_restart(r, reorder_begin_of(r, &packet), packet.ssrc);
	int ahead = (int16_t)(packet.sequence - r->next);
	if (reorder_is_foreign(r, &packet, now_us)) {
		r->stats.foreign++;
		return;
	}
	if (packet.ssrc != r->stats.ssrc || ahead > MAX_DROPOUT || ahead < -MAX_MISORDER) {
		if (!reorder_confirm(r, &packet, p, n, now_us))
			return;
		ahead = 0;
	}
	r->received_us = now_us;
	reorder_count(r, &packet, now_us);
	if (ahead < 0) {
		r->stats.duplicates++;
		return;
	}
	if (ahead > (int)r->window) {
		reorder_advance(r, (uint16_t)(packet.sequence - r->window));
		reorder_drain(r);
	}
	if (packet.sequence != r->next) {
		reorder_hold(r, &packet, p, n, now_us);
		return;
	}
	reorder_give(r, p, n);
	reorder_drain(r);
}

bool rtp_reorder_is_waiting(const struct rtp_reorder *r)
{
	return r->n_held > 0;
}

void rtp_reorder_get_stats(const struct rtp_reorder *r, struct rtp_reorder_stats *ret)
{
	*ret = r->stats;
	ret->highest_extended = r->cycles | r->highest;
	ret->jitter = r->jitter >> 4;
}
