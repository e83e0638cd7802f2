#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/tree_folder.h"

enum {
	TREE_FOLDER_TAG_BYTES = 24,
	TREE_FOLDER_BLOCK_BYTES = 1 << 20 /* of large files that are being written */
};

struct tree_folder {
	struct volume *volume;
	char *name; /* "uploads" */
	struct log_name log;
	tree_folder_created_fn *on_created;
	void *arg;
	struct worker *quick, *slow;
	char tag[TREE_FOLDER_TAG_BYTES]; /* in our own hidden names; constant */
	struct tree_folder_names
		*names; /* the quick thread's: of the listing that it goes on with */
	uint8_t *block; /* the quick thread's: aligned for O_DIRECT */
	unsigned large; /* reactor: files that are being written block by block */
	/* any thread */
	_Atomic unsigned reserve_percent;
	_Atomic uint64_t reserve_bytes, made; /* hidden names, so far */
	_Atomic bool stopping;
};

/* --- tree_folder_disk.c: what is done on the threads; paths are the volume's: "uploads/porch/clip.mp4" --- */

enum {
	TREE_FOLDER_HIDDEN_BYTES = 96
};

/* A name beside which nobody has another one. */
void tree_folder_hide(struct tree_folder *folder, char ret[TREE_FOLDER_HIDDEN_BYTES]);

/* Whether so many bytes may be written: 0, -ENOSPC, or what kept us from knowing. */
int tree_folder_check_space(const struct tree_folder *folder, uint64_t bytes) MUST_CHECK;

/* Tells of the file or folder `name` in `parent`, of which the volume's path is `path`. 0, -ENOENT or -errno. */
int tree_folder_look(struct tree_entry *ret, int parent, const char *name, const char *path);
int tree_folder_find_run(
	const struct tree_folder *folder, const char *path, struct tree_entry *ret);

/* What collections say of the space: what is below the reserve is nobody's. */
void tree_folder_look_at_space(const struct tree_folder *folder, struct tree_entry *entry);

/* --- tree_folder_list.c --- */

/* The members after a name, at most `limit` of them in *ret, which the caller frees. */
int tree_folder_list_run(struct tree_folder *folder, const char *path, const char *after,
	size_t limit, const struct auth_user *user, struct tree_entry **ret, size_t *n, bool *more);
/* Forgets what it has kept of a listing. */
void tree_folder_list_forget(struct tree_folder *folder);

/* --- tree_folder_disk.c again --- */

int tree_folder_make_run(const struct tree_folder *folder, const char *path);
int tree_folder_remove_run(const struct tree_folder *folder, const char *path);
int tree_folder_set_modified_run(
	const struct tree_folder *folder, const char *path, int64_t modified_us);
/* So many bytes, or what there is, from one descriptor's offset to the other's, and synced; until *stop. 0 or -errno. */
int tree_folder_copy_content(const struct tree_folder *folder, int from, int to, uint64_t bytes,
	const _Atomic bool *stop) MUST_CHECK;

/*
 * What these take away lies aside under a hidden name, *aside, which the caller frees and has removed; NULL: nothing.
 * *created says that there was nothing at `to` before.
 */
int tree_folder_delete_run(struct tree_folder *folder, const char *path, char **aside);
int tree_folder_move_run(struct tree_folder *folder, const char *from, const char *to,
	bool overwrite, bool *created, char **aside);
int tree_folder_copy_run(struct tree_folder *folder, const char *from, const char *to,
	unsigned flags, bool *created, char **aside);
/* Removes what lies aside. */
void tree_folder_reap_run(struct tree_folder *folder, const char *aside);
/* Removes what earlier processes left. */
void tree_folder_clean_run(struct tree_folder *folder);

/* Gives `old` in `parent` the name `new`, whatever has that: that is set aside. */
int tree_folder_place(struct tree_folder *folder, int from, const char *old, int to,
	const char *path, bool overwrite, bool *created, char **aside);
/* Tells of something new at a path on the volume. Reactor. */
void tree_folder_tell_created(const struct tree_folder *folder, const char *path);
/* Has the slow thread remove what lies aside; takes the string over. Reactor. */
void tree_folder_reap(struct tree_folder *folder, char *aside);
