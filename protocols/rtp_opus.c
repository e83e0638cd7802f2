/* The payload of Opus (RFC 7587): a packet is a unit; what it holds is in its TOC (RFC 6716 section 3.1). */
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"

/* RFC 7587 section 4.1: whatever the description says. */
enum {
	OPUS_HZ = 48000,
	OPUS_MOST_TICKS = OPUS_HZ * 120 / 1000,
	OPUS_MAGIC_BYTES = 8
};

static int opus_start(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	(void)format;
	(void)why;
	/* The description's channels are always 2; the first packet tells. */
	d->sound = (struct rtp_sound){ .clock_hz = OPUS_HZ, .hz = OPUS_HZ, .channels = 2 };
	return 0;
}

/* RFC 6716 table 2. */
static uint32_t opus_frame_ticks(uint8_t toc)
{
	static const uint16_t silk[] = { 480, 960, 1920, 2880 };
	static const uint16_t celt[] = { 120, 240, 480, 960 };
	unsigned config = toc >> 3;

	if (config < 12)
		return silk[config & 3];
	return config < 16 ? silk[config & 1] : celt[config & 3];
}

/* The frames of a packet of at least a byte (section 3.2), or 0 when it makes no sense. */
static unsigned opus_frames(const uint8_t *p, size_t n)
{
	unsigned code = p[0] & 3;

	if (code == 0)
		return 1;
	if (code < 3)
		return 2;
	return n > 1 ? p[1] & 0x3f : 0;
}

/*
 * The first packet tells the channels. Encoders go back to one for a while as they like, which a
 * decoder of two plays, so later only more channels count.
 */
static void opus_take_channels(struct rtp_depacketiser *d, uint8_t channels)
{
	bool first = d->sound.unit_ticks == 0;

	if (channels == d->sound.channels || (!first && channels < d->sound.channels))
		return;
	d->sound.channels = channels;
	d->sets_changed = true;
}

/* The two headers of a file (RFC 7845 section 5), which no packet of sound looks like: live555 sends them first. */
static bool opus_is_file_header(const uint8_t *p, size_t n)
{
	return n >= OPUS_MAGIC_BYTES && (!memcmp(p, "OpusHead", OPUS_MAGIC_BYTES) ||
						!memcmp(p, "OpusTags", OPUS_MAGIC_BYTES));
}

static void opus_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	const uint8_t *p = packet->payload;
	uint32_t ticks;

	(void)gap;
	if (packet->payload_bytes == 0 || opus_is_file_header(p, packet->payload_bytes))
		return;
	ticks = opus_frame_ticks(p[0]) * opus_frames(p, packet->payload_bytes);
	if (ticks == 0 || ticks > OPUS_MOST_TICKS) {
		d->events.on_dropped(d->arg, "the Opus packet makes no sense");
		return;
	}
	opus_take_channels(d, p[0] & 4 ? 2 : 1);
	d->sound.unit_ticks = ticks;
	rtp_unit_append(d, p, packet->payload_bytes);
	rtp_unit_end(d, packet->timestamp);
}

const struct rtp_payload rtp_payload_opus = {
	.encoding = "OPUS",
	.start = opus_start,
	.push = opus_push,
};
