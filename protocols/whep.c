/* The resource of WHEP: an offer is answered, a session made, patched and deleted. */
#include "protocols/whep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dtls.h"
#include "protocols/http_server.h"
#include "protocols/rtp_packetise.h"
#include "protocols/whep_private.h"
#include "server/base/auth.h"
#include "server/base/config.h"
#include "server/base/connection.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/media/codec.h"
#include "server/media/sound_stream.h"
#include "server/media/stream.h"
#include "server/media/stream_wait.h"

#define SDP_TYPE "application/sdp"
#define FRAGMENT_TYPE "application/trickle-ice-sdpfrag"

enum {
	STREAM_NAME_BYTES = 72,
	CODEC_BYTES = 64,
	RETRY_S = 2,
	AVCC_PROFILE = 1, /* where it stands in avcC: ISO/IEC 14496-15 section 5.3.3.1 */
	HVCC_PROFILE = 1, /* and in hvcC: section 8.3.3.1 */
	OPUS_CHANNELS = 2 /* RFC 7587 section 7: whatever they are */
};

static const struct config *whep_config; /* NULL: not started */

/* --- start and stop --- */

bool whep_is_possible(void)
{
	return rtp_security_is_there();
}

const char *whep_start(const struct config *config, bool loopback_only)
{
	whep_port = whep_port_new(config->listen.webrtc, loopback_only, whep_on_datagram);
	if (!whep_port)
		return NULL;
	dtls_init();
	whep_config = config;
	return whep_port_address(whep_port);
}

bool whep_is_on(void)
{
	return whep_port != NULL;
}

static void whep_end_all(enum whep_end why, bool (*ends)(const struct whep_session *session))
{
	struct whep_session *s = TAILQ_FIRST(&whep_sessions), *next;

	for (; s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!ends || ends(s))
			whep_session_end(s, why);
	}
}

/* Whether its user may not see the camera any more. */
static bool whep_is_forbidden(const struct whep_session *s)
{
	const struct auth_users *users = &whep_config->users;
	const struct auth_user *user = s->user ? auth_find(users, s->user, strlen(s->user)) : NULL;
	char camera[STREAM_NAME_BYTES];

	if (TAILQ_EMPTY(users))
		return false;
	(void)message_text_copy(camera, sizeof(camera),
		(struct message_text){ s->stream, strcspn(s->stream, "/") });
	return !user || !auth_may_see(user, camera);
}

void whep_apply(const struct config *config)
{
	if (!whep_config)
		return;
	whep_config = config;
	whep_end_all(WHEP_FORBIDDEN, whep_is_forbidden);
}

void whep_stop(void)
{
	if (!whep_config)
		return;
	whep_end_all(WHEP_SHUTDOWN, NULL);
	whep_port_free(whep_port);
	whep_port = NULL;
	whep_config = NULL;
	dtls_fini();
}

/* --- what a path names --- */

struct whep_target {
	char stream[STREAM_NAME_BYTES];
	const char *id; /* of a session, within the path; "" where it names none */
};

/* "/live/porch/whep", "/live/porch/sub/whep/<id>"; the routes have seen to the shape. */
static bool whep_parse(struct whep_target *ret, const struct http_request *request)
{
	const char *path = http_path(request) + strlen("/live/");
	const char *end = strstr(path, "/whep");

	if (!end || (size_t)(end - path) >= sizeof(ret->stream))
		return false;
	(void)message_text_copy(ret->stream, sizeof(ret->stream),
		(struct message_text){ path, (size_t)(end - path) });
	end += strlen("/whep");
	ret->id = *end ? end + 1 : end;
	return true;
}

static struct whep_session *whep_find(const struct whep_target *target)
{
	struct whep_session *s;

	TAILQ_FOREACH (s, &whep_sessions, entry)
		if (auth_equal(s->id, target->id) && strcmp(s->stream, target->stream) == 0)
			return s;
	return NULL;
}

