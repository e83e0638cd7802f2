#include "tests/connection_sides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/certificate.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"

struct listener *listener;
struct side here, there;
struct tls_server *tls;
const struct log_name *owner;

void side_take(struct side *side)
{
	struct evbuffer *input = connection_input(side->c);
	size_t n = evbuffer_get_length(input);
	uint8_t *bytes = xmalloc(n);

	assert_int_equal(evbuffer_remove(input, bytes, n), (int)n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], (uint8_t)(side->got + i));
	side->got += n;
	free(bytes);
}

void on_data_close(struct side *side)
{
	connection_close(side->c, CLOSE_BAD_REQUEST);
}

static void side_on_open(void *arg)
{
	struct side *side = arg;

	assert_non_null(side->c); /* never from inside of connection_connect() */
	side->opened++;
}

static void side_on_data(void *arg)
{
	struct side *side = arg;

	assert_non_null(side->c);
	side->data++;
	if (side->takes)
		side_take(side);
	if (side->on_told)
		side->on_told(side);
}

static void side_on_drained(void *arg)
{
	((struct side *)arg)->drained++;
}

static void side_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct side *side = arg;

	assert_non_null(side->c);
	side->closed++;
	side->reason = reason;
	side->whole = connection_ended_whole(side->c);
	(void)snprintf(side->detail, sizeof(side->detail), "%s", detail ? detail : "");
	connection_close(side->c, CLOSE_ERROR); /* twice does nothing */
	side->c = NULL;
}

static const struct connection_events side_events = { side_on_open, side_on_data, side_on_drained,
	side_on_close };

void on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	(void)arg;
	assert_null(there.c);
	there.c = connection_accept(fd, peer, peer_bytes, tls, "there", NULL, &side_events, &there);
}

void dial(const char *host, uint16_t port, int64_t timeout_us)
{
	static const struct tls_client trusting = { 0 };
	const struct connection_target target = { host, port, timeout_us, tls ? &trusting : NULL };

	here.c = connection_connect(&target, "here", owner, &side_events, &here);
	assert_int_equal(here.opened + here.closed, 0);
}

void stand(void)
{
	dial("127.0.0.1", listener_port(listener), LONG_US);
	REACTOR_UNTIL(here.opened && there.c && (!tls || there.opened));
}

void say(struct side *side, size_t first, size_t n)
{
	uint8_t *bytes = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(first + i);
	connection_write(side->c, bytes, n);
	free(bytes);
}

size_t waiting(const struct side *side)
{
	return evbuffer_get_length(connection_input(side->c));
}

void turn(void)
{
	for (int i = 0; i < 20; i++)
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

double closed_count(const char *server, enum close_reason reason)
{
	return metric_value(
		metric_get(METRIC_CONNECTIONS_CLOSED, server, close_reason_metric(reason)));
}

int set_up(void **state)
{
	(void)state;
	reactor_init();
	here = there = (struct side){ 0 };
	listener = listener_new("127.0.0.1:0", true, on_accept, NULL);
	return listener ? 0 : -1;
}

int set_up_tls(void **state)
{
	tls = certificate_temporary();
	return set_up(state);
}

int tear_down(void **state)
{
	(void)state;
	connection_abandon(&here.c);
	connection_abandon(&there.c);
	listener_free(listener);
	turn();
	tls_server_free(tls);
	tls = NULL;
	reactor_fini();
	metrics_fini();
	return 0;
}
