/* The registry of metrics and its text form for Prometheus (exposition format 0.0.4). */
#include "server/base/metrics.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "server/base/memory.h"

enum metric_type {
	COUNTER,
	GAUGE,
	HISTOGRAM
};
enum {
	LABELS = 4,
	BUCKETS = 10
};

static const struct metric_family {
	enum metric_type type;
	const char *name, *labels, *help;
} families[] = {
#define X(id, type, name, labels, help) [id] = { type, name, labels, help },
	METRICS(X)
#undef X
};

static const double bucket_limits[BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
	0.5, 1 };

struct metric {
	SLIST_ENTRY(metric) entry;
	enum metric_id id;
	char *values[LABELS];                  /* of its labels */
	_Atomic double value;                  /* of a histogram: the sum */
	_Atomic uint64_t buckets[BUCKETS + 1]; /* not cumulative; the last is +Inf */
};

static SLIST_HEAD(metric_list, metric) series[METRIC_COUNT];
static pthread_mutex_t series_mutex =
	PTHREAD_MUTEX_INITIALIZER; /* guards the lists; values are atomics */

static unsigned metric_labels(const char *labels)
{
	unsigned n = *labels != '\0';

	for (; *labels; labels++)
		n += *labels == ',';
	return n;
}

static struct metric *metric_find(enum metric_id id, const char *const *values, unsigned n)
{
	struct metric *metric;

	SLIST_FOREACH(metric, &series[id], entry)
	{
		unsigned same = 0;

		while (same < n && !strcmp(metric->values[same], values[same]))
			same++;
		if (same == n)
			return metric;
	}
	return NULL;
}

/* Keeps a family's series in the order in which they were made. */
static void metric_append(struct metric *metric)
{
	struct metric *last = SLIST_FIRST(&series[metric->id]);

	while (last && SLIST_NEXT(last, entry))
		last = SLIST_NEXT(last, entry);
	if (last)
		SLIST_INSERT_AFTER(last, metric, entry);
	else
		SLIST_INSERT_HEAD(&series[metric->id], metric, entry);
}

struct metric *metric_get(enum metric_id id, ...)
{
	unsigned n = metric_labels(families[id].labels);
	const char *values[LABELS];
	struct metric *metric;
	va_list args;

	va_start(args, id);
	for (unsigned i = 0; i < n; i++)
		values[i] = va_arg(args, const char *);
	va_end(args);
	pthread_mutex_lock(&series_mutex);
	metric = metric_find(id, values, n);
	if (!metric) {
		metric = xcalloc(1, sizeof(*metric));
		metric->id = id;
		for (unsigned i = 0; i < n; i++)
			metric->values[i] = xstrdup(values[i]);
		metric_append(metric);
	}
	pthread_mutex_unlock(&series_mutex);
	return metric;
}

void metric_add(struct metric *metric, double n)
{
	double before = metric->value;

	while (!atomic_compare_exchange_weak(&metric->value, &before, before + n))
		;
}

void metric_set(struct metric *metric, double value)
{
	metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
	unsigned i = 0;

	while (i < BUCKETS && value > bucket_limits[i])
		i++;
	metric->buckets[i]++;
	metric_add(metric, value);
}

double metric_value(const struct metric *metric)
{
	return metric->value;
}

static void metric_free(struct metric *metric)
{
	for (unsigned i = 0; i < LABELS; i++)
		free(metric->values[i]);
	free(metric);
}

static void metrics_forget_in(enum metric_id id, const char *value)
{
	struct metric *metric = SLIST_FIRST(&series[id]), *next;

	for (; metric; metric = next) {
		next = SLIST_NEXT(metric, entry);
		if (strcmp(metric->values[0], value))
			continue;
		SLIST_REMOVE(&series[id], metric, metric, entry);
		metric_free(metric);
	}
}

void metrics_forget(const char *label, const char *value)
{
	size_t n = strlen(label);

	pthread_mutex_lock(&series_mutex);
	for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
		const char *labels = families[id].labels;

		if (!strncmp(labels, label, n) && (labels[n] == '\0' || labels[n] == ','))
			metrics_forget_in(id, value);
	}
	pthread_mutex_unlock(&series_mutex);
}

/* --- the text --- */

static void metrics_write_value(struct evbuffer *out, double value)
{
	if (value == floor(value) && fabs(value) < 1e15)
		evbuffer_add_printf(out, " %.0f\n", value);
	else
		evbuffer_add_printf(out, " %.12g\n", value);
}

