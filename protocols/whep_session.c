/*
 * WebRTC sessions: ICE-lite (RFC 8445 section 2.5) with consent (RFC 7675), then DTLS-SRTP (RFC 5764). All of them
 * share one socket: a check finds its session by the user fragment, everything else by where it comes from.
 */
#include <stdlib.h>
#include <string.h>

#include "protocols/dtls.h"
#include "protocols/rtcp.h"
#include "protocols/stun.h"
#include "protocols/whep_private.h"
#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"

enum {
	BUCKETS = 256,
	ROLE_CONFLICT = 487,
	UNAUTHENTICATED = 401,
	UNKNOWN_ATTRIBUTE = 420,
};

static const struct {
	const char *metric, *words;
} whep_ends[] = {
#define X(id, metric, words) { metric, words },
	WHEP_ENDS(X)
#undef X
};

/* reactor */
struct whep_sessions whep_sessions = TAILQ_HEAD_INITIALIZER(whep_sessions);
struct whep_port *whep_port;
static LIST_HEAD(, whep_session) by_ufrag[BUCKETS];
static LIST_HEAD(, whep_address) by_address[BUCKETS];

static void drop(const char *kind)
{
	metric_add(metric_get(METRIC_WEBRTC_DROPPED, kind), 1);
}

/* --- who it is --- */

static size_t address_bucket(const struct whep_path *path)
{
	const uint8_t *p = (const uint8_t *)&path->peer;
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < path->peer_bytes; i++)
		hash = (hash ^ p[i]) * 16777619;
	return hash % BUCKETS;
}

/* Of hexadecimal digits. */
static size_t ufrag_bucket(const char *ufrag)
{
	char first[3] = { ufrag[0], ufrag[1] };

	return strtoul(first, NULL, 16) % BUCKETS;
}

static struct whep_session *find_by_address(const struct whep_path *path)
{
	struct whep_address *at;

	LIST_FOREACH (at, &by_address[address_bucket(path)], entry)
		if (whep_path_is_same(&at->path, path))
			return at->session;
	return NULL;
}

/* A check's user name is "<ours>:<theirs>" (RFC 8445 section 7.2.2). */
static struct whep_session *find_by_username(const struct stun_message *m)
{
	const size_t n = WHEP_OUR_UFRAG_BYTES - 1;
	char ufrag[WHEP_OUR_UFRAG_BYTES] = "";
	struct whep_session *s;

	if (!m->username || m->username_bytes <= n || m->username[n] != ':')
		return NULL;
	memcpy(ufrag, m->username, n);
	LIST_FOREACH (s, &by_ufrag[ufrag_bucket(ufrag)], ufrag_entry) {
		if (memcmp(s->ufrag, ufrag, n) == 0 &&
			m->username_bytes == n + 1 + strlen(s->peer_ufrag) &&
			memcmp(m->username + n + 1, s->peer_ufrag, strlen(s->peer_ufrag)) == 0)
			return s;
	}
	return NULL;
}

static void forget_address(struct whep_address *address)
{
	if (address->session)
		LIST_REMOVE(address, entry);
	address->session = NULL;
}

/* What comes from there is the session's from now on; the oldest address makes room. */
static void remember_address(struct whep_session *s, const struct whep_path *path)
{
	struct whep_address *place = &s->addresses[s->next_address];
	struct whep_address *at;

	LIST_FOREACH (at, &by_address[address_bucket(path)], entry) {
		if (whep_path_is_same(&at->path, path))
			break;
	}
	if (at && at->session == s) {
		at->path = *path;
		return;
	}
	if (at)
		forget_address(at); /* a port that another client had before */
	forget_address(place);
	s->next_address = (s->next_address + 1) % WHEP_ADDRESSES;
	place->session = s;
	place->path = *path;
	LIST_INSERT_HEAD(&by_address[address_bucket(path)], place, entry);
}

/* --- sending --- */

size_t whep_session_send(struct whep_session *s, const struct iovec *packets, size_t n)
{
	size_t sent, bytes = 0;

	if (s->path.peer_bytes == 0)
		return 0;
	sent = whep_port_send(whep_port, &s->path, packets, n);
	for (size_t i = 0; i < n && i < sent; i++)
		bytes += packets[i].iov_len;
	metric_add(s->sent, (double)bytes);
	return sent;
}

