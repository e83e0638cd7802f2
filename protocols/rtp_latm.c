/*
 * The payload of AAC in LATM (RFC 6416 section 6): elements of several frames, over several packets,
 * with the StreamMuxConfig (ISO/IEC 14496-3 section 1.7.3) in the fmtp or in band. One program of
 * one layer, which is all that section 6.1 leaves.
 */
#include <errno.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "protocols/sdp.h"
#include "server/media/bits.h"

enum {
	LATM_AAC_SBR = 5,
	LATM_AAC_PS = 29,
	LATM_SYNC_EXTENSION = 0x2b7,
	LATM_CONSTANT_BASE = 20 /* frameLength counts from here */
};

/* LatmGetValue(). */
static uint32_t latm_value(struct bits *b)
{
	unsigned bytes = bits_read(b, 2) + 1;

	return bits_read(b, 8 * bytes);
}

static uint32_t latm_object_type(struct bits *b)
{
	uint32_t type = bits_read(b, 5);

	return type == 31 ? 32 + bits_read(b, 6) : type;
}

static void latm_skip_rate(struct bits *b)
{
	if (bits_read(b, 4) == 15)
		bits_skip(b, 24);
}

/* GStreamer puts the extension for SBR behind it, which only a config with a length may have. */
static void latm_skip_extension(struct bits *b)
{
	struct bits ahead = *b;

	if (bits_read(&ahead, 11) != LATM_SYNC_EXTENSION || ahead.failed)
		return;
	if (latm_object_type(&ahead) == LATM_AAC_SBR && bits_read(&ahead, 1))
		latm_skip_rate(&ahead);
	if (!ahead.failed)
		*b = ahead;
}

/* How many bits the AudioSpecificConfig has that begins here: version 0 does not say. */
static size_t latm_config_bits(struct bits b)
{
	size_t from = b.at_bit;
	uint32_t type = latm_object_type(&b);

	latm_skip_rate(&b);
	bits_skip(&b, 4);
	if (type == LATM_AAC_SBR || type == LATM_AAC_PS) {
		latm_skip_rate(&b);
		(void)latm_object_type(&b);
	}
	bits_skip(&b, 1); /* GASpecificConfig: the frame length; a core coder's delay; extensions */
	if (bits_read(&b, 1))
		bits_skip(&b, 14);
	if (bits_read(&b, 1))
		bits_skip(&b, 1);
	latm_skip_extension(&b);
	return b.at_bit - from;
}

/* The AudioSpecificConfig, moved to a byte's border. */
static int latm_read_config(
	struct bits *b, size_t n_bits, struct rtp_latm_mux *ret, const char **why)
{
	struct aac_config config;

	*why = "the AAC configuration is too long";
	if (n_bits > 8 * sizeof(ret->config))
		return -EINVAL;
	ret->config_bytes = (n_bits + 7) / 8;
	memset(ret->config, 0, sizeof(ret->config));
	for (size_t i = 0; i < ret->config_bytes; i++) {
		unsigned n = n_bits < 8 ? (unsigned)n_bits : 8;
		ret->config[i] = (uint8_t)(bits_read(b, n) << (8 - n));
		n_bits -= n;
	}
	return aac_config_parse(&config, ret->config, ret->config_bytes, why);
}

/* How long each frame is, or that its length stands before it. */
static int latm_read_framing(struct bits *b, struct rtp_latm_mux *ret, const char **why)
{
	unsigned type = bits_read(b, 3);

	ret->constant_bytes = 0;
	*why = "the LATM frames are of a kind that is not AAC";
	if (type > 1)
		return -EINVAL;
	if (type == 0)
		bits_skip(b, 8); /* latmBufferFullness */
	else
		ret->constant_bytes = bits_read(b, 9) + LATM_CONSTANT_BASE;
	return 0;
}

