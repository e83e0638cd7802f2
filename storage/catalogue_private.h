#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/catalogue.h"

enum {
	CATALOGUE_BOOT_ID_BYTES = 40,
	CATALOGUE_SCHEMA_VERSION = 5,
	CATALOGUE_BUSY_MS = 5000
};

/* What time-lapses are not, in SQL. */
#define CATALOGUE_IS_FOOTAGE "stream <> '" CATALOGUE_TIMELAPSE "'"

/* A growing list of fragments. */
struct fragment_index {
	struct catalogue_fragment *fragments;
	size_t n, size;
};
void fragment_index_add(struct fragment_index *index, const struct catalogue_fragment *fragment);

/*
 * The index as a blob: a count, then per fragment varints of what differs from the one before.
 * Writes into a new block that the caller frees.
 */
uint8_t *fragment_index_write(const struct fragment_index *index, size_t *bytes);
/* Returns 0, or -EBADMSG when the blob is damaged; *ret is empty then. The caller frees ret->fragments. */
int fragment_index_parse(struct fragment_index *ret, const uint8_t *p, size_t n) MUST_CHECK;

/* A segment that grows: what the database does not know yet. */
struct open_segment {
	LIST_ENTRY(open_segment) entry;
	char *camera;
	bool timelapse;
	int64_t id, end_us;
	uint64_t bytes;
	struct fragment_index index;
};

/* What is posted to the thread without an answer. */
struct catalogue_job {
	struct worker_job job;
	struct catalogue *catalogue;
	int64_t id;
	struct catalogue_segment *segment;     /* add */
	char *path;                            /* redate */
	int64_t later_us;                      /* redate */
	char *camera;                          /* gap */
	int64_t start_us, end_us;              /* gap */
	const char *cause;                     /* gap; static */
	char boot_id[CATALOGUE_BOOT_ID_BYTES]; /* adopt */
	struct fragment_index index;           /* adopt */
	struct catalogue_fragment fragment;    /* grow */
	uint64_t bytes;                        /* finish */
};

struct catalogue {
	struct worker *worker;
	struct log_name log;
	/* reactor */
	int64_t next_id;
	int64_t first_id;  /* of this process; constant */
	uint64_t finished; /* segments that were closed */
	struct log_repeated again;
	/* worker (and the start, before it runs) */
	sqlite3 *db;
	LIST_HEAD(, open_segment) open;
	struct metric *segments;
};

struct open_segment *catalogue_find_open(const struct catalogue *catalogue, int64_t id);

/* Posts a job that needs no answer. Returns 0 or -EAGAIN, the job is gone then. */
int catalogue_post(
	struct catalogue *catalogue, struct catalogue_job *job, void (*run)(struct worker_job *));
/* Removes a row. Returns 0 or -EIO, logged. */
int catalogue_delete(struct catalogue *catalogue, int64_t id);
/* The row of a closed segment. Returns 0 or -EIO, logged. */
int catalogue_update_closed(struct catalogue *catalogue, int64_t id, int64_t end_us, uint64_t bytes,
	const struct fragment_index *index);

/* Runs one statement; logs what is wrong with it. Returns 0 or -EIO. */
int catalogue_exec(struct catalogue *catalogue, const char *sql);
/* A single number, or -1. */
int64_t catalogue_number(struct catalogue *catalogue, const char *sql);
/* Prepares a statement, or logs and returns NULL. */
sqlite3_stmt *catalogue_prepare(struct catalogue *catalogue, const char *sql);
/* Steps a statement that gives no rows, and finalises it. Returns 0 or -EIO, logged. */
int catalogue_finish_statement(struct catalogue *catalogue, sqlite3_stmt *statement);
