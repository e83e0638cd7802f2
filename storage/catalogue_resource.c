/* Locks and properties in the catalogue. */
#include "storage/catalogue_resource.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "storage/catalogue_private.h"

/* What lies at ?1 or below it: '0' comes right after '/'. */
#define WITHIN "(path = ?1 OR (path > ?1 || '/' AND path < ?1 || '0'))"

enum resource_change {
	KEEP_LOCK,
	DROP_LOCK,
	CHANGE_PROPERTIES,
	FORGET_PROPERTIES,
	COPY_PROPERTIES
};

struct catalogue_change {
	struct worker_job job;
	struct catalogue *catalogue;
	catalogue_changed_fn *done; /* NULL: cancelled */
	void *arg;
	/* worker */
	enum resource_change what;
	int error;
	char *texts[4]; /* token, path, user, owner; or path, to */
	int64_t expires_us;
	bool exclusive, deep, move;
	char **changes; /* space, name, value; space, … */
	size_t n;
};

/* --- running --- */

static void bind_text(sqlite3_stmt *statement, int i, const char *text)
{
	if (statement)
		sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
}

/* Runs a statement with one or two texts. */
static int run_texts(struct catalogue *catalogue, const char *sql, const char *a, const char *b)
{
	sqlite3_stmt *statement = catalogue_prepare(catalogue, sql);

	bind_text(statement, 1, a);
	if (b)
		bind_text(statement, 2, b);
	return catalogue_finish_statement(catalogue, statement);
}

