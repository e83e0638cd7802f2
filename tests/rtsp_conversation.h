#pragma once

/*
 * Conversations with the RTSP server over real sockets on loopback, on the reactor of the test: a server with some streams, clients, and what
 * they say to one another as text.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <setjmp.h>

#include <cmocka.h>

#include "server/base/config.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"

enum {
	LONGEST_US = 10 * 1000000,
	INPUT_BYTES = 32 << 20,
	KEY_BYTES = 4000,
	PICTURE_BYTES = 1000
};

#define PUBLIC                                                                                    \
	"OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, SET_PARAMETER, " \
	"TEARDOWN"
#define TCP01 "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
#define TCP23 "Transport: RTP/AVP/TCP;unicast;interleaved=2-3"
#define SESSION "Session: @ID"
#define NEW_SESSION "Session: @ID;timeout=60"
#define SET_UP_BOTH                                                           \
	"SETUP porch/trackID=0|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n" \
	"SETUP porch/trackID=1|" TCP23 "|" SESSION "\n200 OK|" TCP23 "|" NEW_SESSION "\n"
#define ANNA "Authorization: Basic YW5uYTpzZWNyZXQ=" /* anna:secret */
#define NAS "Authorization: Basic bmFzOnA6dw=="      /* nas:p:w */

/* --- the server and its streams --- */

extern struct config *config;
extern struct rtsp_server *server;
extern struct stream *porch, *yard; /* porch has video and audio; yard has video only */

/* Of a group of tests. */
int start(void **state);
int finish(void **state);
/* Of each: porch has a keyframe, a sound, a picture; yard a keyframe; garden is off, and others may publish to gate. No users. */
int set_up(void **state);
int tear_down(void **state);
/* The reactor does what there is to do. */
void turn(void);

/* A stream begins with so many of its tracks, 1 or 2. */
void begin(struct stream *stream, size_t n);
/* The next picture, numbered from 0 of porch. */
void publish_picture(struct stream *stream, bool key, size_t bytes);
/* The sound i of porch. */
void publish_sound(unsigned i);

/* --- a client --- */

struct client {
	int fd;
	size_t n;    /* bytes of the input */
	size_t used; /* of them were looked at */
	bool closed;
	unsigned cseq;
	char session[64];
	uint8_t input[INPUT_BYTES];
};

struct client *client_new(void);
struct client *client_to(const char *address);
void client_free(struct client *c);
/* Whether the server has closed, as far as is known after a look. */
bool client_is_closed(struct client *c);
/* Lets the server run, and takes what it sent. */
void client_read(struct client *c);
void client_send(struct client *c, const char *p, size_t n, bool byte_by_byte);
/* The next interleaved packet; NULL when none comes first, or the server closed. */
const uint8_t *client_packet(struct client *c, size_t *bytes);
/* The next answer with its body, which the caller frees; packets before it are passed over. */
char *client_answer(struct client *c);

/* Two UDP sockets on loopback, the test closes them. */
struct udp_client {
	int fds[2];
};

struct udp_client udp_open(void);
uint16_t udp_port(int fd);

/* --- what they say --- */

/*
 * Sends "METHOD path|field|field||body" with CSeq, and Session if it has one. @HOST is the server,
 * @ID the session; the path "-" is "*".
 */
void say(struct client *c, const char *line, bool byte_by_byte);
/*
 * The answer as "200 OK|field|field||body", without what every answer has (it is checked), and with
 * @HOST, @ID and # where it differs each time. The caller frees it.
 */
char *hear(struct client *c);
/* Of a raw answer: its session is the client's. */
void remember_session(struct client *c, const char *answer);
/* Says it, and hears what is expected; "400 *" stands for anything that begins so. */
void expect(struct client *c, const char *request, const char *expected);
/* PLAY; writes the RTP-Info of both tracks. */
void play(struct client *c, const char *path, unsigned sequences[2], uint32_t times[2]);

struct conversation {
	const char *rule;
	const char *lines; /* a request, its answer, a request, … */
};
void converse(const struct conversation *conversation, bool byte_by_byte);