static void session_send_dtls(void *arg, const uint8_t *p, size_t n)
{
	uint8_t copy[DTLS_DATAGRAM_BYTES];
	struct iovec part = { copy, n };

	if (n > sizeof(copy))
		return; /* DTLS keeps to it */
	memcpy(copy, p, n);
	(void)whep_session_send(arg, &part, 1); /* DTLS says it again */
}

/* --- checks --- */

static void answer_check(
	const struct whep_path *from, struct stun_answer *answer, const char *password)
{
	uint8_t bytes[STUN_ANSWER_BYTES];
	struct iovec part = { bytes, 0 };

	answer->mapped = (const struct sockaddr *)&from->peer;
	part.iov_len = stun_write_answer(bytes, answer);
	part.iov_len = password ? stun_seal(bytes, part.iov_len, password)
				: stun_add_fingerprint(bytes, part.iov_len);
	(void)whep_port_send(whep_port, from, &part, 1);
}

static void session_on_check(
	struct whep_session *s, const struct whep_path *from, const struct stun_message *m)
{
	struct stun_answer answer = { .transaction = m->transaction };

	if (m->n_unknown > 0) {
		answer.error = UNKNOWN_ATTRIBUTE;
		answer.unknown = m->unknown;
		answer.n_unknown = m->n_unknown;
	} else if (m->controlled) {
		answer.error = ROLE_CONFLICT; /* who is lite is always the controlled one */
	} else {
		s->heard_us = reactor_monotonic_us();
		remember_address(s, from);
		if (m->use_candidate || s->path.peer_bytes == 0)
			s->path = *from;
	}
	answer_check(from, &answer, s->password);
}

/* A check of an unknown user is not answered: who sends that to all and sundry learns nothing. */
static void on_stun(const struct whep_path *from, const uint8_t *p, size_t n)
{
	struct stun_message m;
	const char *why;
	struct whep_session *s = NULL;

	if (stun_parse(&m, p, n, &why) == 0 && m.type == STUN_BINDING_REQUEST)
		s = find_by_username(&m);
	if (!s) {
		drop("stun");
	} else if (stun_check_integrity(&m, p, s->password)) {
		session_on_check(s, from, &m);
	} else {
		drop("stun");
		answer_check(from,
			&(struct stun_answer){
				.transaction = m.transaction, .error = UNAUTHENTICATED },
			NULL);
	}
}

/* --- DTLS --- */

static void session_await_dtls(struct whep_session *s)
{
	int64_t left_us = dtls_timeout_us(s->dtls);

	if (left_us >= 0)
		reactor_timer_start(s->dtls_timer, left_us);
	else
		reactor_timer_stop(s->dtls_timer);
}

static void session_open(struct whep_session *s)
{
	s->security = dtls_security(s->dtls);
	if (!s->security) {
		log_info(&s->log, "the client and nvrd have no SRTP profile in common");
		whep_session_end(s, WHEP_HANDSHAKE);
		return;
	}
	log_debug(&s->log, "plays");
	whep_media_open(s);
}

static void session_on_dtls(struct whep_session *s, enum dtls_event event)
{
	switch (event) {
	case DTLS_MORE:
		break;
	case DTLS_OPEN:
		session_open(s);
		break;
	case DTLS_CLOSED:
		whep_session_end(s, WHEP_CLOSED);
		break;
	case DTLS_FAILED:
		drop("dtls");
		if (s->security)
			break; /* anybody on the way can spoil a datagram: media go on */
		log_info(&s->log, "DTLS: %s", dtls_failure(s->dtls));
		whep_session_end(s, WHEP_HANDSHAKE);
		break;
	}
	if (!s->has_ended)
		session_await_dtls(s);
}

static void session_on_dtls_timer(evutil_socket_t fd, short what, void *arg)
{
	struct whep_session *s = arg;

	(void)fd, (void)what;
	session_on_dtls(s, dtls_on_timeout(s->dtls));
}

/* --- RTCP --- */