/* --- matching what the stream has with what is offered --- */

/* What a track is in the words of an offer. False: it is not sent by RTP. */
static bool whep_wanted_of(struct whep_wanted *ret, const AVCodecParameters *p)
{
	const struct rtp_encoding *encoding = rtp_encoding_of(p);

	if (!encoding)
		return false;
	*ret = (struct whep_wanted){ .encoding = encoding->name,
		.clock_hz = (unsigned)rtp_clock_hz(encoding, p),
		.channels = p->codec_id == AV_CODEC_ID_OPUS ? OPUS_CHANNELS
							    : (unsigned)p->ch_layout.nb_channels };
	if (p->codec_id == AV_CODEC_ID_H264 && p->extradata_size > AVCC_PROFILE + 1) {
		ret->profile = p->extradata[AVCC_PROFILE];
		ret->constraints = p->extradata[AVCC_PROFILE + 1];
	} else if (p->codec_id == AV_CODEC_ID_HEVC && p->extradata_size > HVCC_PROFILE) {
		ret->profile = p->extradata[HVCC_PROFILE] & 0x1f;
	}
	return true;
}

/* Whether we can send there at all: DTLS-SRTP with RTCP on the same port, and somebody who listens. */
static bool whep_is_usable(const struct whep_media *m)
{
	static const char *const protocols[] = { "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP",
		"TCP/TLS/RTP/SAVPF", "RTP/SAVPF" }; /* RFC 8829 section 5.1.2 */
	bool known = false;

	for (size_t i = 0; i < ARRAY_LENGTH(protocols); i++)
		known |= message_text_is(m->protocol, protocols[i]);
	return known && !m->is_rejected && m->takes && m->rtcp_mux;
}

struct whep_match {
	struct whep_answer *answer;
	struct stream *sound; /* whence WHEP_SOUND comes; NULL: there is none */
	size_t first;         /* that is sent, with whose transport the others go; or WHEP_MEDIA */
	unsigned track[WHEP_MEDIA];
};

/* Of two that are sent, both are in the bundle. */
static bool whep_shares(const struct whep_match *match, size_t i)
{
	const struct whep_offer *offer = match->answer->offer;

	return match->first == WHEP_MEDIA ||
	       (whep_offer_bundles(offer, offer->media[i].mid) &&
		       whep_offer_bundles(offer, offer->media[match->first].mid));
}

/* Finds a place for a track of the session. NULL, or why there is none; static text. */
static const char *whep_place(struct whep_match *match, const AVCodecParameters *parameters,
	unsigned track, enum whep_kind kind)
{
	const struct whep_offer *offer = match->answer->offer;
	const char *why = "nothing of its kind is offered";
	struct whep_wanted wanted;

	if (!whep_wanted_of(&wanted, parameters))
		return "it cannot be sent by RTP";
	for (size_t i = 0; i < offer->n_media; i++) {
		const struct whep_media *m = &offer->media[i];
		struct whep_answer_media *ours = &match->answer->media[i];

		if (m->kind != kind || ours->format || !whep_is_usable(m) || !whep_shares(match, i))
			continue;
		ours->format = whep_offer_choose(m, &wanted, &why);
		if (!ours->format)
			continue;
		match->track[i] = track;
		if (match->first == WHEP_MEDIA)
			match->first = i;
		return NULL;
	}
	return why;
}

/* As it is, which costs nothing, or made Opus, which all browsers have. */
static const char *whep_place_sound(struct whep_match *match, struct stream *stream, unsigned track)
{
	const AVCodecParameters *parameters = stream_track(stream, track)->parameters;
	const char *why = whep_place(match, parameters, track, WHEP_AUDIO);
	struct stream *made = why ? sound_stream_of(stream, SOUND_OPUS) : NULL;

	if (!made)
		return why;
	why = whep_place(match, stream_track(made, 0)->parameters, WHEP_SOUND, WHEP_AUDIO);
	if (!why)
		match->sound = made;
	return why;
}

