/* What is pushed into a camera, as the source of an RTSP session that media comes from. */
#include "protocols/rtsp_publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_receiver.h"
#include "protocols/rtsp_server_private.h"
#include "protocols/sdp.h"
#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	SILENCE_US = 10000000,
	/* Where media is set up that is not taken: publishers set up all that they announce, or none. */
	TRACK_UNUSED = RTP_RECEIVER_TRACKS,
};
_Static_assert(
	(int)TRACK_UNUSED < (int)STREAM_TRACKS, "a session has one track more than a receiver");

struct rtsp_publish {
	LIST_ENTRY(rtsp_publish) entry;
	struct source_order order;
	LIST_HEAD(, rtsp_publisher) publishers; /* who announced */
	struct rtsp_publisher *current;         /* who records, or NULL */
};

struct rtsp_publisher {
	struct rtsp_source source;
	LIST_ENTRY(rtsp_publisher) entry;
	struct rtsp_publish *place; /* NULL: it is no more */
	struct log_name log;
	char *peer, *user; /* user: NULL when there are no users */
	struct sockaddr_storage address;
	struct sdp *announced;
	struct rtp_receiver receiver;
	enum source_end end; /* why it stops, should it do so now */
	const char *detail;
};

static LIST_HEAD(, rtsp_publish) rtsp_places = LIST_HEAD_INITIALIZER(rtsp_places);

static struct rtsp_publisher *publisher_of(struct rtsp_source *source)
{
	return CONTAINER_OF(source, struct rtsp_publisher, source);
}

/* --- who may have the place --- */

static struct rtsp_publish *place_find(const char *name)
{
	struct rtsp_publish *place;

	LIST_FOREACH (place, &rtsp_places, entry) {
		if (strcmp(place->order.camera, name) == 0)
			return place;
	}
	return NULL;
}

/* The same user from the same host comes back: his connection died, which we may not know yet. */
static bool place_is_free(const struct rtsp_publish *place, const char *user, const void *address)
{
	const struct rtsp_publisher *current = place->current;

	if (!current)
		return true;
	return address_is_same_host((const struct sockaddr *)&current->address, address) &&
	       strcmp(current->user ? current->user : "", user ? user : "") == 0;
}

/* --- its media --- */

static void publisher_on_report(void *arg, unsigned track, uint8_t *p, size_t n)
{
	struct rtsp_publisher *publisher = arg;

	rtsp_session_send_rtcp(publisher->source.session, track, p, n);
}

static void publisher_on_end(void *arg, enum source_end end, const char *detail)
{
	struct rtsp_publisher *publisher = arg;

	publisher->end = end;
	publisher->detail = detail;
	rtsp_session_source_ended(publisher->source.session);
}

static const struct rtp_receiver_events publisher_receiver_events = {
	.on_report = publisher_on_report,
	.on_end = publisher_on_end,
};

static void publisher_on_packet(
	struct rtsp_source *source, unsigned track, const uint8_t *p, size_t n)
{
	struct rtsp_publisher *publisher = publisher_of(source);

	if (publisher->place && publisher->place->current == publisher &&
		track < publisher->receiver.n_tracks)
		rtp_receiver_take(&publisher->receiver.tracks[track], p, n);
}

/* --- as a session's source --- */

static int publisher_check(struct rtsp_source *source)
{
	return publisher_of(source)->place ? 0 : -ENOENT;
}

static bool publisher_takes_track(struct rtsp_source *source, unsigned track)
{
	(void)source;
	return track <= TRACK_UNUSED;
}

/* Whether the URL ends with the control, as it was announced: relative, or a URL itself. */
static bool control_is(const char *control, struct message_text target)
{
	size_t n = strlen(control);

	while (target.n > 0 && target.p[target.n - 1] == '/')
		target.n--;
	if (n == 0 || n > target.n || memcmp(target.p + target.n - n, control, n) != 0)
		return false;
	return n == target.n || control[0] == '/' || target.p[target.n - n - 1] == '/';
}

static int publisher_find_track(struct rtsp_source *source, struct message_text target)
{
	const struct rtsp_publisher *publisher = publisher_of(source);
	const struct sdp *sdp = publisher->announced;
	size_t line = 0;

	while (sdp->n_media > 1 && line < sdp->n_media &&
		!control_is(sdp->media[line].control, target))
		line++;
	if (line == sdp->n_media)
		return -ENOENT;
	for (unsigned i = 0; i < publisher->receiver.n_tracks; i++) {
		if (publisher->receiver.tracks[i].line == line)
			return (int)i;
	}
	return TRACK_UNUSED;
}

/* Takes the place, also from an earlier connection of the same client. */
static int publisher_play(
	struct rtsp_source *source, const struct message *message, struct evbuffer *fields)
{
	struct rtsp_publisher *publisher = publisher_of(source);
	struct rtsp_publish *place = publisher->place;
	struct rtsp_session *s = source->session;

