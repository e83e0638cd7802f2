#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/base/connection.h"
#include "server/base/listener.h"
#include "server/base/log.h"

/* Two connections of the same process, one to the other, that write down what they are told. */

enum {
	LONG_US = 10000000,
	BIG = 3 << 20
};

struct side {
	struct connection *c;
	unsigned opened, data, drained, closed;
	enum close_reason reason;
	bool whole; /* the peer had ended */
	char detail[128];
	bool takes;                         /* drains what comes */
	size_t got;                         /* bytes so drained */
	void (*on_told)(struct side *side); /* what a test does inside on_data */
};

extern struct listener *listener;
extern struct side here, there;      /* who connects, who is connected to */
extern struct tls_server *tls;       /* by which `there` speaks, or NULL */
extern const struct log_name *owner; /* of `here`, or NULL */

/* Of each test, plain and by TLS. */
int set_up(void **state);
int set_up_tls(void **state);
int tear_down(void **state);

/* For listeners: `there` is what was accepted. */
void on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes);

/* Drains what has come, which must count on from what has come before. */
void side_take(struct side *side);
/* For on_told. */
void on_data_close(struct side *side);

/* `here` begins to connect. */
void dial(const char *host, uint16_t port, int64_t timeout_us);
/* Both sides stand. */
void stand(void);
/* Sends n bytes that count on from `first`. */
void say(struct side *side, size_t first, size_t n);
size_t waiting(const struct side *side);
/* Turns the loop so often that what can happen at once has happened. */
void turn(void);
double closed_count(const char *server, enum close_reason reason);