/* Whether somebody wants to see, and not only to hear. */
static bool whep_offers(const struct whep_offer *offer, enum whep_kind kind)
{
	for (size_t i = 0; i < offer->n_media; i++) {
		if (offer->media[i].kind == kind && whep_is_usable(&offer->media[i]))
			return true;
	}
	return false;
}

/* --- the answer to an offer --- */

static void whep_refuse(
	struct http_request *request, const char *reason, int status, const char *text)
{
	metric_add(metric_get(METRIC_WEBRTC_REFUSED, reason), 1);
	http_answer_error(request, status, "%s", text);
}

static void whep_refuse_codec(
	struct http_request *request, const struct stream *stream, int track, const char *why)
{
	char codec[CODEC_BYTES];

	metric_add(metric_get(METRIC_WEBRTC_REFUSED, "codec"), 1);
	(void)codec_string(codec, sizeof(codec), stream_track(stream, (size_t)track)->parameters);
	http_answer_error(request, 406, "The camera's %s (%s) does not go into this offer: %s.",
		codec_name(stream_track(stream, (size_t)track)->parameters), codec, why);
}

/* Fills the match. Returns whether there is something to send; else the request was answered. */
static bool whep_match(
	struct http_request *request, struct stream *stream, struct whep_match *match)
{
	const struct whep_offer *offer = match->answer->offer;
	int video = stream_find_track(stream, AVMEDIA_TYPE_VIDEO);
	int audio = stream_find_track(stream, AVMEDIA_TYPE_AUDIO);
	const char *why;

	if (video >= 0 && whep_offers(offer, WHEP_VIDEO)) {
		why = whep_place(match, stream_track(stream, (size_t)video)->parameters,
			(unsigned)video, WHEP_VIDEO);
		if (why) {
			whep_refuse_codec(request, stream, video, why);
			return false;
		}
	}
	if (audio >= 0 && whep_offers(offer, WHEP_AUDIO)) {
		why = whep_place_sound(match, stream, (unsigned)audio);
		if (why)
			log_info(http_log(request), "WebRTC without sound: %s: %s",
				codec_name(stream_track(stream, (size_t)audio)->parameters), why);
	}
	if (match->first == WHEP_MEDIA)
		whep_refuse(request, "codec", 406,
			"Nothing that the camera sends goes into this offer.");
	return match->first != WHEP_MEDIA;
}

static void whep_answer_created(
	struct http_request *request, const struct whep_session *s, struct whep_answer *answer)
{
	struct sockaddr_storage reached;
	bool known = connection_local_address(http_socket(request), &reached) == 0;
	struct evbuffer *body = evbuffer_new();
	char *candidates = whep_port_candidates(whep_port, whep_config->webrtc.addresses,
		known ? (struct sockaddr *)&reached : NULL);

	answer->name = s->stream;
	answer->ufrag = s->ufrag;
	answer->password = s->password;
	answer->fingerprint = dtls_fingerprint();
	answer->candidates = candidates;
	whep_answer_write(answer, body);
	http_add_field(
		request, "Location", "%s/live/%s/whep/%s", http_base(request), s->stream, s->id);
	http_add_field(request, "ETag", "\"%s\"", s->ufrag);
	http_add_field(request, "Accept-Patch", FRAGMENT_TYPE);
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 201, SDP_TYPE, body);
	evbuffer_free(body);
	free(candidates);
}

/* Makes the session of a match, and says so. */
static void whep_create(struct http_request *request, struct stream *stream, const char *user,
	struct whep_match *match)
{
	struct whep_answer *answer = match->answer;
	const struct whep_offer *offer = answer->offer;
	struct whep_security peer = whep_offer_security(offer, &offer->media[match->first]);
	struct whep_session *s;

