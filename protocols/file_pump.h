#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct evbuffer;
struct event;
struct tree_file;

/*
 * Files of the tree over a connection: long stretches by sendfile(2), on the thread that may wait for the disk, where the socket is
 * plain; all else through the connection's output, which holds at most two reads. Embedded by its owner.
 */
enum {
	FILE_PUMP_BYTES = 256 << 10, /* of a read; also the low-water mark that the owner sets */
	FILE_PUMP_SHARED_BYTES = 64 << 10, /* the same of an output that is one of many */
};

struct file_pump_events {
	/* So much more is in the socket, or in the output. */
	void (*on_sent)(void *arg, size_t bytes);
	/*
	 * The stretch is sent, or error < 0: -ENODATA: the file became shorter, or what reading it failed with. What is wrong
	 * with the socket ends the connection instead.
	 */
	void (*on_end)(void *arg, int error);
};

struct file_pump {
	struct connection *connection; /* NULL: only the output is known */
	struct evbuffer *output;
	size_t piece; /* of a read */
	struct tree_file *file;
	const struct file_pump_events *events;
	void *arg;
	int64_t stall_us;
	uint64_t at, left;         /* of the stretch */
	bool past;                 /* the output: by sendfile(2) */
	bool busy;                 /* the file is being read or sent, or will be */
	struct event *retry_timer; /* when the disk's queue is full */
};

/*
 * Begins with a file, which it owns. stall_us: what connection_set_idle() is given while the peer is awaited, and not the disk; 0: the
 * owner looks after that.
 */
void file_pump_init(struct file_pump *pump, struct tree_file *file, int64_t stall_us,
	const struct file_pump_events *events, void *arg);
/* No callback after this. Fine of zeroes, and twice. A stretch that is on its way is cut: the connection ends, too. */
void file_pump_fini(struct file_pump *pump);
/* Sends `bytes` (not 0) from `at` on, behind what is in the output. One stretch at a time; the next may begin in on_end. */
void file_pump_send(
	struct file_pump *pump, struct connection *connection, uint64_t at, uint64_t bytes);
/* The same into a buffer, whose owner sees to it that somebody takes it; at most two of FILE_PUMP_SHARED_BYTES are in it. */
void file_pump_fill(struct file_pump *pump, struct evbuffer *output, uint64_t at, uint64_t bytes);
/* To be told of the connection's on_drained, and of each time that something was taken from the buffer. */
void file_pump_on_drained(struct file_pump *pump);
