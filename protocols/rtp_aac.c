/*
 * The payload of AAC (RFC 3640, any mode of one AU size or of AU headers): several AUs in a packet,
 * one AU in several packets, and ADTS frames where raw ones should stand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "protocols/sdp.h"
#include "server/base/reader.h"
#include "server/media/bits.h"

/* RFC 3640 section 3.3.6: mode AAC-hbr, which is also meant when a camera says nothing. */
enum {
	HBR_SIZE_BITS = 13,
	HBR_INDEX_BITS = 3
};
/* Object types of HE-AAC; greater ones are not known here (low delay, xHE-AAC). */
enum {
	AAC_SBR = 5,
	AAC_PS = 29
};
/* AUs of one packet; the largest AU; the widest field of a header; 90 kHz is no rate of a sound. */
enum {
	AUS = 64,
	AU_BYTES = RTP_AAC_UNIT_BYTES,
	FIELD_BITS = 32,
	PICTURE_HZ = 90000,
	GUESSED_HZ = 48000
};

static unsigned aac_number(const char *fmtp, const char *name, unsigned otherwise, unsigned max)
{
	char value[16];
	char *end;

	if (sdp_fmtp_value(fmtp, name, value, sizeof(value)) <= 0)
		return otherwise;
	unsigned long n = strtoul(value, &end, 10);
	return end == value || n > max ? otherwise : (unsigned)n;
}

static int aac_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t rtp_aac_parse_hex(uint8_t *ret, size_t size, const char *p)
{
	size_t n = 0;

	while (n < size && aac_hex_digit(p[0]) >= 0 && aac_hex_digit(p[1]) >= 0) {
		ret[n++] = (uint8_t)(aac_hex_digit(p[0]) << 4 | aac_hex_digit(p[1]));
		p += 2;
	}
	return n;
}

size_t rtp_aac_guess_config(
	uint8_t ret[RTP_AAC_CONFIG_BYTES], uint32_t sample_rate, uint8_t channels)
{
	struct aac_config config = {
		.object_type = 2,
		.sample_rate = sample_rate == PICTURE_HZ ? GUESSED_HZ : sample_rate,
		.channels = channels ? channels : 1,
		.frame_samples = 1024,
	};

	return aac_config_write(&config, ret, RTP_AAC_CONFIG_BYTES);
}

int rtp_aac_set_sound(struct rtp_depacketiser *d, const uint8_t *config, size_t n, const char **why)
{
	struct rtp_sound *sound = &d->sound;
	struct aac_config aac;

	if (aac_config_parse(&aac, config, n, why) < 0) {
		*why = "the AAC configuration makes no sense";
		return -EINVAL;
	}
	uint32_t clock_hz = sound->clock_hz ? sound->clock_hz : aac.sample_rate;
	uint64_t ticks = (uint64_t)aac.frame_samples * clock_hz / aac.sample_rate;
	if (ticks == 0 || ticks > clock_hz) {
		*why = "the AAC configuration does not fit the clock";
		return -EINVAL;
	}
	*sound = (struct rtp_sound){
		.config = config,
		.config_bytes = n,
		.clock_hz = clock_hz,
		.hz = aac.sample_rate,
		.channels = aac.channels,
		.unit_ticks = (uint32_t)ticks,
	};
	return 0;
}

/* The AudioSpecificConfig of the fmtp; without one, what the rtpmap says. */
static int aac_start_config(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	struct rtp_aac *a = &d->aac;
	char hex[2 * sizeof(a->config) + 1];
	size_t n = 0;

	d->sound.clock_hz = format->clock_hz;
	if (sdp_fmtp_value(format->fmtp, "config", hex, sizeof(hex)) > 0)
		n = rtp_aac_parse_hex(a->config, sizeof(a->config), hex);
	if (n > 0 && rtp_aac_set_sound(d, a->config, n, why) == 0)
		return 0;
	*why = "this kind of AAC is not supported";
	if (n > 0 && a->config[0] >> 3 > AAC_SBR && a->config[0] >> 3 != AAC_PS)
		return -EINVAL;
	a->guessed = true;
	n = rtp_aac_guess_config(a->config, format->clock_hz, format->channels);
	return rtp_aac_set_sound(d, a->config, n, why);
}

