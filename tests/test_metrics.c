/* The registry: series, threads, forgetting, and the text form that Prometheus reads. */
#include "server/base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/util.h>

#include "server/base/memory.h"

enum {
	THREADS = 4,
	ROUNDS = 10000
};

/* The registry as a string, which the caller frees. */
static char *written(void)
{
	struct evbuffer *out = evbuffer_new();
	char *text;

	assert_non_null(out);
	metrics_write(out);
	text = xstrndup((const char *)evbuffer_pullup(out, -1), evbuffer_get_length(out));
	evbuffer_free(out);
	return text;
}

static void check_written(const char *wanted, bool there)
{
	char *text = written();

	if (!strstr(text, wanted) == there)
		fail_msg("%s: %s\nin:\n%s", there ? "missing" : "not wanted", wanted, text);
	free(text);
}

static void test_the_same_values_give_the_same_series(void **state)
{
	struct metric *video = metric_get(METRIC_CAMERA_FRAMES, "porch", "video");
	char *copy = xstrdup("porch");

	(void)state;
	assert_ptr_equal(metric_get(METRIC_CAMERA_FRAMES, copy, "video"), video);
	assert_ptr_not_equal(metric_get(METRIC_CAMERA_FRAMES, "porch", "audio"), video);
	assert_ptr_not_equal(metric_get(METRIC_CAMERA_FRAMES, "video", "porch"), video);
	free(copy);
	metric_add(video, 2);
	metric_add(video, 0.5);
	assert_true(metric_value(video) == 2.5);
	metric_set(video, 7);
	assert_true(metric_value(video) == 7);
}

static void test_families_are_written_once_with_all_their_series(void **state)
{
	(void)state;
	metric_add(metric_get(METRIC_CAMERA_FRAMES, "porch", "video"), 25);
	metric_add(metric_get(METRIC_CAMERA_FRAMES, "porch", "audio"), 46.5);
	metric_add(metric_get(METRIC_CAMERA_BYTES, "porch"), 123456789012.0);
	check_written("# HELP nvrd_camera_frames_total "
		      "Access units received, by kind (video, audio).\n"
		      "# TYPE nvrd_camera_frames_total counter\n"
		      "nvrd_camera_frames_total{camera=\"porch\",kind=\"video\"} 25\n"
		      "nvrd_camera_frames_total{camera=\"porch\",kind=\"audio\"} 46.5\n# HELP ",
		true);
	check_written("nvrd_camera_received_bytes_total{camera=\"porch\"} 123456789012\n", true);
}

static void test_families_without_series_are_left_out_unless_label_less(void **state)
{
	(void)state;
	check_written("nvrd_camera_frames_total", false);
	check_written("# TYPE nvrd_catalogue_segments gauge\nnvrd_catalogue_segments 0\n", true);
	check_written("nvrd_reactor_lag_seconds_count 0\n", true);
}

static void test_values_of_labels_are_escaped(void **state)
{
	(void)state;
	metric_set(metric_get(METRIC_CAMERA_UP, "a\"b\\c\nd \xc3\xbc"), 1);
	metric_set(metric_get(METRIC_CAMERA_UP, ""), -1);
	check_written("nvrd_camera_up{camera=\"a\\\"b\\\\c\\nd \xc3\xbc\"} 1\n"
		      "nvrd_camera_up{camera=\"\"} -1\n",
		true);
}

static void test_buckets_are_cumulative_and_include_their_limit(void **state)
{
	static const double values[] = { 0, 0.001, 0.0011, 0.05, 0.3, 1, 2 };
	struct metric *lag = metric_get(METRIC_REACTOR_LAG);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		metric_observe(lag, values[i]);
	check_written("# TYPE nvrd_reactor_lag_seconds histogram\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.001\"} 2\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.0025\"} 3\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.005\"} 3\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.01\"} 3\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.025\"} 3\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.05\"} 4\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.1\"} 4\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.25\"} 4\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.5\"} 5\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"1\"} 6\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"+Inf\"} 7\n"
		      "nvrd_reactor_lag_seconds_sum 3.3521\n"
		      "nvrd_reactor_lag_seconds_count 7\n",
		true);
}