	(void)message, (void)fields;
	if (!place || !s->tracks[0].set_up)
		return -ENOTCONN;
	if (place->current == publisher)
		return 0;
	if (!place_is_free(place, publisher->user, &publisher->address))
		return -EBUSY;
	if (place->current)
		publisher_on_end(place->current, SOURCE_CLOSED, "the same client came anew");
	for (unsigned i = 0; i < publisher->receiver.n_tracks; i++) {
		struct rtp_receiver_track *track = &publisher->receiver.tracks[i];

		track->refused = !s->tracks[i].set_up;
		if (!track->refused)
			rtp_receiver_set_up(track, s->over == RTSP_OVER_UDP);
	}
	/*
	 * Not paced like what is pulled: GStreamer's sink waits for the answers to PAUSE and TEARDOWN for a
	 * few milliseconds only, and reports an error where they come in the middle of its leaving.
	 */
	place->current = publisher;
	rtp_receiver_start(&publisher->receiver, SILENCE_US, SILENCE_US);
	return 0;
}

static void publisher_stop(struct rtsp_source *source)
{
	struct rtsp_publisher *publisher = publisher_of(source);
	struct rtsp_publish *place = publisher->place;

	if (!place || place->current != publisher)
		return;
	place->current = NULL;
	rtp_receiver_stop(&publisher->receiver);
	place->order.events->on_left(place->order.arg, publisher->end, publisher->detail);
}

/* What of it refers to the place ends. */
static void publisher_leave(struct rtsp_publisher *publisher)
{
	if (!publisher->place)
		return;
	rtp_receiver_stop(&publisher->receiver);
	rtp_receiver_fini(&publisher->receiver);
	LIST_REMOVE(publisher, entry);
	publisher->place = NULL;
}

static void publisher_free(struct rtsp_source *source)
{
	struct rtsp_publisher *publisher = publisher_of(source);

	publisher_stop(source);
	publisher_leave(publisher);
	free(publisher->announced);
	free(publisher->peer);
	free(publisher->user);
	free(publisher);
}

static const struct rtsp_source_kind rtsp_publisher_kind = {
	.check = publisher_check,
	.takes_track = publisher_takes_track,
	.find_track = publisher_find_track,
	.play = publisher_play,
	.stop = publisher_stop,
	.on_packet = publisher_on_packet,
	.free = publisher_free,
};

bool rtsp_source_is_published(const struct rtsp_source *source)
{
	return source->kind == &rtsp_publisher_kind;
}

/* --- announcing --- */

/* Takes its tracks. Returns 0, or -ENOTSUP when there is none that can be recorded. */
static int publisher_choose(struct rtsp_publisher *publisher)
{
	char detail[128] = "";
	enum source_end end = rtp_receiver_choose(
		&publisher->receiver, publisher->announced, detail, sizeof(detail));

	if (end == SOURCE_STOPPED)
		return 0;
	log_warn(&publisher->log, "ANNOUNCE: %s%s%s", source_end_words(end), *detail ? ": " : "",
		detail);
	return -ENOTSUP;
}

static struct rtsp_publisher *publisher_new(
	struct rtsp_publish *place, const struct rtsp_connection *c, const char *user)
{
	struct rtsp_publisher *publisher = xcalloc(1, sizeof(*publisher));
	const struct sockaddr *address = connection_peer_address(c->connection);

	publisher->source.kind = &rtsp_publisher_kind;
	(void)strncpy(
		publisher->source.name, place->order.camera, sizeof(publisher->source.name) - 1);
	publisher->place = place;
	publisher->peer = xstrdup(c->peer);
	publisher->user = user ? xstrdup(user) : NULL;
	memcpy(&publisher->address, address,
		address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					       : sizeof(struct sockaddr_in));
	publisher->log = (struct log_name){
		.parent = place->order.log, .kind = "rtsp", .name = publisher->peer
	};
	publisher->end = SOURCE_CLOSED;
	LIST_INSERT_HEAD(&place->publishers, publisher, entry);
	rtp_receiver_init(&publisher->receiver, &place->order, &publisher->log,
		&publisher_receiver_events, publisher);
	return publisher;
}

int rtsp_publisher_new(struct rtsp_source **ret, const struct rtsp_connection *c, const char *name,
	const char *user, struct message_text description, const char **why)
{
	struct rtsp_publish *place = place_find(name);
	struct rtsp_publisher *publisher;
	struct sdp *sdp;
	int result;

	if (!place)
		return -ENOENT;
	if (!place_is_free(place, user, connection_peer_address(c->connection)))
		return -EBUSY;
	sdp = xmalloc(sizeof(*sdp));
	result = sdp_parse(sdp, description.p, description.n, why);
	if (result < 0) {
		free(sdp);
		return result;
	}
	publisher = publisher_new(place, c, user);
	publisher->announced = sdp;
	result = publisher_choose(publisher);
	if (result < 0)
		publisher_free(&publisher->source);
	else
		*ret = &publisher->source;
	return result;
}

/* --- the place --- */

struct rtsp_publish *rtsp_publish_new(const struct source_order *order)
{
	struct rtsp_publish *place = xcalloc(1, sizeof(*place));

	place->order = *order;
	LIST_INIT(&place->publishers);
	LIST_INSERT_HEAD(&rtsp_places, place, entry);
	log_info(order->log, "waiting for somebody to publish");
	return place;
}

void rtsp_publish_free(struct rtsp_publish *place)
{
	struct rtsp_publisher *publisher;

	if (!place)
		return;
	while ((publisher = LIST_FIRST(&place->publishers))) {
		publisher_leave(publisher);
		if (publisher->source.session)
			rtsp_session_source_ended(publisher->source.session);
	}
	LIST_REMOVE(place, entry);
	free(place);
}