static void session_on_report(struct whep_session *s, uint8_t *p, size_t n)
{
	struct rtcp_feedback feedback;
	const char *why;

	if (s->security)
		n = rtp_security_open_report(s->security, p, n);
	if (!s->security || n == 0 || rtcp_feedback_parse(&feedback, p, n, &why) < 0) {
		drop("rtcp");
		return;
	}
	whep_media_on_feedback(s, &feedback);
}

void whep_on_datagram(const struct whep_path *from, uint8_t *p, size_t n)
{
	struct whep_session *s;

	if (stun_is(p, n)) {
		on_stun(from, p, n);
		return;
	}
	s = find_by_address(from);
	if (s && dtls_is(p, n))
		session_on_dtls(s, dtls_receive(s->dtls, p, n));
	else if (s && rtcp_is(p, n))
		session_on_report(s, p, n);
	else
		drop("other");
}

/* --- life --- */

static void session_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct whep_session *s = arg;

	(void)fd, (void)what;
	if (reactor_monotonic_us() - s->heard_us > WHEP_CONSENT_US) {
		whep_session_end(s, WHEP_SILENT);
		return;
	}
	whep_media_on_tick(s);
	reactor_timer_start(s->tick_timer, WHEP_TICK_US);
}

static char *copy_text(struct message_text t)
{
	return xstrndup(t.p ? t.p : "", t.n);
}

struct whep_session *whep_session_new(const char *stream, const char *user,
	struct message_text ufrag, struct message_text hash, struct message_text fingerprint)
{
	struct whep_session *s = xcalloc(1, sizeof(*s));
	char *hash_name = copy_text(hash), *digest = copy_text(fingerprint);

	s->dtls = dtls_new(hash_name, digest, session_send_dtls, s);
	free(hash_name);
	free(digest);
	if (!s->dtls) {
		free(s);
		return NULL;
	}
	auth_random_hex(s->id, (WHEP_ID_BYTES - 1) / 2);
	auth_random_hex(s->ufrag, (WHEP_OUR_UFRAG_BYTES - 1) / 2);
	auth_random_hex(s->password, (WHEP_ID_BYTES - 1) / 2);
	s->stream = xstrdup(stream);
	s->user = user ? xstrdup(user) : NULL;
	s->peer_ufrag = copy_text(ufrag);
	s->log = (struct log_name){ .kind = "webrtc", .name = s->stream };
	s->heard_us = reactor_monotonic_us();
	s->sent = metric_get(METRIC_SENT_BYTES, "webrtc");
	s->dtls_timer = reactor_timer_new(session_on_dtls_timer, s);
	s->tick_timer = reactor_timer_new(session_on_tick, s);
	reactor_timer_start(s->tick_timer, WHEP_TICK_US);
	TAILQ_INSERT_TAIL(&whep_sessions, s, entry);
	LIST_INSERT_HEAD(&by_ufrag[ufrag_bucket(s->ufrag)], s, ufrag_entry);
	metric_add(metric_get(METRIC_SESSIONS, "webrtc"), 1);
	return s;
}

static void session_fini(void *object)
{
	struct whep_session *s = object;

	dtls_free(s->dtls);
	rtp_security_free(s->security);
	free(s->user);
	free(s->stream);
	free(s->peer_ufrag);
	free(s);
}

void whep_session_end(struct whep_session *s, enum whep_end why)
{
	if (s->has_ended)
		return;
	s->has_ended = true;
	if (why != WHEP_DELETED && why != WHEP_CLOSED)
		log_info(&s->log, "ended: %s", whep_ends[why].words);
	metric_add(metric_get(METRIC_WEBRTC_ENDED, whep_ends[why].metric), 1);
	metric_add(metric_get(METRIC_SESSIONS, "webrtc"), -1);
	dtls_close(s->dtls);
	whep_media_fini(s);
	reactor_timer_free(&s->tick_timer);
	reactor_timer_free(&s->dtls_timer);
	for (size_t i = 0; i < WHEP_ADDRESSES; i++)
		forget_address(&s->addresses[i]);
	LIST_REMOVE(s, ufrag_entry);
	TAILQ_REMOVE(&whep_sessions, s, entry);
	reactor_free_later(&s->dead, session_fini, s);
}
