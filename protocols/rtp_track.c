/* Access units of one track as RTP packets. */
#include "protocols/rtp_track.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "protocols/rtp.h"
#include "server/base/auth.h"
#include "server/base/memory.h"

enum {
	SETS_BYTES = 16384
};

/* --- units --- */

struct rtp_unit_packets *rtp_unit_packets_ref(struct rtp_unit_packets *unit)
{
	unit->refs++;
	return unit;
}

void rtp_unit_packets_unref(struct rtp_unit_packets **unit)
{
	struct rtp_unit_packets *u = *unit;

	*unit = NULL;
	if (!u)
		return;
	assert(u->refs > 0);
	if (--u->refs == 0)
		free(u);
}

/* One block of memory for all of it; NULL when there is none. */
static struct rtp_unit_packets *unit_new(size_t packets, size_t bytes)
{
	size_t offsets_bytes = (packets + 1) * sizeof(uint32_t);
	struct rtp_unit_packets *unit = malloc(sizeof(*unit) + offsets_bytes + bytes);

	if (!unit)
		return NULL;
	memset(unit, 0, sizeof(*unit));
	unit->refs = 1;
	unit->offsets = (uint32_t *)(unit + 1);
	unit->block = (uint8_t *)(unit->offsets + packets + 1);
	return unit;
}

/* --- a track --- */

static uint32_t track_random(void)
{
	char hex[9];

	auth_random_hex(hex, 4);
	return (uint32_t)strtoul(hex, NULL, 16);
}

void rtp_track_set_parameters(struct rtp_track *t, const AVCodecParameters *parameters)
{
	uint8_t sets[SETS_BYTES];

	t->sets_bytes = rtp_parameter_sets(parameters, sets, sizeof(sets));
	free(t->sets);
	t->sets = xmalloc(t->sets_bytes);
	memcpy(t->sets, sets, t->sets_bytes);
}

void rtp_track_renew(struct rtp_track *t)
{
	t->packetiser.ssrc = track_random();
	t->packets = t->octets = 0;
}

void rtp_track_init(struct rtp_track *t, const AVCodecParameters *parameters, unsigned number)
{
	const struct rtp_encoding *encoding = rtp_encoding_of(parameters);

	t->number = number;
	if (!encoding)
		return;
	t->packetiser.encoding = encoding;
	t->packetiser.channels = (unsigned)parameters->ch_layout.nb_channels;
	t->packetiser.payload_type = rtp_payload_type(encoding, parameters, number);
	t->packetiser.channel = (uint8_t)(2 * number);
	rtp_track_renew(t);
	t->packetiser.next_sequence = (uint16_t)track_random();
	t->offset = track_random();
	t->clock_hz = rtp_clock_hz(encoding, parameters);
	rtp_track_set_parameters(t, parameters);
}

void rtp_track_fini(struct rtp_track *t)
{
	free(t->sets);
}

uint32_t rtp_track_time(const struct rtp_track *t, int64_t utc_us)
{
	return (uint32_t)av_rescale(utc_us, t->clock_hz, 1000000) + t->offset;
}

static const char *track_write(
	struct rtp_track *t, struct rtp_packets *out, const struct rtp_track_unit *unit)
{
	const char *why;

	if (unit->keyframe && t->sets_bytes > 0)
		(void)rtp_packetise(&t->packetiser, out, t->sets, t->sets_bytes, unit->timestamp);
	why = rtp_packetise(&t->packetiser, out, unit->p, unit->n, unit->timestamp);
	rtp_packets_mark(out);
	return why;
}

struct rtp_unit_packets *rtp_track_packetise(struct rtp_track *t, const struct rtp_track_unit *unit)
{
	struct rtp_packets counted = { 0 };

	t->refused = track_write(t, &counted, unit);
	if (t->refused || counted.n == 0)
		return NULL;
	struct rtp_unit_packets *packets = unit_new(counted.n, counted.bytes);
	if (!packets)
		return NULL;
	struct rtp_packets written = { .block = packets->block, .offsets = packets->offsets };
	(void)track_write(t, &written, unit);
	assert(written.n == counted.n && written.bytes == counted.bytes);
	packets->offsets[written.n] = (uint32_t)written.bytes;
	packets->n = written.n;
	packets->bytes = written.bytes;
	packets->track = t->number;
	packets->keyframe = unit->keyframe;
	packets->timestamp = unit->timestamp;
	packets->utc_us = unit->utc_us;
	t->packets += (uint32_t)packets->n;
	t->octets +=
		(uint32_t)(packets->bytes - packets->n * (RTP_INTERLEAVED_BYTES + RTP_HEADER_BYTES +
								 t->packetiser.extension_bytes));
	return packets;
}
