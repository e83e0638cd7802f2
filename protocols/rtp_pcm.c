/*
 * Payloads that are samples and nothing else (RFC 3551 section 4.5): G.711, 16-bit PCM, G.726. Each
 * packet is a unit; a lost one harms no other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"

enum {
	PCM_HZ = 8000, /* of G.711 and G.726 when the description has no rate */
	PCM_MOST_HZ = 192000,
	PCM_MOST_CHANNELS = 8
};

static int pcm_start(struct rtp_depacketiser *d, const struct rtp_format *format, uint32_t hz,
	unsigned bits, const char **why)
{
	uint8_t channels = format->channels ? format->channels : 1;

	*why = "the sample rate makes no sense";
	if (hz == 0 || hz > PCM_MOST_HZ)
		return -EINVAL;
	*why = "there are too many channels";
	if (channels > PCM_MOST_CHANNELS)
		return -EINVAL;
	d->sound.clock_hz = d->sound.hz = hz;
	d->sound.channels = channels;
	d->sound.sample_bits = (uint8_t)bits;
	d->pcm.frame_bytes = (uint8_t)(bits < 8 ? 1 : bits / 8 * channels);
	return 0;
}

static int pcm_start_g711(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	return pcm_start(d, format, format->clock_hz ? format->clock_hz : PCM_HZ, 8, why);
}

static int pcm_start_l16(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	return pcm_start(d, format, format->clock_hz, 16, why);
}

/* Hikvision calls it "PCM" when its samples are little endian. */
static int pcm_start_swapped(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	d->pcm.swap = true;
	return pcm_start(d, format, format->clock_hz, 16, why);
}

/* G726-32, AAL2-G726-32: kbit/s at 8000 samples per second. */
static int pcm_start_g726(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	const char *rate = strrchr(format->encoding, '-') + 1;
	struct rtp_format mono = *format;

	mono.channels = 1;
	d->sound.aal2 = strncmp(format->encoding, "AAL2", 4) == 0;
	return pcm_start(d, &mono, format->clock_hz ? format->clock_hz : PCM_HZ,
		(unsigned)strtoul(rate, NULL, 10) / 8, why);
}

static void pcm_swap(uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		uint8_t low = p[i];
		p[i] = p[i + 1];
		p[i + 1] = low;
	}
}

static void pcm_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	size_t frame_bits = (size_t)d->sound.sample_bits;
	size_t n = packet->payload_bytes - packet->payload_bytes % d->pcm.frame_bytes;

	(void)gap;
	if (n == 0)
		return;
	if (frame_bits >= 8)
		frame_bits = (size_t)d->pcm.frame_bytes * 8;
	d->sound.unit_ticks = (uint32_t)(n * 8 / frame_bits);
	rtp_unit_append(d, packet->payload, n);
	if (d->pcm.swap && !d->damage)
		pcm_swap(d->unit, d->bytes);
	rtp_unit_end(d, packet->timestamp);
}

// clang-format off
const struct rtp_payload rtp_payloads_pcm[RTP_PCM_ENCODINGS] = {
	{ .encoding = "PCMU", .start = pcm_start_g711, .push = pcm_push },
	{ .encoding = "PCMA", .start = pcm_start_g711, .push = pcm_push },
	{ .encoding = "L16", .start = pcm_start_l16, .push = pcm_push },
	{ .encoding = "PCM", .start = pcm_start_swapped, .push = pcm_push },
	{ .encoding = "G726-16", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "G726-24", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "G726-32", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "G726-40", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "AAL2-G726-16", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "AAL2-G726-24", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "AAL2-G726-32", .start = pcm_start_g726, .push = pcm_push },
	{ .encoding = "AAL2-G726-40", .start = pcm_start_g726, .push = pcm_push },
};
// clang-format on
