/*
 * Multicast (RFC 2326 section 12.39): a session of nobody's sends a stream to its group while any member plays. What
 * members play is a source that gives their sessions no units, but has that one send.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_server_private.h"
#include "server/base/address.h"
#include "server/base/memory.h"
#include "server/base/network.h"

enum {
	TTL = 16 /* a site */
};

struct rtsp_multicast {
	LIST_ENTRY(rtsp_multicast) entry;
	struct rtsp_session *sender;
	struct sockaddr_in address;            /* the group, with the port of the first track */
	struct sockaddr_in local;              /* of ours, which says the interface; without port */
	LIST_HEAD(, multicast_member) members; /* at least one */
};

/* What a session of a group plays. */
struct multicast_member {
	LIST_ENTRY(multicast_member) entry;
	struct rtsp_source source;
	struct rtsp_multicast *group; /* NULL: it has left */
	struct rtsp_source *live;     /* the same stream, described; ours */
	bool has_start[STREAM_TRACKS];
	struct rtsp_start starts[STREAM_TRACKS];
};

bool rtsp_multicast_find(
	const struct rtsp_server *server, const char *name, struct sockaddr_in *ret)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : strlen(name);
	char camera_name[RTSP_NAME_BYTES];

	if (n >= sizeof(camera_name) || (slash && strcmp(slash, "/sub") != 0))
		return false;
	memcpy(camera_name, name, n);
	camera_name[n] = '\0';
	const struct config_camera *camera = config_find_camera(server->config, camera_name);
	if (!camera || !camera->multicast || !network_group_parse(ret, camera->multicast))
		return false;
	if (slash)
		ret->sin_port = htons((uint16_t)(ntohs(ret->sin_port) + NETWORK_GROUP_PORTS / 2));
	return true;
}

bool rtsp_multicast_write_sdp(
	const struct rtsp_server *server, const char *name, const char *host, struct evbuffer *out)
{
	struct stream *stream = stream_find(name);
	char text[ADDRESS_HOST_BYTES];
	struct sockaddr_in address;

	if (!stream || !rtsp_multicast_find(server, name, &address))
		return false;
	const struct rtp_group group = {
		.address = address_write_host(text, (const struct sockaddr *)&address),
		.ttl = TTL,
		.port = ntohs(address.sin_port),
	};
	rtp_sender_write_sdp(stream, host, &group, NULL, out);
	return true;
}

/* --- a group --- */

/* What members say to the group; our own reports come back, too. */
static void multicast_on_datagram(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
	const struct sockaddr *from, socklen_t from_bytes)
{
	const struct rtsp_multicast *group = arg;
	const struct multicast_member *member;
	struct rtcp_compound compound;
	const char *why;

	(void)from_bytes;
	if (kind != DATAGRAM_RTCP || rtcp_parse(&compound, p, n, &why) < 0 ||
		!compound.has_receiver_report || compound.has_sender_report)
		return;
	LIST_FOREACH (member, &group->members, entry) {
		struct rtsp_session *s = member->source.session;
		if (s && address_is_same_host((const struct sockaddr *)&s->peer, from))
			rtsp_session_touch(s);
	}
}

static const struct datagram_events multicast_events = { .on_datagram = multicast_on_datagram };

/* Ends all members. The group goes with the last of them. */
static void multicast_end(struct rtsp_multicast *group, void (*end)(struct rtsp_session *session))
{
	struct multicast_member *member, *next;

	for (member = LIST_FIRST(&group->members); member; member = next) {
		next = LIST_NEXT(member, entry);
		end(member->source.session);
	}
}

void rtsp_multicast_on_end(struct rtsp_multicast *group)
{
	multicast_end(group, rtsp_session_source_ended);
}

static struct rtsp_multicast *multicast_find(
	struct rtsp_server *server, const char *name, const struct sockaddr_in *local)
{
	struct rtsp_multicast *group;

	LIST_FOREACH (group, &server->groups, entry)
		if (group->local.sin_addr.s_addr == local->sin_addr.s_addr &&
			strcmp(group->sender->source->name, name) == 0)
			return group;
	return NULL;
}

/* The one that sends the stream by the interface of `local`, made when there is none; NULL: it cannot be. */
static struct rtsp_multicast *multicast_get(
	struct rtsp_server *server, const char *name, const struct sockaddr_in *local)
{
	struct rtsp_multicast *group = multicast_find(server, name, local);
	struct rtsp_source *live = group ? group->sender->source : NULL;
	struct sockaddr_in address;

	if (group && live->kind->check(live) == 0)
		return group;
	if (group) /* of an earlier run, which nobody played when it went */
		multicast_end(group, rtsp_session_end);
	live = rtsp_live_new(name);
	if (!rtsp_multicast_find(server, name, &address) || live->kind->check(live) < 0) {
		rtsp_source_free(live);
		return NULL;
	}
	group = xcalloc(1, sizeof(*group));
	group->address = address;
	group->local = *local;
	LIST_INIT(&group->members);
	group->sender = rtsp_session_new_sender(group, server, live);
	LIST_INSERT_HEAD(&server->groups, group, entry);
	return group;
}

/* --- members --- */

static struct multicast_member *member_of(struct rtsp_source *source)
{
	return CONTAINER_OF(source, struct multicast_member, source);
}

