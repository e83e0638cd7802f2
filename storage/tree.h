#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/config.h"
#include "storage/catalogue_resource.h"
#include "storage/footage.h"
#include "storage/locks.h"
#include "storage/recordings.h"
#include "storage/volume.h"

struct evbuffer;

/*
 * The one tree of names (DESIGN section 5) under every protocol that names things: look-up, listing,
 * reading, changing. Recordings, uploads and the configuration are in it. Paths are decoded, start with '/', have no dot segments and no
 * trailing '/' but for the root. Asynchronous: callbacks on the reactor, never before the call returned.
 * What a user may not see does not exist for him.
 *
 * Clips (storage/clip_name.h) are in a camera's collection, and each recording as it is when its decode times count from another
 * instant: by name, but in no listing.
 */
struct tree;

/* Reads from that volume and those behind it. */
struct tree *tree_new(struct catalogue *catalogue, struct volume *volume);
void tree_free(struct tree *tree); /* before the volume and the catalogue are closed */
/* Who has locked what: to be asked (locks_forbid()) before anything is changed. */
struct locks *tree_locks(struct tree *tree);
/* What stays free on the file system: writing ends there. */
void tree_set_reserve(struct tree *tree, const struct config_share *reserve);

enum tree_kind {
	TREE_COLLECTION,
	TREE_FILE
};

struct tree_entry {
	enum tree_kind kind;
	char path[512];      /* "/recordings/porch" */
	const char *name;    /* its last part; "" for the root */
	uint64_t bytes;      /* files */
	int64_t modified_us; /* 0: unknown */
	int64_t created_us;  /* 0: unknown */
	char etag[64]; /* with its quotes; "" for collections. Changes only with the content. */
	const char *content_type;
	const struct catalogue_segment *segment; /* recordings; NULL otherwise */
	bool has_space; /* collections: what may still be written into them, and what is taken */
	uint64_t free_bytes, used_bytes;
	const struct catalogue_property *properties; /* uploads: what people have said of it */
	size_t n_properties;
};

struct tree_request;                            /* one in flight */
void tree_cancel(struct tree_request *request); /* no callback after this; NULL is fine */

/*
 * error: 0, -ENOENT, -EIO, -EAGAIN (busy). The entry is valid during the call. Of clips also -E2BIG, and -EMEDIUMTYPE: the entry
 * is then the first recording that does not go into one file with those before it.
 */
typedef void tree_entry_fn(void *arg, int error, const struct tree_entry *entry);
struct tree_request *tree_find(struct tree *tree, const char *path, const struct auth_user *user,
	tree_entry_fn *done, void *arg) MUST_CHECK;

/*
 * The members of a collection by name, in batches of at most 500; `more` says that tree_list() with the
 * last name as `after` gives the rest. error as above, -ENOTDIR for a file.
 */
typedef void tree_list_fn(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more);
struct tree_request *tree_list(struct tree *tree, const char *path, const char *after,
	const struct auth_user *user, tree_list_fn *done, void *arg) MUST_CHECK;

/*
 * The recordings of a camera's collection, or of a day's, by start: a batch of those in the span (catalogue_search()), which there
 * may be none of; `more` as above, behind the last one.
 */
struct tree_request *tree_search(struct tree *tree, const char *path,
	const struct catalogue_span *span, const struct auth_user *user, tree_list_fn *done,
	void *arg) MUST_CHECK;

/* Opens a file for reading; entry->bytes is fixed from then on, whatever is appended. error also -EISDIR: that is, or would be, a collection. */
struct tree_file;
typedef void tree_open_fn(
	void *arg, int error, const struct tree_entry *entry, struct tree_file *file);
struct tree_request *tree_open(struct tree *tree, const char *path, const struct auth_user *user,
	tree_open_fn *done, void *arg) MUST_CHECK;
/* Reads at most n bytes at offset, of clips maybe fewer; one read at a time; `data` is drained by the callee. */
int tree_file_read(struct tree_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg) MUST_CHECK;
/* As volume_reader_send(); -EOPNOTSUPP: it is made while it is read, as clips are. In place of a read. */
int tree_file_send(struct tree_file *file, int socket, uint64_t offset, size_t n,
	volume_reader_sent_fn *on_sent, void *arg) MUST_CHECK;
void tree_file_close(struct tree_file *file); /* NULL is fine */

/* --- changing: by operators and admins --- */

/*
 * Whether this user may change what is at a path, whether or not it is there: 0; -EACCES: his role; -EPERM: it never
 * changes, as recordings do not, or is not ours to change; -ENOENT: there is nothing for him; -EINVAL: no such name
 * can be given. To delete a recording is another question.
 */
int tree_may_change(
	const struct tree *tree, const char *path, const struct auth_user *user) MUST_CHECK;
int tree_may_delete(
	const struct tree *tree, const char *path, const struct auth_user *user) MUST_CHECK;
/* The same of all recordings in a collection, one by one: in a day's. -EPERM: it is no day's. */
int tree_may_clear(
	const struct tree *tree, const char *path, const struct auth_user *user) MUST_CHECK;