/* {a="x",b="y",le="0.1"}, or nothing. */
static void metrics_write_labels(struct evbuffer *out, const struct metric *metric, const char *le)
{
	const char *label = families[metric->id].labels;
	unsigned n = metric_labels(label);

	if (!n && !le)
		return;
	evbuffer_add(out, "{", 1);
	for (unsigned i = 0; i < n; i++) {
		size_t length = strcspn(label, ",");

		evbuffer_add_printf(out, "%s%.*s=\"", i ? "," : "", (int)length, label);
		for (const char *c = metric->values[i]; *c; c++) {
			if (*c == '\n')
				evbuffer_add(out, "\\n", 2);
			else
				evbuffer_add_printf(
					out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
		}
		evbuffer_add(out, "\"", 1);
		label += length + 1;
	}
	if (le)
		evbuffer_add_printf(out, "%sle=\"%s\"", n ? "," : "", le);
	evbuffer_add(out, "}", 1);
}

static void metrics_write_histogram(struct evbuffer *out, const struct metric *metric)
{
	const char *name = families[metric->id].name;
	uint64_t total = 0;
	char le[16];

	for (unsigned i = 0; i <= BUCKETS; i++) {
		total += metric->buckets[i];
		snprintf(le, sizeof(le), "%g", i < BUCKETS ? bucket_limits[i] : 0.0);
		evbuffer_add_printf(out, "%s_bucket", name);
		metrics_write_labels(out, metric, i < BUCKETS ? le : "+Inf");
		metrics_write_value(out, (double)total);
	}
	evbuffer_add_printf(out, "%s_sum", name);
	metrics_write_labels(out, metric, NULL);
	metrics_write_value(out, metric->value);
	evbuffer_add_printf(out, "%s_count", name);
	metrics_write_labels(out, metric, NULL);
	metrics_write_value(out, (double)total);
}

static void metrics_write_family(struct evbuffer *out, enum metric_id id)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const struct metric *metric;

	if (SLIST_EMPTY(&series[id]))
		return;
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[id].name,
		families[id].help, families[id].name, types[families[id].type]);
	SLIST_FOREACH(metric, &series[id], entry)
	{
		if (families[id].type == HISTOGRAM) {
			metrics_write_histogram(out, metric);
			continue;
		}
		evbuffer_add_printf(out, "%s", families[id].name);
		metrics_write_labels(out, metric, NULL);
		metrics_write_value(out, metric->value);
	}
}

/* --- the process itself, by the names that Prometheus' clients use --- */

static void metrics_write_process(
	struct evbuffer *out, const char *name, const char *type, const char *help, double value)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s", name, help, name, type, name);
	metrics_write_value(out, value);
}

static double process_resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128] = "";
	char *resident;

	if (!f)
		return 0;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	(void)fclose(f);
	resident = strchr(line, ' ');
	return resident ? strtod(resident, NULL) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double process_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = -3; /* ".", ".." and the folder itself */

	if (!dir)
		return 0;
	while (readdir(dir)) // NOLINT(concurrency-mt-unsafe): a DIR of our own
		n++;
	closedir(dir);
	return n;
}

/* When the process was started, since 1970. */
static double process_start_seconds(void)
{
	FILE *f = fopen("/proc/self/stat", "re");
	char line[1024] = "", *at;
	struct timespec now, up;

	if (!f)
		return 0;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	(void)fclose(f);
	at = strrchr(line, ')'); /* the end of the second field; the start is the 22nd: proc(5) */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
	       strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
}

static double process_cpu_seconds(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void metrics_write(struct evbuffer *out)
{
	static double started; /* kept: a clock that is set must not look like a restart */
	struct rlimit files;

	if (started == 0)
		started = process_start_seconds();
	for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
		if (!families[id].labels[0]) /* shown from the start: 0 */
			(void)metric_get(id);
	}
	pthread_mutex_lock(&series_mutex);
	for (enum metric_id id = 0; id < METRIC_COUNT; id++)
		metrics_write_family(out, id);
	pthread_mutex_unlock(&series_mutex);
	metrics_write_process(out, "process_cpu_seconds_total", "counter", "CPU time used.",
		process_cpu_seconds());
	metrics_write_process(out, "process_resident_memory_bytes", "gauge", "Memory in use.",
		process_resident_bytes());
	metrics_write_process(out, "process_start_time_seconds", "gauge",
		"Start of the process since 1970.", started);
	metrics_write_process(
		out, "process_open_fds", "gauge", "Open file descriptors.", process_open_fds());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		metrics_write_process(out, "process_max_fds", "gauge", "Limit of file descriptors.",
			(double)files.rlim_cur);
}

void metrics_fini(void)
{
	pthread_mutex_lock(&series_mutex);
	for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
		struct metric *metric;

		while ((metric = SLIST_FIRST(&series[id]))) {
			SLIST_REMOVE_HEAD(&series[id], entry);
			metric_free(metric);
		}
	}
	pthread_mutex_unlock(&series_mutex);
}
