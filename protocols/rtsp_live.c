/* A live stream as what an RTSP session plays; and whom it talks to, where the camera listens. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtp_packetise.h"
#include "protocols/rtsp_server_private.h"
#include "protocols/rtsp_talk.h"
#include "server/base/memory.h"
#include "server/media/stream_wait.h"

struct rtsp_live {
	struct rtsp_source source;
	struct stream_wait wait;
	bool waited;
	unsigned description; /* of the stream, at SETUP */
	struct rtp_reader reader;
	struct rtsp_talker talker;
};

static struct rtsp_live *live_of(struct rtsp_source *source)
{
	return CONTAINER_OF(source, struct rtsp_live, source);
}

static void live_on_ready(void *arg)
{
	struct rtsp_live *live = arg;

	live->waited = true;
	rtsp_source_ready(&live->source);
}

static int live_check(struct rtsp_source *source)
{
	struct rtsp_live *live = live_of(source);
	struct stream *stream = stream_find(source->name);
	bool waited = live->waited;

	live->waited = false;
	if (!stream)
		return -ENOENT;
	if (stream_wait_is_needed(stream) && !waited) {
		stream_wait_start(&live->wait, stream, live_on_ready, live);
		return -EINPROGRESS;
	}
	if (!stream_is_up(stream))
		return -ENOTCONN;
	if (source->session)
		return live->description == stream_description(stream) ? 0 : -ESTALE;
	live->description = stream_description(stream);
	live->talker.description = rtsp_talk_description(&live->talker);
	return 0;
}

static void live_write_sdp(struct rtsp_source *source, const struct message *message,
	const char *host, struct evbuffer *out)
{
	bool talk = rtsp_message_requires(message, RTSP_BACKCHANNEL);

	rtp_sender_write_sdp(
		stream_find(source->name), host, NULL, talk ? "a=recvonly\r\n" : NULL, out);
	if (talk)
		rtsp_talk_write_sdp(&live_of(source)->talker, RTSP_TALK_TRACK, out);
}

static int live_check_talk(struct rtsp_source *source)
{
	const struct rtsp_talker *talker = &live_of(source)->talker;
	unsigned description = rtsp_talk_description(talker);

	if (!description)
		return -ENOENT;
	if (description != talker->description)
		return -ESTALE;
	return rtsp_talk_is_busy(talker) ? -EBUSY : 0;
}

/* What is said to the camera. */
static void live_on_packet(struct rtsp_source *source, unsigned track, const uint8_t *p, size_t n)
{
	struct rtsp_talker *talker = &live_of(source)->talker;
	struct rtsp_session *s = source->session;

	if (track != RTSP_TALK_TRACK || s->state != RTSP_PLAYING)
		return;
	talker->actor.user = s->user;
	talker->actor.address = (const struct sockaddr *)&s->peer;
	if (rtsp_talk_take(talker, p, n) < 0)
		rtsp_session_source_ended(s);
}

static bool live_takes_track(struct rtsp_source *source, unsigned track)
{
	return rtp_sender_takes_track(stream_find(source->name), track);
}

static void live_on_unit(struct rtp_reader *reader, struct rtp_unit_packets *unit)
{
	rtsp_session_take(CONTAINER_OF(reader, struct rtsp_live, reader)->source.session, unit);
}

/* The camera changed, or did not come back. */
static void live_on_end(struct rtp_reader *reader)
{
	rtsp_session_source_ended(CONTAINER_OF(reader, struct rtsp_live, reader)->source.session);
}

static const struct rtp_reader_events live_reader_events = {
	.on_unit = live_on_unit,
	.on_end = live_on_end,
};

static int live_play(
	struct rtsp_source *source, const struct message *message, struct evbuffer *fields)
{
	struct rtsp_live *live = live_of(source);
	struct stream *stream = stream_find(source->name);

	(void)message;
	if (!stream || !stream_is_up(stream) || stream_description(stream) != live->description)
		return -ENOTCONN;
	evbuffer_add_printf(fields, "Range: npt=now-\r\n");
	/* It plays: then it goes on. */
	return live->reader.sender
		       ? 0
		       : rtp_sender_subscribe(stream, &live->reader, &live_reader_events);
}

static void live_stop(struct rtsp_source *source)
{
	struct rtsp_live *live = live_of(source);

	rtp_sender_unsubscribe(&live->reader);
	rtsp_talk_leave(&live->talker);
}

static bool live_get_start(struct rtsp_source *source, unsigned track, struct rtsp_start *ret)
{
	const struct rtsp_session *s = source->session;
	const struct rtp_sender *sender = live_of(source)->reader.sender;
	const struct rtsp_queued *queued;
	struct rtp_sender_state state;

	if (!sender || !rtp_sender_get_state(sender, track, &state))
		return false;
	ret->timestamp = rtp_sender_time(sender, track, rtsp_session_start_us(s));
	ret->sequence = state.next_sequence;
	STAILQ_FOREACH (queued, &s->queue, entry) {
		const uint8_t *rtp = queued->unit->block + RTP_INTERLEAVED_BYTES;
		if (queued->unit->track != track)
			continue;
		ret->sequence = (uint16_t)(rtp[2] << 8 | rtp[3]);
		break;
	}
	return true;
}

static bool live_get_report(
	struct rtsp_source *source, unsigned track, int64_t utc_us, struct rtcp_sender_report *ret)
{
	const struct rtp_sender *sender = live_of(source)->reader.sender;
	struct rtp_sender_state state;

	if (!sender || !rtp_sender_get_state(sender, track, &state))
		return false;
	*ret = (struct rtcp_sender_report){
		.ssrc = state.ssrc,
		.ntp = rtcp_ntp_of_us(utc_us),
		.timestamp = rtp_sender_time(sender, track, utc_us),
		.packets = state.packets,
		.octets = state.octets,
	};
	return true;
}

static void live_free(struct rtsp_source *source)
{
	struct rtsp_live *live = live_of(source);

	stream_wait_stop(&live->wait);
	live_stop(source);
	free(live);
}

static const struct rtsp_source_kind rtsp_live_kind = {
	.check = live_check,
	.write_sdp = live_write_sdp,
	.takes_track = live_takes_track,
	.check_talk = live_check_talk,
	.play = live_play,
	.stop = live_stop,
	.get_start = live_get_start,
	.get_report = live_get_report,
	.on_packet = live_on_packet,
	.free = live_free,
};

struct rtsp_source *rtsp_live_new(const char *name)
{
	struct rtsp_live *live = xcalloc(1, sizeof(*live));

	live->source.kind = &rtsp_live_kind;
	(void)strncpy(live->source.name, name, sizeof(live->source.name) - 1);
	rtsp_talker_init(&live->talker, live->source.name);
	return &live->source;
}