static int run_keep_lock(struct catalogue_change *change)
{
	sqlite3_stmt *statement = catalogue_prepare(change->catalogue,
		"INSERT OR REPLACE INTO locks (token, path, user, owner, exclusive, deep, expires_us)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	if (!statement)
		return -EIO;
	for (int i = 0; i < 4; i++)
		bind_text(statement, i + 1, change->texts[i]);
	sqlite3_bind_int(statement, 5, change->exclusive);
	sqlite3_bind_int(statement, 6, change->deep);
	sqlite3_bind_int64(statement, 7, change->expires_us);
	return catalogue_finish_statement(change->catalogue, statement);
}

static int run_one_property(struct catalogue_change *change, char *const *p)
{
	const char *path = change->texts[0];
	const char *slash = strrchr(path, '/');
	sqlite3_stmt *statement = catalogue_prepare(change->catalogue,
		p[2] ? "INSERT OR REPLACE INTO properties (path, space, name, value, folder)"
		       " VALUES (?1, ?2, ?3, ?4, ?5)"
		     : "DELETE FROM properties WHERE path = ?1 AND space = ?2 AND name = ?3");

	bind_text(statement, 1, path);
	bind_text(statement, 2, p[0]);
	bind_text(statement, 3, p[1]);
	if (p[2] && statement) {
		bind_text(statement, 4, p[2]);
		sqlite3_bind_text(statement, 5, path, (int)(slash - path), SQLITE_STATIC);
	}
	return catalogue_finish_statement(change->catalogue, statement);
}

static int check_size(struct catalogue_change *change)
{
	sqlite3_stmt *statement = catalogue_prepare(change->catalogue,
		"SELECT sum(length(space) + length(name) + length(value)) FROM properties"
		" WHERE path = ?1");
	int error = -EIO;

	bind_text(statement, 1, change->texts[0]);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		error = sqlite3_column_int64(statement, 0) > CATALOGUE_PROPERTIES_BYTES ? -E2BIG
											: 0;
	sqlite3_finalize(statement);
	return error;
}

static int run_properties(struct catalogue_change *change)
{
	int error = catalogue_exec(change->catalogue, "BEGIN IMMEDIATE");

	if (error)
		return error;
	for (size_t i = 0; i < change->n && !error; i++)
		error = run_one_property(change, change->changes + 3 * i);
	if (!error)
		error = check_size(change);
	if (!error)
		error = catalogue_exec(change->catalogue, "COMMIT");
	if (error)
		(void)catalogue_exec(change->catalogue, "ROLLBACK");
	return error;
}

static int run_copy(struct catalogue_change *change)
{
	static const char copy[] =
		"INSERT OR REPLACE INTO properties (path, folder, space, name, value)"
		" SELECT ?2 || substr(path, length(?1) + 1),"
		"  CASE WHEN path = ?1 THEN ?3 ELSE ?2 || substr(folder, length(?1) + 1) END,"
		"  space, name, value FROM properties WHERE ";
	const char *from = change->texts[0], *to = change->texts[1];
	char *sql = xasprintf("%s%s", copy, change->deep ? WITHIN : "path = ?1");
	sqlite3_stmt *statement;
	int error = run_texts(change->catalogue, "DELETE FROM properties WHERE " WITHIN, to, NULL);

	statement = error ? NULL : catalogue_prepare(change->catalogue, sql);
	bind_text(statement, 1, from);
	bind_text(statement, 2, to);
	if (statement)
		sqlite3_bind_text(statement, 3, to, (int)(strrchr(to, '/') - to), SQLITE_STATIC);
	if (!error)
		error = catalogue_finish_statement(change->catalogue, statement);
	if (!error && change->move)
		error = run_texts(
			change->catalogue, "DELETE FROM properties WHERE " WITHIN, from, NULL);
	free(sql);
	return error;
}

static void change_run(struct worker_job *job)
{
	struct catalogue_change *change = CONTAINER_OF(job, struct catalogue_change, job);

	catalogue_follow(change->catalogue);
	switch (change->what) {
	case KEEP_LOCK:
		change->error = run_keep_lock(change);
		break;
	case DROP_LOCK:
		change->error = run_texts(change->catalogue, "DELETE FROM locks WHERE token = ?1",
			change->texts[0], NULL);
		break;
	case CHANGE_PROPERTIES:
		change->error = run_properties(change);
		break;
	case FORGET_PROPERTIES:
		change->error = run_texts(change->catalogue, "DELETE FROM properties WHERE " WITHIN,
			change->texts[0], NULL);
		break;
	case COPY_PROPERTIES:
		change->error = run_copy(change);
		break;
	}
}

/* --- posting --- */

static void change_free(struct catalogue_change *change)
{
	for (size_t i = 0; i < ARRAY_LENGTH(change->texts); i++)
		free(change->texts[i]);
	for (size_t i = 0; i < 3 * change->n; i++)
		free(change->changes[i]);
	free(change->changes);
	free(change);
}

static void change_done(struct worker_job *job)
{
	struct catalogue_change *change = CONTAINER_OF(job, struct catalogue_change, job);

	if (change->done)
		change->done(change->arg, change->error);
	change_free(change);
}

void catalogue_change_cancel(struct catalogue_change *change)
{
	if (change)
		change->done = NULL;
}

static struct catalogue_change *change_new(struct catalogue *catalogue, enum resource_change what,
	catalogue_changed_fn *done, void *arg)
{
	struct catalogue_change *change = xcalloc(1, sizeof(*change));

	change->job.run = change_run;
	change->job.done = change_done;
	change->job.bytes = sizeof(*change);
	change->catalogue = catalogue;
	change->what = what;
	change->done = done;
	change->arg = arg;
	return change;
}

static struct catalogue_change *change_post(struct catalogue_change *change)
{
	if (worker_post(change->catalogue->worker, &change->job) == 0)
		return change;
	log_write_repeated(&change->catalogue->again, LOG_ERROR, &change->catalogue->log,
		"the queue is full: locks and properties are not kept");
	change_free(change);
	return NULL;
}

struct catalogue_change *catalogue_keep_lock(struct catalogue *catalogue,
	const struct catalogue_lock *lock, catalogue_changed_fn *done, void *arg)
{
	struct catalogue_change *change = change_new(catalogue, KEEP_LOCK, done, arg);

	change->texts[0] = xstrdup(lock->token);
	change->texts[1] = xstrdup(lock->path);
	change->texts[2] = xstrdup(lock->user);
	change->texts[3] = xstrdup(lock->owner);
	change->exclusive = lock->exclusive;
	change->deep = lock->deep;
	change->expires_us = lock->expires_us;
	return change_post(change);
}

void catalogue_drop_lock(struct catalogue *catalogue, const char *token)
{
	struct catalogue_change *change = change_new(catalogue, DROP_LOCK, NULL, NULL);

	change->texts[0] = xstrdup(token);
	(void)change_post(change);
}

struct catalogue_change *catalogue_change_properties(struct catalogue *catalogue, const char *path,
	const struct catalogue_property *changes, size_t n, catalogue_changed_fn *done, void *arg)
{
	struct catalogue_change *change = change_new(catalogue, CHANGE_PROPERTIES, done, arg);

	catalogue->has_properties = true;
	change->texts[0] = xstrdup(path);
	change->changes = xcalloc(3 * n, sizeof(*change->changes));
	change->n = n;
	for (size_t i = 0; i < n; i++) {
		change->changes[3 * i] = xstrdup(changes[i].space);
		change->changes[3 * i + 1] = xstrdup(changes[i].name);
		change->changes[3 * i + 2] = changes[i].value ? xstrdup(changes[i].value) : NULL;
	}
	return change_post(change);
}

void catalogue_forget_properties(struct catalogue *catalogue, const char *path)
{
	struct catalogue_change *change = change_new(catalogue, FORGET_PROPERTIES, NULL, NULL);

	change->texts[0] = xstrdup(path);
	(void)change_post(change);
}

void catalogue_copy_properties(
	struct catalogue *catalogue, const char *from, const char *to, bool move, bool deep)
{
	struct catalogue_change *change = change_new(catalogue, COPY_PROPERTIES, NULL, NULL);

	change->texts[0] = xstrdup(from);
	change->texts[1] = xstrdup(to);
	change->move = move;
	change->deep = deep;
	(void)change_post(change);
}

/* --- asking --- */

enum {
	LOCK_COLUMNS = 7,
	PROPERTY_COLUMNS = 4
};

struct catalogue_resource_query {
	struct worker_job job;
	struct catalogue *catalogue;
	bool cancelled;
	catalogue_locks_fn *on_locks; /* which of the two is set says what is asked for */
	catalogue_properties_fn *on_properties;
	void *arg;
	/* worker */
	const char *sql;
	char *texts[3]; /* bound as ?1 … */
	int error;
	char **values; /* row by row */
	size_t n, size, columns;
};

static void query_add(struct catalogue_resource_query *query, sqlite3_stmt *statement)
{
	if (query->n == query->size) {
		query->size = query->size ? 2 * query->size : 16;
		query->values = xrealloc(
			query->values, query->columns * query->size * sizeof(*query->values));
	}
	for (size_t i = 0; i < query->columns; i++) {
		const unsigned char *text = sqlite3_column_text(statement, (int)i);

		query->values[query->columns * query->n + i] =
			xstrdup(text ? (const char *)text : "");
	}
	query->n++;
}

static void query_run(struct worker_job *job)
{
	struct catalogue_resource_query *query =
		CONTAINER_OF(job, struct catalogue_resource_query, job);
	sqlite3_stmt *statement;
	int result = SQLITE_ERROR;

	catalogue_follow(query->catalogue);
	statement = catalogue_ask(query->catalogue, query->sql);
	for (int i = 0; i < (int)ARRAY_LENGTH(query->texts) && query->texts[i]; i++)
		bind_text(statement, i + 1, query->texts[i]);
	while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
		query_add(query, statement);
	if (statement && result != SQLITE_DONE)
		catalogue_fail(query->catalogue);
	sqlite3_reset(statement);
	if (result == SQLITE_DONE)
		return;
	query->error = -EIO;
	catalogue_mend(query->catalogue);
}

static void query_free(struct catalogue_resource_query *query)
{
	for (size_t i = 0; i < query->columns * query->n; i++)
		free(query->values[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(query->texts); i++)
		free(query->texts[i]);
	free(query->values);
	free(query);
}

static void query_tell_locks(struct catalogue_resource_query *query)
{
	struct catalogue_lock *locks = xcalloc(query->n, sizeof(*locks));

	for (size_t i = 0; i < query->n; i++) {
		char *const *row = query->values + i * LOCK_COLUMNS;

		locks[i] = (struct catalogue_lock){ row[0], row[1], row[2], row[3], *row[4] == '1',
			*row[5] == '1', strtoll(row[6], NULL, 10) };
	}
	query->on_locks(query->arg, query->error, locks, query->n);
	free(locks);
}

static void query_tell_properties(struct catalogue_resource_query *query)
{
	struct catalogue_property *properties = xcalloc(query->n, sizeof(*properties));

	for (size_t i = 0; i < query->n; i++) {
		char *const *row = query->values + i * PROPERTY_COLUMNS;

		properties[i] = (struct catalogue_property){ row[0], row[1], row[2], row[3] };
	}
	query->on_properties(query->arg, query->error, properties, query->n);
	free(properties);
}

static void query_done(struct worker_job *job)
{
	struct catalogue_resource_query *query =
		CONTAINER_OF(job, struct catalogue_resource_query, job);

	if (query->cancelled)
		;
	else if (query->on_locks)
		query_tell_locks(query);
	else
		query_tell_properties(query);
	query_free(query);
}

static struct catalogue_resource_query *query_new(
	struct catalogue *catalogue, const char *sql, size_t columns, void *arg)
{
	struct catalogue_resource_query *query = xcalloc(1, sizeof(*query));

	query->job.run = query_run;
	query->job.done = query_done;
	query->job.bytes = sizeof(*query);
	query->catalogue = catalogue;
	query->sql = sql;
	query->columns = columns;
	query->arg = arg;
	return query;
}

static struct catalogue_resource_query *query_post(struct catalogue_resource_query *query)
{
	if (worker_post(query->catalogue->worker, &query->job) == 0)
		return query;
	query_free(query);
	return NULL;
}

void catalogue_resource_cancel(struct catalogue_resource_query *query)
{
	if (query)
		query->cancelled = true;
}

struct catalogue_resource_query *catalogue_locks(
	struct catalogue *catalogue, catalogue_locks_fn *done, void *arg)
{
	struct catalogue_resource_query *query = query_new(catalogue,
		"SELECT token, path, user, owner, exclusive, deep, expires_us FROM locks",
		LOCK_COLUMNS, arg);

	query->on_locks = done;
	return query_post(query);
}

bool catalogue_has_properties(const struct catalogue *catalogue)
{
	return catalogue->has_properties;
}

struct catalogue_resource_query *catalogue_properties(struct catalogue *catalogue, const char *path,
	const char *from, const char *to, catalogue_properties_fn *done, void *arg)
{
	static const char own[] = "SELECT path, space, name, value FROM properties WHERE path = ?1"
				  " ORDER BY space, name";
	static const char members[] =
		"SELECT path, space, name, value FROM properties WHERE folder = ?1"
		" AND path >= ?2 AND path <= ?3 ORDER BY path, space, name";
	struct catalogue_resource_query *query =
		query_new(catalogue, from ? members : own, PROPERTY_COLUMNS, arg);

	query->on_properties = done;
	query->texts[0] = xstrdup(path);
	query->texts[1] = from ? xasprintf("%s/%s", path, from) : NULL;
	query->texts[2] = from ? xasprintf("%s/%s", path, to) : NULL;
	return query_post(query);
}
