/*
 * Collects NAL units into access units, for RFC 6184 and RFC 7798: where a picture begins and ends
 * although markers and timestamps lie, what is dropped after a loss, and start codes inside.
 */
#include <stdlib.h>
#include <string.h>

#include "protocols/base64.h"
#include "protocols/rtp_depacketiser_private.h"
#include "protocols/sdp.h"

/* SEI that waits for its picture beyond this is dropped. */
enum {
	LENGTH_BYTES = 4,
	EXTRA_BYTES = 64 << 10,
	HEAD_BYTES = 16
};

enum {
	FU_START = 0x80,
	FU_END = 0x40
};

static void nal_drop_unit(struct rtp_depacketiser *d, const char *why)
{
	d->events.on_dropped(d->arg, why);
	d->waiting = true;
	d->lost = true;
}

static void nal_give_unit(struct rtp_depacketiser *d)
{
	if (d->keyframe)
		d->skip_leading = d->waiting;
	else if (!d->leading)
		d->skip_leading = false;
	d->waiting = false;
	d->lost = false;
	rtp_unit_give(d, d->timestamp, d->keyframe);
}

/* The access unit is over: gives or drops it. */
static void nal_finish_unit(struct rtp_depacketiser *d)
{
	if (d->marked)
		d->marker = RTP_MARKER_TRUE;
	if (d->damage)
		nal_drop_unit(d, d->damage);
	else if (d->waiting && !d->keyframe && d->lost)
		nal_drop_unit(d, "a picture that it needs was lost");
	else if (d->leading && d->skip_leading)
		d->events.on_dropped(d->arg, "it needs pictures from before the keyframe");
	else if (d->payload->sets_complete(d) && (d->keyframe || !d->waiting))
		nal_give_unit(d);
	d->given_timestamp = d->timestamp;
	d->has_given = true;
	rtp_unit_reset(d);
}

static void nal_abandon(struct rtp_depacketiser *d, const char *why)
{
	if (!d->open)
		return;
	d->bytes = d->open_at;
	d->open = false;
	rtp_unit_damage(d, why);
}

void rtp_nal_begin_packet(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	bool same = d->started && packet->timestamp == d->timestamp;

	if (gap) {
		nal_abandon(d, "a packet was lost");
		if (d->bytes > 0 && !(d->marked && !same))
			rtp_unit_damage(d, "a packet was lost");
	}
	if (!same) {
		nal_abandon(d, "the end of a NAL unit is missing");
		if (d->picture || d->damage)
			nal_finish_unit(d);
		else if (d->bytes > EXTRA_BYTES)
			d->bytes = 0;
	}
	if (gap) {
		d->waiting = true;
		d->lost = true;
		d->has_given = false;
	}
	d->timestamp = packet->timestamp;
	d->started = true;
}

void rtp_nal_end_packet(struct rtp_depacketiser *d, const struct rtp_packet *packet)
{
	if (!packet->marker || d->open || !(d->picture || d->damage))
		return;
	if (d->marker == RTP_MARKER_TRUE)
		nal_finish_unit(d);
	else if (d->marker == RTP_MARKER_UNKNOWN)
		d->marked = true;
}

/* A NAL unit of this kind comes: ends the picture before it, finds out markers that lie. */
static void nal_arrives(struct rtp_depacketiser *d, unsigned kind)
{
	if (d->picture && kind & (RTP_NAL_FIRST | RTP_NAL_BEGINS))
		nal_finish_unit(d);
	if (!(kind & RTP_NAL_SLICE) || kind & RTP_NAL_FIRST)
		return;
	if (d->marked) {
		d->marked = false;
		d->marker = RTP_MARKER_FALSE;
	}
	if (d->picture)
		return;
	if (d->has_given && d->given_timestamp == d->timestamp)
		d->marker = RTP_MARKER_FALSE;
	rtp_unit_damage(d, "the first slice of the picture is missing");
}

static void nal_note(struct rtp_depacketiser *d, unsigned kind)
{
	if (kind & RTP_NAL_SLICE)
		d->picture = true;
	if (kind & RTP_NAL_KEY)
		d->keyframe = true;
	if (kind & RTP_NAL_LEADING)
		d->leading = true;
}

static void nal_take_set(struct rtp_depacketiser *d, const uint8_t *nal, size_t n)
{
	if (d->payload->take_set(d, nal, n) > 0)
		d->sets_changed = true;
}

static void nal_write_length(uint8_t *p, size_t n)
{
	for (unsigned i = 0; i < LENGTH_BYTES; i++)
		p[i] = (uint8_t)(n >> (24 - 8 * i));
}

static size_t nal_without_zeros(const uint8_t *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n;
}

/* One whole NAL unit that is not part of the unit's block. */
static void nal_take(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	uint8_t length[LENGTH_BYTES];

	n = nal_without_zeros(p, n);
	unsigned kind = d->payload->nal_kind(p, n);
	nal_arrives(d, kind);
	if (kind & RTP_NAL_SET)
		nal_take_set(d, p, n);
	if (!(kind & (RTP_NAL_SLICE | RTP_NAL_EXTRA)))
		return;
	nal_write_length(length, n);
	rtp_unit_append(d, length, sizeof(length));
	rtp_unit_append(d, p, n);
	nal_note(d, kind);
}