static void test_forgetting_takes_all_series_of_one_camera(void **state)
{
	(void)state;
	metric_set(metric_get(METRIC_CAMERA_UP, "porch"), 1);
	metric_set(metric_get(METRIC_CAMERA_UP, "yard"), 1);
	metric_add(metric_get(METRIC_CAMERA_FRAMES, "porch", "video"), 1);
	metric_add(metric_get(METRIC_CAMERA_FRAMES, "yard", "video"), 1);
	metric_add(metric_get(METRIC_WORKER_JOBS, "porch"), 1);
	metrics_forget("camera", "porch");
	check_written("camera=\"porch\"", false);
	check_written("nvrd_camera_up{camera=\"yard\"} 1\n", true);
	check_written("nvrd_camera_frames_total{camera=\"yard\",kind=\"video\"} 1\n", true);
	check_written("nvrd_worker_queue_jobs{worker=\"porch\"} 1\n", true);
	assert_true(metric_value(metric_get(METRIC_CAMERA_FRAMES, "porch", "video")) == 0);
	metrics_forget("cam", "yard"); /* no label of that name */
	check_written("nvrd_camera_up{camera=\"yard\"} 1\n", true);
}

static void *add_much(void *arg)
{
	const char *own = arg;

	for (int i = 0; i < ROUNDS; i++) {
		metric_add(metric_get(METRIC_VOLUME_ERRORS, "write"), 1);
		metric_add(metric_get(METRIC_VOLUME_ERRORS, own), 1);
		metric_observe(metric_get(METRIC_REACTOR_LAG), 0.25);
	}
	return NULL;
}

static void test_threads_lose_nothing(void **state)
{
	static char names[THREADS][2] = { "a", "b", "c", "d" };
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_much, names[i]), 0);
	check_written("process_open_fds", true); /* written meanwhile */
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(metric_value(metric_get(METRIC_VOLUME_ERRORS, "write")) == THREADS * ROUNDS);
	for (int i = 0; i < THREADS; i++)
		assert_true(metric_value(metric_get(METRIC_VOLUME_ERRORS, names[i])) == ROUNDS);
	check_written("nvrd_reactor_lag_seconds_bucket{le=\"0.1\"} 0\n"
		      "nvrd_reactor_lag_seconds_bucket{le=\"0.25\"} 40000\n",
		true);
	check_written("nvrd_reactor_lag_seconds_sum 10000\n", true);
}

static double value_of(const char *name)
{
	char *text = written(), *start = xasprintf("\n%s ", name);
	const char *at = strstr(text, start);
	double value;

	assert_non_null(at);
	value = strtod(at + strlen(start), NULL);
	free(text);
	free(start);
	return value;
}

static void test_the_process_is_described(void **state)
{
	double start = value_of("process_start_time_seconds"), fds = value_of("process_open_fds");
	int pair[2];

	(void)state;
	assert_true(value_of("process_cpu_seconds_total") >= 0);
	assert_true(value_of("process_resident_memory_bytes") > 100000);
	assert_true(value_of("process_max_fds") > fds);
	assert_true(fds >= 3);
	assert_int_equal(evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(value_of("process_open_fds") == fds + 2);
	evutil_closesocket(pair[0]);
	evutil_closesocket(pair[1]);
	/* a test runs for less than an hour, and not before it was started (by the kernel's ticks) */
	assert_true(start <= (double)time(NULL) + 1);
	assert_true(start > (double)time(NULL) - 3600);
}

static int teardown(void **state)
{
	(void)state;
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_the_same_values_give_the_same_series, teardown),
		cmocka_unit_test_teardown(
			test_families_are_written_once_with_all_their_series, teardown),
		cmocka_unit_test_teardown(
			test_families_without_series_are_left_out_unless_label_less, teardown),
		cmocka_unit_test_teardown(test_values_of_labels_are_escaped, teardown),
		cmocka_unit_test_teardown(
			test_buckets_are_cumulative_and_include_their_limit, teardown),
		cmocka_unit_test_teardown(test_forgetting_takes_all_series_of_one_camera, teardown),
		cmocka_unit_test_teardown(test_threads_lose_nothing, teardown),
		cmocka_unit_test_teardown(test_the_process_is_described, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
