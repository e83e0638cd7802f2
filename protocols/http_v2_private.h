#pragma once

#include "protocols/http_private.h"

#ifdef HAVE_NGHTTP2

#include <nghttp2/nghttp2.h>

/* What the two halves of HTTP/2 share: a connection's session (http_v2.c) and its streams (http_v2_stream.c). */

enum {
	HTTP2_FRAME_HEAD = 9,
	HTTP2_BLOCK = (16 << 10) - 64, /* one record of TLS; with libevent's own head 16 KiB */
};

struct http2 {
	struct http_connection *connection;
	nghttp2_session *session;
	struct event *flush_timer; /* writes what the handlers have left, once they have returned */
	TAILQ_HEAD(, http2_stream) streams;
	size_t n_streams;
	int64_t idle_us;  /* since when there are none */
	bool lingers;     /* an answer is out, its request is not: the timer comes earlier */
	uint64_t written; /* into the socket's buffer */
	uint64_t taken;   /* out of it, when the timer last looked */
	int64_t taken_us; /* when the peer took something, or had nothing to take */
	unsigned resets;  /* not forgiven yet */
	int64_t reset_us;
};

struct http2_stream {
	TAILQ_ENTRY(http2_stream) entry;
	struct http2 *http2;
	int32_t id;
	enum http_state state;
	int64_t since_us;             /* of the state, or of its last progress */
	struct http_request *request; /* owned; NULL before and after */

	/* the head, until it is whole */
	char *method, *path, *authority;
	struct evbuffer *fields, *cookies;
	size_t head_bytes, n_fields;
	int refused; /* a status, or 0 */

	/* the body */
	struct evbuffer *input; /* what came and has not been read; its window is not given back */
	bool ended;             /* no more comes */
	bool body_paused;
	uint64_t came; /* of it, when the timer last looked */

	/* the answer */
	struct evbuffer *output; /* the owner of the request bounds it, as that of a connection */
	size_t low_water;
	bool is_complete; /* no more of it comes */
	bool end_sent;
	bool took;            /* nghttp2 has taken some of it: its owner is told */
	uint64_t moved, seen; /* out of it; that when the timer last looked */
};

/* --- http_v2.c --- */

/* Writes what there is, once the handlers have returned. */
void http2_flush_later(struct http2 *h);
/*
 * An answer that did not wait for the body wants no more of it (section 8.1). The peer may take it back, and is told to after a
 * moment: curl 7.88 loses an answer right behind which its stream is reset.
 */
void http2_linger(struct http2 *h);

/* --- http_v2_stream.c --- */

struct http2_stream *http2_stream_new(struct http2 *h, int32_t id);
void http2_stream_free(struct http2_stream *s);
/* Of all connections. */
size_t http2_stream_count(void);
/* Ends its request, and says so to the peer; it is freed when that is out. */
void http2_stream_reset(struct http2_stream *s, uint32_t error);

/* A field of the head. */
void http2_stream_on_field(struct http2_stream *s, const uint8_t *name, size_t name_bytes,
	const uint8_t *value, size_t value_bytes);
/* The head is whole, or more of the body has come. */
void http2_stream_on_frame(struct http2_stream *s, bool is_last);
/* Keeps a piece of the body, unless nobody wants it any more. */
void http2_stream_on_data(struct http2_stream *s, const uint8_t *p, size_t n);
/* Who asks has been found out, perhaps. */
void http2_stream_on_known(struct http2_stream *s);
/* Delivers what waits of the body, if its handler has resumed. */
void http2_stream_go_on(struct http2_stream *s);

/* Takes bytes of the answer that are there. */
void http2_stream_move(struct http2_stream *s, uint8_t *to, size_t n);
/* Has its handler make more of the answer, when some has been taken. */
void http2_stream_tell_drained(struct http2_stream *s);
void http2_stream_on_end_sent(struct http2_stream *s);

/* Ends what stands still. */
void http2_stream_check(struct http2_stream *s, int64_t now_us);

#endif
