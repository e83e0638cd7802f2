/* The catalogue's database: its schema, how it is opened and brought up to date, and statements. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "storage/catalogue_private.h"

enum {
	UPGRADE_STEPS = 10000 /* of SQLite, between two looks whether it is wanted still */
};

/* Makes the tables of version 1; the database is then brought up to date like an old one. */
static const char schema[] = "CREATE TABLE segments ("
			     " id INTEGER PRIMARY KEY,"
			     " camera TEXT NOT NULL,"
			     " stream TEXT NOT NULL,"
			     " volume INTEGER NOT NULL DEFAULT 0,"
			     " path TEXT NOT NULL,"
			     " folder TEXT NOT NULL," /* the path's folder */
			     " start_us INTEGER NOT NULL,"
			     " end_us INTEGER NOT NULL,"
			     " bytes INTEGER NOT NULL,"
			     " codecs TEXT NOT NULL,"
			     " width INTEGER NOT NULL,"
			     " height INTEGER NOT NULL,"
			     " state INTEGER NOT NULL," /* enum catalogue_state */
			     " fragments BLOB);"
			     "CREATE UNIQUE INDEX segments_by_path ON segments (volume, path);"
			     "CREATE INDEX segments_by_folder ON segments (camera, folder);"
			     "CREATE INDEX segments_by_time ON segments (camera, start_us);";

