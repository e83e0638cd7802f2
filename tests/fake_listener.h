#pragma once

/*
 * Stands in for server/base/listener where a server is to be fed without sockets: link it before libnvrd.a, together
 * with tests/fake_connection.c. One listener at a time.
 */

/* Somebody connects, from 0.0.0.0. */
void fake_listener_accept(void);