bool rtp_nal_is_annexb(const uint8_t *p, size_t n)
{
	size_t zeros = 0;

	while (zeros < n && p[zeros] == 0)
		zeros++;
	return zeros >= 2 && zeros < n && p[zeros] == 1;
}

/*
 * Whether start codes stand in it. Slices, which are most of the bytes, are only searched when the
 * camera was seen to glue.
 */
static bool nal_is_glued(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	const uint8_t *first;
	size_t at = 0, first_bytes;

	if (!d->glued && !rtp_nal_is_annexb(p, n) && d->payload->nal_kind(p, n) & RTP_NAL_SLICE)
		return false;
	first = annexb_next(p, n, &at, &first_bytes);
	if (!first || (first == p && at == n))
		return false;
	d->glued = true;
	return true;
}

static void nal_split(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	const uint8_t *nal;
	size_t at = 0, nal_bytes;

	while ((nal = annexb_next(p, n, &at, &nal_bytes)))
		nal_take(d, nal, nal_bytes);
}

void rtp_nal_whole(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	nal_abandon(d, "the end of a NAL unit is missing");
	if (nal_is_glued(d, p, n))
		nal_split(d, p, n);
	else
		nal_take(d, p, n);
}

void rtp_nal_open(struct rtp_depacketiser *d, const uint8_t *header, size_t header_bytes,
	const uint8_t *p, size_t n)
{
	uint8_t head[HEAD_BYTES];
	size_t head_bytes = n < HEAD_BYTES - header_bytes ? n : HEAD_BYTES - header_bytes;
	static const uint8_t no_length[LENGTH_BYTES];

	nal_abandon(d, "the end of a NAL unit is missing");
	memcpy(head, header, header_bytes);
	if (head_bytes > 0)
		memcpy(head + header_bytes, p, head_bytes);
	nal_arrives(d, d->payload->nal_kind(head, header_bytes + head_bytes));
	d->open = true;
	d->open_at = d->bytes;
	rtp_unit_append(d, no_length, sizeof(no_length));
	rtp_unit_append(d, header, header_bytes);
	rtp_unit_append(d, p, n);
}

void rtp_nal_more(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	if (d->open)
		rtp_unit_append(d, p, n);
	else
		rtp_unit_damage(d, "the start of a NAL unit is missing");
}

/* Splits what was collected; its bytes are moved away first, for its parts come to the same place. */
static void nal_close_glued(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n);

	d->bytes = d->open_at;
	if (!copy) {
		rtp_unit_damage(d, "there is no memory for the unit");
		return;
	}
	memcpy(copy, p, n);
	nal_split(d, copy, n);
	free(copy);
}

void rtp_nal_close(struct rtp_depacketiser *d)
{
	if (!d->open)
		return;
	d->open = false;
	if (d->bytes < d->open_at + LENGTH_BYTES) { /* no room: damaged already */
		d->bytes = d->open_at;
		return;
	}
	uint8_t *nal = d->unit + d->open_at + LENGTH_BYTES;
	size_t n = d->bytes - d->open_at - LENGTH_BYTES;
	if (nal_is_glued(d, nal, n)) {
		nal_close_glued(d, nal, n);
		return;
	}
	n = nal_without_zeros(nal, n);
	unsigned kind = d->payload->nal_kind(nal, n);
	if (kind & RTP_NAL_SET)
		nal_take_set(d, nal, n);
	if (!(kind & (RTP_NAL_SLICE | RTP_NAL_EXTRA))) {
		d->bytes = d->open_at;
		return;
	}
	nal_write_length(d->unit + d->open_at, n);
	d->bytes = d->open_at + LENGTH_BYTES + n;
	nal_note(d, kind);
}

void rtp_nal_fragment(struct rtp_depacketiser *d, const uint8_t *header, size_t header_bytes,
	uint8_t fu_flags, const uint8_t *p, size_t n)
{
	if (fu_flags & FU_START)
		rtp_nal_open(d, header, header_bytes, p, n);
	else if (n > 0 || d->open)
		rtp_nal_more(d, p, n);
	if (fu_flags & FU_END)
		rtp_nal_close(d);
}

static void nal_take_sprop_item(struct rtp_depacketiser *d, const char *p, size_t n)
{
	uint8_t bytes[SDP_VALUE_BYTES];
	ssize_t length = base64_parse(bytes, sizeof(bytes), p, n);
	const uint8_t *nal;
	size_t at = 0, nal_bytes;

	if (length <= 0)
		return;
	while ((nal = annexb_next(bytes, (size_t)length, &at, &nal_bytes)))
		(void)d->payload->take_set(d, nal, nal_without_zeros(nal, nal_bytes));
}

void rtp_nal_take_sprop(struct rtp_depacketiser *d, const char *fmtp, const char *name)
{
	char value[SDP_VALUE_BYTES];

	if (sdp_fmtp_value(fmtp, name, value, sizeof(value)) < 0)
		return;
	for (const char *p = value; *p;) {
		size_t n = strcspn(p, ",");
		nal_take_sprop_item(d, p, n);
		p += n;
		p += *p == ',';
	}
}
