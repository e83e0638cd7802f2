#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"

/*
 * A thread with a bounded queue in; results come back as events on the reactor, in order. The only
 * crossing between threads: a job carries values or references, never a live reactor object.
 */
struct worker;

struct worker_job {
	STAILQ_ENTRY(worker_job) entry;
	void (*run)(struct worker_job *job);  /* on the worker */
	void (*done)(struct worker_job *job); /* on the reactor; owns the job from here */
	size_t bytes;                         /* what the job holds, counted against limit_bytes */
};

/*
 * Starts a thread named `name` (static, at most 15 characters; also the metrics' label). At most
 * limit_jobs jobs and limit_bytes bytes may wait or run. Ends the process when no thread is to be had.
 */
struct worker *worker_new(const char *name, size_t limit_jobs, size_t limit_bytes);

/* Runs what is queued, joins the thread, then calls the `done` of everything that finished. */
void worker_free(struct worker *worker);

/*
 * Gives the job to the worker. Returns 0, or -EAGAIN when the queue is full or worker_free() has
 * begun: the caller keeps it.
 */
int worker_post(struct worker *worker, struct worker_job *job) MUST_CHECK;

/* Bytes and jobs that wait, run or have finished without their done() called. */
size_t worker_queued_bytes(const struct worker *worker);
size_t worker_queued_jobs(const struct worker *worker);