static int aac_start(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	struct rtp_aac *a = &d->aac;
	const char *fmtp = format->fmtp;

	a->constant_bytes = aac_number(fmtp, "constantsize", 0, AU_BYTES);
	bool hbr = a->constant_bytes == 0;
	a->size_bits = aac_number(fmtp, "sizelength", hbr ? HBR_SIZE_BITS : 0, FIELD_BITS);
	a->index_bits = aac_number(fmtp, "indexlength", hbr ? HBR_INDEX_BITS : 0, FIELD_BITS);
	a->index_delta_bits =
		aac_number(fmtp, "indexdeltalength", hbr ? HBR_INDEX_BITS : 0, FIELD_BITS);
	a->cts_bits = aac_number(fmtp, "ctsdeltalength", 0, FIELD_BITS);
	a->dts_bits = aac_number(fmtp, "dtsdeltalength", 0, FIELD_BITS);
	a->random_access_bits = aac_number(fmtp, "randomaccessindication", 0, 1);
	a->state_bits = aac_number(fmtp, "streamstateindication", 0, FIELD_BITS);
	a->auxiliary_bits = aac_number(fmtp, "auxiliarydatasizelength", 0, FIELD_BITS);
	return aac_start_config(d, format, why);
}

static void aac_drop(struct rtp_depacketiser *d, const char *why)
{
	d->events.on_dropped(d->arg, why);
	d->aac.expected = 0;
	rtp_unit_reset(d);
}

/* Gives one raw AU that is whole in p. */
static void aac_give(struct rtp_depacketiser *d, const uint8_t *p, size_t n, uint32_t timestamp)
{
	if (n == 0)
		return;
	rtp_unit_append(d, p, n);
	if (d->damage) {
		aac_drop(d, d->damage);
		return;
	}
	rtp_unit_give(d, timestamp, true);
	rtp_unit_reset(d);
}

/* The header of an ADTS frame knows better than a guess, but not than a description. */
static void aac_take_adts(struct rtp_depacketiser *d, const uint8_t *p)
{
	unsigned type = (p[2] >> 6) + 1U, rate = p[2] >> 2 & 15;
	unsigned channels = (p[2] & 1U) << 2 | p[3] >> 6;
	uint8_t config[] = { (uint8_t)(type << 3 | rate >> 1),
		(uint8_t)(rate << 7 | channels << 3) };
	struct rtp_aac *a = &d->aac;
	struct aac_config parsed;
	const char *why;

	if (!a->guessed || aac_config_parse(&parsed, config, sizeof(config), &why) < 0)
		return;
	a->guessed = false;
	if (parsed.sample_rate == d->sound.hz && parsed.channels == d->sound.channels)
		return;
	memcpy(a->config, config, sizeof(config));
	if (rtp_aac_set_sound(d, a->config, sizeof(config), &why) == 0)
		d->sets_changed = true;
}

/* Gives an AU, or the ADTS frames that stand in its place. Returns the time behind it. */
static uint32_t aac_give_any(
	struct rtp_depacketiser *d, const uint8_t *p, size_t n, uint32_t timestamp)
{
	size_t header = aac_adts_header(p, n);

