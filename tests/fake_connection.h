#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

/*
 * Stands in for server/base/connection and for the clock and the timers of server/base/reactor where
 * a client is to be fed without sockets: link it before libnvrd.a with $(fake_clock) of Makefile.am.
 * One connection at a time; a new connect takes the place of the old one.
 */

/* Moves the time that the client sees, in microseconds, and runs the timers that are due then. */
void fake_clock_set(int64_t us);
int64_t fake_clock(void);

/* Whether the client has a connection that it has not closed. */
bool fake_connection_is_open(void);
/* How many connections were asked for so far. */
unsigned fake_connections(void);

/* The peer accepts: on_open is called. */
void fake_connection_accept(void);
/* Bytes from the peer: on_data is called. Nothing happens while the client does not read. */
void fake_connection_feed(const void *p, size_t n);
/* The peer closes: on_close is called. */
void fake_connection_end(void);
/* What was written since; the caller may drain it. NULL without a connection. */
struct evbuffer *fake_connection_output(void);
/* The peer takes it all: on_drained is called. */
void fake_connection_drain(void);
