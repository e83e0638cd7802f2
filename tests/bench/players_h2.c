/* Players by HTTP/2 with TLS, each with a session of its own and the windows of a browser. */
#ifdef HAVE_NGHTTP2

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/bench/players.h"

enum {
	BLOCK_BYTES = 64 << 10,
	STREAM_WINDOW = 6 << 20,
	WINDOW = 15 << 20
};

struct http2 {
	struct player *player;
	SSL *ssl;
	nghttp2_session *session;
};

static _Noreturn void fail(const char *what)
{
	const char *why = ERR_reason_error_string(ERR_get_error());

	errx(1, "%s: %s", what, why ? why : "the connection has ended");
}

/* --- what nghttp2 tells --- */

static int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_bytes, const uint8_t *value, size_t value_bytes,
	uint8_t flags, void *arg)
{
	(void)session, (void)frame, (void)name_bytes, (void)value_bytes, (void)flags, (void)arg;
	if (strcmp((const char *)name, ":status") == 0 && strcmp((const char *)value, "200") != 0)
		errx(1, "answered %s", value);
	return 0;
}

static int http2_on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	const struct http2 *h = arg;

	(void)session, (void)flags, (void)id;
	player_take(h->player, (const char *)p, n);
	return 0;
}

static int http2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	const struct http2 *h = arg;

	(void)session, (void)id;
	if (error)
		errx(1, "a stream was reset: %s", nghttp2_http2_strerror(error));
	player_go_on(h->player);
	return 0;
}

/* --- the connection --- */

static SSL *http2_dial(int fd)
{
	static const unsigned char protocols[] = "\2h2";
	static SSL_CTX *context;
	SSL *ssl;

	if (!context) {
		context = SSL_CTX_new(TLS_client_method());
		if (!context || SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1))
			fail("TLS");
		SSL_CTX_set_read_ahead(context, 1); /* several records with one read */
		SSL_CTX_set_default_read_buffer_len(context, BLOCK_BYTES);
	}
	ssl = SSL_new(context);
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		fail("TLS");
	SSL_set_connect_state(ssl);
	return ssl;
}

static nghttp2_session *http2_session_new(struct http2 *h)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH,          0            },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;

	if (nghttp2_session_callbacks_new(&callbacks))
		errx(1, "memory");
	nghttp2_session_callbacks_set_on_header_callback(callbacks, http2_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2_on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, http2_on_stream_close);
	if (nghttp2_session_client_new(&session, callbacks, h) ||
		nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
			sizeof(settings) / sizeof(*settings)) ||
		nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW))
		errx(1, "memory");
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

/* All that is to be said, in one record. */
static void http2_write(struct http2 *h)
{
	uint8_t block[BLOCK_BYTES];
	const uint8_t *p;
	size_t have = 0;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(h->session, &p)) > 0) {
		if ((size_t)n > sizeof(block) - have)
			errx(1, "too much is asked for at once");
		memcpy(block + have, p, (size_t)n);
		have += (size_t)n;
	}
	if (have && SSL_write(h->ssl, block, (int)have) != (int)have)
		fail("write");
}

static void *http2_begin(struct player *player, int fd)
{
	struct http2 *h = calloc(1, sizeof(*h));

	if (!h)
		err(1, "memory");
	h->player = player;
	h->ssl = http2_dial(fd);
	h->session = http2_session_new(h);
	(void)SSL_do_handshake(h->ssl); /* begins it; http2_read() sees how it ends */
	return h;
}

static nghttp2_nv http2_field(uint8_t *name, uint8_t *value)
{
	return (nghttp2_nv){ name, value, strlen((char *)name), strlen((char *)value),
		NGHTTP2_NV_FLAG_NONE };
}

static void http2_ask(void *connection, char *path)
{
	struct http2 *h = connection;
	const nghttp2_nv fields[] = {
		http2_field((uint8_t[]){ ":method" }, (uint8_t[]){ "GET" }),
		http2_field((uint8_t[]){ ":scheme" }, (uint8_t[]){ "https" }),
		http2_field((uint8_t[]){ ":authority" }, (uint8_t[]){ "localhost" }),
		http2_field((uint8_t[]){ ":path" }, (uint8_t *)path),
	};

	if (nghttp2_submit_request(
		    h->session, NULL, fields, sizeof(fields) / sizeof(*fields), NULL, NULL) < 0)
		errx(1, "memory");
}

static void http2_read(void *connection)
{
	uint8_t block[BLOCK_BYTES];
	struct http2 *h = connection;
	int n;

	while ((n = SSL_read(h->ssl, block, sizeof(block))) > 0) {
		if (nghttp2_session_mem_recv(h->session, block, (size_t)n) != n)
			errx(1, "what came is not HTTP/2");
	}
	if (SSL_get_error(h->ssl, n) != SSL_ERROR_WANT_READ)
		fail("read");
	if (SSL_is_init_finished(h->ssl))
		http2_write(h);
}

const struct carrier http2_carrier = {
	.begin = http2_begin,
	.ask = http2_ask,
	.read = http2_read,
};

#endif
