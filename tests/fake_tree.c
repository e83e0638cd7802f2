/* The fake of storage/tree: see fake_tree.h. */
#include "tests/fake_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	BATCH = 500
};
#define DAY "/recordings/porch/2026-11-20"
#define AT (INT64_C(1795181400) * 1000000) /* 2026-11-20T13:30:00Z */

struct tree {
	int unused;
};

struct fake_tree fake_tree;
static struct tree the_tree;

static char porch[] = "porch", stream[] = "main", codecs[] = "avc1.64001f,mp4a.40.2";
static char volume_path_text[] = "recordings/porch/2026-11-20/14-30-00+0100.mp4";

static const struct catalogue_segment segments[] = {
	{.id = 1,
         .camera = porch,
         .stream = stream,
         .path = volume_path_text,
         .start_us = AT + 250000,
         .end_us = AT + 600000000,
         .bytes = 1000000,
         .codecs = codecs,
         .width = 1920,
         .height = 1080,
         .state = SEGMENT_CLOSED},
	{ .id = 2,
         .camera = porch,
         .stream = stream,
         .path = volume_path_text,
         .start_us = AT + 600000000,
         .end_us = AT + 604000000,
         .bytes = 700,
         .codecs = codecs,
         .width = 0,    /* sound alone */
		.height = 0,
         .state = SEGMENT_OPEN  },
};

/* clang-format off */
static const struct {
	enum tree_kind kind;
	const char *path;
	uint64_t bytes;
	const char *etag;
	const struct catalogue_segment *segment;
} nodes[] = {
	{ TREE_COLLECTION, "/", 0, "", NULL },
	{ TREE_COLLECTION, "/recordings", 0, "", NULL },
	{ TREE_COLLECTION, "/recordings/many", 0, "", NULL },
	{ TREE_COLLECTION, "/recordings/porch", 0, "", NULL },
	{ TREE_COLLECTION, DAY, 0, "", NULL },
	{ TREE_FILE, DAY "/14-30-00+0100.mp4", 1000000, "\"1-f4240\"", &segments[0] },
	{ TREE_FILE, DAY "/14-40-00+0100.mp4", 700, "\"2-2bc\"", &segments[1] },
	{ TREE_FILE, DAY "/empty.mp4", 0, "\"3-0\"", NULL },
	{ TREE_FILE, DAY "/odd <&\"'>:.mp4", 5, "\"4-5\"", NULL },
};
/* clang-format on */

struct tree *fake_tree_reset(void)
{
	fake_tree = (struct fake_tree){ .many = 1200 };
	return &the_tree;
}

struct locks *tree_locks(struct tree *tree)
{
	(void)tree;
	return NULL; /* nothing is locked */
}

const char *tree_problem(const struct tree *tree)
{
	(void)tree;
	return ""; /* there is no configuration */
}

struct recordings *tree_recordings(struct tree *tree, const char *camera, int64_t from_us,
	int64_t to_us, const struct auth_user *user, recordings_list_fn *done, void *arg)
{
	(void)tree, (void)camera, (void)from_us, (void)to_us, (void)user, (void)done, (void)arg;
	return NULL; /* busy */
}

struct footage *tree_footage(struct tree *tree, const char *camera, const struct footage_wish *wish,
	const struct auth_user *user)
{
	(void)tree, (void)camera, (void)wish, (void)user;
	return NULL; /* no test of this tree asks for pictures */
}

char fake_tree_byte(uint64_t offset)
{
	return (char)(offset * 31 + (offset >> 8) * 7);
}

static void fill(struct tree_entry *e, enum tree_kind kind, const char *path, uint64_t bytes,
	const char *etag)
{
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	(void)snprintf(e->path, sizeof(e->path), "%s", path);
	e->name = strrchr(e->path, '/') + 1;
	e->bytes = bytes;
	(void)snprintf(e->etag, sizeof(e->etag), "%s", etag);
	e->content_type = kind == TREE_FILE ? "video/mp4" : NULL;
}

static void fill_node(struct tree_entry *e, size_t i)
{
	fill(e, nodes[i].kind, nodes[i].path, nodes[i].bytes, nodes[i].etag);
	e->segment = nodes[i].segment;
	if (e->segment) {
		e->created_us = e->segment->start_us;
		e->modified_us = e->segment->end_us;
	}
}

static bool find(struct tree_entry *e, const char *path)
{
	for (size_t i = 0; i < ARRAY_LENGTH(nodes); i++) {
		if (strcmp(nodes[i].path, path) == 0) {
			fill_node(e, i);
			return true;
		}
	}
	return false;
}

/* --- requests --- */

struct tree_request {
	struct event *timer;
	char path[512], after[256];
	union {
		tree_entry_fn *entry;
		tree_list_fn *list;
		tree_open_fn *open;
	} done;
	void *arg;
};

struct tree_file {
	uint64_t bytes;
	struct event *timer;
	uint64_t offset;
	size_t n;
	volume_reader_data_fn *on_data;
	void *arg;
};

static struct tree_request *request_new(
	const char *path, const struct auth_user *user, event_callback_fn on_timer, void *arg)
{
	struct tree_request *r = xcalloc(1, sizeof(*r));

	(void)snprintf(r->path, sizeof(r->path), "%s", path);
	(void)snprintf(
		fake_tree.last_user, sizeof(fake_tree.last_user), "%s", user ? user->name : "");
	r->arg = arg;
	r->timer = reactor_timer_new(on_timer, r);
	reactor_timer_start(r->timer, 0);
	fake_tree.pending++;
	return r;
}