	if (peer.ufrag.n == 0 || peer.ufrag.n > WHEP_UFRAG_BYTES ||
		message_text_is(peer.setup, "passive")) {
		whep_refuse(request, "offer", 400,
			"The offer lacks a=ice-ufrag, or does not begin DTLS.");
		return;
	}
	s = whep_session_new(stream_name(stream), user, peer.ufrag, peer.hash, peer.fingerprint);
	if (!s) {
		whep_refuse(request, "offer", 400,
			"The offer lacks a=fingerprint by SHA-256, 384 or 512.");
		return;
	}
	switch (whep_media_init(s, stream)) {
	case 0:
		break;
	case -EILSEQ:
		whep_refuse(request, "reordered", 406,
			"The camera's stream has B-frames, which browsers cannot play by WebRTC.");
		return; /* the session has ended itself */
	default:
		whep_session_end(s, WHEP_STREAM);
		whep_refuse(request, "offline", 409, "The camera is offline.");
		return;
	}
	for (size_t i = 0; i < offer->n_media; i++) {
		if (!answer->media[i].format)
			continue;
		answer->media[i].ssrc = s->media.tracks[match->track[i]].ssrc;
		whep_media_take(s, match->track[i], answer->media[i].format->type);
	}
	if (match->sound)
		whep_media_take_sound(s, match->sound);
	whep_answer_created(request, s, answer);
}

/* --- limits --- */

static bool whep_is_full(struct http_request *request, const char *user)
{
	const struct whep_session *s;
	unsigned all = 0, own = 0;

	TAILQ_FOREACH (s, &whep_sessions, entry) {
		all++;
		own += user && s->user && strcmp(user, s->user) == 0;
	}
	if (all < whep_config->webrtc.sessions && own < whep_config->webrtc.sessions_per_user)
		return false;
	http_add_field(request, "Retry-After", "%d", RETRY_S);
	whep_refuse(request, "limit", all < whep_config->webrtc.sessions ? 429 : 503,
		"There are as many WebRTC sessions as there may be.");
	return true;
}

/* --- POST --- */

/* A request that perhaps waits for a substream. */
struct whep_asked {
	struct http_request *request;
	struct stream_wait wait;
	char *user;
	char stream[STREAM_NAME_BYTES];
};

static void whep_on_gone(void *context)
{
	struct whep_asked *asked = context;

	stream_wait_stop(&asked->wait);
	free(asked->user);
	free(asked);
}

static void whep_answer_offer(void *arg)
{
	struct whep_asked *asked = arg;
	struct http_request *request = asked->request;
	struct stream *stream = stream_find(asked->stream);
	static struct whep_offer offer; /* the reactor's; large */
	struct whep_answer answer = { .offer = &offer };
	struct whep_match match = { .answer = &answer, .first = WHEP_MEDIA };
	struct evbuffer *body = http_body(request);
	size_t n = evbuffer_get_length(body);
	const char *why;

	if (!whep_config) {
		http_answer_error(request, 503, "nvrd is stopping.");
	} else if (!stream || !stream_is_up(stream)) {
		http_add_field(request, "Retry-After", "%d", RETRY_S);
		whep_refuse(request, "offline", 409, "The camera is offline.");
	} else if (whep_offer_parse(&offer, (const char *)evbuffer_pullup(body, -1), n, &why) < 0) {
		whep_refuse(request, "offer", 400, why);
	} else if (!whep_is_full(request, asked->user) && whep_match(request, stream, &match)) {
		whep_create(request, stream, asked->user, &match);
	}
}

/* "application/sdp; charset=utf-8" is application/sdp, too. */
static bool whep_has_type(const struct http_request *request, const char *wanted)
{
	struct message_text type = http_field(request, "Content-Type");

	return message_text_is(message_text_cut(&type, ';'), wanted);
}

