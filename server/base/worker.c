/* A thread with a bounded queue in, and completions as an event on the reactor. */
#include "server/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	DONE_PER_WAKEUP = 64
};

STAILQ_HEAD(worker_jobs, worker_job);

struct worker {
	const char *name;
	size_t limit_jobs, limit_bytes;
	pthread_t thread;

	pthread_mutex_t mutex; /* guards the two queues and `stop`, nothing else */
	pthread_cond_t wake;
	struct worker_jobs todo, finished;
	bool stop; /* set by the reactor */

	/* reactor */
	_Atomic size_t jobs, bytes; /* changed by the reactor only; read by anyone */
	struct worker_jobs done;    /* taken from `finished`, not called yet */
	int fd;
	struct event *finished_event;
	struct metric *jobs_metric, *bytes_metric, *refused_metric;
};

/* The next job, or NULL when the worker shall end. */
static struct worker_job *worker_take(struct worker *worker)
{
	struct worker_job *job;

	pthread_mutex_lock(&worker->mutex);
	while (!(job = STAILQ_FIRST(&worker->todo)) && !worker->stop)
		pthread_cond_wait(&worker->wake, &worker->mutex);
	if (job)
		STAILQ_REMOVE_HEAD(&worker->todo, entry);
	pthread_mutex_unlock(&worker->mutex);
	return job;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	const uint64_t one = 1;
	struct worker_job *job;
	bool first;

	while ((job = worker_take(worker))) {
		job->run(job);
		pthread_mutex_lock(&worker->mutex);
		first = STAILQ_EMPTY(&worker->finished);
		STAILQ_INSERT_TAIL(&worker->finished, job, entry);
		pthread_mutex_unlock(&worker->mutex);
		if (first)
			(void)!write(worker->fd, &one, sizeof(one));
	}
	return NULL;
}

static void worker_count(struct worker *worker, size_t jobs, size_t bytes)
{
	worker->jobs = jobs;
	worker->bytes = bytes;
	metric_set(worker->jobs_metric, (double)jobs);
	metric_set(worker->bytes_metric, (double)bytes);
}

/* Calls done() of at most `limit` finished jobs. Returns whether more wait. */
static bool worker_finish(struct worker *worker, unsigned limit)
{
	struct worker_job *job;

	pthread_mutex_lock(&worker->mutex);
	STAILQ_CONCAT(&worker->done, &worker->finished);
	pthread_mutex_unlock(&worker->mutex);
	while (limit-- > 0 && (job = STAILQ_FIRST(&worker->done))) {
		STAILQ_REMOVE_HEAD(&worker->done, entry);
		worker_count(worker, worker->jobs - 1, worker->bytes - job->bytes);
		job->done(job);
	}
	return !STAILQ_EMPTY(&worker->done);
}

static void worker_on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	uint64_t n;

	(void)what;
	(void)!read(fd, &n, sizeof(n));
	if (worker_finish(worker, DONE_PER_WAKEUP))
		event_active(worker->finished_event, EV_READ, 0);
}

/* Signals belong to the reactor's thread. */
static int worker_start_thread(struct worker *worker)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_setname_np(worker->thread, worker->name);
	return error;
}

struct worker *worker_new(const char *name, size_t limit_jobs, size_t limit_bytes)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));

	worker->name = name;
	worker->limit_jobs = limit_jobs;
	worker->limit_bytes = limit_bytes;
	STAILQ_INIT(&worker->todo);
	STAILQ_INIT(&worker->finished);
	STAILQ_INIT(&worker->done);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->wake, NULL);
	worker->jobs_metric = metric_get(METRIC_WORKER_JOBS, name);
	worker->bytes_metric = metric_get(METRIC_WORKER_BYTES, name);
	worker->refused_metric = metric_get(METRIC_WORKER_REFUSED, name);
	metric_set(metric_get(METRIC_WORKER_LIMIT_BYTES, name), (double)limit_bytes);
	worker->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->finished_event = event_new(
		reactor_base(), worker->fd, EV_READ | EV_PERSIST, worker_on_finished, worker);
	if (worker->fd < 0 || !worker->finished_event || worker_start_thread(worker)) {
		log_error(NULL, "worker %s: no thread is to be had", name);
		abort();
	}
	event_add(worker->finished_event, NULL);
	return worker;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->mutex);
	worker->stop = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
	while (worker_finish(worker, DONE_PER_WAKEUP))
		;
	event_free(worker->finished_event);
	close(worker->fd);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
}

int worker_post(struct worker *worker, struct worker_job *job)
{
	/* a job larger than the limit may still pass alone */
	if (worker->stop || worker->jobs >= worker->limit_jobs ||
		(worker->bytes && worker->bytes + job->bytes > worker->limit_bytes)) {
		metric_add(worker->refused_metric, 1);
		return -EAGAIN;
	}
	worker_count(worker, worker->jobs + 1, worker->bytes + job->bytes);
	pthread_mutex_lock(&worker->mutex);
	STAILQ_INSERT_TAIL(&worker->todo, job, entry);
	pthread_mutex_unlock(&worker->mutex);
	pthread_cond_signal(
		&worker->wake); /* before, the thread would wake up to wait for the mutex */
	return 0;
}

size_t worker_queued_bytes(const struct worker *worker)
{
	return worker->bytes;
}

size_t worker_queued_jobs(const struct worker *worker)
{
	return worker->jobs;
}