/*
 * error: as tree_may_change() says; -ENOENT: what is to be changed is not there; -ENOTDIR: the collection that it
 * shall be put into is not there; -EEXIST; -ENOSPC; -EBUSY: somebody reads or writes it; -EXDEV: recordings and
 * uploads do not mix; -ELOOP: a collection into itself, or too deep; -EAGAIN; -EIO. `created`: there was nothing before.
 * Of the configuration also -ENOTSUP: this of it cannot be changed; -EBADMSG: it would not be valid, tree_problem().
 */
typedef void tree_changed_fn(void *arg, int error, bool created);
/* What is wrong with the configuration, or with showing it, lines such as "nvrd.yaml:3: …": during a callback with -EBADMSG. */
const char *tree_problem(const struct tree *tree);
struct tree_request *tree_make_collection(struct tree *tree, const char *path,
	const struct auth_user *user, tree_changed_fn *done, void *arg) MUST_CHECK;
/* With all that is in it, at once or not at all. */
struct tree_request *tree_delete(struct tree *tree, const char *path, const struct auth_user *user,
	tree_changed_fn *done, void *arg) MUST_CHECK;
/* Only a collection that nothing is in: else -ENOTEMPTY, -ENOTDIR. */
struct tree_request *tree_remove_collection(struct tree *tree, const char *path,
	const struct auth_user *user, tree_changed_fn *done, void *arg) MUST_CHECK;
/* When an upload was last changed, as its owner knows better. */
struct tree_request *tree_set_modified(struct tree *tree, const char *path, int64_t modified_us,
	const struct auth_user *user, tree_changed_fn *done, void *arg) MUST_CHECK;
enum {
	TREE_OVERWRITE = 1 << 0, /* what is there goes */
	TREE_SHALLOW = 1 << 1,   /* a collection is copied without its members */
	TREE_MOVE = 1 << 2
};
/* As tree_may_change(), of both. */
int tree_may_copy(const struct tree *tree, const char *from, const char *to, unsigned flags,
	const struct auth_user *user) MUST_CHECK;
/* Copies or moves, with all that is in it, at once or not at all. */
struct tree_request *tree_copy(struct tree *tree, const char *from, const char *to, unsigned flags,
	const struct auth_user *user, tree_changed_fn *done, void *arg) MUST_CHECK;

/* Changes what people have said of what is at a path, see catalogue_change_properties(). NULL: busy. */
struct catalogue_change *tree_change_properties(struct tree *tree, const char *path,
	const struct catalogue_property *changes, size_t n, catalogue_changed_fn *done,
	void *arg) MUST_CHECK;

/* A file that is being written: it is nowhere to be seen until it is committed. */
struct tree_put;
struct tree_put_events {
	void (*on_begun)(void *arg);   /* nothing speaks against it: it may be written */
	void (*on_drained)(void *arg); /* tree_put_write() said no, and may be called again */
	/*
	 * It is whole, synced and there (a configuration: and applied; its entry has no ETag when it is not what was written); or error < 0 at any moment, as of a change, and -EISDIR, -ESTALE: the target
	 * is not what it had to be; -ERANGE: it has not so many bytes to keep. The put is gone after this.
	 */
	void (*on_end)(void *arg, int error, bool created, const struct tree_entry *entry);
};
enum {
	TREE_CONFIG_BYTES = 1 << 20 /* the largest file of a configuration */
};
/* How many bytes a file may have there at most, whoever writes it. */
uint64_t tree_put_limit(const char *path);
#define TREE_KEEP_ALL UINT64_MAX
/*
 * Begins, with so many bytes announced (0: unknown); before them come the first `keep` of what is there, or all of it, be it
 * nothing. NULL and an error in *error: it will not be.
 */
struct tree_put *tree_put(struct tree *tree, const char *path, uint64_t bytes, uint64_t keep,
	const struct auth_user *user, const struct tree_put_events *events, void *arg,
	int *error) MUST_CHECK;
/* Takes all of data, after on_begun. False: on_drained is to be waited for, though nothing is refused. */
bool tree_put_write(struct tree_put *put, struct evbuffer *data) MUST_CHECK;
/* The end: it takes the place of the file with that ETag; "": of nothing; NULL: of whatever is there. */
void tree_put_commit(struct tree_put *put, const char *etag);
/* The same for what was cut off: it is marked, and no upload (storage/upload.h) until it has been left alone for an hour. */
void tree_put_commit_part(struct tree_put *put, const char *etag);
void tree_put_abort(struct tree_put *put); /* no callback after this; NULL is fine */
/* No callback after this, but what is being committed is. */
void tree_put_leave(struct tree_put *put);

/* The recordings of a camera between two instants, for playlists; see recordings_new(). Free it before the tree. */
struct recordings *tree_recordings(struct tree *tree, const char *camera, int64_t from_us,
	int64_t to_us, const struct auth_user *user, recordings_list_fn *done,
	void *arg) MUST_CHECK;

/* The frames of a camera's recordings; nothing of one that the user may not see. Free it before the tree. */
struct footage *tree_footage(struct tree *tree, const char *camera, const struct footage_wish *wish,
	const struct auth_user *user) MUST_CHECK;