static void whep_post(struct http_request *request, const struct whep_target *target)
{
	struct stream *stream = stream_find(target->stream);
	struct whep_asked *asked;

	if (!stream) {
		http_answer_error(request, 404, "There is no such live resource.");
		return;
	}
	if (!whep_has_type(request, SDP_TYPE)) {
		http_add_field(request, "Accept-Post", SDP_TYPE);
		http_answer_error(request, 415, "An offer is " SDP_TYPE ".");
		return;
	}
	asked = xcalloc(1, sizeof(*asked));
	asked->request = request;
	asked->user = http_user(request) ? xstrdup(http_user(request)->name) : NULL;
	(void)strcpy(asked->stream, target->stream);
	http_set_context(request, asked, whep_on_gone);
	if (stream_wait_is_needed(stream))
		stream_wait_start(&asked->wait, stream, whep_answer_offer, asked);
	else
		whep_answer_offer(asked);
}

/* --- PATCH, DELETE --- */

/* Candidates tell ICE-lite nothing: it answers the checks that come. A restart is not taken. */
static void whep_patch(struct http_request *request, const struct whep_session *s)
{
	struct message_text tag = http_field(request, "If-Match"), ufrag;
	char own[WHEP_OUR_UFRAG_BYTES + 2];
	struct evbuffer *body = http_body(request);
	size_t n = evbuffer_get_length(body);

	(void)evutil_snprintf(own, sizeof(own), "\"%s\"", s->ufrag);
	if (!whep_has_type(request, FRAGMENT_TYPE)) {
		http_add_field(request, "Accept-Patch", FRAGMENT_TYPE);
		http_answer_error(request, 415, "A patch is " FRAGMENT_TYPE ".");
		return;
	}
	if (tag.p && !message_text_is(tag, "*") && !message_text_is(tag, own)) {
		http_answer_error(request, 412, "This is not the state of the session.");
		return;
	}
	ufrag = whep_fragment_ufrag(n ? (const char *)evbuffer_pullup(body, -1) : "", n);
	if (ufrag.p && !message_text_is(ufrag, s->peer_ufrag))
		http_answer_error(request, 422, "ICE is not restarted: make another session.");
	else
		http_answer(request, 204, NULL, NULL);
}

static void whep_answer_allowed(struct http_request *request, const char *allow)
{
	http_add_field(request, "Allow", "%s", allow);
	http_answer_error(request, 405, "This resource does not take this method.");
}

static void whep_handle_endpoint(struct http_request *request, const struct whep_target *target)
{
	if (http_method(request) == HTTP_OPTIONS) {
		http_add_field(request, "Accept-Post", SDP_TYPE);
		http_answer(request, 204, NULL, NULL);
	} else if (http_method(request) != HTTP_POST) {
		whep_answer_allowed(request, "OPTIONS, POST");
	} else if (!whep_config || !whep_is_possible()) {
		http_answer_error(request, 501,
			"WebRTC is switched off, or nvrd was built without libsrtp2.");
	} else {
		whep_post(request, target);
	}
}

static void whep_handle_session(struct http_request *request, struct whep_session *s)
{
	switch (http_method(request)) {
	case HTTP_OPTIONS:
		http_add_field(request, "Accept-Patch", FRAGMENT_TYPE);
		http_answer(request, 204, NULL, NULL);
		break;
	case HTTP_PATCH:
		whep_patch(request, s);
		break;
	case HTTP_DELETE:
		whep_session_end(s, WHEP_DELETED);
		http_answer(request, 200, NULL, NULL);
		break;
	default:
		whep_answer_allowed(request, "OPTIONS, PATCH, DELETE");
	}
}

void whep_handle(struct http_request *request)
{
	struct whep_target target;
	struct whep_session *s;

	if (!whep_parse(&target, request)) {
		http_answer_error(request, 404, "There is no such live resource.");
		return;
	}
	if (!*target.id) {
		whep_handle_endpoint(request, &target);
		return;
	}
	s = whep_find(&target);
	if (s)
		whep_handle_session(request, s);
	else
		http_answer_error(request, 404, "There is no such session.");
}