static uint32_t latm_read_other_bits(struct bits *b, unsigned version)
{
	uint32_t n = 0;
	bool more;

	if (version == 1)
		return latm_value(b);
	do {
		more = bits_read(b, 1);
		n = n << 8 | bits_read(b, 8);
	} while (more);
	return n;
}

/* StreamMuxConfig(), of the description or in band. Returns 0, or a negative error and a static *why. */
static int latm_read_mux(
	struct bits *b, struct rtp_latm_mux *ret, bool is_described, const char **why)
{
	unsigned version = bits_read(b, 1);
	size_t config_bits;
	int error;

	*why = "this version of LATM is not supported";
	if (version == 1 && bits_read(b, 1))
		return -EINVAL;
	if (version == 1)
		(void)latm_value(b); /* taraBufferFullness */
	*why = "LATM streams with framings of their own are not supported";
	if (!bits_read(b, 1))
		return -EINVAL;
	ret->subframes = bits_read(b, 6) + 1;
	*why = "LATM of several programs or layers is not supported";
	if (bits_read(b, 4) || bits_read(b, 3))
		return -EINVAL;
	config_bits = version == 1 ? latm_value(b) : latm_config_bits(*b);
	error = latm_read_config(b, config_bits, ret, why);
	if (error == 0 && b->failed) {
		*why = "the AAC configuration is too short";
		error = -EINVAL;
	}
	if (error == 0)
		error = latm_read_framing(b, ret, why);
	if (error)
		return error;
	if (b->failed && is_described) { /* GStreamer cuts it off behind the AudioSpecificConfig */
		ret->other_bits = 0;
		return 0;
	}
	ret->other_bits = bits_read(b, 1) ? latm_read_other_bits(b, version) : 0;
	if (bits_read(b, 1))
		bits_skip(b, 8); /* crcCheckSum */
	*why = "the StreamMuxConfig is too short";
	return b->failed ? -EINVAL : 0;
}

/* --- the description --- */

static int latm_start_config(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	char hex[4 * RTP_AAC_CONFIG_BYTES + 1];
	uint8_t bytes[2 * RTP_AAC_CONFIG_BYTES];
	struct rtp_latm_mux mux = { .subframes = 0 };

	*why = "the LATM configuration is missing";
	if (sdp_fmtp_value(format->fmtp, "config", hex, sizeof(hex)) <= 0)
		return -EINVAL;
	size_t n = rtp_aac_parse_hex(bytes, sizeof(bytes), hex);
	struct bits b = bits_of(bytes, n, false);
	if (n == 0 || latm_read_mux(&b, &mux, true, why) < 0)
		return -EINVAL;
	d->latm.mux = mux;
	return 0;
}

static int latm_start(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	struct rtp_latm_mux *mux = &d->latm.mux;
	char present[4];

	d->latm.in_band = sdp_fmtp_value(format->fmtp, "cpresent", present, sizeof(present)) < 1 ||
			  present[0] != '0';
	if (latm_start_config(d, format, why) < 0) {
		if (!d->latm.in_band)
			return -EINVAL;
		mux->config_bytes =
			rtp_aac_guess_config(mux->config, format->clock_hz, format->channels);
	}
	d->sound.clock_hz = format->clock_hz;
	return rtp_aac_set_sound(d, mux->config, mux->config_bytes, why);
}

/* --- packets --- */

static size_t latm_bits_left(const struct bits *b)
{
	return b->failed ? 0 : 8 * b->n - b->at_bit;
}

/* PayloadLengthInfo(). Returns false when that much does not follow. */
static bool latm_read_length(struct bits *b, const struct rtp_latm_mux *mux, size_t *ret)
{
	size_t n = mux->constant_bytes;
	uint32_t more = n ? 0 : 255;

	while (more == 255) {
		more = bits_read(b, 8);
		n += more;
	}
	*ret = n;
	return !b->failed && n <= latm_bits_left(b) / 8;
}

