/* Who talks to a camera, and the packets that go there. */
#include "protocols/rtsp_talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"

enum {
	PAYLOAD_BYTES = 4096,
	RATE_BYTES = 128 << 10, /* a second, and at once: more than any sound takes */
	LEAST_BYTES = 256,      /* that a packet counts for, so that not too many come either */
};

/* id, metric label */
#define TALK_RESULTS(X)                                                  \
	X(TALK_SENT, "sent")                                             \
	X(TALK_MALFORMED, "malformed") /* or not what was described */   \
	X(TALK_BUSY, "busy")           /* somebody else talks */         \
	X(TALK_TOO_MUCH, "too_much")   /* for sound */                   \
	X(TALK_BEHIND, "behind")       /* the camera does not take it */ \
	X(TALK_AWAY, "away")           /* it is not there, or has changed */

enum talk_result {
#define X(id, label) id,
	TALK_RESULTS(X)
#undef X
};

static const char *const talk_results[] = {
#define X(id, label) [id] = (label),
	TALK_RESULTS(X)
#undef X
};

struct rtsp_talk {
	LIST_ENTRY(rtsp_talk) entry;
	char *camera;
	char *text; /* its media in SDP, without control */
	unsigned description;
	uint8_t payload_type;
	uint32_t clock_hz;
	rtsp_talk_send_fn *send;
	void *arg;

	struct rtsp_talker *talker; /* who spoke last; NULL: nobody, or he left */
	int64_t heard_us;           /* monotonic: his last packet */
	int64_t credit_us;          /* when credit_bytes was right */
	int64_t credit_bytes;       /* may be sent at once */
	/* his packets as ours: what is added to his numbers, where they ended, whose they are */
	uint32_t ssrc, from_ssrc;
	uint16_t sequence, sequence_offset;
	uint32_t timestamp, timestamp_offset;
};

static LIST_HEAD(, rtsp_talk) rtsp_talks = LIST_HEAD_INITIALIZER(rtsp_talks);

static struct rtsp_talk *talk_find(const char *camera)
{
	struct rtsp_talk *talk;

	LIST_FOREACH (talk, &rtsp_talks, entry) {
		if (strcmp(talk->camera, camera) == 0)
			return talk;
	}
	return NULL;
}

static void talk_count(const char *camera, enum talk_result result)
{
	metric_add(metric_get(METRIC_TALK_PACKETS, camera, talk_results[result]), 1);
}

/* --- the camera's side --- */

static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static char *media_text(const struct sdp_media *media)
{
	unsigned type = media->payload_type;
	bool mono = media->channels < 2;
	char *map = mono ? xasprintf("%s/%u", media->encoding, media->clock_hz)
			 : xasprintf("%s/%u/%u", media->encoding, media->clock_hz, media->channels);
	char *format =
		*media->fmtp ? xasprintf("a=fmtp:%u %s\r\n", type, media->fmtp) : xstrdup("");
	char *text = xasprintf("m=audio 0 RTP/AVP %u\r\na=rtpmap:%u %s\r\n%sa=sendonly\r\n", type,
		type, map, format);

	free(map);
	free(format);
	return text;
}

/* FNV-1a: the same for the same text, and never 0. */
static unsigned text_number(const char *text)
{
	uint32_t hash = 2166136261;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619;
	return hash ? hash : 1;
}

struct rtsp_talk *rtsp_talk_new(
	const char *camera, const struct sdp_media *media, rtsp_talk_send_fn *send, void *arg)
{
	struct rtsp_talk *talk;

	if (!media->encoding[0] || !media->clock_hz || !is_printable(media->encoding) ||
		!is_printable(media->fmtp))
		return NULL;
	talk = xcalloc(1, sizeof(*talk));
	talk->camera = xstrdup(camera);
	talk->text = media_text(media);
	talk->description = text_number(talk->text);
	talk->payload_type = media->payload_type;
	talk->clock_hz = media->clock_hz;
	talk->send = send;
	talk->arg = arg;
	talk->heard_us = talk->credit_us = reactor_monotonic_us();
	talk->credit_bytes = RATE_BYTES;
	evutil_secure_rng_get_bytes(&talk->ssrc, sizeof(talk->ssrc));
	evutil_secure_rng_get_bytes(&talk->sequence, sizeof(talk->sequence));
	evutil_secure_rng_get_bytes(&talk->timestamp, sizeof(talk->timestamp));
	LIST_INSERT_HEAD(&rtsp_talks, talk, entry);
	return talk;
}

void rtsp_talk_free(struct rtsp_talk *talk)
{
	if (!talk)
		return;
	LIST_REMOVE(talk, entry);
	free(talk->camera);
	free(talk->text);
	free(talk);
}

/* --- the talkers' side --- */

void rtsp_talker_init(struct rtsp_talker *talker, const char *stream)
{
	size_t n = strcspn(stream, "/");

	*talker = (struct rtsp_talker){ .actor.protocol = "rtsp" };
	memcpy(talker->camera, stream, n < sizeof(talker->camera) ? n : 0);
}

