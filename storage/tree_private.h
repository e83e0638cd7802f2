#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "server/base/log.h"
#include "server/base/reactor.h"
#include "storage/catalogue_resource.h"
#include "storage/clip.h"
#include "storage/clip_name.h"
#include "storage/locks.h"
#include "storage/tree.h"
#include "storage/tree_config.h"
#include "storage/tree_folder.h"
#include "storage/tree_name.h"

#define TREE_UPLOADS "uploads"
#define TREE_CONFIG "config"
#define TREE_DISCOVERED "discovered"

enum {
	CAMERA_BYTES = 64,
	DATE_BYTES = 11
};

struct tree {
	struct catalogue *catalogue;
	struct volume *volume;
	struct tree_folder *uploads;
	struct locks *locks;
	struct clips *clips;
	tree_config_post_fn *config_post; /* NULL: there is no configuration */
	void *config_arg;
	bool shows_discovered;
	const char *problem; /* that is being told of */
	struct log_name log;
	size_t removing; /* recordings, by the volume */
	bool freed;      /* waits for these */
	TAILQ_HEAD(tree_files, tree_file)
	resting; /* tree_rest.c; the one that was read last first */
	size_t n_resting;
	struct event *rest_timer;
};

/* What a path means, by its form alone. */
enum tree_place {
	PLACE_NONE,
	PLACE_ROOT,
	PLACE_RECORDINGS,
	PLACE_CAMERA,
	PLACE_DAY,
	PLACE_FILE,
	PLACE_CLIP,
	PLACE_VIEW,    /* of a file, with other decode times */
	PLACE_UPLOADS, /* or anything in it */
	PLACE_CONFIG   /* likewise; and what was discovered, which goes nowhere else */
};

struct tree_path {
	enum tree_place place;
	char camera[CAMERA_BYTES];
	char day[DATE_BYTES];
	size_t bytes;          /* of the path without what follows a '?' */
	struct clip_wish wish; /* of clips and views: without camera and path */
};

/* One look-up, listing or opening on its way. */
struct tree_request {
	struct tree *tree;
	struct tree_path path;
	char *text;              /* the path as asked for */
	char *after;             /* listings: names up to this one are left out */
	struct auth_user *user;  /* a copy: who may see what */
	tree_entry_fn *on_entry; /* which of the three is set says what is asked for */
	tree_list_fn *on_list;
	tree_open_fn *on_open;
	tree_changed_fn *on_changed;
	void *arg;
	struct catalogue_query *query;
	struct tree_folder_request *folder;
	struct clip_request *clip;
	struct tree_config_job *config;
	int error;                /* what is answered without asking anybody; 0: busy */
	bool changing, cancelled; /* a change goes on without its caller */
	struct volume_reader *reader;
	struct catalogue_segment *segment; /* being opened, or deleted */
	bool again;                        /* its file was not where the row had it */
	struct tree_entry *entry;          /* an upload that is being opened */
	struct tree_file *file;            /* a recording that is open already */
	struct tree_entry *entries;        /* uploads that wait for their properties */
	size_t n;
	bool more;
	struct catalogue_resource_query *resource;
	char *to; /* of what is copied or moved */
	unsigned flags;
	struct event *answer_timer; /* for answers that need no query */
	struct reactor_dead dead;
};

struct tree_file {
	struct tree *tree;
	struct volume_reader *reader;
	struct catalogue_segment *segment; /* of a closed recording; NULL otherwise */
	TAILQ_ENTRY(tree_file) entry;      /* while it rests */
	int64_t rests_us;                  /* since, monotonic */
	struct clip_file *clip;            /* or this */
	struct tree_config_file *config;   /* or this */
	uint64_t bytes;
};

/* --- tree_path.c --- */

struct tree_path tree_parse(const char *text);
/* Whether the user may see what is in that part of the tree, be it there or not. */
bool tree_may_see(const struct tree_path *path, const char *text, const struct auth_user *user);

/* --- tree.c --- */

/* A request with its path understood. What the user may not see is PLACE_NONE. */
struct tree_request *tree_request_new(
	struct tree *tree, const char *path, const struct auth_user *user, void *arg);
/* What is to be returned: the answer is "busy" when nobody has been asked. */
struct tree_request *tree_request_started(struct tree_request *request);
/* The path on the volume. */
const char *tree_request_volume_path(const struct tree_request *request);
/* Tells of the entries, and whether there are more behind them. */
void tree_request_tell_list(
	struct tree_request *request, const struct tree_entry *entries, size_t n, bool more);
/* It is over, and freed later. */
void tree_request_end(struct tree_request *request);
void tree_request_fail(struct tree_request *request, int error);
/* Answers request->error, "not there" or "busy" without asking anybody, but not before the caller has returned. */
void tree_request_fail_soon(struct tree_request *request);
void tree_entry_of_segment(struct tree_entry *entry, const struct catalogue_segment *segment);
/* Asks for the clip, or view, that the path names. */
void tree_request_make_clip(struct tree_request *request);

/* --- tree_open.c --- */

void tree_file_free(struct tree_file *file);

/* --- tree_rest.c: recordings stay open for who reads on --- */

void tree_rest_init(struct tree *tree);
void tree_rest_fini(struct tree *tree);
/* Takes over a file that nobody reads now; false: it is to be freed. */
bool tree_rest(struct tree_file *file) MUST_CHECK;
/* The recording of that path on the volume, open as it was left; NULL: it does not rest here. */
struct tree_file *tree_rest_find(struct tree *tree, const char *path);
