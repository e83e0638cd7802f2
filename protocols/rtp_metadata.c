/*
 * The metadata of ONVIF (Streaming Specification section 5.2.1.1): XML documents in pieces, up to
 * the marker; some cameras do not set it, so a new timestamp ends a document too.
 */
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"

enum {
	METADATA_BYTES = 256 << 10,
	METADATA_NAME_BYTES = 64 /* the name of a root element ends before */
};

static int metadata_start(
	struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	(void)d;
	(void)format;
	(void)why;
	return 0;
}

/* Whether a document begins here: an XML declaration, or <tt:MetadataStream with any prefix. */
static bool metadata_begins(const uint8_t *p, size_t n)
{
	static const char root[] = "MetadataStream";
	size_t root_bytes = sizeof(root) - 1;
	size_t end = 0;

	if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
		p += 3, n -= 3;
	while (n > 0 && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++, n--;
	if (n >= 5 && !memcmp(p, "<?xml", 5))
		return true;
	if (n == 0 || *p != '<')
		return false;
	while (end < n && end < METADATA_NAME_BYTES && !memchr(" \t\r\n>/", p[end], 6))
		end++;
	return end > root_bytes && !memcmp(p + end - root_bytes, root, root_bytes);
}

static void metadata_drop(struct rtp_depacketiser *d, const char *why)
{
	rtp_unit_reset(d);
	d->started = false;
	d->events.on_dropped(d->arg, why);
}

static void metadata_end(struct rtp_depacketiser *d)
{
	d->started = false;
	rtp_unit_end(d, d->timestamp);
}

static void metadata_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	if (gap && d->started)
		metadata_drop(d, "a packet was lost");
	if (d->started && packet->timestamp != d->timestamp)
		metadata_end(d);
	/* Behind a loss the start of what comes may be missing. */
	d->lost |= gap;
	if (d->lost && !d->started && !metadata_begins(packet->payload, packet->payload_bytes))
		return;
	d->lost = false;
	d->started = true;
	d->timestamp = packet->timestamp;
	if (packet->payload_bytes > METADATA_BYTES - d->bytes)
		rtp_unit_damage(d, "the document is larger than 256 KiB");
	else
		rtp_unit_append(d, packet->payload, packet->payload_bytes);
	if (packet->marker)
		metadata_end(d);
}

const struct rtp_payload rtp_payload_metadata = {
	.encoding = "VND.ONVIF.METADATA",
	.start = metadata_start,
	.push = metadata_push,
};
