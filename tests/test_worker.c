/* The worker: jobs run in order on its thread, results come back in order on the reactor, the queue is bounded. */
#include "server/base/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/synthetic.h"

struct sum {
	struct worker_job job;
	unsigned in, out;
};

static pthread_t reactor_thread;
static unsigned finished, wanted;
static bool all_done;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* holds the worker back */

static void sum_run(struct worker_job *job)
{
	struct sum *sum = CONTAINER_OF(job, struct sum, job);

	assert(!pthread_equal(pthread_self(), reactor_thread));
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	sum->out = sum->in * 2;
}

static void sum_done(struct worker_job *job)
{
	struct sum *sum = CONTAINER_OF(job, struct sum, job);

	assert_true(pthread_equal(pthread_self(), reactor_thread));
	assert_int_equal(sum->in, finished);
	assert_int_equal(sum->out, finished * 2);
	finished++;
	all_done = finished == wanted;
	free(sum);
}

static int post(struct worker *worker, unsigned i, size_t bytes)
{
	struct sum *sum = xcalloc(1, sizeof(*sum));
	int error;

	sum->job.run = sum_run;
	sum->job.done = sum_done;
	sum->job.bytes = bytes;
	sum->in = i;
	error = worker_post(worker, &sum->job);
	if (error)
		free(sum);
	return error;
}

static void expect(unsigned n)
{
	finished = 0;
	wanted = n;
	all_done = false;
}

static void test_results_come_back_in_order(void **state)
{
	struct worker *worker = worker_new("test", 5000, 1 << 20);

	(void)state;
	expect(5000);
	for (unsigned i = 0; i < wanted; i++)
		assert_int_equal(post(worker, i, 1), 0);
	reactor_wait(&all_done);
	assert_int_equal(worker_queued_jobs(worker), 0);
	assert_int_equal(worker_queued_bytes(worker), 0);
	worker_free(worker);
}

static void test_a_full_queue_refuses(void **state)
{
	struct worker *by_jobs = worker_new("test", 3, 1000),
		      *by_bytes = worker_new("test", 1000, 100);

	(void)state;
	pthread_mutex_lock(&gate);
	expect(3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(post(by_jobs, i, 1), 0);
	assert_int_equal(post(by_jobs, 3, 1), -EAGAIN);
	pthread_mutex_unlock(&gate);
	reactor_wait(&all_done);
	pthread_mutex_lock(&gate);
	expect(2);
	assert_int_equal(post(by_bytes, 0, 60), 0);
	assert_int_equal(post(by_bytes, 1, 40), 0);
	assert_int_equal(post(by_bytes, 2, 1), -EAGAIN);
	assert_int_equal(worker_queued_bytes(by_bytes), 100);
	pthread_mutex_unlock(&gate);
	reactor_wait(&all_done);
	expect(1);
	assert_int_equal(post(by_bytes, 0, 500), 0); /* larger than the limit, but alone */
	reactor_wait(&all_done);
	worker_free(by_jobs);
	worker_free(by_bytes);
}

static void test_freeing_finishes_what_was_posted(void **state)
{
	struct worker *worker = worker_new("test", 1000, 1 << 20);

	(void)state;
	expect(500);
	for (unsigned i = 0; i < wanted; i++)
		assert_int_equal(post(worker, i, 1), 0);
	worker_free(worker);
	assert_true(all_done);
}

static int setup(void **state)
{
	(void)state;
	reactor_thread = pthread_self();
	reactor_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reactor_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results_come_back_in_order),
		cmocka_unit_test(test_a_full_queue_refuses),
		cmocka_unit_test(test_freeing_finishes_what_was_posted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