/* Whether the element holds all its frames; `exactly`: and nothing behind them but the alignment. */
static bool latm_fits(struct bits b, const struct rtp_latm_mux *mux, bool exactly)
{
	size_t n;

	for (unsigned i = 0; i < mux->subframes; i++) {
		if (!latm_read_length(&b, mux, &n))
			return false;
		b.at_bit += 8 * n;
	}
	return mux->other_bits <= latm_bits_left(&b) &&
	       (!exactly || latm_bits_left(&b) - mux->other_bits < 8);
}

/* Moves n bytes that begin at a bit of the unit to the border of the byte it is in. */
static const uint8_t *latm_align(struct rtp_depacketiser *d, size_t at_bit, size_t n)
{
	uint8_t *p = d->unit + at_bit / 8;
	unsigned shift = at_bit % 8;

	for (size_t i = 0; shift && i < n; i++)
		p[i] = (uint8_t)(p[i] << shift | p[i + 1] >> (8 - shift));
	return p;
}

/* The frames of an element that fits. */
static void latm_give(struct rtp_depacketiser *d, struct bits b)
{
	uint32_t timestamp = d->timestamp;
	size_t n;

	for (unsigned i = 0; i < d->latm.mux.subframes; i++) {
		if (!latm_read_length(&b, &d->latm.mux, &n))
			return;
		if (n > 0)
			rtp_unit_give_bytes(d, latm_align(d, b.at_bit, n), n, timestamp, true);
		b.at_bit += 8 * n;
		timestamp += d->sound.unit_ticks;
	}
}

/* Takes what an element says of the stream. */
static int latm_take_mux(
	struct rtp_depacketiser *d, const struct rtp_latm_mux *mux, const char **why)
{
	struct rtp_latm_mux before = d->latm.mux;

	d->latm.mux = *mux;
	if (mux->config_bytes == before.config_bytes &&
		!memcmp(mux->config, before.config, before.config_bytes))
		return 0;
	if (rtp_aac_set_sound(d, d->latm.mux.config, mux->config_bytes, why) == 0) {
		d->sets_changed = true;
		return 0;
	}
	d->latm.mux = before;
	return -EINVAL;
}

/* AudioMuxElement(). Returns NULL, or why it is dropped. */
static const char *latm_read_element(struct rtp_depacketiser *d)
{
	struct bits b = bits_of(d->unit, d->bytes, false);
	struct rtp_latm_mux mux = d->latm.mux;
	const char *why = NULL;

	if (d->damage)
		return d->damage;
	if (d->latm.in_band && !bits_read(&b, 1) && latm_read_mux(&b, &mux, false, &why) < 0)
		return why;
	if (mux.subframes == 0)
		return "there was no StreamMuxConfig yet";
	if (!latm_fits(b, &mux, d->latm.lost))
		return "the frames do not fit into their element";
	if (latm_take_mux(d, &mux, &why) < 0)
		return why;
	latm_give(d, b);
	return NULL;
}

static void latm_end(struct rtp_depacketiser *d)
{
	const char *why = latm_read_element(d);

	if (why)
		d->events.on_dropped(d->arg, why);
	d->latm.lost = false;
	rtp_unit_reset(d);
}

static void latm_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	if (d->bytes > 0 && gap) {
		d->events.on_dropped(d->arg, "a packet was lost");
		rtp_unit_reset(d);
	}
	if (d->bytes > 0 && packet->timestamp != d->timestamp)
		latm_end(d);
	/* The start of the element may be what was lost: it must fit exactly to be believed. */
	d->latm.lost |= gap;
	d->timestamp = packet->timestamp;
	if (packet->payload_bytes > RTP_AAC_UNIT_BYTES - d->bytes)
		rtp_unit_damage(d, "the element is larger than 64 KiB");
	else
		rtp_unit_append(d, packet->payload, packet->payload_bytes);
	if (packet->marker && d->bytes > 0)
		latm_end(d);
}

const struct rtp_payload rtp_payload_latm = {
	.encoding = "MP4A-LATM",
	.start = latm_start,
	.push = latm_push,
};
