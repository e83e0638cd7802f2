#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/base/tls.h"

struct evbuffer;

/*
 * A TCP connection of any server or client, on a bufferevent: limits, idle timer, pausing,
 * accounting, and one way to close with a reason. The owner keeps the pointer until on_close.
 */
struct connection;

/* id, metric label, is an error, words */
#define CLOSE_REASONS(X)                                                             \
	X(CLOSE_DONE, "done", false, "finished")                                     \
	X(CLOSE_PEER, "peer", false, "the peer closed the connection")               \
	X(CLOSE_IDLE, "idle", false, "nothing was sent for too long")                \
	X(CLOSE_SHUTDOWN, "shutdown", false, "nvrd is stopping")                     \
	X(CLOSE_BAD_REQUEST, "bad_request", true, "the request could not be parsed") \
	X(CLOSE_TOO_LARGE, "too_large", true, "the peer sent more than the limit")   \
	X(CLOSE_TOO_SLOW, "too_slow", true, "the reader stayed too far behind")      \
	X(CLOSE_NOT_FOUND, "not_found", true, "the host name is unknown")            \
	X(CLOSE_REFUSED, "refused", true, "connection refused")                      \
	X(CLOSE_TIMEOUT, "timeout", true, "no answer in time")                       \
	X(CLOSE_CROWDED, "crowded", true, "others needed its place")                 \
	X(CLOSE_UNTRUSTED, "untrusted", true, "the certificate is not trusted")      \
	X(CLOSE_HANDSHAKE, "handshake", true, "the TLS handshake failed")            \
	X(CLOSE_ERROR, "error", true, "the connection broke")

enum close_reason {
#define X(id, metric, is_error, words) id,
	CLOSE_REASONS(X)
#undef X
};
const char *close_reason_metric(enum close_reason reason);
const char *close_reason_words(enum close_reason reason);
bool close_reason_is_error(enum close_reason reason);

struct connection_events {
	/* A client's connection stands, or the TLS of an accepted one, where it may be NULL. */
	void (*on_open)(void *arg);
	/* The input buffer grew; also after the last pause reason went. */
	void (*on_data)(void *arg);
	void (*on_drained)(void *arg); /* the output fell to the low-water mark; may be NULL */
	/*
	 * The connection ended, by whomever, and is about to be freed: called exactly once, the owner
	 * drops its pointer. `detail` is an OS or DNS message, or NULL. Output is lost unless
	 * connection_finish() ended it.
	 */
	void (*on_close)(void *arg, enum close_reason reason, const char *detail);
};

/* Why reading pauses; it goes on when the set is empty. */
enum connection_pause {
	PAUSE_BUSY = 1 << 0,  /* a request is being answered */
	PAUSE_SLOW = 1 << 1,  /* whoever takes the data is behind */
	PAUSE_ERROR = 1 << 2, /* no further byte is wanted */
};

/*
 * Takes over an accepted socket. `server` is the static label of metrics: "http", "rtsp". With `tls`,
 * which outlives the connection, it shakes hands first, and has CONNECTION_HANDSHAKE_US for that; what is
 * written meanwhile is sent after it.
 */
struct connection *connection_accept(int fd, const struct sockaddr *peer, int peer_bytes,
	const struct tls_server *tls, const char *server, const struct log_name *parent,
	const struct connection_events *events, void *arg);

/*
 * Goes on by TLS as a server, as FTP's AUTH TLS asks for (RFC 4217); also a connection that we opened. What
 * is in the output is sent plain first. The input must be empty, the command itself drained: what came
 * behind it could be anybody's words, put there on the way. Returns 0; or -EBADMSG when there is something,
 * -EALREADY when it is TLS already, and nothing changes. on_open comes when hands are shaken. What
 * connection_input() and connection_output() returned before is no longer valid after on_open.
 */
#define CONNECTION_HANDSHAKE_US (INT64_C(15) * 1000000)
int connection_start_tls(struct connection *c, const struct tls_server *tls) MUST_CHECK;
/*
 * Before it: for a peer that only sends, and would go without having read the tickets that come after the handshake (RFC
 * 8446 section 4.6.1). Its kernel would then reset the connection, and what is on its way would be lost.
 */
void connection_withhold_tickets(struct connection *c);
/* Right after connection_accept() with TLS: see tls_offer(). */
void connection_offer(struct connection *c, const char *protocols);
/* From on_open on: whether both ends chose this protocol. */
bool connection_speaks(const struct connection *c, const char *protocol);
bool connection_is_tls(const struct connection *c);

/* What to connect to. */
struct connection_target {
	const char *host; /* a name, or an address with or without brackets */
	uint16_t port;
	int64_t timeout_us;           /* for all until on_open */
	const struct tls_client *tls; /* NULL: plain; its fingerprint outlives the connection */
};