unsigned rtsp_talk_description(const struct rtsp_talker *talker)
{
	const struct rtsp_talk *talk = talk_find(talker->camera);

	return talk ? talk->description : 0;
}

static bool talk_is_silent(const struct rtsp_talk *talk, int64_t now_us)
{
	return !talk->talker || now_us - talk->heard_us > RTSP_TALK_SILENCE_US;
}

bool rtsp_talk_is_busy(const struct rtsp_talker *talker)
{
	const struct rtsp_talk *talk = talk_find(talker->camera);

	return talk && talk->talker != talker && !talk_is_silent(talk, reactor_monotonic_us());
}

void rtsp_talk_write_sdp(const struct rtsp_talker *talker, unsigned track, struct evbuffer *out)
{
	const struct rtsp_talk *talk = talk_find(talker->camera);

	if (talk)
		evbuffer_add_printf(out, "%sa=control:trackID=%u\r\n", talk->text, track);
}

/* Whether a packet of so many bytes more is no faster than sound is. */
static bool talk_affords(struct rtsp_talk *talk, size_t n, int64_t now_us)
{
	int64_t since_us = now_us - talk->credit_us;
	int64_t bytes = n < LEAST_BYTES ? LEAST_BYTES : (int64_t)n;

	if (since_us > 1000000)
		since_us = 1000000;
	talk->credit_us = now_us;
	talk->credit_bytes += since_us * RATE_BYTES / 1000000;
	if (talk->credit_bytes > RATE_BYTES)
		talk->credit_bytes = RATE_BYTES;
	if (talk->credit_bytes < bytes)
		return false;
	talk->credit_bytes -= bytes;
	return true;
}

/* His numbers go on where the last ones ended, with the time that has passed since. */
static void talk_join(struct rtsp_talk *talk, const struct rtp_packet *packet, int64_t now_us)
{
	int64_t ticks = (now_us - talk->heard_us) * talk->clock_hz / 1000000;

	talk->from_ssrc = packet->ssrc;
	talk->sequence_offset = (uint16_t)(talk->sequence + 1 - packet->sequence);
	talk->timestamp_offset = talk->timestamp + (uint32_t)ticks - packet->timestamp;
}

static bool talk_send(struct rtsp_talk *talk, const struct rtp_packet *from)
{
	uint8_t bytes[RTP_HEADER_BYTES + PAYLOAD_BYTES];
	struct rtp_packet packet = *from;

	packet.ssrc = talk->ssrc;
	packet.sequence = (uint16_t)(packet.sequence + talk->sequence_offset);
	packet.timestamp += talk->timestamp_offset;
	talk->sequence = packet.sequence;
	talk->timestamp = packet.timestamp;
	rtp_write_header(bytes, &packet);
	memcpy(bytes + RTP_HEADER_BYTES, packet.payload, packet.payload_bytes);
	return talk->send(talk->arg, bytes, RTP_HEADER_BYTES + packet.payload_bytes);
}

static enum talk_result talk_pass(
	struct rtsp_talk *talk, struct rtsp_talker *talker, const uint8_t *p, size_t n)
{
	int64_t now_us = reactor_monotonic_us();
	bool silent = talk_is_silent(talk, now_us);
	struct rtp_packet packet;
	const char *why;

	if (rtp_parse(&packet, p, n, &why) < 0 || packet.payload_type != talk->payload_type ||
		packet.payload_bytes == 0 || packet.payload_bytes > PAYLOAD_BYTES)
		return TALK_MALFORMED;
	if (talk->talker != talker && !silent)
		return TALK_BUSY;
	if (!talk_affords(talk, packet.payload_bytes, now_us))
		return TALK_TOO_MUCH;
	if (silent)
		audit(&talker->actor, "talk", "%s", talk->camera);
	if (silent || packet.ssrc != talk->from_ssrc)
		talk_join(talk, &packet, now_us);
	talk->talker = talker;
	talk->heard_us = now_us;
	return talk_send(talk, &packet) ? TALK_SENT : TALK_BEHIND;
}

int rtsp_talk_take(struct rtsp_talker *talker, const uint8_t *p, size_t n)
{
	struct rtsp_talk *talk = talk_find(talker->camera);
	const struct stream *stream;

	if (rtcp_is(p, n))
		return 0;
	if (talk && talk->description == talker->description) {
		talk_count(talk->camera, talk_pass(talk, talker, p, n));
		return 0;
	}
	talk_count(talker->camera, TALK_AWAY);
	stream = stream_find(talker->camera);
	return talk || (stream && stream_is_up(stream)) ? -ENOTCONN : 0;
}

void rtsp_talk_leave(struct rtsp_talker *talker)
{
	struct rtsp_talk *talk = talk_find(talker->camera);

	if (talk && talk->talker == talker)
		talk->talker = NULL;
}