/* The sender rests when nobody else plays. */
static void member_rest(const struct multicast_member *member)
{
	const struct multicast_member *other;

	LIST_FOREACH (other, &member->group->members, entry)
		if (other != member && other->source.session->state == RTSP_PLAYING)
			return;
	rtsp_session_pause(member->group->sender);
}

static void member_leave(struct multicast_member *member)
{
	struct rtsp_multicast *group = member->group;

	member_rest(member);
	member->group = NULL;
	LIST_REMOVE(member, entry);
	if (!LIST_EMPTY(&group->members))
		return;
	rtsp_session_end(group->sender);
	LIST_REMOVE(group, entry);
	free(group);
}

static int member_check(struct rtsp_source *source)
{
	struct rtsp_source *live = member_of(source)->live;
	int result;

	live->session = source->session; /* it is what was set up, or nothing */
	result = live->kind->check(live);
	return result == -EINPROGRESS ? -ENOTCONN : result;
}

static void member_write_sdp(struct rtsp_source *source, const struct message *message,
	const char *host, struct evbuffer *out)
{
	struct rtsp_source *live = member_of(source)->live;

	live->kind->write_sdp(live, message, host, out);
}

static bool member_takes_track(struct rtsp_source *source, unsigned track)
{
	struct rtsp_source *live = member_of(source)->live;

	return live->kind->takes_track(live, track);
}

static int member_play(
	struct rtsp_source *source, const struct message *message, struct evbuffer *fields)
{
	struct multicast_member *member = member_of(source);
	struct rtsp_session *sender = member->group->sender;
	int result = rtsp_session_start(sender, message, fields);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < STREAM_TRACKS; i++)
		member->has_start[i] =
			sender->tracks[i].set_up &&
			sender->source->kind->get_start(sender->source, i, &member->starts[i]);
	rtsp_session_flush(sender);
	return 0;
}

static void member_stop(struct rtsp_source *source)
{
	struct multicast_member *member = member_of(source);

	if (!member->group)
		return;
	if (source->session->state == RTSP_ENDED)
		member_leave(member);
	else
		member_rest(member);
}

static bool member_get_start(struct rtsp_source *source, unsigned track, struct rtsp_start *ret)
{
	const struct multicast_member *member = member_of(source);

	*ret = member->starts[track];
	return member->has_start[track];
}

/* The sender reports to all. */
static bool member_get_report(
	struct rtsp_source *source, unsigned track, int64_t utc_us, struct rtcp_sender_report *ret)
{
	(void)source, (void)track, (void)utc_us, (void)ret;
	return false;
}

static void member_free(struct rtsp_source *source)
{
	struct multicast_member *member = member_of(source);

	if (member->group)
		member_leave(member);
	rtsp_source_free(member->live);
	free(member);
}

static const struct rtsp_source_kind rtsp_multicast_kind = {
	.check = member_check,
	.write_sdp = member_write_sdp,
	.takes_track = member_takes_track,
	.play = member_play,
	.stop = member_stop,
	.get_start = member_get_start,
	.get_report = member_get_report,
	.free = member_free,
};

struct rtsp_source *rtsp_multicast_new(struct rtsp_connection *c, struct rtsp_source *live)
{
	struct sockaddr_in local = { .sin_family = AF_INET };
	struct rtsp_multicast *group = NULL;
	struct multicast_member *member;
	struct sockaddr_storage ours;

	if (connection_local_address(c->connection, &ours) == 0)
		local.sin_addr.s_addr = address_ipv4((const struct sockaddr *)&ours);
	if (local.sin_addr.s_addr) /* not by IPv6 */
		group = multicast_get(c->server, live->name, &local);
	if (!group) {
		errno = EADDRNOTAVAIL;
		return NULL;
	}
	member = xcalloc(1, sizeof(*member));
	member->source.kind = &rtsp_multicast_kind;
	memcpy(member->source.name, live->name, sizeof(live->name));
	member->live = live;
	member->group = group;
	LIST_INSERT_HEAD(&group->members, member, entry);
	return &member->source;
}

static uint16_t member_port(const struct multicast_member *member, unsigned track)
{
	return (uint16_t)(ntohs(member->group->address.sin_port) + 2 * track);
}

int rtsp_multicast_set_up(struct rtsp_source *source, unsigned number)
{
	struct multicast_member *member = member_of(source);
	struct rtsp_multicast *group = member->group;
	struct rtsp_track *track = &group->sender->tracks[number];
	struct sockaddr_in to = group->address;

	if (track->set_up)
		return 0;
	to.sin_port = htons(member_port(member, number));
	track->pair = datagram_group_new(&group->local, &to, TTL, &multicast_events, group);
	track->set_up = track->pair != NULL;
	return track->set_up ? 0 : -errno;
}

void rtsp_multicast_write_transport(
	struct rtsp_source *source, unsigned track, struct evbuffer *out)
{
	const struct multicast_member *member = member_of(source);
	const struct rtsp_multicast *group = member->group;
	char to[ADDRESS_HOST_BYTES], from[ADDRESS_HOST_BYTES];
	unsigned port = member_port(member, track);

	address_write_host(to, (const struct sockaddr *)&group->address);
	address_write_host(from, (const struct sockaddr *)&group->local);
	evbuffer_add_printf(
		out, "destination=%s;source=%s;port=%u-%u;ttl=%d", to, from, port, port + 1, TTL);
}
