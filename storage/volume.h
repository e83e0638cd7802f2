#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "storage/fragment.h"

struct evbuffer;

/*
 * A place on disk: a writer thread, a reader thread, and all the file operations of nvrd. Paths are relative to
 * storage.path and never leave it. Everything asynchronous calls back on the reactor, in order.
 */
struct volume;

#define VOLUME_MARKER "nvrd.store" /* the file in its folder that says which one it is */

enum {
	VOLUME_QUEUE_BYTES = 64 << 20
}; /* of fragments waiting for the disk; when full they are refused */

/* What folders and files of the store are made with. */
enum {
	VOLUME_FOLDER_MODE = 0750,
	VOLUME_FILE_MODE = 0640,
	VOLUME_CUT_MODE = 01000 /* also set on an upload that was cut off, and may be continued */
};

/*
 * Makes path and path/recordings when missing. Blocks: at start only. Returns NULL and a message in *why (caller
 * frees) when that path cannot be right: no folder can be there, or none that may be written, or another nvrd
 * uses it. A store that is not there now (its file system is not mounted, the disk fails) is waited for, see volume_watch().
 */
struct volume *volume_open(const char *path, int64_t sync_us, char **why) MUST_CHECK;
/* While it is not there every operation fails with -ENODEV. Any thread. */
bool volume_is_there(const struct volume *volume);
typedef void volume_change_fn(void *arg, bool there);
/*
 * Looks every two seconds from now on: on_change says when the store is gone, or is there again. One that was
 * mounted anew was gone in between.
 */
void volume_watch(struct volume *volume, volume_change_fn *on_change, void *arg);
void volume_set_sync(struct volume *volume, int64_t sync_us);
/* With all behind it. Waits for the queues; all callbacks have been called when it returns. */
void volume_close(struct volume *volume);
const char *volume_path(const struct volume *volume);

/*
 * For who reads and writes files on a thread of its own: opens a path beneath the volume, never through a
 * symbolic link. A descriptor, or -errno. Any thread.
 */
int volume_open_beneath(const struct volume *volume, const char *path, int flags, int mode);
/* Makes the folders above a path, but for the volume's own. Returns 0 or -errno. Any thread. */
int volume_make_folders(const struct volume *volume, const char *path) MUST_CHECK;
/* A path's folder, opened; *name is what stands after it. Or -errno. Any thread. */
int volume_open_folder_of(const struct volume *volume, const char *path, const char **name);
/* Gives a file another name, unless that is taken. Returns 0, -EEXIST or -errno. Any thread. */
int volume_rename(int from, const char *old, int to, const char *new) MUST_CHECK;
/* What we may still write on the file system, and its size. Returns 0 or -errno. Any thread. */
int volume_free(const struct volume *volume, uint64_t *free_bytes, uint64_t *size_bytes) MUST_CHECK;
/* Writes a fragment at an offset. Returns 0 or -errno. Any thread. */
int volume_write_fragment(
	int fd, const struct fragment *fragment, int64_t origin_us, uint64_t offset) MUST_CHECK;
/* Bytes that wait for the writer. Any thread. */
size_t volume_queued_bytes(const struct volume *volume);
/* Counts a failed operation: "open", "write", "sync", "read", "close". Any thread. */
void volume_count_error(const char *operation);

enum {
	VOLUME_SUFFIX_MOST = 99
};
/* A path with _2, _3 … before its extension, as a taken name gets it; i = 1: as it is. The caller frees it. */
char *volume_suffixed(const char *path, int i);

/* --- writing: one file, appended --- */

struct volume_file;
struct volume_file_events {
	/* The file exists: `path` is what it got (a suffix _2 … when the name was taken). Or error < 0. */
	void (*on_open)(void *arg, int error, const char *path);
	/* One append finished: where it starts and how many bytes; or error < 0 (errno), the file is cut back to offset. */
	void (*on_append)(void *arg, int error, uint64_t offset, uint64_t bytes);
	/*
	 * Closed and synced: a segment (segment.h) is an ordinary MP4 now, or after an error still
	 * one of fragments. The handle is gone after this. A file without any fragment is removed: 0 bytes.
	 */
	void (*on_close)(void *arg, int error, uint64_t bytes);
};
/* Creates the file and its folders on the writer thread. NULL when the queue is full. */
struct volume_file *volume_create(struct volume *volume, const char *path,
	const struct volume_file_events *events, void *arg) MUST_CHECK;