	if (header == 0) {
		aac_give(d, p, n, timestamp);
		return timestamp + d->sound.unit_ticks;
	}
	aac_take_adts(d, p);
	do {
		size_t frame = (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
		aac_give(d, p + header, frame - header, timestamp);
		timestamp += d->sound.unit_ticks;
		p += frame;
		n -= frame;
		header = aac_adts_header(p, n);
	} while (header > 0);
	return timestamp;
}

static bool aac_has_headers(const struct rtp_aac *a)
{
	return a->size_bits || a->index_bits || a->index_delta_bits || a->cts_bits || a->dts_bits ||
	       a->random_access_bits || a->state_bits;
}

/* The fields of one AU header (section 3.2.1.1). Returns the AU's size. */
static uint32_t aac_read_header(const struct rtp_aac *a, struct bits *b, bool first)
{
	uint32_t size = bits_read(b, a->size_bits);

	bits_skip(b, first ? a->index_bits : a->index_delta_bits);
	if (a->cts_bits && bits_read(b, 1))
		bits_skip(b, a->cts_bits);
	if (a->dts_bits && bits_read(b, 1))
		bits_skip(b, a->dts_bits);
	bits_skip(b, a->random_access_bits + a->state_bits);
	return a->size_bits ? size : a->constant_bytes;
}

/* Reads the AU header section. Returns how many sizes it wrote to ret. */
static size_t aac_read_headers(const struct rtp_aac *a, struct reader *r, uint32_t ret[AUS])
{
	size_t header_bits = reader_u16(r);
	const uint8_t *p = reader_bytes(r, (header_bits + 7) / 8);
	size_t n = 0;

	if (!p)
		return 0;
	struct bits b = bits_of(p, (header_bits + 7) / 8, false);
	while (n < AUS && b.at_bit < header_bits) {
		uint32_t size = aac_read_header(a, &b, n == 0);
		if (b.failed || b.at_bit > header_bits)
			break;
		ret[n++] = size;
	}
	return n;
}

static void aac_skip_auxiliary(const struct rtp_aac *a, struct reader *r)
{
	if (a->auxiliary_bits == 0)
		return;
	struct bits b = bits_of(r->at, reader_left(r), false);
	uint64_t bits = a->auxiliary_bits + (uint64_t)bits_read(&b, a->auxiliary_bits);
	if (bits / 8 > reader_left(r))
		reader_fail(r, "the auxiliary section is too long");
	else
		reader_skip(r, (size_t)((bits + 7) / 8));
}

/* A piece of an AU of `size` bytes; 0: of unknown size, the marker ends it. */
static void aac_collect(struct rtp_depacketiser *d, const struct rtp_packet *packet,
	struct reader *r, uint32_t size)
{
	if (d->bytes > 0 && packet->timestamp != d->timestamp)
		aac_drop(d, "the end of an AU is missing");
	d->timestamp = packet->timestamp;
	d->aac.expected = size ? size : AU_BYTES;
	rtp_unit_append(d, r->at, reader_left(r));
	if (!packet->marker && d->bytes < d->aac.expected)
		return;
	if (d->damage || d->bytes == 0 || d->bytes > AU_BYTES || (size && d->bytes != size)) {
		aac_drop(d, "the pieces of an AU do not fit");
		return;
	}
	size_t header = aac_adts_header(d->unit, d->bytes);
	if (header > 0)
		aac_take_adts(d, d->unit);
	d->aac.expected = 0;
	rtp_unit_give_bytes(d, d->unit + header, d->bytes - header, d->timestamp, true);
	rtp_unit_reset(d);
}

/* The AUs of known sizes, one behind the other. */
static void aac_push_units(struct rtp_depacketiser *d, const struct rtp_packet *packet,
	struct reader *r, const uint32_t *sizes, size_t n)
{
	uint32_t timestamp = packet->timestamp;

	if (n == 1 && (sizes[0] > reader_left(r) || d->aac.expected > 0)) {
		aac_collect(d, packet, r, sizes[0] <= AU_BYTES ? sizes[0] : 0);
		return;
	}
	if (d->aac.expected > 0)
		aac_drop(d, "the end of an AU is missing");
	for (size_t i = 0; i < n; i++) {
		const uint8_t *au = reader_bytes(r, sizes[i]);
		if (!au) {
			aac_drop(d, "an AU is longer than its packet");
			return;
		}
		timestamp = aac_give_any(d, au, sizes[i], timestamp);
	}
}

/* Without headers: AUs of a constant size, or one AU. */
static void aac_push_bare(
	struct rtp_depacketiser *d, const struct rtp_packet *packet, struct reader *r)
{
	uint32_t timestamp = packet->timestamp;
	size_t size = d->aac.constant_bytes;

	if (size == 0) {
		aac_collect(d, packet, r, 0);
		return;
	}
	while (reader_left(r) >= size)
		timestamp = aac_give_any(d, reader_bytes(r, size), size, timestamp);
}

static void aac_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	struct reader r = reader_of(packet->payload, packet->payload_bytes);
	uint32_t sizes[AUS];
	size_t n;

	if (gap && d->bytes > 0)
		aac_drop(d, "a packet was lost");
	if (reader_left(&r) == 0)
		return;
	if (aac_adts_header(packet->payload, packet->payload_bytes) > 0) {
		(void)aac_give_any(d, packet->payload, packet->payload_bytes, packet->timestamp);
		return;
	}
	if (!aac_has_headers(&d->aac)) {
		aac_push_bare(d, packet, &r);
		return;
	}
	n = aac_read_headers(&d->aac, &r, sizes);
	aac_skip_auxiliary(&d->aac, &r);
	if (r.why || n == 0)
		aac_drop(d, "the AU headers make no sense");
	else
		aac_push_units(d, packet, &r, sizes, n);
}

const struct rtp_payload rtp_payload_aac = {
	.encoding = "MPEG4-GENERIC",
	.start = aac_start,
	.push = aac_push,
};