/* What makes each version of the one before. */
static const char *const upgrades[CATALOGUE_SCHEMA_VERSION] = {
	schema,
	/* of segments from before the clock was set: wall_clock_boot_id(), wall_clock_boot_us() */
	"ALTER TABLE segments ADD COLUMN boot_id TEXT;"
	"ALTER TABLE segments ADD COLUMN boot_us INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX segments_undated ON segments (boot_id) WHERE boot_id IS NOT NULL;",
	/* what should have been recorded and was not */
	"CREATE TABLE gaps ("
	" camera TEXT NOT NULL,"
	" start_us INTEGER NOT NULL,"
	" end_us INTEGER NOT NULL,"
	" cause TEXT NOT NULL);"
	"CREATE INDEX gaps_by_time ON gaps (camera, start_us);",
	/*
	 * What retention, and the start with a million rows, ask for without reading the rows. INSERT OR REPLACE
	 * would pass the triggers by.
	 */
	"CREATE INDEX segments_open ON segments (state) WHERE state = 0;"
	"CREATE INDEX segments_by_age ON segments (camera, start_us) WHERE state = 1 AND boot_us = 0;"
	"CREATE INDEX segments_by_order ON segments (camera) WHERE state = 1 AND boot_us <> 0;"
	"CREATE TABLE totals ("
	" camera TEXT PRIMARY KEY,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet */
	" segments INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, sum(bytes), count(*) FROM segments GROUP BY camera;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new.bytes, 1) ON CONFLICT (camera)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes WHERE camera = old.camera;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1 WHERE camera = old.camera;"
	" DELETE FROM totals WHERE camera = old.camera AND segments = 0;"
	"END;",
	/* the same without time-lapses, which stay: their bytes are not counted, their rows not read */
	"DROP INDEX segments_by_age;"
	"DROP INDEX segments_by_order;"
	"CREATE INDEX segments_by_age ON segments (camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"CREATE INDEX segments_by_order ON segments (camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"DROP TRIGGER segments_count_added;"
	"DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_removed;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, (new." CATALOGUE_IS_FOOTAGE ") * new.bytes, 1)"
	"  ON CONFLICT (camera) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments"
	" WHEN new." CATALOGUE_IS_FOOTAGE " BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes WHERE camera = old.camera;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE ") * old.bytes,"
	"  segments = segments - 1 WHERE camera = old.camera;"
	" DELETE FROM totals WHERE camera = old.camera AND segments = 0;"
	"END;",
	/* several volumes: totals of each, and what lies on each by age */
	"DROP INDEX segments_by_path;"
	"CREATE UNIQUE INDEX segments_by_path ON segments (path, volume);"
	"DROP INDEX segments_by_folder;"
	"CREATE INDEX segments_by_folder ON segments (camera, folder, volume);"
	"CREATE INDEX segments_by_volume_age ON segments (volume, camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"CREATE INDEX segments_by_volume_order ON segments (volume, camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_removed; DROP TABLE totals;"
	"CREATE TABLE totals ("
	" camera TEXT NOT NULL,"
	" volume INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet, time-lapses none at all */
	" segments INTEGER NOT NULL,"
	" PRIMARY KEY (camera, volume)) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, volume, sum((" CATALOGUE_IS_FOOTAGE
	") * bytes), count(*)"
	" FROM segments GROUP BY camera, volume;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new.volume, (new." CATALOGUE_IS_FOOTAGE
	") * new.bytes, 1)"
	"  ON CONFLICT (camera, volume) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments"
	" WHEN new." CATALOGUE_IS_FOOTAGE " BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes"
	"  WHERE camera = old.camera AND volume = old.volume;"
	"END;"
	"CREATE TRIGGER segments_count_moved AFTER UPDATE OF volume ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE
	") * old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	" INSERT INTO totals VALUES (new.camera, new.volume, (new." CATALOGUE_IS_FOOTAGE
	") * new.bytes, 1)"
	"  ON CONFLICT (camera, volume) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE
	") * old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	"END;",
	/* what people attach to names of the tree: catalogue_resource.c */
	"CREATE TABLE locks ("
	" token TEXT PRIMARY KEY,"
	" path TEXT NOT NULL,"
	" user TEXT NOT NULL,"
	" owner TEXT NOT NULL,"
	" exclusive INTEGER NOT NULL,"
	" deep INTEGER NOT NULL,"
	" expires_us INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE properties ("
	" path TEXT NOT NULL,"
	" space TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" folder TEXT NOT NULL," /* the path's */
	" value TEXT NOT NULL,"
	" PRIMARY KEY (path, space, name)) WITHOUT ROWID;"
	"CREATE INDEX properties_by_folder ON properties (folder, path);",
	/* retention of time-lapses as well: totals of their own, and which of them are old */
	"CREATE INDEX timelapses_by_age ON segments (camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_TIMELAPSE ";"
	"CREATE INDEX timelapses_by_order ON segments (camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_TIMELAPSE ";"
	"DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_moved; DROP TRIGGER segments_count_removed; DROP TABLE totals;"
	"CREATE TABLE totals ("
	" camera TEXT NOT NULL,"
	" timelapse INTEGER NOT NULL," /* 1: of its time-lapses; 0: of its recordings */
	" volume INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet */
	" segments INTEGER NOT NULL,"
	" PRIMARY KEY (camera, timelapse, volume)) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, " CATALOGUE_IS_TIMELAPSE ", volume, sum(bytes), count(*)"
	" FROM segments GROUP BY 1, 2, 3;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new." CATALOGUE_IS_TIMELAPSE
	", new.volume, new.bytes, 1)"
	"  ON CONFLICT (camera, timelapse, volume)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	"END;"
	"CREATE TRIGGER segments_count_moved AFTER UPDATE OF volume ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	" INSERT INTO totals VALUES (new.camera, new." CATALOGUE_IS_TIMELAPSE
	", new.volume, new.bytes, 1)"
	"  ON CONFLICT (camera, timelapse, volume)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	"END;",
	/* all that listings tell, beside the index of fragments, which is a hundred times as large */
	"ALTER TABLE segments ADD COLUMN events INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX segments_listed ON segments (path, volume, camera, stream, start_us, end_us,"
	" bytes, codecs, width, height, state, boot_us, events);"
	"CREATE TABLE events ("
	" camera TEXT NOT NULL,"
	" start_us INTEGER NOT NULL,"
	" kind INTEGER NOT NULL," /* enum event_kind */
	" end_us INTEGER NOT NULL,"
	" PRIMARY KEY (camera, start_us, kind)) WITHOUT ROWID;",
};

static int catalogue_is_closing(void *arg)
{
	const struct catalogue *catalogue = arg;

	return catalogue->closing;
}

/*
 * Makes the tables, or brings those of an older nvrd up to date: all of it or nothing, which for a million rows takes half a
 * minute. An SQLite result code.
 */
static int catalogue_upgrade(struct catalogue *catalogue, int64_t version)
{
	char *done = xasprintf("PRAGMA user_version = %d; COMMIT", CATALOGUE_SCHEMA_VERSION);
	int result;

	if (version && !catalogue->closing)
		log_info(&catalogue->log,
			"%s is brought up to date; recordings are not listed until then",
			catalogue->file);
	sqlite3_progress_handler(catalogue->db, UPGRADE_STEPS, catalogue_is_closing, catalogue);
	result = sqlite3_exec(catalogue->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (; result == SQLITE_OK && version < CATALOGUE_SCHEMA_VERSION; version++)
		result = sqlite3_exec(catalogue->db, upgrades[version], NULL, NULL, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_exec(catalogue->db, done, NULL, NULL, NULL);
	if (!sqlite3_get_autocommit(catalogue->db))
		(void)sqlite3_exec(catalogue->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_progress_handler(catalogue->db, 0, NULL, NULL);
	free(done);
	return result;
}

/* A file that nobody changes, as SQLite's URI. */
static char *unchanging_uri(const char *file)
{
	char *uri = xmalloc(3 * strlen(file) + 32), *end = stpcpy(uri, "file:");

	for (; *file; file++) {
		if (strchr("%?#", *file))
			end += snprintf(end, 4, "%%%02X", (unsigned)*file);
		else
			*end++ = *file;
	}
	stpcpy(end, "?immutable=1");
	return uri;
}

int catalogue_open_file(struct catalogue *catalogue, enum catalogue_access access)
{
	char *uri;
	int result;

	if (access != CATALOGUE_UNCHANGING)
		return sqlite3_open_v2(catalogue->file, &catalogue->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	uri = unchanging_uri(catalogue->file);
	result = sqlite3_open_v2(uri, &catalogue->db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	free(uri);
	return result;
}

int catalogue_open_database(struct catalogue *catalogue, enum catalogue_access access)
{
	static const char *const pragmas[] = {
		[CATALOGUE_SHARED] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
		[CATALOGUE_ALONE] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
				    "PRAGMA synchronous = NORMAL",
		[CATALOGUE_UNCHANGING] = "",
	};
	int result = catalogue_open_file(catalogue, access);
	int64_t version;

	catalogue->access = access;
	if (result != SQLITE_OK)
		return result;
	sqlite3_busy_timeout(catalogue->db, CATALOGUE_BUSY_MS);
	result = sqlite3_exec(catalogue->db, pragmas[access], NULL, NULL, NULL);
	if (result != SQLITE_OK)
		return result;
	catalogue->failure = SQLITE_OK;
	version = catalogue_number(catalogue, "PRAGMA user_version");
	if (version < 0)
		return catalogue->failure ? catalogue->failure : SQLITE_CORRUPT;
	if (version > CATALOGUE_SCHEMA_VERSION)
		return SQLITE_MISMATCH;
	if (version == CATALOGUE_SCHEMA_VERSION)
		return SQLITE_OK;
	return version && catalogue->in_a_hurry ? SQLITE_SCHEMA
						: catalogue_upgrade(catalogue, version);
}

void catalogue_forget_questions(struct catalogue *catalogue)
{
	for (size_t i = 0; i < CATALOGUE_QUESTIONS; i++) {
		sqlite3_finalize(catalogue->questions[i].statement);
		catalogue->questions[i].statement = NULL;
	}
}

void catalogue_close_database(struct catalogue *catalogue)
{
	catalogue_forget_questions(catalogue);
	/* the journal may lie elsewhere than its name leads by now: nothing is removed */
	if (catalogue->db)
		(void)sqlite3_db_config(
			catalogue->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	sqlite3_close(catalogue->db);
	catalogue->db = NULL;
}

void catalogue_set_aside(struct catalogue *catalogue)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	long long now = (long long)time(NULL);

	catalogue_close_database(catalogue);
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		char *from = xasprintf("%s%s", catalogue->file, suffixes[i]);
		char *to = xasprintf("%s.damaged-%lld%s", catalogue->file, now, suffixes[i]);

		if (rename(from, to) == 0 && i == 0)
			log_warn(&catalogue->log, "damaged: set aside as %s", to);
		free(from);
		free(to);
	}
	catalogue->known_store = 0;
	metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "damaged"), 1);
}

/* --- statements --- */

void catalogue_fail(struct catalogue *catalogue)
{
	catalogue->failure = sqlite3_errcode(catalogue->db);
	metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "failed"), 1);
	log_write_repeated(&catalogue->trouble, LOG_ERROR, &catalogue->log, "%s",
		sqlite3_errmsg(catalogue->db));
}

int catalogue_exec(struct catalogue *catalogue, const char *sql)
{
	if (catalogue->db && sqlite3_exec(catalogue->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	if (catalogue->db)
		catalogue_fail(catalogue);
	return -EIO;
}

sqlite3_stmt *catalogue_prepare(struct catalogue *catalogue, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	if (!catalogue->db)
		return NULL;
	if (sqlite3_prepare_v2(catalogue->db, sql, -1, &statement, NULL) != SQLITE_OK)
		catalogue_fail(catalogue);
	return statement;
}

sqlite3_stmt *catalogue_ask(struct catalogue *catalogue, const char *sql)
{
	for (size_t i = 0; i < CATALOGUE_QUESTIONS; i++) {
		if (!catalogue->questions[i].statement) {
			catalogue->questions[i].sql = sql;
			catalogue->questions[i].statement = catalogue_prepare(catalogue, sql);
		}
		if (catalogue->questions[i].sql == sql)
			return catalogue->questions[i].statement;
	}
	abort(); /* one that is not static */
}

int catalogue_finish_statement(struct catalogue *catalogue, sqlite3_stmt *statement)
{
	if (!statement)
		return -EIO;
	(void)sqlite3_step(statement);
	if (sqlite3_finalize(statement) == SQLITE_OK)
		return 0;
	catalogue_fail(catalogue);
	return -EIO;
}

int64_t catalogue_number(struct catalogue *catalogue, const char *sql)
{
	sqlite3_stmt *statement = catalogue_prepare(catalogue, sql);
	int64_t number = -1;

	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}