/*
 * Looks up the name (evdns), connects, shakes hands by TLS if that is asked for, then calls
 * on_open, or on_close when that fails or takes too long. Never calls back before it returns.
 */
struct connection *connection_connect(const struct connection_target *target, const char *server,
	const struct log_name *parent, const struct connection_events *events, void *arg);

/* Closes now; on_close is called from here (unless it was already). NULL is fine. */
void connection_close(struct connection *c, enum close_reason reason);
/* Closes with CLOSE_DONE once all output is written (and hands are shaken); no more on_data. */
void connection_finish(struct connection *c);
/*
 * Another owner takes it over, open as it is, from the callback of the former, who hears no more of it: `parent`
 * and `events` are as those of connection_accept(). Idle time, low-water mark and pauses begin anew; on_data comes
 * for what is in the input.
 */
void connection_adopt(struct connection *c, const struct log_name *parent,
	const struct connection_events *events, void *arg);
/* Forgets the owner: closes without calling on_close. Clears the pointer; NULL inside is fine. */
void connection_abandon(struct connection **c);

/* Forgets the owner, but sends what is queued before it closes. Clears the pointer; NULL inside is fine. */
void connection_release(struct connection **c);
/*
 * Closes those that were released and have not closed yet, half a second for what they still send:
 * for the end of the process, before reactor_fini().
 */
void connection_fini_released(void);

/* Says that nothing more will be sent, when the output has gone; reading goes on. */
void connection_shut(struct connection *c);
/* Whether the peer has said so, seen while reading is paused and nothing of its is left to be read. */
bool connection_peer_has_shut(const struct connection *c);
/*
 * In on_close with CLOSE_PEER: whether the peer ended what it had to say. False: TLS was cut off without
 * its farewell, so that there may have been more (RFC 8446 section 6.1). Plain connections cannot tell.
 */
bool connection_ended_whole(const struct connection *c);

/* The bytes received and not yet drained, and where to put what is to be sent. */
struct evbuffer *connection_input(struct connection *c);
struct evbuffer *connection_output(struct connection *c);
/* Copies n bytes to the output. */
void connection_write(struct connection *c, const void *p, size_t n);

void connection_pause(struct connection *c, enum connection_pause why);
void connection_resume(struct connection *c, enum connection_pause why);

/*
 * At most this much unread input is held (reading stops above it; by TLS at most a record of 16 KiB goes
 * beyond it). Default 256 KiB. An owner that
 * cannot go on with a full input pauses or closes: else it is told of it again and again.
 */
void connection_set_input_limit(struct connection *c, size_t bytes);
/* on_drained is called when the output falls to this. Default 0. */
void connection_set_low_water(struct connection *c, size_t bytes);
/*
 * For a peer that sends all day in many small pieces: from now on reads once in CONNECTION_PACE_US,
 * all such connections with one wake-up of the process. Nothing happens to a connection with TLS.
 */
enum {
	CONNECTION_PACE_US = 8000
};
void connection_set_paced(struct connection *c);
/* For a peer that sends much: from now on reads up to the input's limit at once. Nothing happens to a connection with TLS. */
void connection_set_bulk(struct connection *c);
/* Closes CLOSE_IDLE when nothing was read (and nothing written) for so long; 0: never. */
void connection_set_idle(struct connection *c, int64_t idle_us);

/* "192.0.2.1:554" or "[2001:db8::1]:554"; valid while the connection lives. */
const char *connection_peer(const struct connection *c);
/* The peer's and our own end. */
const struct sockaddr *connection_peer_address(const struct connection *c);
int connection_local_address(const struct connection *c, struct sockaddr_storage *ret) MUST_CHECK;
bool connection_peer_is_loopback(const struct connection *c);
/* The socket, for options such as sending files. */
int connection_fd(const struct connection *c);

/*
 * For who writes to the socket past the output, as sendfile(2) does: on_writable is called once, when all output has gone and the
 * socket takes more. Not with TLS, whose records are made of the output alone.
 */
void connection_await_writable(struct connection *c, void (*on_writable)(void *arg), void *arg);
/* So much was written past the output. */
void connection_count_written(struct connection *c, size_t bytes);
/* Writing past the output failed with this errno: the connection ends. */
void connection_fail(struct connection *c, int error);
/*
 * Writes past the output what the socket takes at once. Returns how many bytes that was: none while there is output, by TLS,
 * and when the connection is broken, which is told as ever once something is in the output.
 */
size_t connection_write_now(struct connection *c, const struct iovec *parts, int n) MUST_CHECK;
/*
 * Writes now what the socket takes of the output, without TLS; otherwise that comes later in this turn or the next. An error is told as
 * ever, when the rest is written.
 */
void connection_flush(struct connection *c);
/* Whether the peer has yet to take something before more can be sent. */
bool connection_has_unsent(const struct connection *c);
