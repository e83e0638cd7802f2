#pragma once

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/util.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/catalogue.h"

enum {
	CATALOGUE_BOOT_ID_BYTES = 40,
	CATALOGUE_SCHEMA_VERSION = 9,
	CATALOGUE_BUSY_MS = 5000,
	CATALOGUE_QUESTIONS = 32 /* statements that are kept prepared */
};

/* What time-lapses are not, and what they are, in SQL. */
#define CATALOGUE_IS_FOOTAGE "stream <> '" CATALOGUE_TIMELAPSE "'"
#define CATALOGUE_IS_TIMELAPSE "stream = '" CATALOGUE_TIMELAPSE "'"

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

/* A segment that grows, or of which the database has not taken the end yet. */
struct open_segment {
	LIST_ENTRY(open_segment) entry;
	char *camera;
	bool timelapse;
	int64_t ticket; /* what catalogue_add() gave */
	int64_t id;     /* of its row; 0: it has none yet; -1: it will have none */
	struct catalogue_segment *segment; /* as it was added */
	int64_t end_us;
	uint64_t bytes;
	struct fragment_index index;
};

/*
 * What is posted to the thread without an answer: a change of memory (run), or one of the database, which waits
 * until it is taken.
 */
struct catalogue_job {
	struct worker_job job;
	STAILQ_ENTRY(catalogue_job) entry;
	struct catalogue *catalogue;
	/* Makes the change, in a transaction that may be taken back and tried again. Returns 0 or -EIO. */
	int (*apply)(struct catalogue_job *job);
	int64_t ticket;                        /* add, grow, finish, adopt */
	int64_t id;                            /* of a row: redate, forget */
	struct open_segment *open;             /* finish */
	struct catalogue_segment *segment;     /* add, adopt (id 0: a new row) */
	char *path;                            /* redate */
	int64_t later_us;                      /* redate */
	char *camera;                          /* gap, event */
	int64_t start_us, end_us;              /* gap, event */
	const char *cause;                     /* gap; static */
	enum event_kind kind;                  /* event */
	char boot_id[CATALOGUE_BOOT_ID_BYTES]; /* adopt */
	struct fragment_index index;           /* adopt */
	struct catalogue_fragment fragment;    /* grow */
	uint64_t bytes;                        /* finish */
};

enum catalogue_access {
	CATALOGUE_SHARED,
	CATALOGUE_ALONE,     /* without shared memory, since there is no room for that */
	CATALOGUE_UNCHANGING /* it cannot be written, and is read as it is */
};

struct catalogue {
	struct worker *worker;
	struct log_name log;
	char *file;
	/* reactor */
	int64_t next_ticket;
	uint64_t finished; /* segments that were closed */
	struct log_repeated again;
	struct event *timer;
	catalogue_stale_fn *on_stale;
	void *on_stale_arg;
	bool ticking; /* a job of the timer is under way */
	/* both */
	_Atomic unsigned
		store; /* changes with catalogue_enter() and catalogue_leave(); odd: it is there */
	_Atomic bool unsettled;      /* something waits, or the database is not as it should be */
	_Atomic bool stale;          /* the rows may not agree with the disk */
	_Atomic bool has_properties; /* false: there are none of anything */
	_Atomic bool closing;        /* bringing the database up to date is given up */
	/* worker (and the start, before it runs) */
	sqlite3 *db; /* NULL: it cannot be opened, or its store is not there */
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} questions[CATALOGUE_QUESTIONS]; /* of `db` */
	unsigned opened_store;            /* of which `db` is */
	unsigned known_store;             /* of which the owner was told; 0: of none */
	bool in_a_hurry;                  /* what takes long is left to the worker: SQLITE_SCHEMA */
	enum catalogue_access access;     /* how it was opened */
	int64_t opened_us, damaged_us;    /* monotonic: last tried; last set aside; 0: never */
	int64_t last_id;                  /* of the rows; ids are not used again */
	LIST_HEAD(, open_segment) open;
	STAILQ_HEAD(, catalogue_job) waiting;
	size_t waiting_jobs, waiting_bytes;
	int64_t retry_us; /* monotonic: not before */
	bool dropped;     /* something that should have waited */
	struct log_repeated trouble;
	int failure;    /* the last failed operation's SQLite result code */
	int64_t new_id; /* of the row that the change at hand makes; 0: none */
	int added;      /* rows, by the change at hand; less than 0: removed */
	struct metric *segments;
};

