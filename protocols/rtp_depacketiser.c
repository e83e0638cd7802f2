/* The interface over the payload formats, and the block of memory that collects a unit. */
#include "protocols/rtp_depacketiser.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "server/base/memory.h"

/* The block starts with this much, doubles, and is given back after a unit far beyond the usual. */
enum {
	UNIT_FIRST_BYTES = 16 << 10,
	UNIT_KEPT_BYTES = 2 << 20
};

static const struct rtp_payload *const payloads[] = {
	&rtp_payload_h264,
	&rtp_payload_h265,
	&rtp_payload_jpeg,
	&rtp_payload_aac,
	&rtp_payload_latm,
	&rtp_payload_opus,
	&rtp_payload_metadata,
};

static const struct rtp_payload *payload_find(const char *encoding)
{
	for (size_t i = 0; i < ARRAY_LENGTH(payloads); i++) {
		if (!strcmp(payloads[i]->encoding, encoding))
			return payloads[i];
	}
	for (size_t i = 0; i < RTP_PCM_ENCODINGS; i++) {
		if (!strcmp(rtp_payloads_pcm[i].encoding, encoding))
			return &rtp_payloads_pcm[i];
	}
	return NULL;
}

struct rtp_depacketiser *rtp_depacketiser_new(const struct rtp_format *format,
	const struct rtp_depacketiser_events *events, void *arg, const char **why)
{
	const struct rtp_payload *payload = payload_find(format->encoding);
	struct rtp_depacketiser *d;

	*why = "the encoding is not supported";
	if (!payload)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->payload = payload;
	d->events = *events;
	d->arg = arg;
	d->sets_changed = true;
	d->waiting = true;
	if (payload->start(d, format, why) == 0)
		return d;
	rtp_depacketiser_free(d);
	return NULL;
}

void rtp_depacketiser_free(struct rtp_depacketiser *d)
{
	if (!d)
		return;
	free(d->unit);
	free(d);
}

void rtp_depacketiser_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	d->payload->push(d, packet, gap);
}

const struct h264_sets *rtp_depacketiser_h264(const struct rtp_depacketiser *d)
{
	return d->payload == &rtp_payload_h264 ? &d->h264 : NULL;
}

const struct h265_sets *rtp_depacketiser_h265(const struct rtp_depacketiser *d)
{
	return d->payload == &rtp_payload_h265 ? &d->h265 : NULL;
}

const struct rtp_sound *rtp_depacketiser_sound(const struct rtp_depacketiser *d)
{
	return d->sound.hz ? &d->sound : NULL;
}

const struct jpeg *rtp_depacketiser_jpeg(const struct rtp_depacketiser *d)
{
	return d->payload == &rtp_payload_jpeg ? &d->jpeg.given : NULL;
}

void rtp_unit_damage(struct rtp_depacketiser *d, const char *why)
{
	if (!d->damage)
		d->damage = why;
}

static bool unit_grow(struct rtp_depacketiser *d, size_t needed)
{
	size_t capacity = d->capacity ? d->capacity : UNIT_FIRST_BYTES;

	while (capacity < needed)
		capacity *= 2;
	uint8_t *unit = realloc(d->unit, capacity);
	if (!unit)
		return false;
	d->unit = unit;
	d->capacity = capacity;
	return true;
}

void rtp_unit_append(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	if (n > RTP_UNIT_BYTES - d->bytes) {
		rtp_unit_damage(d, "the unit is larger than 16 MiB");
		return;
	}
	if (d->bytes + n > d->capacity && !unit_grow(d, d->bytes + n)) {
		rtp_unit_damage(d, "there is no memory for the unit");
		return;
	}
	memcpy(d->unit + d->bytes, p, n);
	d->bytes += n;
}

void rtp_unit_give(struct rtp_depacketiser *d, uint32_t timestamp, bool keyframe)
{
	rtp_unit_give_bytes(d, d->unit, d->bytes, timestamp, keyframe);
}

void rtp_unit_give_bytes(
	struct rtp_depacketiser *d, const uint8_t *p, size_t n, uint32_t timestamp, bool keyframe)
{
	struct rtp_unit unit = {
		.data = p,
		.bytes = n,
		.timestamp = timestamp,
		.keyframe = keyframe,
		.sets_changed = d->sets_changed,
	};

	d->sets_changed = false;
	d->events.on_unit(d->arg, &unit);
}

void rtp_unit_end(struct rtp_depacketiser *d, uint32_t timestamp)
{
	if (d->damage)
		d->events.on_dropped(d->arg, d->damage);
	else if (d->bytes > 0)
		rtp_unit_give(d, timestamp, true);
	rtp_unit_reset(d);
}

void rtp_unit_reset(struct rtp_depacketiser *d)
{
	if (d->capacity > UNIT_KEPT_BYTES && d->bytes < UNIT_KEPT_BYTES / 8) {
		free(d->unit);
		d->unit = NULL;
		d->capacity = 0;
	}
	d->bytes = 0;
	d->damage = NULL;
	d->picture = d->keyframe = d->leading = d->marked = d->open = false;
}
