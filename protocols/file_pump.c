/* Pumps a file of the tree into a connection: see file_pump.h. */
#include "protocols/file_pump.h"

#include <errno.h>

#include <event2/buffer.h>

#include "server/base/connection.h"
#include "server/base/reactor.h"
#include "storage/tree.h"

enum {
	SEND_BYTES = 8 << 20, /* at once; the thread stops before, when somebody else wants it */
	SEND_LEAST = FILE_PUMP_BYTES, /* less goes out at once, together with what is before it */
};
#define RETRY_US (INT64_C(50) * 1000)

static void pump_go_on(struct file_pump *pump);

static size_t pump_next(const struct file_pump *pump, size_t most)
{
	return pump->left < most ? (size_t)pump->left : most;
}

/* Whether the peer may be blamed for silence. */
static void pump_expect(struct file_pump *pump, bool peer)
{
	if (pump->connection)
		connection_set_idle(pump->connection, peer ? pump->stall_us : 0);
}

/* So much of the stretch is on its way. False: that was the last of it, and the pump may be gone. */
static bool pump_advance(struct file_pump *pump, size_t n)
{
	pump->at += n;
	pump->left -= n;
	pump_expect(pump, true);
	pump->events->on_sent(pump->arg, n);
	if (pump->left > 0)
		return true;
	pump->events->on_end(pump->arg, 0);
	return false;
}

static void pump_start(struct file_pump *pump, int error)
{
	pump->busy = !error || error == -EAGAIN;
	if (error == -EAGAIN)
		reactor_timer_start(pump->retry_timer, RETRY_US);
	else if (error)
		pump->events->on_end(pump->arg, error);
}

/* --- through the output --- */

static void pump_on_data(void *arg, int error, struct evbuffer *data)
{
	struct file_pump *pump = arg;
	size_t n = evbuffer_get_length(data);

	pump->busy = false;
	if (!error && (n == 0 || n > pump->left))
		error = -ENODATA;
	if (error) {
		pump->events->on_end(pump->arg, error);
		return;
	}
	(void)evbuffer_add_buffer(pump->output, data);
	if (pump_advance(pump, n))
		pump_go_on(pump);
}

static void pump_read(struct file_pump *pump)
{
	size_t unsent = evbuffer_get_length(pump->output);

	if (unsent > pump->piece) /* file_pump_on_drained() is next */
		return;
	pump_expect(pump, unsent > 0);
	pump_start(pump, tree_file_read(pump->file, pump->at, pump_next(pump, pump->piece),
				 pump_on_data, pump));
}

/* --- past it --- */

static void pump_on_writable(void *arg);

static void pump_await(struct file_pump *pump)
{
	pump_expect(pump, true);
	connection_await_writable(pump->connection, pump_on_writable, pump);
}

/* What is wrong may be the file's, or the socket's: then the connection ends. */
static void pump_fail(struct file_pump *pump, int error)
{
	switch (error) {
	case -EINVAL:
	case -ENOSYS:
	case -EOPNOTSUPP: /* it can be read all the same */
		pump->past = false;
		pump_read(pump);
		break;
	case -EPIPE:
	case -ECONNRESET:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		connection_fail(pump->connection, -error);
		break;
	default:
		pump->events->on_end(pump->arg, error);
		break;
	}
}

static void pump_on_sent(void *arg, int error, size_t n)
{
	struct file_pump *pump = arg;
	bool full = n < SEND_BYTES;

	pump->busy = false;
	if (error) {
		pump_fail(pump, error);
		return;
	}
	if (n)
		connection_count_written(pump->connection, n);
	if (n && !pump_advance(pump, n))
		return;
	if (full)
		pump_await(pump);
	else
		pump_go_on(pump);
}

static void pump_send(struct file_pump *pump)
{
	int error;

	pump_expect(pump, false);
	error = tree_file_send(pump->file, connection_fd(pump->connection), pump->at,
		pump_next(pump, SEND_BYTES), pump_on_sent, pump);
	if (error == -EOPNOTSUPP)
		pump_fail(pump, error);
	else
		pump_start(pump, error);
}

static void pump_on_writable(void *arg)
{
	pump_send(arg);
}

/* --- both --- */

static void pump_go_on(struct file_pump *pump)
{
	if (pump->past)
		pump_send(pump);
	else
		pump_read(pump);
}

static void pump_on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct file_pump *pump = arg;

	(void)fd, (void)what;
	pump->busy = false;
	pump_go_on(pump);
}

void file_pump_init(struct file_pump *pump, struct tree_file *file, int64_t stall_us,
	const struct file_pump_events *events, void *arg)
{
	*pump = (struct file_pump){
		.file = file,
		.events = events,
		.arg = arg,
		.stall_us = stall_us,
		.retry_timer = reactor_timer_new(pump_on_retry, pump),
	};
}

void file_pump_fini(struct file_pump *pump)
{
	tree_file_close(pump->file);
	pump->file = NULL;
	reactor_timer_free(&pump->retry_timer);
}

void file_pump_send(
	struct file_pump *pump, struct connection *connection, uint64_t at, uint64_t bytes)
{
	pump->connection = connection;
	pump->output = connection_output(connection);
	pump->piece = FILE_PUMP_BYTES;
	pump->at = at;
	pump->left = bytes;
	pump->past = bytes > SEND_LEAST && !connection_is_tls(connection);
	if (pump->past)
		pump_await(pump);
	else
		pump_read(pump);
}

void file_pump_fill(struct file_pump *pump, struct evbuffer *output, uint64_t at, uint64_t bytes)
{
	pump->connection = NULL;
	pump->output = output;
	pump->piece = FILE_PUMP_SHARED_BYTES;
	pump->at = at;
	pump->left = bytes;
	pump->past = false;
	pump_read(pump);
}

void file_pump_on_drained(struct file_pump *pump)
{
	if (!pump->busy && !pump->past && pump->left > 0)
		pump_read(pump);
}