struct open_segment *catalogue_find_open(const struct catalogue *catalogue, int64_t id);

/* Posts a job that needs no answer; run NULL: one of the database. Returns 0 or -EAGAIN, the job is gone then. */
int catalogue_post(
	struct catalogue *catalogue, struct catalogue_job *job, void (*run)(struct worker_job *));
void catalogue_job_fini(struct catalogue_job *job); /* what it holds */
/* Removes a row. Returns 0 or -EIO, logged. */
int catalogue_delete(struct catalogue *catalogue, int64_t id);
/* The row of a closed segment. Returns 0 or -EIO, logged. */
int catalogue_update_closed(struct catalogue *catalogue, int64_t id, int64_t end_us, uint64_t bytes,
	const struct fragment_index *index);
/* An id for a new row: the ticket where that is free. */
int64_t catalogue_new_id(const struct catalogue *catalogue, int64_t ticket);
/* Writes the row of an open segment, a new one or that of its path, and its id to new_id. Returns 0 or -EIO, logged. */
int catalogue_insert_open(struct catalogue *catalogue, const struct open_segment *open);
void catalogue_open_segment_free(struct open_segment *open);

/* --- catalogue_event.c --- */

/* What happened in the time of a row, as the events say. Returns 0 or -EIO, logged. */
int catalogue_mark_events(struct catalogue *catalogue, int64_t id);
/* What happened in its time moves with a row that is dated anew. */
int catalogue_redate_events(struct catalogue *catalogue, int64_t id, int64_t later_us);

/* --- catalogue_database.c --- */

/* Opens the file, and looks at nothing in it. An SQLite result code. */
int catalogue_open_file(struct catalogue *catalogue, enum catalogue_access access);
/* Opens the database, and makes its tables where it can be written. An SQLite result code. */
int catalogue_open_database(struct catalogue *catalogue, enum catalogue_access access);
void catalogue_close_database(struct catalogue *catalogue);
void catalogue_forget_questions(struct catalogue *catalogue);
/* Gives a damaged database another name, and closes it. */
void catalogue_set_aside(struct catalogue *catalogue);

/* Runs one statement; logs what is wrong with it. Returns 0 or -EIO. */
int catalogue_exec(struct catalogue *catalogue, const char *sql);
/* A single number, or -1. */
int64_t catalogue_number(struct catalogue *catalogue, const char *sql);
/* Prepares a statement, or logs and returns NULL; in silence while there is no database. */
sqlite3_stmt *catalogue_prepare(struct catalogue *catalogue, const char *sql);
/* The same of a static text, prepared once: to be reset after use. */
sqlite3_stmt *catalogue_ask(struct catalogue *catalogue, const char *sql);
/* Steps a statement that gives no rows, and finalises it. Returns 0 or -EIO, logged. */
int catalogue_finish_statement(struct catalogue *catalogue, sqlite3_stmt *statement);
/* An operation failed: notes and counts it, and says it now and then. */
void catalogue_fail(struct catalogue *catalogue);

/* --- catalogue_waiting.c: what the database does not take at once --- */

/* Whether nothing can be written where the file is. */
bool catalogue_is_read_only(const char *file);
/* Opens the database of the store that is there. An SQLite result code. Worker, and the start. */
int catalogue_connect(struct catalogue *catalogue);
/* Follows the store: closes a database that is gone, opens one that has come. Worker. */
void catalogue_follow(struct catalogue *catalogue);
/* After a question: a damaged database is set aside. Worker. */
void catalogue_mend(struct catalogue *catalogue);
/* Has a change wait for its turn, or drops it; takes over what the job holds. Worker. */
void catalogue_wait(struct catalogue_job *job);
/* Makes what waits, in order, as far as the database takes it. Worker. */
void catalogue_settle(struct catalogue *catalogue);
void catalogue_drop_waiting(struct catalogue *catalogue);
void catalogue_on_timer(evutil_socket_t fd, short what, void *arg);