/* Appends plain bytes (copied), or a fragment (referenced). Returns 0, or -EAGAIN when the queue is full: nothing is kept. */
int volume_append_bytes(struct volume_file *file, const void *p, size_t n) MUST_CHECK;
int volume_append_fragment(
	struct volume_file *file, struct fragment *fragment, int64_t origin_us) MUST_CHECK;
/* Closes after what was queued (never refused). */
void volume_file_close(struct volume_file *file);
/* The same with the moov of segment_index_write(), which is the volume's from here on: the file is not read again. */
void volume_file_close_with(struct volume_file *file, uint8_t *moov, size_t n);

/* --- moving --- */

/* `path` is where the file is now (a suffix _2 … when the name was taken). Or error < 0: it is where it was. */
typedef void volume_move_fn(void *arg, int error, const char *path);
/*
 * Gives a closed file another name, in folders that are made, on the writer thread; a folder that is
 * empty then is removed. Returns 0 or -EAGAIN, done is not called then.
 */
int volume_move(struct volume *volume, const char *from, const char *to, volume_move_fn *done,
	void *arg) MUST_CHECK;

typedef void volume_redate_fn(void *arg, int error);
/*
 * Sets the clock in a closed recording right, see segment_redate(), on the writer thread. Returns 0 or -EAGAIN, done
 * is not called then.
 */
int volume_redate(struct volume *volume, const char *path, int64_t later_us, volume_redate_fn *done,
	void *arg) MUST_CHECK;

/* --- several volumes, hot to warm: storage/volume_list.h opens them --- */

/* As rows of the catalogue name it: 0 is the first one. */
int64_t volume_id(const struct volume *volume);
/* The one behind it; NULL: none. */
struct volume *volume_next(const struct volume *volume);
/* Where recordings move on to: the one behind it, unless one in between is not there. */
struct volume *volume_target(const struct volume *volume);
/* Whether no volume is to come after it, there or not. */
bool volume_is_last(const struct volume *volume);
/* The one with that id, of those from `first` on; NULL: it is not there. */
struct volume *volume_find(struct volume *first, int64_t id);
/* Whether both are folders on one file system. */
bool volume_shares(const struct volume *a, const struct volume *b);
/* So many bytes are about to be written by somebody who is no recorder: retention makes room for them. */
void volume_expect(struct volume *volume, uint64_t bytes);
uint64_t volume_expected(const struct volume *volume);

/* --- from one volume to the next --- */

struct volume_copy;
/* `finished`: it is whole under its name, synced. Or error < 0 (-ENOENT: `from` has no such file): it begins anew. */
typedef void volume_copy_fn(void *arg, int error, bool finished);
/*
 * Copies a closed file to the same path on another volume, piece by piece, on that volume's writer thread. Until it
 * is whole it has VOLUME_PART behind its name. A file of that name that is there stays: -EEXIST, unless it is
 * the same byte for byte, and then it is the copy.
 */
struct volume_copy *volume_copy_new(
	struct volume *from, struct volume *to, const char *path) MUST_CHECK;
/* Goes on for so many bytes. One call at a time. Returns 0 or -EAGAIN, done is not called then. */
int volume_copy_step(
	struct volume_copy *copy, size_t bytes, volume_copy_fn *done, void *arg) MUST_CHECK;
/* No callback comes after this. What is half done stays, and begins anew the next time. NULL is fine. */
void volume_copy_free(struct volume_copy *copy);

#define VOLUME_PART ".nvrd-part"

/* Whether two volumes have the same bytes at a path: 1 or 0; or -errno. Blocks: for a worker. */
int volume_compare(const struct volume *a, const struct volume *b, const char *path) MUST_CHECK;