void tree_cancel(struct tree_request *r)
{
	if (!r)
		return;
	reactor_timer_free(&r->timer);
	free(r);
	fake_tree.pending--;
}

static void on_find(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *r = arg, copy = *r;
	struct tree_entry *e = xcalloc(1, sizeof(*e));
	int error = fake_tree.find_error;

	(void)fd, (void)what;
	tree_cancel(r);
	if (!error && !find(e, copy.path))
		error = -ENOENT;
	copy.done.entry(copy.arg, error, error ? NULL : e);
	free(e);
}

struct tree_request *tree_find(struct tree *tree, const char *path, const struct auth_user *user,
	tree_entry_fn *done, void *arg)
{
	struct tree_request *r = request_new(path, user, on_find, arg);

	(void)tree;
	r->done.entry = done;
	return r;
}

/* Fills up to BATCH members of the collection after the name; *more: there are others. */
static size_t members(struct tree_entry *entries, const char *path, const char *after, bool *more)
{
	size_t n = 0, length = strcmp(path, "/") == 0 ? 0 : strlen(path);
	char name[64];

	*more = false;
	for (size_t i = 1; i < ARRAY_LENGTH(nodes); i++) {
		const char *p = nodes[i].path;
		if (strncmp(p, path, length) == 0 && p[length] == '/' &&
			!strchr(p + length + 1, '/') && strcmp(p + length + 1, after) > 0)
			fill_node(&entries[n++], i);
	}
	for (size_t i = 0; strcmp(path, "/recordings/many") == 0 && i < fake_tree.many; i++) {
		(void)snprintf(name, sizeof(name), "/recordings/many/f%05zu.mp4", i);
		if (strcmp(name + 17, after) <= 0)
			continue;
		if (n == BATCH) {
			*more = true;
			break;
		}
		fill(&entries[n++], TREE_FILE, name, i, "\"f\"");
	}
	return n;
}

static void on_list(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *r = arg, copy = *r;
	struct tree_entry *entries = xcalloc(BATCH, sizeof(*entries)), e;
	int error = fake_tree.list_error_after-- > 0 ? 0 : fake_tree.list_error;
	bool more = false;

	(void)fd, (void)what;
	tree_cancel(r);
	size_t n = error ? 0 : members(entries, copy.path, copy.after, &more);
	if (!error && find(&e, copy.path) && e.kind == TREE_FILE)
		error = -ENOTDIR;
	copy.done.list(copy.arg, error, entries, n, more);
	free(entries);
}

struct tree_request *tree_list(struct tree *tree, const char *path, const char *after,
	const struct auth_user *user, tree_list_fn *done, void *arg)
{
	struct tree_request *r = request_new(path, user, on_list, arg);

	(void)tree;
	(void)snprintf(r->after, sizeof(r->after), "%s", after ? after : "");
	r->done.list = done;
	return r;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct tree_file *f = arg;
	struct evbuffer *data = evbuffer_new();
	volume_reader_data_fn *on_data = f->on_data;
	uint64_t end = f->offset + f->n < f->bytes ? f->offset + f->n : f->bytes;
	int error = fake_tree.read_error_at && end > fake_tree.read_error_at ? -EIO : 0;

	(void)fd, (void)what;
	f->on_data = NULL;
	for (uint64_t at = f->offset; !error && at < end; at++) {
		char byte = fake_tree_byte(at);
		(void)evbuffer_add(data, &byte, 1);
	}
	on_data(f->arg, error, data);
	evbuffer_free(data);
}

static void on_open(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *r = arg, copy = *r;
	struct tree_entry *e = xcalloc(1, sizeof(*e));
	struct tree_file *f = NULL;
	int error = fake_tree.find_error ? fake_tree.find_error : fake_tree.open_error;

	(void)fd, (void)what;
	tree_cancel(r);
	if (!error && !find(e, copy.path))
		error = -ENOENT;
	if (!error && e->kind == TREE_COLLECTION)
		error = -EISDIR;
	if (!error) {
		f = xcalloc(1, sizeof(*f));
		f->bytes = e->bytes;
		f->timer = reactor_timer_new(on_read, f);
		fake_tree.open_files++;
	}
	copy.done.open(copy.arg, error, error ? NULL : e, f);
	free(e);
}

struct tree_request *tree_open(struct tree *tree, const char *path, const struct auth_user *user,
	tree_open_fn *done, void *arg)
{
	struct tree_request *r = request_new(path, user, on_open, arg);

	(void)tree;
	r->done.open = done;
	return r;
}

int tree_file_read(
	struct tree_file *f, uint64_t offset, size_t n, volume_reader_data_fn *on_data, void *arg)
{
	if (fake_tree.busy_reads) {
		fake_tree.busy_reads--;
		return -EAGAIN;
	}
	if (f->on_data) /* one read at a time */
		abort();
	fake_tree.reads++;
	if (n > fake_tree.largest_read)
		fake_tree.largest_read = n;
	f->offset = offset;
	f->n = n;
	f->on_data = on_data;
	f->arg = arg;
	reactor_timer_start(f->timer, 0);
	return 0;
}

int tree_file_send(struct tree_file *f, int socket, uint64_t offset, size_t n,
	volume_reader_sent_fn *on_sent, void *arg)
{
	(void)f, (void)socket, (void)offset, (void)n, (void)on_sent, (void)arg;
	return -EOPNOTSUPP; /* there is no file */
}

void tree_file_close(struct tree_file *f)
{
	if (!f)
		return;
	reactor_timer_free(&f->timer);
	free(f);
	fake_tree.open_files--;
}