/* Whether that path is a file that is being written. Any thread. */
bool volume_is_writing(struct volume *volume, const char *path);

/* --- removing --- */

/* A path that stays while this is there: somebody reads the file, or holds a lock on it. The owner embeds it. */
struct volume_hold {
	LIST_ENTRY(volume_hold) entry;
	const char *path; /* the owner's */
	bool moves;       /* it goes to another volume, so that nobody may change it */
	/* Not NULL: the owner does without it as soon as anybody asks for the path, and is told. */
	void (*let_go)(void *arg);
	void *arg;
};
void volume_hold(struct volume *volume, struct volume_hold *hold, const char *path);
void volume_release(struct volume_hold *hold);
/* Asked by who is about to change or remove a file. */
bool volume_is_held(struct volume *volume, const char *path);
/* Whether somebody holds it who moves it. */
bool volume_is_moving(const struct volume *volume, const char *path);
/* Every path is held, as long as nobody knows which ones are to be. */
void volume_hold_all(struct volume *volume, bool all);
/* Copies of the paths that are held, at most so many; the caller frees them. Returns how many. */
size_t volume_held(const struct volume *volume, char **ret, size_t most);

typedef void volume_remove_fn(void *arg, int error);
/*
 * Removes a closed file, and its folders below recordings/ that are empty then, on the writer thread.
 * error is -ENOENT when it was gone already. Whether it is held is for the caller to ask.
 * Returns 0 or -EAGAIN, done is not called then.
 */
int volume_remove(
	struct volume *volume, const char *path, volume_remove_fn *done, void *arg) MUST_CHECK;

struct volume_space {
	uint64_t free_bytes,
		size_bytes;     /* of the file system: what we may still write, and in all */
	uint64_t written_bytes; /* appended since the volume was opened */
	bool empty;             /* no recordings: perhaps nothing is mounted there */
};
typedef void volume_look_fn(void *arg, int error, const struct volume_space *space);
/* Measures on the writer thread. Returns 0 or -EAGAIN, done is not called then. */
int volume_look(struct volume *volume, volume_look_fn *done, void *arg) MUST_CHECK;

/* --- reading --- */

struct volume_reader;
/* `bytes` and `modified_us` as they are at opening; or error < 0. The reader is then gone. */
typedef void volume_reader_open_fn(void *arg, int error, uint64_t bytes, int64_t modified_us);
/* The bytes asked for, fewer only at the end of file, in `data` (drain it); or error < 0. */
typedef void volume_reader_data_fn(void *arg, int error, struct evbuffer *data);
struct volume_reader *volume_reader_new(struct volume *volume, const char *path,
	volume_reader_open_fn *on_open, void *arg) MUST_CHECK;
/* One read at a time. Returns 0 or -EAGAIN when the queue is full. */
int volume_reader_read(struct volume_reader *reader, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg) MUST_CHECK;
/*
 * So many bytes were put into the socket: fewer than asked for when that takes no more now, or none. Or error < 0: -ENODATA: the
 * file ends before them; -EINVAL, -ENOSYS: its file system cannot do this; or what reading the file or writing to the socket
 * failed with.
 */
typedef void volume_reader_sent_fn(void *arg, int error, size_t n);
/*
 * Sends n bytes over a socket that does not block, by sendfile(2) on the reader's thread: who waits for the disk is that thread, and
 * the bytes are nobody's memory. The socket may be closed meanwhile. In place of a read: returns as volume_reader_read(), or -errno.
 */
int volume_reader_send(struct volume_reader *reader, int socket, uint64_t offset, size_t n,
	volume_reader_sent_fn *on_sent, void *arg) MUST_CHECK;
/*
 * Stays open for who may want to read on, and is in nobody's way: let_go is called when somebody is about to change the file, and is
 * to free it. False: it cannot, and is to be freed now.
 */
bool volume_reader_rest(
	struct volume_reader *reader, void (*let_go)(void *arg), void *arg) MUST_CHECK;
void volume_reader_wake(struct volume_reader *reader);
/* No callback comes after this. NULL is fine. */
void volume_reader_free(struct volume_reader *reader);
